//! The node's child processes, and the processes that a killed executor leaves behind.
//!
//! This process is a subreaper: when an executor is killed, what it had started becomes our child. A child that
//! is no executor is therefore an orphan and is killed. That holds only while nothing else of this process
//! starts children, which is why `carrel` starts them here alone.

use std::{collections::HashSet, sync::Arc};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use parking_lot::Mutex;
use tokio::process::{Child, Command};

/// The executors that live. The lock is held while one is started, so that none is taken for an orphan.
#[derive(Debug, Clone, Default)]
pub(super) struct Children(Arc<Mutex<HashSet<u32>>>);

impl Children {
    /// Starts a child that belongs to us until [`Self::remove`].
    pub(super) fn spawn(&self, command: &mut Command) -> std::io::Result<(Child, u32)> {
        let mut known = self.0.lock();
        let child = command.spawn()?;
        let pid = child.id().ok_or_else(|| std::io::Error::other("the executor ended at once"))?;
        known.insert(pid);
        Ok((child, pid))
    }

    /// Forgets a child that has been waited for, and kills what it left behind.
    pub(super) fn remove(&self, pid: u32) {
        let mut known = self.0.lock();
        known.remove(&pid);
        // Killing an orphan hands its children to us, so go on until a round finds none.
        while kill_orphans(&known) {}
    }
}

/// Kills and reaps every child of this process that is not in `known`; says whether there was one.
fn kill_orphans(known: &HashSet<u32>) -> bool {
    let orphans: Vec<u32> = children_of(std::process::id()).into_iter().filter(|pid| !known.contains(pid)).collect();
    for pid in &orphans {
        let Ok(raw) = i32::try_from(*pid) else { continue };
        let pid = Pid::from_raw(raw);
        let _ = kill(pid, Signal::SIGKILL);
        let _ = waitpid(pid, Some(WaitPidFlag::empty()));
    }
    !orphans.is_empty()
}

/// The children of all threads of `pid`, by the kernel's own list where it has one.
fn children_of(pid: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|child| parent_of(*child) == Some(pid))
        .collect()
}

/// The fourth field of `/proc/PID/stat`; the second, the name, may hold spaces and parentheses.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_this_process_is_found() {
        assert_eq!(parent_of(std::process::id()), Some(std::os::unix::process::parent_id()));
    }
}
