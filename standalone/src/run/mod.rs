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

use crate::args::RunArgs;

mod live;
mod outcome;
mod program;
mod session;

use live::Printer;
use session::Session;

/// Runs the command to its end.
pub fn main(args: RunArgs) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(run(args))
}

async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let execution = match program::execution(&args) {
        Ok(execution) => execution,
        Err(error) => {
            eprintln!("carrel: {error:#}");
            return Ok(ExitCode::from(outcome::NOT_RUN));
        }
    };
    let session = Session::open(&args).await?;
    let result = follow(&session, &execution).await;
    session.close().await;
    result
}

/// Creates the execution, prints its output and waits for its end. Ctrl-C cancels it.
async fn follow(session: &Session, execution: &CodeExecution) -> anyhow::Result<ExitCode> {
    let api: Api<CodeExecution> = Api::default_namespaced(session.client());
    let created =
        api.create(&PostParams::default(), execution).await.context("cannot create the execution")?;
    let (name, uid) = (created.name_any(), created.uid().unwrap_or_default());
    let mut printer = Printer::default();
    tokio::select! {
        end = finish(session, &api, &name, &uid, &mut printer) => {
            let finished = end?;
            printer.print_rest(finished.status.as_ref())?;
            Ok(ExitCode::from(outcome::report(finished.status.as_ref(), &mut std::io::stderr())?))
        }
        _ = tokio::signal::ctrl_c() => {
            let cancel = serde_json::json!({ "spec": { "cancel": true } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(cancel)).await.context("cannot cancel")?;
            Ok(ExitCode::from(outcome::INTERRUPTED))
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
