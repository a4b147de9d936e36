//! Tells people what happened: one line for each finished execution, an event when the state of a pool changes.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use crds::{SandboxPool, code_execution::Timings};
use kube::{
    Resource as _,
    runtime::events::{Event, EventType},
};
use tokio::time::Instant;

use crate::{
    code_execution::{cache::Entry, status::Ending},
    context::Context,
    key::Key,
    metrics::Stage,
    pool::trouble::Trouble,
};

/// An execution has its terminal status.
pub(crate) fn finished(context: &Context, key: &Key, entry: &Entry, ending: &Ending, since: Instant) {
    context.metrics.finished(ending.reason);
    context.metrics.stage(Stage::Total, entry.seen.elapsed());
    let timings = ending.collected.as_ref().map(|collected| collected.timings).unwrap_or_default();
    if ending.collected.is_some() {
        let run = Duration::from_millis(timings.run_milliseconds.unsigned_abs());
        context.metrics.stage(Stage::Run, run);
    }
    let request = entry.origin.request_id.as_deref();
    tracing::info!(
        execution = %key,
        uid = %entry.uid,
        request_id = request,
        reason = ending.reason.as_str(),
        exit_code = ending.exit_code,
        pod = ending.place.as_ref().map(|place| place.name.as_str()),
        queued_ms = timings.queued_milliseconds,
        start_ms = timings.start_milliseconds,
        run_ms = timings.run_milliseconds,
        collect_ms = timings.collect_milliseconds,
        total_ms = u64::try_from(entry.seen.elapsed().as_millis()).unwrap_or(u64::MAX),
        since_start_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        "execution finished"
    );
    let fields = [
        ("execution", key.to_string()),
        ("uid", entry.uid.to_string()),
        ("request_id", request.unwrap_or_default().to_owned()),
        ("reason", ending.reason.as_str().to_owned()),
    ];
    trace(entry.origin.trace_parent.as_deref(), entry.seen.elapsed(), fields, &timings);
}

/// Tells an execution's way as a span, from when it was seen, with its stages.
fn trace(trace_parent: Option<&str>, took: Duration, fields: [(&'static str, String); 4], timings: &Timings) {
    let parts = [
        ("queue", timings.queued_milliseconds),
        ("start", timings.start_milliseconds),
        ("run", timings.run_milliseconds),
        ("collect", timings.collect_milliseconds),
    ];
    let part = |(name, milliseconds): (&'static str, i64)| {
        (milliseconds > 0).then(|| (name, Duration::from_millis(milliseconds.unsigned_abs())))
    };
    telemetry::record(telemetry::Past {
        name: "execution",
        trace_parent,
        began: SystemTime::now().checked_sub(took).unwrap_or_else(SystemTime::now),
        took,
        fields: fields.into(),
        parts: parts.into_iter().filter_map(part).collect(),
    });
}

/// What is wrong with a pool now; an event only when that has changed.
pub(crate) fn pool_trouble(context: &Arc<Context>, key: &Key, pool: &SandboxPool, trouble: Option<&Trouble>) {
    let new = trouble.map(|trouble| trouble.reason);
    let old = context.pools.with(key, |memory| std::mem::replace(&mut memory.announced, new));
    if old == new {
        return;
    }
    if let Some(reason) = new {
        context.metrics.trouble(reason);
    }
    if !context.config.events {
        return;
    }
    let event = match trouble {
        Some(trouble) => Event {
            type_: EventType::Warning,
            reason: trouble.reason.to_string(),
            note: Some(trouble.message.chars().take(1000).collect()),
            action: "MakePods".to_owned(),
            secondary: None,
        },
        None => Event {
            type_: EventType::Normal,
            reason: "Recovered".to_owned(),
            note: Some("pods can be made again".to_owned()),
            action: "MakePods".to_owned(),
            secondary: None,
        },
    };
    let (task, reference) = (Arc::clone(context), pool.object_ref(&()));
    context.supervisor.spawn(async move {
        if let Err(error) = task.recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "an event could not be written");
        }
    });
}
