//! What the local folder needs beyond `object_store`.
//!
//! `LocalFileSystem::with_fsync(true)` writes as we need it, so writing, renaming and deleting are left to
//! it: a file is written beside its target, fsynced, closed, renamed, and the folders on both sides of the
//! rename are fsynced before the call returns. Four things it does otherwise than a folder shared with
//! clients can bear, and they are done here:
//!
//! - it opens whatever has the name: a symlink is followed, a FIFO blocks the thread for ever;
//! - it makes missing parent folders, so a volume that went away would silently become a plain folder;
//! - it lists no unfinished file (`<name>#1`), so what a crash leaves behind could never be swept;
//! - it leaves the file mode to the umask, while clients under another user must be able to read.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use object_store::path::Path as Key;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use crate::layout;

/// Objects are public to those who can reach the folder; who can is decided by the volume.
const FILE_MODE: u32 = 0o644;

/// A regular file, open for reading.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) size_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct LocalFolder {
    root: PathBuf,
}

impl LocalFolder {
    /// Makes the folders, durably.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root.join(layout::STAGING)).map_err(|error| at(root, &error))?;
        let root = fs::canonicalize(root)?;
        File::open(&root)?.sync_all()?;
        if let Some(parent) = root.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { root })
    }

    /// Fails when the folder that was opened is there no more. Asked before each write, and whenever
    /// something is missing: a lost volume must not look like a store without objects.
    pub(crate) fn check(&self) -> io::Result<()> {
        let staging = self.root.join(layout::STAGING);
        match fs::metadata(&staging) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, staging.display().to_string())),
            // Not `NotFound`: that is the word for a missing object.
            Err(error) => Err(io::Error::other(at(&staging, &error))),
        }
    }

    /// Opens what has this name, if it is a regular file.
    pub(crate) fn open_regular(&self, key: &Key) -> io::Result<OpenFile> {
        let path = self.root.join(key.as_ref());
        // NONBLOCK returns at once from a FIFO and means nothing for a regular file.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            // A symlink, a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(io::ErrorKind::NotFound.into()),
            Err(Errno::NOENT) => return self.check().and(Err(io::ErrorKind::NotFound.into())),
            Err(errno) => return Err(at(&path, &errno.into())),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(OpenFile { file, size_bytes: metadata.len() })
    }

    /// Gives a staged file the mode of an object, and returns its size.
    pub(crate) fn make_readable(&self, key: &Key) -> io::Result<u64> {
        let OpenFile { file, size_bytes } = self.open_regular(key)?;
        if file.metadata()?.permissions().mode() & 0o777 != FILE_MODE {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.sync_all()?;
        }
        Ok(size_bytes)
    }

    /// Removes staging files that were last written before `now - max_age`.
    pub(crate) fn sweep(&self, now: SystemTime, max_age: Duration) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(self.root.join(layout::STAGING))? {
            let entry = entry?;
            let ours = entry.file_name().to_str().is_some_and(layout::is_staging_name);
            if ours
                && is_stale(&entry, now, max_age)?
                && gone_is_fine(fs::remove_file(entry.path()))?.is_some()
            {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

fn is_stale(entry: &fs::DirEntry, now: SystemTime, max_age: Duration) -> io::Result<bool> {
    let Some(metadata) = gone_is_fine(entry.metadata())? else { return Ok(false) };
    // A file from the future is as young as can be.
    let age = now.duration_since(metadata.modified()?).unwrap_or_default();
    Ok(metadata.is_file() && age >= max_age)
}

/// An upload may finish, or another process may sweep, while we look.
fn gone_is_fine<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
