//! Step 3: the command of a run. Its environment is made from nothing; the executor's own does not leak.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
    process::{Command, Stdio},
};

use protocol::Interpreter;

use super::{NeverStarted, capture::Ends, job::Job};
use crate::{config::Config, probe::Python, request::ValidRequest, runner, workspace::RunDirs};

/// Isolated from the environment and the current folder, no byte code, unbuffered, UTF-8.
const PYTHON_FLAGS: [&str; 5] = ["-I", "-B", "-u", "-X", "utf8"];

pub(crate) fn build(
    config: &Config,
    interpreter: &Python,
    request: &ValidRequest,
    dirs: &RunDirs,
    job: &Job,
    ends: &Ends,
) -> Result<Command, NeverStarted> {
    let mut command = match request.interpreter {
        Interpreter::Python | Interpreter::PythonOrShell => python(config, interpreter, job, &ends.results),
        Interpreter::Bash => bash(config, request, job)?,
    };
    command.env_clear().envs(config.program_env.iter().map(|(name, value)| (name, value)));
    base_environment(&mut command, &interpreter.path, dirs);
    // Last, so that the caller's values win over all of ours.
    command.envs(request.env.iter().map(|variable| (&variable.name, &variable.value)));
    command.current_dir(&dirs.workspace);
    connect(&mut command, job, ends).map_err(NeverStarted::Prepare)?;
    Ok(command)
}

fn python(config: &Config, interpreter: &Python, job: &Job, results: &OwnedFd) -> Command {
    let mut command = Command::new(&interpreter.program);
    command.args(PYTHON_FLAGS).arg(runner::entry(&config.state_dir));
    command.args(job.message.iter().chain([results]).map(number));
    command
}

/// `bash -c CODE bash ARGS...`; a script longer than an argument may be is read from a handle.
fn bash(config: &Config, request: &ValidRequest, job: &Job) -> Result<Command, NeverStarted> {
    let mut command = Command::new(config.bash.as_ref().ok_or(NeverStarted::NoBash)?);
    match &job.message {
        Some(script) => command.arg(Path::new("/dev/fd").join(number(script))),
        None => command.arg("-c").arg(&request.code).arg("bash"),
    };
    command.args(&request.args);
    Ok(command)
}

/// The number a handle has here and will have in the program.
fn number(handle: &OwnedFd) -> String {
    handle.as_raw_fd().to_string()
}

fn base_environment(command: &mut Command, path: &OsStr, dirs: &RunDirs) {
    command
        .env("PATH", path)
        .env("HOME", &dirs.home)
        .env("TMPDIR", &dirs.tmp)
        .env("LANG", "C.UTF-8")
        // The interpreter is told by flags; these are for the interpreters a program starts.
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONIOENCODING", "utf-8")
        .env("MPLCONFIGDIR", &dirs.matplotlib)
        .env("MPLBACKEND", "Agg");
}

fn connect(command: &mut Command, job: &Job, ends: &Ends) -> io::Result<()> {
    let stdin = match &job.stdin {
        Some(text) => Stdio::from(text.as_fd().try_clone_to_owned()?),
        None => Stdio::null(),
    };
    command
        .stdin(stdin)
        .stdout(ends.stdout.as_fd().try_clone_to_owned()?)
        .stderr(ends.stderr.as_fd().try_clone_to_owned()?);
    Ok(())
}
