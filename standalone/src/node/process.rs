//! One executor process: started with its pod's environment, ended with its pod's grace.

use std::{path::Path, process::ExitStatus, process::Stdio};

use k8s_openapi::api::core::v1::Pod;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::Instant,
};

use super::{NodeConfig, Stop, environment, orphans::Children};

/// A running executor. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Executor {
    child: Child,
    /// Held here and not in `child`, whose `wait` would close it and so end the executor.
    _lifeline: Option<ChildStdin>,
    pid: i32,
    children: Children,
}

impl Drop for Executor {
    /// Nobody waits any more for the process of a worker that panicked, so its number must not be kept.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.children.release(self.pid);
        }
    }
}

impl Executor {
    /// Starts the executor of `pod` with its state in `state`.
    pub(super) fn start(
        config: &NodeConfig,
        children: &Children,
        pod: &Pod,
        pod_ip: &str,
        state: &Path,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(&config.executable);
        command.arg("executor").arg("--lifeline").env_clear().envs(environment::of(pod, pod_ip));
        command.env("CARREL_STATE_DIR", state).env("CARREL_PYTHON", &config.python);
        command.env("CARREL_TERMINATION_LOG", state.join(super::worker::TERMINATION_LOG));
        command.envs(config.matplotlib_cache.iter().map(|dir| ("CARREL_MPLCONFIGDIR", dir)));
        // Each run is logged by the operator; of the executor only trouble is worth a line here.
        command.env("CARREL_LOG", std::env::var_os("CARREL_LOG").unwrap_or_else(|| "warn".into()));
        // What the executor finds programs with; everything else of our environment stays here.
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // The pipe to its stdin is the lifeline: it closes when this process ends, however it ends.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        // Ctrl-C in a terminal goes to a whole process group: it is for us, and we end the executors.
        command.process_group(0);
        let (mut child, pid) = children.spawn(&mut command)?;
        let lifeline = child.stdin.take();
        Ok(Self { child, _lifeline: lifeline, pid, children: children.clone() })
    }

    /// Waits for the process to end and removes what it left behind.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.children.remove(self.pid).await;
        status
    }

    /// Asks the process to end, and ends it when it has not within the grace that `stop` says. A shorter grace may
    /// be said later, as when a pod that is being deleted is deleted at once.
    pub(super) async fn terminate(&mut self, stop: &mut Stop) -> std::io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM);
        let began = Instant::now();
        loop {
            let grace = stop.borrow_and_update().unwrap_or_default();
            tokio::select! {
                status = self.wait() => return status,
                () = tokio::time::sleep_until(began + grace) => break,
                Ok(()) = stop.changed() => {}
            }
        }
        self.signal(Signal::SIGKILL);
        self.wait().await
    }

    fn signal(&self, signal: Signal) {
        // The process has not been waited for yet, so its number still means it.
        if self.child.id().is_some() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}
