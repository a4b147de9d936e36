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

use std::{
    fs,
    path::{Path, PathBuf},
};

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
    /// Reads it now; without a cgroup for memory nothing can be proved.
    pub(crate) fn read() -> Self {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = event_files(&cgroups).into_iter().find_map(|file| {
            let text = fs::read_to_string(&file).ok()?;
            Some((file, kills(&text)))
        });
        let (file, before) = found.unzip();
        Self { file, before: before.unwrap_or(0) }
    }

    /// Whether the kernel killed since.
    pub(crate) fn has_risen(&self) -> bool {
        let now = self.file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        now.is_some_and(|text| kills(&text) > self.before)
    }
}

/// Where the events of the cgroups in `/proc/self/cgroup` may be. Of the first version a container sees its own group
/// as the top of the mount, under a path that it does not see.
fn event_files(cgroups: &str) -> Vec<PathBuf> {
    let of = |line: &str| -> Vec<PathBuf> {
        let Some((controllers, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(":/"))
        else {
            return Vec::new();
        };
        let top = Path::new("/sys/fs/cgroup");
        match controllers {
            "" => vec![top.join(path).join("memory.events")],
            "memory" => {
                [path, ""].map(|path| top.join("memory").join(path).join("memory.oom_control")).into()
            }
            _ => Vec::new(),
        }
    };
    cgroups.lines().flat_map(of).collect()
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
        assert_eq!(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
        assert_eq!(kills(""), 0);
    }

    #[test]
    fn the_events_are_where_the_version_of_the_cgroups_has_them() {
        let files = |cgroups| -> Vec<_> {
            event_files(cgroups).iter().map(|file| file.display().to_string()).collect()
        };
        assert_eq!(
            files("1:name=systemd:/x\n0::/kubepods/pod1\n"),
            ["/sys/fs/cgroup/kubepods/pod1/memory.events"]
        );
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.events"]);
        assert_eq!(
            files("4:memory:/kubepods/pod1\n3:cpu,cpuacct:/kubepods/pod1\n"),
            [
                "/sys/fs/cgroup/memory/kubepods/pod1/memory.oom_control",
                "/sys/fs/cgroup/memory/memory.oom_control"
            ]
        );
    }
}
