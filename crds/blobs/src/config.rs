//! Which backend holds the bytes, and how it is opened. The settings' names and defaults belong to the
//! programs that read them.

use std::{io, path::PathBuf, sync::Arc};

use object_store::local::LocalFileSystem;

use crate::{Blobs, local::LocalFolder};

/// The backend and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobsConfig {
    /// A folder of this machine, or a volume that is mounted there.
    Local {
        /// The folder; it is made when it is missing.
        root: PathBuf,
    },
}

impl BlobsConfig {
    /// A local folder.
    #[must_use]
    pub fn local(root: impl Into<PathBuf>) -> Self {
        Self::Local { root: root.into() }
    }

    pub(crate) fn open(self) -> io::Result<Blobs> {
        match self {
            Self::Local { root } => {
                let folder = LocalFolder::create(&root)?;
                let store = LocalFileSystem::new_with_prefix(&root)?.with_fsync(true);
                Ok(Blobs { store: Arc::new(store), folder: Arc::new(folder) })
            }
        }
    }
}
