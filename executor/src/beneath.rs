//! The one place that opens what a program may have made. Always one name below a directory handle.
//!
//! The kernel is asked to refuse every symbolic link and everything above the handle. Where it cannot
//! be asked (an old kernel, a sandbox that lacks `openat2`), one name at a time with `O_NOFOLLOW` gives
//! the same answer, because a name has no `/` and is never `..`.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::{Errno, Result},
};

const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Opens one name below `dir`.
pub(crate) fn open(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    if name.is_empty() || name == b".." || name.contains(&b'/') {
        return Err(Errno::INVAL);
    }
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::openat2(dir, name, flags, mode, RESOLVE) {
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(dir, name, flags, mode),
        other => other,
    }
}

/// Opens a directory below `dir`, also one whose mode forbids it.
pub(crate) fn open_dir(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);
    match open(dir, name, FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => unlock(dir, name, FileType::Directory, Mode::RWXU, FLAGS),
        other => other,
    }
}

/// Opens a regular file below `dir` for reading, also one whose mode forbids it. Never waits: a FIFO
/// that took the name's place is opened without blocking and refused.
pub(crate) fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> Result<(OwnedFd, Stat)> {
    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
    let file = match open(dir, name, FLAGS, Mode::empty()) {
        Err(Errno::ACCESS) => unlock(dir, name, FileType::RegularFile, Mode::RUSR | Mode::WUSR, FLAGS),
        other => other,
    }?;
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    Ok((file, stat))
}

/// What a name is, without following it.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// Gives the owner the access that the mode withheld, and opens it.
///
/// The handle without access fixes which file is meant; `/proc/self/fd` then names exactly that one.
fn unlock(dir: BorrowedFd<'_>, name: &[u8], kind: FileType, mode: Mode, flags: OFlags) -> Result<OwnedFd> {
    let handle = open(dir, name, OFlags::PATH, Mode::empty())?;
    let stat = rustix::fs::fstat(&handle)?;
    if FileType::from_raw_mode(stat.st_mode) != kind {
        return Err(Errno::ACCESS);
    }
    let same = format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd());
    rustix::fs::chmod(&same, Mode::from_raw_mode(stat.st_mode & 0o777) | mode)?;
    rustix::fs::open(&same, flags | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn handle(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn links_are_never_followed_whatever_they_point_to() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "x").unwrap();
        for (name, target) in [("a", "real"), ("b", "/etc/passwd"), ("c", "/proc/self/environ"), ("d", "/")] {
            symlink(target, dir.path().join(name)).unwrap();
        }
        let root = handle(dir.path());
        for name in [b"a", b"b", b"c", b"d"] {
            assert_eq!(open_file(root.as_fd(), name).unwrap_err(), Errno::LOOP);
            assert!(open_dir(root.as_fd(), name).is_err());
        }
        assert!(open_file(root.as_fd(), b"real").is_ok());
    }

    #[test]
    fn a_path_instead_of_a_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "x").unwrap();
        let root = handle(dir.path());
        for name in [&b".."[..], b"", b"d/f", b"/etc/passwd", b"../x"] {
            assert_eq!(open_file(root.as_fd(), name).unwrap_err(), Errno::INVAL);
        }
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_its_other_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(open_file(handle(dir.path()).as_fd(), b"fifo").unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn a_locked_file_is_unlocked_for_its_owner_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        let root = handle(dir.path());
        let flags = OFlags::RDONLY;
        let opened = unlock(root.as_fd(), b"f", FileType::RegularFile, Mode::RUSR, flags);
        assert!(opened.is_ok());
        let refused = unlock(root.as_fd(), b"f", FileType::Directory, Mode::RUSR, flags);
        assert_eq!(refused.unwrap_err(), Errno::ACCESS);
    }
}
