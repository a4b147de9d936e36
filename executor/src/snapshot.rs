//! Which files a run changed: content against the state before it, never times.
//!
//! Everything the run started is dead by now, so what is read here stays as it is. The few ways left to
//! change a file (a hard link from outside) are met by fixing the size at open and looking again.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
};

use protocol::{FileEntry, MAX_SKIPPED_LISTED, RunLimits, SkipReason, SkippedFile};
use rustix::fs::Stat;
use sha2::{Digest as _, Sha256};

use crate::{
    paths::RelativePath,
    walk::{MAX_ENTRIES, Seen, walk},
    workspace::Workspace,
};

const CHUNK_BYTES: usize = 256 * 1024;

/// The files that were there before the run.
#[derive(Debug, Default)]
pub(crate) struct Before(BTreeMap<String, (u64, String)>);

impl Before {
    pub(crate) fn insert(&mut self, path: &RelativePath, size: u64, sha256: String) {
        self.0.insert(path.as_str().to_owned(), (size, sha256));
    }
}

/// What a run changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub files: Vec<FileEntry>,
    pub skipped: Vec<SkippedFile>,
    pub skipped_count: u64,
    identities: Vec<(RelativePath, Identity)>,
}

/// A changed file that is to be handed back.
#[derive(Debug)]
struct Found {
    entry: FileEntry,
    path: RelativePath,
    identity: Identity,
}

/// The listed files as they can be read later.
#[derive(Debug)]
pub(crate) struct ServedFiles {
    workspace: Workspace,
    files: Vec<(RelativePath, Identity)>,
}

/// What makes a file the same one with the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Identity {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl ServedFiles {
    /// The file with that place in the outcome and its size.
    pub(crate) fn open(&self, index: usize) -> io::Result<Option<(File, u64)>> {
        let Some((path, identity)) = self.files.get(index) else { return Ok(None) };
        let (file, stat) = self.workspace.open_file(path)?;
        if Identity::of(&stat) != *identity {
            return Err(io::Error::other("the file changed after it was listed"));
        }
        Ok(Some((file, size_of(&stat))))
    }
}

impl Changes {
    /// Looks through the workspace.
    pub(crate) fn find(workspace: &Workspace, before: &Before, limits: &RunLimits) -> Self {
        let seen = walk(workspace.handle(), MAX_ENTRIES);
        let links = links_inside(&seen);
        let mut changes = Self::default();
        let mut total = 0;
        for seen in seen {
            match seen {
                Seen::Unreadable { path } => changes.skip(&path, SkipReason::Unreadable),
                Seen::Beyond { path } => changes.skip(&path, SkipReason::TooManyFiles),
                Seen::File { path, stat } => {
                    let shared = links.get(&(stat.st_dev, stat.st_ino)).copied().unwrap_or(1) < stat.st_nlink;
                    match changes.look(workspace, before, limits, &path, total) {
                        Ok(_) if shared => changes.skip(&path, SkipReason::Unreadable),
                        Ok(Some(Found { entry, path, identity })) => {
                            total += entry.size_bytes;
                            changes.files.push(entry);
                            changes.identities.push((path, identity));
                        }
                        Ok(None) => {}
                        Err(reason) => changes.skip(&path, reason),
                    }
                }
            }
        }
        changes
    }

    /// Takes out what is needed to serve the files.
    pub(crate) fn serve(&mut self, workspace: Workspace) -> ServedFiles {
        ServedFiles { workspace, files: std::mem::take(&mut self.identities) }
    }

    fn skip(&mut self, path: &[u8], reason: SkipReason) {
        self.skipped_count += 1;
        if self.skipped.len() < MAX_SKIPPED_LISTED {
            self.skipped.push(SkippedFile { path: String::from_utf8_lossy(path).into_owned(), reason });
        }
    }

    /// One file: nothing when it is as it was, its entry when it is to be handed back.
    fn look(
        &self,
        workspace: &Workspace,
        before: &Before,
        limits: &RunLimits,
        path: &[u8],
        total: u64,
    ) -> Result<Option<Found>, SkipReason> {
        let text = std::str::from_utf8(path).map_err(|_| SkipReason::NameNotUtf8)?;
        // A walk gives names that exist; only their length can be beyond what a path may have.
        let path = RelativePath::parse(text).map_err(|_| SkipReason::Unreadable)?;
        let (file, stat) = workspace.open_file(&path).map_err(|_| SkipReason::Unreadable)?;
        let size = size_of(&stat);
        let within = || {
            if size > limits.file_bytes {
                Err(SkipReason::TooLarge)
            } else if self.files.len() as u64 >= limits.files {
                Err(SkipReason::TooManyFiles)
            } else if total.saturating_add(size) > limits.files_total_bytes {
                Err(SkipReason::TotalTooLarge)
            } else {
                Ok(())
            }
        };
        let old = before.0.get(text).filter(|(old_size, _)| *old_size == size);
        if old.is_none() {
            // Another size is another content; no need to read what will be refused.
            within()?;
        }
        let sha256 = hash(&file, &stat)?;
        if old.is_some_and(|(_, old_hash)| *old_hash == sha256) {
            return Ok(None);
        }
        within()?;
        let entry = FileEntry { path: text.to_owned(), size_bytes: size, sha256 };
        Ok(Some(Found { entry, path, identity: Identity::of(&stat) }))
    }
}

/// How many of a file's names lie inside. More links than that lead to a file from elsewhere.
fn links_inside(seen: &[Seen]) -> HashMap<(u64, u64), u64> {
    let mut links = HashMap::new();
    for seen in seen {
        if let Seen::File { stat, .. } = seen
            && stat.st_nlink > 1
        {
            *links.entry((stat.st_dev, stat.st_ino)).or_insert(0) += 1;
        }
    }
    links
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Hashes exactly the bytes the file had when it was opened.
fn hash(mut file: &File, stat: &Stat) -> Result<String, SkipReason> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut left = size_of(stat);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let space = buffer.get_mut(..most).unwrap_or_default();
        let read = match file.read(space) {
            Ok(0) => return Err(SkipReason::ChangedWhileReading),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(SkipReason::Unreadable),
        };
        hasher.update(space.get(..read).unwrap_or_default());
        left -= read as u64;
    }
    let after = rustix::fs::fstat(file.as_fd()).map_err(|_| SkipReason::Unreadable)?;
    if Identity::of(&after) != Identity::of(stat) {
        return Err(SkipReason::ChangedWhileReading);
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
