//! Which paths a request may name. Pure text; that nothing leaves the workspace on the disk is
//! guaranteed by `beneath.rs`, whatever passes here.

/// The longest name the usual file systems take.
const MAX_NAME_BYTES: usize = 255;
/// The kernel's limit for one path.
const MAX_PATH_BYTES: usize = 4096;
/// No deeper than the walk that collects files goes.
pub(crate) const MAX_DEPTH: usize = 100;

/// A path of names below the workspace, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RelativePath(String);

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("must not be empty")]
    Empty,
    #[error("must not contain NUL")]
    Nul,
    #[error("must be relative to the workspace")]
    Absolute,
    #[error("must not contain '..'")]
    Parent,
    #[error("must not contain '.' or empty names")]
    NotNormal,
    #[error("a name is longer than {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("is longer than {MAX_PATH_BYTES} bytes or deeper than {MAX_DEPTH} folders")]
    TooLong,
}

impl RelativePath {
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        if text.starts_with('/') {
            return Err(PathError::Absolute);
        }
        if text.len() > MAX_PATH_BYTES || text.split('/').count() > MAX_DEPTH {
            return Err(PathError::TooLong);
        }
        text.split('/').try_for_each(check_name)?;
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders above the file, from the top, and the file's own name.
    pub(crate) fn split(&self) -> (impl Iterator<Item = &str>, &str) {
        let (folders, name) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        (folders.split('/').filter(|folder| !folder.is_empty()), name)
    }

    /// Every folder the path lies in, as paths of their own.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').filter_map(|(at, _)| self.0.get(..at))
    }
}

fn check_name(name: &str) -> Result<(), PathError> {
    match name {
        ".." => Err(PathError::Parent),
        "" | "." => Err(PathError::NotNormal),
        _ if name.len() > MAX_NAME_BYTES => Err(PathError::LongName),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_odd_names_are_accepted_as_they_are() {
        for text in
            ["a", "a/b c/d#?.txt", ".hidden", "..dots", "%2e%2e/x", "é/日本", "a\\b", "sub/__main__.py"]
        {
            assert_eq!(RelativePath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_that_could_leave_or_alias_is_refused() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(100) + "f";
        let cases = [
            ("", PathError::Empty),
            ("a\0b", PathError::Nul),
            ("/etc/passwd", PathError::Absolute),
            ("..", PathError::Parent),
            ("a/../b", PathError::Parent),
            ("a/..", PathError::Parent),
            (".", PathError::NotNormal),
            ("a//b", PathError::NotNormal),
            ("a/", PathError::NotNormal),
            ("./a", PathError::NotNormal),
            (&long, PathError::LongName),
            (&deep, PathError::TooLong),
        ];
        for (text, error) in cases {
            assert_eq!(RelativePath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_path_comes_apart_into_folders_and_name() {
        let path = RelativePath::parse("a/b/c").unwrap();
        let (folders, name) = path.split();
        assert_eq!((folders.collect::<Vec<_>>(), name), (vec!["a", "b"], "c"));
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
        let path = RelativePath::parse("c").unwrap();
        let (folders, name) = path.split();
        assert_eq!((folders.count(), name), (0, "c"));
    }
}
