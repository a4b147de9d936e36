//! The node's child processes, and the processes that a killed executor leaves behind.
//!
//! This process is a subreaper: when an executor is killed, what it had started becomes our child. A child that
//! is no executor is therefore an orphan and is killed. That holds only while nothing else of this process
//! starts children, which is why `carrel` starts them here alone.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;
use tokio::process::{Child, Command};
use tracing::error;

/// The executors that live. The lock is held while one is started, so that none is taken for an orphan.
#[derive(Debug, Clone, Default)]
pub(super) struct Children(Arc<Mutex<BTreeSet<i32>>>);

impl Children {
    /// Becomes the parent of what killed executors leave behind.
    pub(super) fn adopt_orphans() -> std::io::Result<()> {
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(())
    }

    /// Starts a child that belongs to us until [`Self::remove`].
    pub(super) fn spawn(&self, command: &mut Command) -> std::io::Result<(Child, i32)> {
        let mut known = self.0.lock();
        let child = command.spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or_else(|| std::io::Error::other("the executor ended at once"))?;
        known.insert(pid);
        Ok((child, pid))
    }

    /// Forgets a child that has been waited for, and kills what it left behind.
    pub(super) async fn remove(&self, pid: i32) {
        self.release(pid);
        self.sweep().await;
    }

    /// Forgets a child: from now on it is an orphan, if it still lives.
    pub(super) fn release(&self, pid: i32) {
        self.0.lock().remove(&pid);
    }

    /// Kills all orphans.
    pub(super) async fn sweep(&self) {
        let children = self.clone();
        let complete = tokio::task::spawn_blocking(move || executor::kill_orphans(&children.0.lock()));
        if !complete.await.unwrap_or(false) {
            error!("something that a killed executor left could not be killed");
        }
    }
}
