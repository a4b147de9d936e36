//! Asks the real interpreter, once, whether it works. Until it did, the executor is not ready.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{app::App, config::Config, runner};

/// How long a sound interpreter may need on a cold disk.
const PATIENCE: Duration = Duration::from_secs(60);
const QUESTION: &str = "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 3)";

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    Pending,
    Usable,
    Unusable(String),
}

/// Probes and stores the answer.
pub(crate) async fn run(app: Arc<App>) {
    let config = app.config.clone();
    let found = tokio::task::spawn_blocking(move || probe(&config)).await;
    let found = found.unwrap_or_else(|error| Probe::Unusable(error.to_string()));
    if let Probe::Unusable(reason) = &found {
        tracing::error!(reason, "the interpreter is not usable");
    }
    app.set_probe(found);
}

fn probe(config: &Config) -> Probe {
    if let Err(reason) = ask(config, &["-I".into(), "-c".into(), QUESTION.into()]) {
        return Probe::Unusable(reason);
    }
    // Byte code beside the runner makes every start faster; without it a start is only slower.
    let compile = ["-I".into(), runner::entry(&config.state_dir), "--compile".into()];
    if let Err(reason) = ask(config, &compile) {
        tracing::warn!(reason, "the runner could not be compiled ahead");
    }
    Probe::Usable
}

/// Runs the interpreter to its end; nothing it writes is kept.
fn ask(config: &Config, args: &[PathBuf]) -> Result<(), String> {
    let mut child = Command::new(&config.python)
        .args(args)
        .env_clear()
        .env("PATH", &config.path)
        .env("LANG", "C.UTF-8")
        .current_dir(&config.state_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", config.python.display()))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) if status.code() == Some(3) => {
                return Err("Python is older than 3.11".to_owned());
            }
            Ok(Some(status)) => return Err(format!("{} ended with {status}", config.python.display())),
            Ok(None) if started.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                // It is ours and not reaped yet, so the process id is still its own.
                let killed = child.kill().and_then(|()| child.wait());
                return Err(format!("no answer within {PATIENCE:?} ({killed:?})"));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}
