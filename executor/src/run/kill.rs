//! Step 6: killing everything that is left of a program, however it tried to get away.
//!
//! The executor is a child subreaper: whatever detaches itself becomes its child, so everything a
//! program started descends from the executor, and when the executor has no child, nothing is left.
//! Stopping comes before killing, so that nothing can start something new while others are killed.
//! Signals go to single processes through handles, never to a group: the executor is never hit, and
//! neither is a stranger that got a used process id.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, waitpid};

use super::{
    proc_table::{Entry, descendants, read, read_all},
    process::{Reap, Reaped, reap},
};

/// After this long something cannot be killed (a process stuck in the kernel).
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks: the kernel needs a moment to take processes apart.
const PAUSE: Duration = Duration::from_micros(500);
/// How often the tree is looked at for one round of stopping.
const STOP_PASSES: usize = 50;

/// Kills and reaps everything this process has started; each process is handed to `each`.
/// Blocks. False when something is still there.
pub(crate) fn everything(each: &mut impl FnMut(Reaped)) -> bool {
    let began = Instant::now();
    loop {
        if reap_dead(each) {
            return true;
        }
        if began.elapsed() > PATIENCE {
            return false;
        }
        for entry in stop_all(&BTreeSet::new()) {
            send(&entry, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Kills what executors that died without cleaning up have left to the calling process, which must be a
/// child subreaper. Children in `spared` and all they started stay; the caller starts none meanwhile.
/// Blocks. False when something is still there.
#[must_use]
pub fn kill_orphans(spared: &BTreeSet<i32>) -> bool {
    let began = Instant::now();
    loop {
        let found = stop_all(spared);
        if found.is_empty() {
            return true;
        }
        if began.elapsed() > PATIENCE {
            return false;
        }
        for entry in &found {
            send(entry, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
        for pid in found.iter().filter_map(|entry| Pid::from_raw(entry.pid)) {
            // One at a time: the caller's other children are its own to wait for. What is not a child
            // yet becomes one when its parent is gone.
            if let Err(error) = waitpid(Some(pid), WaitOptions::NOHANG) {
                tracing::trace!(%error, "not a child yet");
            }
        }
    }
}

/// Reaps what has died; whether no child is left.
fn reap_dead(each: &mut impl FnMut(Reaped)) -> bool {
    loop {
        match reap() {
            Reap::Dead(reaped) => each(reaped),
            Reap::AllAlive => return false,
            Reap::NoChild => return true,
        }
    }
}

/// Stops the whole tree: looks again until a look finds nothing that was not stopped before.
fn stop_all(spared: &BTreeSet<i32>) -> HashSet<Entry> {
    let root = getpid().as_raw_nonzero().get();
    let mut stopped = HashSet::new();
    for _ in 0..STOP_PASSES {
        let mut any = false;
        for entry in descendants(&read_all(), root, spared) {
            // A process may have got another parent since; that does not make it another one.
            let known = Entry { parent: 0, ..entry };
            if stopped.insert(known) {
                send(&known, Signal::STOP);
                any = true;
            }
        }
        if !any {
            break;
        }
    }
    stopped
}

/// Sends to exactly this process: the handle is opened first, then it is checked whose it is.
fn send(entry: &Entry, signal: Signal) {
    let Some(pid) = Pid::from_raw(entry.pid) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if read(entry.pid).is_some_and(|now| now.start == entry.start)
        && let Err(error) = pidfd_send_signal(&handle, signal)
    {
        // Gone already, which is what is wanted; if not, the next look finds it again.
        tracing::debug!(%error, pid = entry.pid, "not signalled");
    }
}
