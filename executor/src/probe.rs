//! Asks the real interpreter, once, whether it works and where it is. Until it did, the executor is not
//! ready.
//!
//! What is configured may be a wrapper that finds the interpreter anew each time and leaves its own
//! variables in the environment. Runs start what the wrapper led to.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::Read as _,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    app::App,
    config::Config,
    runner::{self, ByteCode},
};

/// How long a sound interpreter may need on a cold disk.
const PATIENCE: Duration = Duration::from_mins(1);
/// Fails on anything older than what the runner is written for.
const QUESTION: &str = "import os, sys
sys.version_info >= (3, 11) or sys.exit(3)
sys.stdout.buffer.write(os.fsencode(sys.executable))";

/// The interpreter of the programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    pub program: PathBuf,
    /// `PATH` of the programs: the interpreter's folder comes first, so that `python3` in a program's
    /// shell is the same one.
    pub path: OsString,
    pub byte_code: ByteCode,
}

impl Python {
    fn new(program: PathBuf, search: &OsStr, byte_code: ByteCode) -> Self {
        let folder = program.parent().map(Path::to_path_buf);
        let rest = env::split_paths(search).filter(|entry| Some(entry) != folder.as_ref());
        let path = env::join_paths(folder.clone().into_iter().chain(rest));
        Self { program, path: path.unwrap_or_else(|_| search.to_owned()), byte_code }
    }
}

/// What the probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    Pending,
    Usable(Python),
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
    let asked = ask(config, &config.python, &["-I".into(), "-c".into(), QUESTION.into()]);
    let program = match asked.map(|answer| PathBuf::from(OsString::from_vec(answer))) {
        Ok(program) if program.is_absolute() => program,
        Ok(_) => return Probe::Unusable("the interpreter does not know where it is".to_owned()),
        Err(reason) => return Probe::Unusable(reason),
    };
    // Without byte code a start is only slower.
    let byte_code = compile(config, &program).unwrap_or_else(|reason| {
        tracing::warn!(reason, "the runner could not be compiled ahead");
        ByteCode::default()
    });
    Probe::Usable(Python::new(program, &config.path, byte_code))
}

/// Puts byte code beside the runner, which makes every start faster.
fn compile(config: &Config, program: &Path) -> Result<ByteCode, String> {
    ask(config, program, &["-I".into(), runner::entry(&config.state_dir), "--compile".into()])?;
    ByteCode::read(&config.state_dir).map_err(|error| error.to_string())
}

/// Runs an interpreter to its end and returns the short text it wrote.
fn ask(config: &Config, program: &Path, args: &[PathBuf]) -> Result<Vec<u8>, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", &config.path)
        .env("HOME", &config.state_dir)
        .env("LANG", "C.UTF-8")
        .current_dir(&config.state_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| named(&error))?;
    let status = wait(&mut child).map_err(|error| named(&error))?;
    match status.code() {
        Some(0) => {}
        Some(3) => return Err(named(&"Python is older than 3.11")),
        _ => return Err(named(&format!("ended with {status}"))),
    }
    let mut answer = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut answer).map_err(|error| named(&error))?;
    }
    Ok(answer)
}

fn wait(child: &mut Child) -> std::io::Result<std::process::ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > PATIENCE {
            // It is ours and not reaped yet, so the process id is still its own.
            child.kill()?;
            return child.wait();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreters_folder_is_first_on_the_path_and_only_once() {
        let python = Python::new(
            "/venv/bin/python3".into(),
            OsStr::new("/bin:/venv/bin:/usr/bin"),
            ByteCode::default(),
        );
        assert_eq!(python.path, "/venv/bin:/bin:/usr/bin");
    }
}
