//! The store's file: every object and the last resourceVersion, in redb. One call is one fsynced commit.
//! Not here: history. A watch from before a restart resumes only from the very last version.

use std::{path::Path, sync::Arc, time::Duration};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;

use super::object::{Object, ObjectName};

const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const VERSION: &str = "resource-version";
/// All objects are in memory anyway, so the file's page cache can be small.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The database refused.
    #[error("the object database failed")]
    Database(#[source] Box<redb::Error>),
    /// What was read is not an object.
    #[error("the object database holds a damaged entry {0:?}")]
    Damaged(String),
}

impl<E: Into<redb::Error>> From<E> for DiskError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// What a commit does to one object.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) resource: &'a str,
    pub(crate) name: &'a ObjectName,
    /// `None` removes it.
    pub(crate) object: Option<&'a Object>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct Disk {
    database: Database,
    delay: Duration,
}

/// An object's resource and value, as read back.
pub(crate) type Stored = (Arc<str>, Value);

impl Disk {
    /// Opens or makes the file; `delay` is added to each commit.
    pub(crate) fn open(path: &Path, delay: Duration) -> Result<Self, DiskError> {
        Self::prepare(Database::builder().set_cache_size(CACHE_BYTES).create(path)?, delay)
    }

    /// A disk that a test owns.
    #[cfg(test)]
    pub(crate) fn on(backend: impl redb::StorageBackend) -> Result<Self, DiskError> {
        let builder = Database::builder();
        Self::prepare(builder.create_with_backend(backend)?, Duration::ZERO)
    }

    fn prepare(database: Database, delay: Duration) -> Result<Self, DiskError> {
        let transaction = database.begin_write()?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(COUNTERS)?;
        transaction.commit()?;
        Ok(Self { database, delay })
    }

    /// Everything stored, and the last version given out.
    pub(crate) fn load(&self) -> Result<(Vec<Stored>, u64), DiskError> {
        let transaction = self.database.begin_read()?;
        let version = transaction.open_table(COUNTERS)?.get(VERSION)?.map_or(0, |found| found.value());
        let mut all = Vec::new();
        for entry in transaction.open_table(OBJECTS)?.iter()? {
            let (key, text) = entry?;
            let damaged = || DiskError::Damaged(String::from_utf8_lossy(key.value()).into_owned());
            let resource = key.value().split(|byte| *byte == 0).next().unwrap_or_default();
            let resource = std::str::from_utf8(resource).map_err(|_| damaged())?;
            let value = serde_json::from_slice(text.value()).map_err(|_| damaged())?;
            all.push((Arc::from(resource), value));
        }
        Ok((all, version))
    }

    /// Writes all records and `version` in one transaction; returns after the fsync.
    pub(crate) fn commit(&self, records: &[Record<'_>], version: u64) -> Result<(), DiskError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for record in records {
                let key = key(record.resource, record.name);
                match record.object {
                    Some(object) => objects.insert(key.as_slice(), object.json.as_ref())?,
                    None => objects.remove(key.as_slice())?,
                };
            }
            transaction.open_table(COUNTERS)?.insert(VERSION, version)?;
        }
        transaction.commit()?;
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        Ok(())
    }
}

/// Names cannot hold a NUL, so it separates.
fn key(resource: &str, name: &ObjectName) -> Vec<u8> {
    [resource.as_bytes(), b"\0", name.namespace.as_bytes(), b"\0", name.name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.redb");
        let name = ObjectName::new("n", "x");
        let object = Object::stamp(json!({"metadata": {"name": "x", "namespace": "n"}}), 7);
        let disk = Disk::open(&path, Duration::ZERO).unwrap();
        disk.commit(&[Record { resource: "g/things", name: &name, object: Some(&object) }], 7).unwrap();
        drop(disk);
        let disk = Disk::open(&path, Duration::ZERO).unwrap();
        let (all, version) = disk.load().unwrap();
        assert_eq!((all.len(), version), (1, 7));
        assert_eq!(&*all[0].0, "g/things");
        disk.commit(&[Record { resource: "g/things", name: &name, object: None }], 8).unwrap();
        assert_eq!(disk.load().unwrap(), (vec![], 8));
    }
}
