//! Where an input file goes: the path rules of the dialects (contract, sections 4.7 and 9.1). Pure text;
//! nothing here touches a file system, and no path is ever percent-decoded.

use std::collections::BTreeSet;

/// The longest path, in bytes, and the longest name in it: what Linux can open.
const MAX_PATH_BYTES: usize = 4000;
const MAX_NAME_BYTES: usize = 255;
/// How many names a path may have: what an executor stages and walks.
const MAX_DEPTH: usize = 100;
/// The entry file of an onyx run.
pub const ONYX_ENTRY: &str = "__main__.py";

/// Why a bee/tgpt target was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A `..` component.
    #[error("path must not contain '..'")]
    Parent,
    /// A NUL character.
    #[error("path must not contain NUL")]
    Nul,
    /// Elsewhere, or the workspace itself.
    #[error("path must be a file under /workspace")]
    Elsewhere,
    /// Longer than a file system takes.
    #[error("path is too long")]
    TooLong,
    /// The same file, or a folder that is a file of another entry.
    #[error("path conflicts with another entry")]
    Conflict,
}

/// A bee/tgpt target relative to the workspace: `/workspace/a//./b` is `a/b`.
pub fn bee_target(key: &str) -> Result<String, TargetError> {
    let parts: Vec<&str> = components(key).collect();
    if parts.contains(&"..") {
        return Err(TargetError::Parent);
    }
    if key.contains('\0') {
        return Err(TargetError::Nul);
    }
    match parts.split_first() {
        Some((&"workspace", rest)) if !rest.is_empty() => fits(rest).ok_or(TargetError::TooLong),
        _ => Err(TargetError::Elsewhere),
    }
}

/// Why an onyx path was refused; the text is the whole `detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OnyxPathError {
    /// It begins with `/`.
    #[error("File paths must be relative.")]
    Absolute,
    /// A `..` component.
    #[error("File paths must not contain '..'.")]
    Parent,
    /// Nothing is left of it.
    #[error("File path must not be empty.")]
    Empty,
    /// The place of the program itself.
    #[error("File path '__main__.py' is reserved for the execution entrypoint.")]
    Entry,
    /// A NUL character.
    #[error("File paths must not contain NUL.")]
    Nul,
    /// Longer than a file system takes.
    #[error("File paths must not be longer than 4000 bytes, nor a name in them than 255.")]
    TooLong,
    /// A folder that is a file of another entry.
    #[error("File paths must not use one entry as the folder of another.")]
    Conflict,
}

/// An onyx path, normalised: `./in.txt` is `in.txt`.
pub fn onyx_path(path: &str) -> Result<String, OnyxPathError> {
    if path.starts_with('/') {
        return Err(OnyxPathError::Absolute);
    }
    let parts: Vec<&str> = components(path).collect();
    if parts.contains(&"..") {
        return Err(OnyxPathError::Parent);
    }
    if parts.is_empty() {
        return Err(OnyxPathError::Empty);
    }
    if path.contains('\0') {
        return Err(OnyxPathError::Nul);
    }
    if parts.first() == Some(&ONYX_ENTRY) {
        return Err(OnyxPathError::Entry);
    }
    fits(&parts).ok_or(OnyxPathError::TooLong)
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn fits(parts: &[&str]) -> Option<String> {
    let joined = parts.join("/");
    if parts.len() > MAX_DEPTH {
        return None;
    }
    let short = joined.len() <= MAX_PATH_BYTES && parts.iter().all(|part| part.len() <= MAX_NAME_BYTES);
    short.then_some(joined)
}

/// The targets of one request so far; a file cannot also be a folder. Folders are not kept: a request may name many
/// long paths, and each would cost all of its parents.
#[derive(Debug, Default)]
pub struct Targets {
    files: BTreeSet<String>,
}

impl Targets {
    /// Takes a path: `false` when it is the same as, above or below an earlier one.
    pub fn take(&mut self, path: &str) -> bool {
        !self.files.contains(path) && self.take_again(path)
    }

    /// As [`Targets::take`], but the same path may come again.
    pub fn take_again(&mut self, path: &str) -> bool {
        let mut above = path.match_indices('/').filter_map(|(place, _)| path.get(..place));
        let inside = format!("{path}/");
        let is_folder =
            self.files.range(inside.clone()..).next().is_some_and(|file| file.starts_with(&inside));
        if is_folder || above.any(|folder| self.files.contains(folder)) {
            return false;
        }
        self.files.insert(path.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bee_targets_are_files_under_the_workspace() {
        use TargetError::{Elsewhere, Nul, Parent, TooLong};
        let long = format!("/workspace/{}", "n".repeat(256));
        for (key, expected) in [
            ("/workspace/a.txt", Ok("a.txt")),
            ("/workspace/d/e/f.txt", Ok("d/e/f.txt")),
            ("/workspace/a b#?%41é/.hid", Ok("a b#?%41é/.hid")),
            ("/workspace/%2e%2e/x", Ok("%2e%2e/x")),
            ("/workspace/./a", Ok("a")),
            ("/workspace/a//b", Ok("a/b")),
            ("/workspace/..dots", Ok("..dots")),
            ("/data/x", Err(Elsewhere)),
            ("/workspace", Err(Elsewhere)),
            ("/workspace/", Err(Elsewhere)),
            ("/workspace/.", Err(Elsewhere)),
            ("/workspacex/a", Err(Elsewhere)),
            ("/workspace/../etc/passwd", Err(Parent)),
            ("/data/../workspace/x", Err(Parent)),
            ("/workspace/a/..", Err(Parent)),
            ("/workspace/a\0b", Err(Nul)),
            (long.as_str(), Err(TooLong)),
        ] {
            assert_eq!(bee_target(key).as_deref(), expected.as_ref().copied(), "{key}");
        }
    }

    #[test]
    fn onyx_paths_are_relative() {
        use OnyxPathError::{Absolute, Empty, Entry, Nul, Parent};
        for (path, expected) in [
            ("in.txt", Ok("in.txt")),
            ("./in.txt", Ok("in.txt")),
            ("d//e.txt", Ok("d/e.txt")),
            ("sub/__main__.py", Ok("sub/__main__.py")),
            ("/in.txt", Err(Absolute)),
            ("/../x", Err(Absolute)),
            ("a/../b", Err(Parent)),
            ("..", Err(Parent)),
            ("", Err(Empty)),
            (".", Err(Empty)),
            ("./", Err(Empty)),
            ("__main__.py", Err(Entry)),
            ("./__main__.py", Err(Entry)),
            ("a\0", Err(Nul)),
        ] {
            assert_eq!(onyx_path(path).as_deref(), expected.as_ref().copied(), "{path}");
        }
    }

    #[test]
    fn a_file_cannot_also_be_a_folder() {
        let mut targets = Targets::default();
        assert!(targets.take("a/b"));
        assert!(targets.take("a/c"));
        assert!(!targets.take("a"));
        assert!(!targets.take("a/b"));
        assert!(!targets.take("a/b/c"));
        assert!(targets.take_again("a/b"));
        assert!(targets.take("ab"));
    }

    proptest! {
        #[test]
        fn an_accepted_path_never_leaves_the_workspace(key in "[/.a\\PC]{0,20}") {
            for path in [bee_target(&key).ok(), onyx_path(&key).ok()].into_iter().flatten() {
                prop_assert!(!path.starts_with('/') && !path.ends_with('/') && !path.is_empty());
                prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }

        #[test]
        fn normalising_twice_changes_nothing(key in "[/.ab]{0,12}") {
            if let Ok(path) = onyx_path(&key) {
                prop_assert_eq!(onyx_path(&path), Ok(path.clone()));
                prop_assert_eq!(bee_target(&format!("/workspace/{path}")), Ok(path));
            }
        }
    }
}
