//! `carrel run`: one program, as an execution like any other.
//!
//! | step | file |
//! |---|---|
//! | the command line becomes a spec | `program.rs` (pure but for reading the files) |
//! | a running service is found, or one is started for this program alone | `session.rs` |
//! | the program's output is printed as it comes | `live.rs` |
//! | the outcome becomes an exit code | `outcome.rs` (pure) |

use std::process::ExitCode;

use anyhow::Context;
use crds::CodeExecution;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    runtime::wait::{Condition, await_condition},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::RunArgs;

mod live;
mod outcome;
mod program;
mod session;

use live::Printer;
use session::Session;

/// Runs the command to its end. Codes below 125 are the program's, so whatever goes wrong before it has one is 125.
#[must_use]
pub fn main(args: RunArgs) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime");
    let code = runtime.and_then(|runtime| runtime.block_on(run(args))).unwrap_or_else(|error| {
        eprintln!("carrel: {error:#}");
        outcome::NOT_RUN
    });
    ExitCode::from(code)
}

async fn run(args: RunArgs) -> anyhow::Result<u8> {
    let execution = program::execution(&args)?;
    let mut interrupts = Interrupts::new()?;
    let session = tokio::select! {
        session = Session::open(&args) => session?,
        code = interrupts.next() => return Ok(code),
    };
    let result = follow(&session, &execution, &mut interrupts).await;
    session.close().await;
    result
}

/// The signals that end us before the program has ended.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one and gives the exit code that says so.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => outcome::INTERRUPTED,
            _ = self.terminate.recv() => outcome::TERMINATED,
        }
    }
}

/// Creates the execution, prints its output and waits for its end. A signal cancels it.
async fn follow(
    session: &Session,
    execution: &CodeExecution,
    interrupts: &mut Interrupts,
) -> anyhow::Result<u8> {
    let api: Api<CodeExecution> = Api::default_namespaced(session.client());
    let created =
        api.create(&PostParams::default(), execution).await.context("cannot create the execution")?;
    let (name, uid) = (created.name_any(), created.uid().unwrap_or_default());
    let mut printer = Printer::default();
    tokio::select! {
        end = finish(session, &api, &name, &uid, &mut printer) => {
            let finished = end?;
            printer.print_rest(finished.status.as_ref())?;
            Ok(outcome::report(finished.status.as_ref(), &mut std::io::stderr())?)
        }
        code = interrupts.next() => {
            let cancel = serde_json::json!({ "spec": { "cancel": true } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(cancel)).await.context("cannot cancel")?;
            Ok(code)
        }
    }
}

async fn finish(
    session: &Session,
    api: &Api<CodeExecution>,
    name: &str,
    uid: &str,
    printer: &mut Printer,
) -> anyhow::Result<CodeExecution> {
    // Without live output the program still runs, and all it wrote is printed at the end.
    if let Err(error) = printer.follow(session, name, uid).await {
        tracing::debug!(%error, "no live output");
    }
    let finished =
        await_condition(api.clone(), name, is_finished()).await.context("cannot watch the execution")?;
    finished.with_context(|| format!("execution {name} was deleted before it finished"))
}

fn is_finished() -> impl Condition<CodeExecution> {
    |object: Option<&CodeExecution>| {
        object.is_none_or(|e| e.status.as_ref().is_some_and(|status| status.phase.is_terminal()))
    }
}
