//! Removes a tree that a program made: of any depth, with locked folders, without following a link.
//!
//! The usual way goes down one folder at a time and fails (or overflows) on a tree ten thousand levels
//! deep. Here every folder that is met is first moved up to the top, so there are never more than two.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};

use crate::beneath;

/// Removes the directory `path` and everything below it; one that is not there counts as removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0;
    // Moving adds names to the directory being read, so it is read again until nothing is left.
    while empty_once(top.as_fd(), &mut moved)? {}
    std::fs::remove_dir(path)
}

/// One pass over the top; whether there was anything.
fn empty_once(top: BorrowedFd<'_>, moved: &mut u64) -> io::Result<bool> {
    let mut any = false;
    for (name, kind) in entries(top)? {
        any = true;
        if kind == FileType::Directory {
            let child = beneath::open_dir(top, &name)?;
            unlock(&child)?;
            lift(top, &child, moved)?;
            rustix::fs::unlinkat(top, name.as_slice(), AtFlags::REMOVEDIR)?;
        } else {
            rustix::fs::unlinkat(top, name.as_slice(), AtFlags::empty())?;
        }
    }
    Ok(any)
}

/// Empties a folder of the top: files go, folders move up under a name nobody else uses.
fn lift(top: BorrowedFd<'_>, folder: &OwnedFd, moved: &mut u64) -> io::Result<()> {
    for (name, kind) in entries(folder.as_fd())? {
        if kind != FileType::Directory {
            rustix::fs::unlinkat(folder, name.as_slice(), AtFlags::empty())?;
            continue;
        }
        // Moving a folder writes its `..`, for which its own mode must allow writing.
        unlock(&beneath::open_dir(folder.as_fd(), &name)?)?;
        loop {
            *moved += 1;
            let fresh = format!(".removing-{moved}");
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(folder, name.as_slice(), top, fresh.as_str(), flags) {
                Err(Errno::EXIST) => {}
                other => break other?,
            }
        }
    }
    Ok(())
}

fn unlock(dir: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::fchmod(dir, Mode::RWXU)
}

fn entries(dir: BorrowedFd<'_>) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            entries.push((name.to_vec(), kind(dir, name, entry.file_type())?));
        }
    }
    Ok(entries)
}

/// Not every file system tells the kind with the name.
fn kind(dir: BorrowedFd<'_>, name: &[u8], told: FileType) -> rustix::io::Result<FileType> {
    match told {
        FileType::Unknown => Ok(FileType::from_raw_mode(beneath::stat(dir, name)?.st_mode)),
        told => Ok(told),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn what_a_link_points_to_stays() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("keep"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/f"), "x").unwrap();
        fs::create_dir(tree.join(".removing-1")).unwrap();
        symlink(outside.path(), tree.join("a/link")).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.path().join("keep").exists());
    }

    #[test]
    fn a_tree_deeper_than_there_are_handles_and_locked_folders_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut at = rustix::fs::open(&tree, flags, Mode::empty()).unwrap();
        for _ in 0..2_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            let next = rustix::fs::openat(&at, "d", flags, Mode::empty()).unwrap();
            at = next;
        }
        rustix::fs::mkdirat(&at, "locked", Mode::empty()).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
