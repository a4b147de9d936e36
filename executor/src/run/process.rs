//! Step 4: starting the program, and reaping what has died. The only `unsafe` of the executor.

#![expect(unsafe_code, reason = "code between fork and execve, wait4 and close_range have no safe interface")]

use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::Command,
    time::Duration,
};

use nix::libc;
use rustix::{
    io::FdFlags,
    process::{Signal, getppid, setsid},
};

use super::limits::ResourceLimits;

pub(crate) use rustix::process::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Exited(i32),
    Signalled(i32),
}

/// A process that has ended and is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaped {
    pub pid: i32,
    pub status: Status,
    pub usage: Usage,
}

/// What a process used, with the children it waited for itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub cpu: Duration,
    pub peak_bytes: u64,
}

impl Usage {
    /// Times add up; of sizes the largest counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.peak_bytes = self.peak_bytes.max(other.peak_bytes);
    }
}

/// What `reap` found.
#[derive(Debug)]
pub(crate) enum Reap {
    Dead(Reaped),
    /// Children live, none has died.
    AllAlive,
    /// There is no child: with the executor as subreaper, nothing that was started is left.
    NoChild,
}

/// Keeps whatever the executor inherited itself from reaching a program. For its start: handles that are
/// opened later are made so that they do not.
pub(crate) fn keep_inherited_handles() -> io::Result<()> {
    let first = 3;
    let flags = i32::try_from(libc::CLOSE_RANGE_CLOEXEC).unwrap_or(0);
    // SAFETY: with this flag the call closes nothing; it only sets a flag on whatever handles exist.
    match unsafe { libc::close_range(first, u32::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Starts the command with exactly these handles besides its standard streams.
///
/// They keep the numbers they have here: nothing is moved, so nothing can be overwritten.
pub(crate) fn start(mut command: Command, limits: &ResourceLimits, handles: Vec<OwnedFd>) -> io::Result<Pid> {
    let limits = limits.clone();
    let executor = rustix::process::getpid();
    let enter = move || -> io::Result<()> {
        setsid()?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(executor) {
            // It died between fork and the line above; its death was not signalled.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        limits.apply()?;
        for handle in &handles {
            rustix::io::fcntl_setfd(handle, FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and execve, where only async-signal-safe calls
    // are sound. It makes system calls on data that exists already: it takes no lock, allocates
    // nothing and frees nothing (`io::Error` from an errno or a kind is a plain value).
    unsafe { command.pre_exec(enter) };
    let child = command.spawn()?;
    // Dropping `child` neither waits nor kills; `reap` does. Dropping `command` closes our copies of
    // the program's ends, so that the end of file means the end of the program.
    Ok(Pid::from_child(&child))
}

/// Takes one dead child, without waiting.
pub(crate) fn reap() -> Reap {
    let mut status = 0;
    // SAFETY: `rusage` is a plain C struct of numbers, for which all zeros is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, exclusively borrowed locals of the types wait4 writes.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    match pid {
        1.. => Reap::Dead(Reaped { pid, status: decode(status), usage: used(&usage) }),
        0 => Reap::AllAlive,
        _ => Reap::NoChild,
    }
}

fn decode(status: i32) -> Status {
    if libc::WIFSIGNALED(status) {
        Status::Signalled(libc::WTERMSIG(status))
    } else {
        Status::Exited(libc::WEXITSTATUS(status))
    }
}

fn used(usage: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0)) + Duration::from_micros(microseconds)
    };
    Usage {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        // The kernel counts in KiB.
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_wait_status_are_told_apart() {
        assert_eq!(decode(0), Status::Exited(0));
        assert_eq!(decode(44 << 8), Status::Exited(44));
        assert_eq!(decode(9), Status::Signalled(9));
        assert_eq!(decode(0x8b), Status::Signalled(11));
        assert_eq!(decode(40), Status::Signalled(40));
    }

    #[test]
    fn times_add_up_and_the_largest_size_counts() {
        let mut usage = Usage { cpu: Duration::from_millis(5), peak_bytes: 10 };
        usage.add(Usage { cpu: Duration::from_millis(7), peak_bytes: 4 });
        assert_eq!(usage, Usage { cpu: Duration::from_millis(12), peak_bytes: 10 });
    }
}
