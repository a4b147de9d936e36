//! One run, as an ordered list of steps. A reader who wants to know what stands between a program and
//! its surroundings reads this list; the threat model has the same order.
//!
//! 1. `stage`: a fresh directory, and the inputs in it, through handles (`stage.rs`, `beneath.rs`); meanwhile
//!    `announce`: the uid becomes the pod's termination message (`termination.rs`), so that a dead pod still
//!    tells what it may have run
//! 2. *(later) namespaces, private `/tmp` and `/dev/shm`, a workspace with a size*
//! 3. `prepare`: the job and standard input as sealed memory, the command with a fresh environment
//!    (`job.rs`, `command.rs`)
//! 4. `start`, in the child before `execve` (`process.rs`):
//!    1. a session and process group of its own
//!    2. it dies with the executor
//!    3. resource limits (`limits.rs`)
//!    4. *(later) own uid, `no_new_privs`, landlock, seccomp*
//!    5. exactly the handles it is meant to have
//! 5. `watch`: output is read as it comes and dropped beyond its limit (`capture.rs`), until the main
//!    process ends, the deadline passes or the run is cancelled (`watch.rs`, `deadline.rs`)
//! 6. `kill`: everything that is left, also what detached itself (`kill.rs`, `proc_table.rs`)
//! 7. `drain`: what the program wrote before it died
//! 8. `collect`: changed files, when nothing can change them any more (`snapshot.rs`)
//! 9. `judge`: how it ended (`outcome.rs`)
//!
//! A run is a task of its own: whoever asked for it may go away.

pub(crate) mod capture;
mod command;
mod deadline;
mod decode;
mod job;
pub(crate) mod kill;
mod limits;
pub(crate) mod outcome;
pub(crate) mod proc_table;
pub(crate) mod process;
mod results;
mod stage;
mod watch;

use std::{io, sync::Arc, time::Instant};

use protocol::{Outcome, StartFailure, Timings};

use self::{
    capture::{Captured, Pumps},
    limits::OomCounter,
    outcome::Cause,
    process::Usage,
    stage::StageError,
    watch::Watched,
};
use crate::{
    app::App,
    body::RequestBody,
    clock::unix_milliseconds,
    held::HeldRun,
    request::ValidRequest,
    snapshot::{Before, Changes},
    termination,
    workspace::{RunDirs, Workspace},
};

/// The isolation layers a run really gets; reported, never promised.
pub(crate) fn isolation() -> Vec<String> {
    vec!["rlimits".to_owned()]
}

/// Why a program was not started, one variant per step.
#[derive(Debug, thiserror::Error)]
enum NeverStarted {
    #[error("the execution was cancelled")]
    Cancelled,
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("preparing the run: {0}")]
    Prepare(#[source] io::Error),
    #[error("writing the termination message: {0}")]
    Announce(#[source] io::Error),
    #[error("the interpreter is not usable")]
    NoPython,
    #[error("bash is not available here")]
    NoBash,
    #[error("starting the interpreter: {0}")]
    Start(#[source] io::Error),
}

/// What was staged.
struct Staged {
    dirs: RunDirs,
    workspace: Workspace,
    before: Before,
}

/// Starts the run as a task of its own.
pub(crate) fn start(app: Arc<App>, run: Arc<HeldRun>, request: ValidRequest, body: RequestBody) {
    let task = tokio::spawn(steps(Arc::clone(&app), Arc::clone(&run), request, body));
    tokio::spawn(async move {
        let outcome = match task.await {
            Ok(outcome) => outcome,
            // A defect of ours. What the program did is unknown, so no outcome may be made up:
            // the executor goes, and whoever asks finds out that it is gone.
            Err(error) => {
                tracing::error!(%error, "the run's task failed");
                kill::everything(&mut |_| ());
                std::process::exit(70);
            }
        };
        tracing::info!(uid = run.uid, end = ?outcome.end, timings = ?outcome.timings, "ended");
        app.hear();
        run.frames.end(outcome);
        app.released.notify_one();
    });
}

async fn steps(app: Arc<App>, run: Arc<HeldRun>, request: ValidRequest, body: RequestBody) -> Outcome {
    let claimed = Instant::now();
    let staged = tokio::select! {
        biased;
        () = run.cancel.cancelled() => Err(NeverStarted::Cancelled),
        both = async { tokio::try_join!(announce(&app, &run.uid), stage(&app, &run.uid, &request, body)) } => {
            both.map(|((), staged)| staged)
        }
    };
    let (staged, started) = match staged.and_then(|staged| {
        let started = begin(&app, &run, &request, &staged.dirs)?;
        Ok((staged, started))
    }) {
        Ok(both) => both,
        Err(reason) => return not_started(&reason),
    };
    let start_milliseconds = milliseconds(claimed);
    let running = Instant::now();
    let (watched, run_milliseconds) = finish(started, &run, &request, running).await;
    let collecting = Instant::now();
    let changes = collect(&run, request, staged).await;
    let timings =
        Timings { start_milliseconds, run_milliseconds, collect_milliseconds: milliseconds(collecting) };
    outcome::of(watched, changes, timings)
}

async fn announce(app: &Arc<App>, uid: &str) -> Result<(), NeverStarted> {
    let (app, uid) = (Arc::clone(app), uid.to_owned());
    let written = tokio::task::spawn_blocking(move || say(&app, &uid)).await;
    written.map_err(io::Error::other).flatten().map_err(NeverStarted::Announce)
}

/// The thread of a run that was given up meanwhile goes on. When it comes late it says nothing any more: by then the
/// words are those of another run.
fn say(app: &App, uid: &str) -> io::Result<()> {
    let _alone = app.disk.lock();
    if app.held(uid).is_ok() { termination::write(&app.config.termination_log, Some(uid)) } else { Ok(()) }
}

async fn stage(
    app: &App,
    uid: &str,
    request: &ValidRequest,
    body: RequestBody,
) -> Result<Staged, NeverStarted> {
    let dirs = RunDirs::of(&app.config.state_dir, uid);
    dirs.create(&app.config.matplotlib_caches).map_err(NeverStarted::Prepare)?;
    let workspace = Workspace::open(&dirs.workspace).map_err(NeverStarted::Prepare)?;
    let before = stage::inputs(&workspace, &request.inputs, body).await?;
    Ok(Staged { dirs, workspace, before })
}

/// A program that runs, and what listens to it.
struct Started {
    children: tokio::signal::unix::Signal,
    main: process::Pid,
    pumps: Pumps,
    memory: OomCounter,
}

/// Steps 3 and 4, and the listeners of step 5.
fn begin(
    app: &App,
    run: &Arc<HeldRun>,
    request: &ValidRequest,
    dirs: &RunDirs,
) -> Result<Started, NeverStarted> {
    let job = job::Job::new(request, &dirs.workspace).map_err(NeverStarted::Prepare)?;
    let (pipes, ends) = capture::pipes().map_err(NeverStarted::Prepare)?;
    // Listening before the start, so that not even an instant end is missed.
    let children = watch::children().map_err(NeverStarted::Prepare)?;
    let memory = OomCounter::read();
    let python = app.python().map_err(|_| NeverStarted::NoPython)?;
    let command = command::build(&app.config, &python, request, dirs, &job, &ends)?;
    let handles = job.into_handles(request.interpreter, ends.results);
    let main = process::start(command, &limits::of(&request.limits), handles).map_err(NeverStarted::Start)?;
    run.frames.start(unix_milliseconds());
    let pumps = Pumps::start(pipes, run, request.limits.output_bytes);
    Ok(Started { children, main, pumps, memory })
}

/// Steps 5 to 7: until nothing of the program is left.
async fn finish(started: Started, run: &HeldRun, request: &ValidRequest, running: Instant) -> (Ended, u64) {
    let Started { mut children, main, pumps, memory } = started;
    let deadline = deadline::at(running, request.timeout_milliseconds);
    let mut watched = watch::until_end(main, deadline, &run.cancel, &mut children).await;
    let run_milliseconds = milliseconds(running);
    kill_rest(main, &mut watched).await;
    let captured = pumps.drain().await;
    let Watched { cause, status, usage } = watched;
    let out_of_memory = memory.has_risen();
    (Ended { cause, status, usage, captured, out_of_memory }, run_milliseconds)
}

/// Everything known about a program that is gone.
#[derive(Debug)]
pub(crate) struct Ended {
    cause: Cause,
    status: Option<process::Status>,
    usage: Usage,
    captured: Captured,
    out_of_memory: bool,
}

async fn kill_rest(main: process::Pid, watched: &mut Watched) {
    if !watched.note_last(main, &process::reap()) {
        return;
    }
    let killed = tokio::task::spawn_blocking(|| {
        let mut dead = Vec::new();
        let complete = kill::everything(&mut |reaped| dead.push(reaped));
        (dead, complete)
    });
    match killed.await {
        Ok((dead, complete)) => {
            for reaped in dead {
                watched.note(main, &reaped);
            }
            if !complete {
                tracing::error!("something the program started could not be killed");
            }
        }
        Err(error) => tracing::error!(%error, "killing what was left failed"),
    }
}

/// Step 8.
async fn collect(run: &Arc<HeldRun>, request: ValidRequest, staged: Staged) -> Changes {
    if !request.collect_files {
        return Changes::default();
    }
    let run = Arc::clone(run);
    let found = tokio::task::spawn_blocking(move || {
        let Staged { workspace, before, .. } = staged;
        let mut changes = Changes::find(&workspace, &before, &request.limits);
        // Set once per run; a second time cannot happen.
        let served = changes.serve(workspace);
        run.files.get_or_init(|| served);
        changes
    });
    found.await.unwrap_or_else(|error| {
        tracing::error!(%error, "looking for changed files failed");
        Changes::default()
    })
}

fn not_started(reason: &NeverStarted) -> Outcome {
    tracing::warn!(%reason, "never started");
    let (cause, field) = match reason {
        NeverStarted::Cancelled => return outcome::cancelled_before_start(),
        NeverStarted::Stage(error) => (error.cause(), error.field()),
        NeverStarted::NoBash => (StartFailure::InterpreterMissing, Some("interpreter".to_owned())),
        NeverStarted::NoPython => (StartFailure::Interpreter, None),
        NeverStarted::Start(error) => (failed(error, StartFailure::Interpreter), None),
        NeverStarted::Prepare(error) | NeverStarted::Announce(error) => {
            (failed(error, StartFailure::Internal), None)
        }
    };
    outcome::never_started(cause, field, reason.to_string())
}

/// A full disk is one whatever was done; anything else is `otherwise`.
fn failed(error: &io::Error, otherwise: StartFailure) -> StartFailure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartFailure::DiskFull,
        _ => otherwise,
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
