//! Resource limits of a run, and the proof that memory ended it.
//!
//! What is set and why, for every process of the run on its own:
//! - `RLIMIT_CORE` 0: no core files.
//! - `RLIMIT_DATA` for `memoryBytes`: private writable memory, which is what a program really asks for.
//!   Not `RLIMIT_AS`: numerical libraries and thread stacks reserve far more than they use, and fail.
//! - `RLIMIT_CPU` for `cpuMilliseconds`, rounded up to seconds: SIGXCPU, a second later SIGKILL.
//!
//! What is not set: `RLIMIT_NPROC` counts per user across all pods of a node, so `processes` has to wait
//! for a user namespace of the run's own or a pids cgroup. `RLIMIT_FSIZE`: `fileBytes` says what is
//! handed back, not what may be written.

use std::{fs, path::PathBuf};

use protocol::RunLimits;
use rustix::process::{Resource, Rlimit};

/// The limits to set, in order.
#[derive(Debug, Clone)]
pub(crate) struct ResourceLimits(Vec<(Resource, u64, u64)>);

/// What a request asks for. Pure.
pub(crate) fn of(limits: &RunLimits) -> ResourceLimits {
    let mut list = vec![(Resource::Core, 0, 0)];
    if let Some(bytes) = limits.memory_bytes {
        list.push((Resource::Data, bytes, bytes));
    }
    if let Some(milliseconds) = limits.cpu_milliseconds {
        let seconds = milliseconds.div_ceil(1000).max(1);
        list.push((Resource::Cpu, seconds, seconds.saturating_add(1)));
    }
    ResourceLimits(list)
}

impl ResourceLimits {
    /// Sets them for the calling process. Runs between `fork` and `execve`: only system calls.
    pub(crate) fn apply(&self) -> rustix::io::Result<()> {
        for (resource, soft, hard) in &self.0 {
            // An ordinary user may lower a hard limit, never raise it.
            let ceiling = rustix::process::getrlimit(*resource).maximum.unwrap_or(u64::MAX);
            let limit = Rlimit { current: Some((*soft).min(ceiling)), maximum: Some((*hard).min(ceiling)) };
            rustix::process::setrlimit(*resource, limit)?;
        }
        Ok(())
    }
}

/// How often the kernel has killed for memory in our cgroup.
#[derive(Debug)]
pub(crate) struct OomCounter {
    file: Option<PathBuf>,
    before: u64,
}

impl OomCounter {
    /// Reads it now; without a cgroup of the second version nothing can be proved.
    pub(crate) fn read() -> Self {
        let file = fs::read_to_string("/proc/self/cgroup").ok().as_deref().and_then(events_file);
        let before =
            file.as_ref().and_then(|file| fs::read_to_string(file).ok()).map_or(0, |text| kills(&text));
        Self { file, before }
    }

    /// Whether the kernel killed since.
    pub(crate) fn has_risen(&self) -> bool {
        let now = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        now.is_some_and(|text| kills(&text) > self.before)
    }
}

/// Where the events of the cgroup in `/proc/self/cgroup` are.
fn events_file(cgroups: &str) -> Option<PathBuf> {
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from("/sys/fs/cgroup").join(path).join("memory.events"))
}

fn kills(events: &str) -> u64 {
    let count = |line: &str| line.strip_prefix("oom_kill ")?.trim().parse().ok();
    events.lines().find_map(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(limits: &RunLimits) -> Vec<(u64, u64)> {
        of(limits).0.iter().map(|(_, soft, hard)| (*soft, *hard)).collect()
    }

    #[test]
    fn without_limits_only_core_files_are_forbidden() {
        assert_eq!(numbers(&RunLimits::default()), [(0, 0)]);
    }

    #[test]
    fn processor_time_is_rounded_up_to_seconds() {
        let limits =
            |milliseconds| RunLimits { cpu_milliseconds: Some(milliseconds), ..RunLimits::default() };
        assert_eq!(numbers(&limits(1))[1], (1, 2));
        assert_eq!(numbers(&limits(2000))[1], (2, 3));
        assert_eq!(numbers(&limits(2001))[1], (3, 4));
        assert_eq!(numbers(&limits(0))[1], (1, 2));
    }

    #[test]
    fn memory_is_limited_as_data() {
        let limits = RunLimits { memory_bytes: Some(1 << 30), ..RunLimits::default() };
        assert_eq!(of(&limits).0[1], (Resource::Data, 1 << 30, 1 << 30));
    }

    #[test]
    fn the_kernels_kills_are_found_among_its_events() {
        assert_eq!(kills("low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 1\n"), 3);
        assert_eq!(kills(""), 0);
    }

    #[test]
    fn the_cgroup_of_the_second_version_is_the_one_that_counts() {
        let found = events_file("1:name=systemd:/x\n0::/kubepods/pod1\n").unwrap();
        assert_eq!(found, PathBuf::from("/sys/fs/cgroup/kubepods/pod1/memory.events"));
        assert_eq!(events_file("0::/\n").unwrap(), PathBuf::from("/sys/fs/cgroup/memory.events"));
        assert_eq!(events_file("3:memory:/x\n"), None);
    }
}
