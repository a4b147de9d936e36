//! Finds the regular files of a tree, sorted by path, through handles and within bounds. Reads no file.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    vec,
};

use rustix::fs::{Dir, FileType, Stat};

use crate::{beneath, paths::MAX_DEPTH};

/// How many names a walk looks at. A program can make more in a second than anybody wants to read.
pub(crate) const MAX_ENTRIES: usize = 200_000;

/// One thing a walk has to say.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A regular file; `path` is what the disk says, UTF-8 or not.
    File { path: Vec<u8>, stat: Stat },
    /// Something that could not be looked into.
    Unreadable { path: Vec<u8> },
    /// The walk stopped here: too deep or too many.
    Beyond { path: Vec<u8> },
}

/// A folder on the way, and its names not yet looked at.
#[derive(Debug)]
struct Level {
    dir: OwnedFd,
    names: vec::IntoIter<Vec<u8>>,
    prefix: usize,
}

/// Walks everything below `root`. Links, FIFOs, sockets and devices are passed over.
pub(crate) fn walk(root: BorrowedFd<'_>, max_entries: usize) -> Vec<Seen> {
    let mut walk = Walk { seen: Vec::new(), path: Vec::new(), left: max_entries, levels: Vec::new() };
    match root.try_clone_to_owned() {
        Ok(root) => walk.enter(root),
        Err(_) => walk.seen.push(Seen::Unreadable { path: Vec::new() }),
    }
    while let Some(level) = walk.levels.last_mut() {
        let prefix = level.prefix;
        let Some(name) = level.names.next() else {
            walk.levels.pop();
            continue;
        };
        walk.path.truncate(prefix);
        walk.path.extend_from_slice(&name);
        walk.visit(&name);
    }
    walk.seen
}

struct Walk {
    seen: Vec<Seen>,
    path: Vec<u8>,
    left: usize,
    levels: Vec<Level>,
}

impl Walk {
    fn visit(&mut self, name: &[u8]) {
        let Some(level) = self.levels.last() else { return };
        let dir = level.dir.as_fd();
        // A sorted directory's name carries a slash; see `names`.
        let (name, path) = match name.strip_suffix(b"/") {
            Some(name) => (name, self.path.strip_suffix(b"/").unwrap_or(&self.path).to_vec()),
            None => (name, self.path.clone()),
        };
        let Ok(stat) = beneath::stat(dir, name) else {
            self.seen.push(Seen::Unreadable { path });
            return;
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => self.seen.push(Seen::File { path, stat }),
            FileType::Directory if self.levels.len() >= MAX_DEPTH => self.seen.push(Seen::Beyond { path }),
            FileType::Directory => match beneath::open_dir(dir, name) {
                Ok(child) => self.enter(child),
                // Of the file system, not of the program; present on volumes.
                Err(_) if path == b"lost+found" => {}
                Err(_) => self.seen.push(Seen::Unreadable { path }),
            },
            _ => {}
        }
    }

    fn enter(&mut self, dir: OwnedFd) {
        let (names, complete) = names(dir.as_fd(), self.left);
        self.left -= names.len();
        if !self.path.is_empty() && !self.path.ends_with(b"/") {
            self.path.push(b'/');
        }
        let prefix = self.path.len();
        match complete {
            Complete::Yes => {}
            Complete::OutOfEntries => self.seen.push(Seen::Beyond { path: self.folder() }),
            Complete::Failed => self.seen.push(Seen::Unreadable { path: self.folder() }),
        }
        self.levels.push(Level { dir, names: names.into_iter(), prefix });
    }

    fn folder(&self) -> Vec<u8> {
        self.path.strip_suffix(b"/").unwrap_or(&self.path).to_vec()
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Complete {
    Yes,
    OutOfEntries,
    Failed,
}

/// The names of one directory, sorted as whole paths sort: a folder as if its `/` were part of it.
fn names(dir: BorrowedFd<'_>, most: usize) -> (Vec<Vec<u8>>, Complete) {
    let mut names = Vec::new();
    let mut complete = Complete::Yes;
    match Dir::read_from(dir) {
        Err(_) => complete = Complete::Failed,
        Ok(entries) => {
            for entry in entries {
                let Ok(entry) = entry else {
                    complete = Complete::Failed;
                    break;
                };
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                if names.len() == most {
                    complete = Complete::OutOfEntries;
                    break;
                }
                let slash: &[u8] = if entry.file_type() == FileType::Directory { b"/" } else { b"" };
                names.push([name, slash].concat());
            }
        }
    }
    names.sort_unstable();
    (names, complete)
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsStr,
        fs,
        os::unix::{ffi::OsStrExt as _, fs::symlink},
        path::Path,
    };

    use rustix::fs::{Mode, OFlags};

    use super::*;

    fn seen(path: &Path, most: usize) -> Vec<(char, String)> {
        let root = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let text = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
        walk(root.as_fd(), most)
            .into_iter()
            .map(|seen| match seen {
                Seen::File { path, .. } => ('f', text(path)),
                Seen::Unreadable { path } => ('u', text(path)),
                Seen::Beyond { path } => ('b', text(path)),
            })
            .collect()
    }

    #[test]
    fn files_come_sorted_by_their_whole_path_and_nothing_else_comes() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b/x", "a.txt", "a/z", "a/b/c", "a-", ".hidden"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        symlink("a.txt", dir.path().join("link")).unwrap();
        symlink("a", dir.path().join("dirlink")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let found = seen(dir.path(), 100);
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, [".hidden", "a-", "a.txt", "a/b/c", "a/z", "b/x"]);
        assert!(names.is_sorted());
    }

    #[test]
    fn names_that_are_no_text_are_reported_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"bad\xff")), "").unwrap();
        assert_eq!(seen(dir.path(), 100), [('f', "bad\u{fffd}".to_owned())]);
    }

    #[test]
    fn a_walk_stops_at_its_bound_and_says_where() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let found = seen(dir.path(), 10);
        assert_eq!(found.iter().filter(|(kind, _)| *kind == 'f').count(), 10);
        assert_eq!(found.iter().filter(|(kind, _)| *kind == 'b').count(), 1);
    }

    #[test]
    fn a_tree_that_is_too_deep_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let deep = "d/".repeat(MAX_DEPTH + 5);
        fs::create_dir_all(dir.path().join(&deep)).unwrap();
        fs::write(dir.path().join(&deep).join("f"), "").unwrap();
        fs::write(dir.path().join("top"), "").unwrap();
        let found = seen(dir.path(), 1000);
        assert_eq!(found.iter().map(|(kind, _)| *kind).collect::<String>(), "bf");
    }
}
