//! What can only be done to pods whose node is this machine: killing a program as a crash does, without a word before.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Ends the program of that name in that pod with SIGKILL; false when it is not on this machine.
#[must_use]
pub fn crash(program: &str, pod: &str) -> bool {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let Some(pid) = pids.find(|pid| is_of_pod(*pid, program, pod)) else { return false };
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a process that runs");
    true
}

/// The kernel keeps 15 letters of a program's name, and a container has its pod's name in `HOSTNAME`.
fn is_of_pod(pid: i32, program: &str, pod: &str) -> bool {
    let folder = Path::new("/proc").join(pid.to_string());
    let read = |file: &str| fs::read(folder.join(file)).unwrap_or_default();
    let name: String = program.chars().take(15).collect();
    let host = format!("HOSTNAME={pod}");
    read("comm").trim_ascii_end() == name.as_bytes()
        && read("environ").split(|byte| *byte == 0).any(|variable| variable == host.as_bytes())
}
