//! What can only be done to pods whose node is this machine: killing a program as a crash does, without a word before,
//! and keeping pods from the network.

use std::{fs, path::Path, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const EXECUTOR: &str = "carrel-executor";

/// Ends the program of that name in that pod with SIGKILL; false when it is not on this machine.
#[must_use]
pub fn crash(program: &str, pod: &str) -> bool {
    let Some(pid) = find(program, pod) else { return false };
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("a process that runs");
    true
}

/// An executor that does not answer, as on a node that hangs; its program goes on. It is ended in any case.
#[derive(Debug)]
pub struct Silent {
    pod: String,
    pid: i32,
}

impl Silent {
    /// Stops the executor of that pod, unless it is gone already.
    #[must_use]
    pub fn stop(pod: &str) -> Option<Self> {
        let silent = Self { pod: pod.to_owned(), pid: find(EXECUTOR, pod)? };
        silent.signal(Signal::SIGSTOP);
        Some(silent)
    }

    /// Lets it answer again.
    pub fn answer(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Nothing is sent to another process that has got its number meanwhile.
    fn signal(&self, signal: Signal) {
        if is_of_pod(self.pid, EXECUTOR, &self.pod) {
            kill(Pid::from_raw(self.pid), signal).expect("a process that runs");
        }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn find(program: &str, pod: &str) -> Option<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| is_of_pod(*pid, program, pod))
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

/// Pods that reach nothing as long as this lives, as where network policies are enforced. What asks them gets answers.
#[derive(Debug)]
pub struct Muted;

impl Muted {
    /// Takes the network away from the pods of these addresses.
    #[must_use]
    pub fn start(addresses: &[String]) -> Self {
        // A table of its own, which `tests/cluster` removes too when nobody is left to do it.
        let rules = format!(
            "table inet carrel_muted {{ chain begin {{ type filter hook prerouting priority mangle; \
             ip saddr {{ {} }} ct state new drop; }}; }}",
            addresses.join(", ")
        );
        assert!(nft(&[&rules]), "nft makes no rules");
        Self
    }
}

fn nft(words: &[&str]) -> bool {
    Command::new("nft").args(words).status().is_ok_and(|status| status.success())
}

impl Drop for Muted {
    fn drop(&mut self) {
        if !nft(&["delete", "table", "inet", "carrel_muted"]) {
            eprintln!("the table carrel_muted of nft is still there");
        }
    }
}
