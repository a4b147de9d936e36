//! A disk for tests. It can run full, and it remembers what was written since the last fsync, so that a power cut
//! can be tried at any moment: what was synced stays, and of the rest each sector is kept or lost by chance.

use std::{io, sync::Arc};

use parking_lot::Mutex;
use redb::StorageBackend;

const SECTOR: usize = 512;

/// A handle; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platter(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What a reader sees.
    now: Vec<u8>,
    /// What a power cut cannot take.
    synced: Vec<u8>,
    unsynced: Vec<Change>,
    full: bool,
    /// Says that it has synced, and has not.
    lies: bool,
    /// How many more changes come before the power is cut, and the seed of what is kept then.
    cut: Option<(usize, u64)>,
    /// What is left after the cut.
    left: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Sector(usize, Vec<u8>),
}

impl Platter {
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner { now: bytes.clone(), synced: bytes, ..Inner::default() })))
    }

    /// Whether what is written from now on fits.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    pub(crate) fn set_lies(&self) {
        self.0.lock().lies = true;
    }

    /// Cuts the power after so many changes from now.
    pub(crate) fn cut_after(&self, changes: usize, seed: u64) {
        self.0.lock().cut = Some((changes, seed));
    }

    /// Whether the power was cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.lock().left.is_some()
    }

    /// What a restart finds after the cut.
    pub(crate) fn left(&self) -> Option<Vec<u8>> {
        self.0.lock().left.take()
    }
}

impl Inner {
    /// One more change is about to be made.
    fn tick(&mut self) {
        match &mut self.cut {
            Some((0, seed)) => {
                let mut seed = *seed;
                let mut left = self.synced.clone();
                for change in &self.unsynced {
                    if coin(&mut seed) {
                        change.apply(&mut left);
                    }
                }
                self.left = Some(left);
                self.cut = None;
            }
            Some((changes, _)) => *changes -= 1,
            None => {}
        }
    }

    fn check_room(&self) -> io::Result<()> {
        if self.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Sector(offset, data) => {
                let end = offset + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

/// The next bit of a xorshift sequence.
fn coin(seed: &mut u64) -> bool {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed & 1 == 1
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock();
        let found = inner.now.get(place(offset)..place(offset) + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.check_room()?;
        inner.tick();
        inner.now.resize(place(length), 0);
        inner.unsynced.push(Change::Length(place(length)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.tick();
        if !inner.lies {
            let changes = std::mem::take(&mut inner.unsynced);
            for change in changes {
                change.apply(&mut inner.synced);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.check_room()?;
        for (number, sector) in data.chunks(SECTOR).enumerate() {
            inner.tick();
            let change = Change::Sector(place(offset) + number * SECTOR, sector.to_vec());
            change.apply(&mut inner.now);
            inner.unsynced.push(change);
        }
        Ok(())
    }
}
