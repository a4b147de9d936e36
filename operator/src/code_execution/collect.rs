//! What a run left behind → what the status says of it: long texts and changed files go to the store first.
//!
//! Nothing here fails a run: what cannot be kept is left out and said so.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use crds::{
    LocalReference,
    code_execution::{self as kinds, OutputFile, OutputText, SkippedFile},
    limits, names,
    size::encoded_bytes,
};
use futures::{StreamExt as _, stream};
use protocol::{FileEntry, Outcome, SkipReason, Stream, StreamSummary};
use tokio::time::{Instant, sleep};

use super::{
    output, produced,
    run::Job,
    status::{self, Collected},
};
use crate::{context::Context, executor_client::Target, live_output::LiveRun};

/// How many changed files of one run are stored at once.
const FILES_AT_ONCE: usize = 4;
/// How long a store, an executor or an API that fails is tried again for one run. A store that restarts is back by
/// then, and the shim still waits.
const PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(PATIENCE.as_secs() < limits::OPERATOR_MARGIN_MILLISECONDS.unsigned_abs() / 1000);
/// How many typed results the schema takes.
const MAX_RESULTS: usize = 16;
/// How long their names may be, in characters.
const NAME: usize = 253;
/// How many changed files the schema takes, and how long their paths may be, in characters.
const MAX_FILES: usize = 1000;
const PATH: usize = 4096;

/// Brings everything into the form of the status.
pub(crate) async fn collect(job: &Job, target: &Target, live: &LiveRun, outcome: Outcome) -> Collected {
    let context = &job.context;
    let Outcome {
        end: _,
        stdout,
        stderr,
        files,
        files_skipped,
        files_skipped_count,
        results,
        results_truncated,
        timings,
        usage,
        isolation,
    } = outcome;
    let began = Instant::now();
    let until = began + PATIENCE;
    let limit = output::limit(job.plan.limits.output_bytes);
    let (results, refused) = writable_results(job, results);
    let out = text(context, live.text(Stream::Stdout), stdout, limit, until);
    let err = text(context, live.text(Stream::Stderr), stderr, limit, until);
    let (out, err, (results, unstored), (files, failed)) = futures::join!(
        out,
        err,
        typed_results(results, |data| store(context, data, until)),
        keep_files(job, target, files, until)
    );
    let kept = number(files.len() as u64);
    let (files, files_stored_as) = inline_files(context, files, until).await;
    let skipped_count = files_skipped_count.saturating_add(failed.len() as u64);
    let skipped = files_skipped.iter().map(skipped_file).chain(failed).collect();
    let storing = u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
    let collect = timings.collect_milliseconds.saturating_add(storing);
    Collected {
        stdout: out,
        stderr: err,
        results,
        results_truncated: results_truncated || refused || unstored,
        files,
        files_stored_as,
        files_count: kept,
        files_skipped: status::skipped(skipped),
        files_skipped_count: number(skipped_count),
        timings: kinds::Timings {
            queued_milliseconds: job.run.queued_milliseconds,
            start_milliseconds: signed(timings.start_milliseconds),
            run_milliseconds: signed(timings.run_milliseconds),
            collect_milliseconds: signed(collect),
        },
        usage: kinds::Usage {
            cpu_milliseconds: signed(usage.cpu_milliseconds),
            peak_memory_bytes: signed(usage.peak_memory_bytes),
        },
        isolation,
    }
}

/// One stream: all of it inline when it fits, else its beginning, and all of it in the store.
async fn text(
    context: &Context,
    text: String,
    summary: StreamSummary,
    limit: usize,
    until: Instant,
) -> OutputText {
    let cut = summary.truncated || output::was_cut(text.len(), limit);
    let text = output::kept(text, cut, limit);
    let size_bytes = signed(summary.size_bytes);
    let inline = output::inline_part(&text, limits::INLINE_OUTPUT_BYTES).to_owned();
    if inline.len() == text.len() {
        return OutputText { text, size_bytes, truncated: cut, stored_as: None };
    }
    let stored_as = store(context, Bytes::from(text), until).await;
    let truncated = cut || stored_as.is_none();
    OutputText { text: inline, size_bytes, truncated, stored_as }
}

/// Puts bytes into the store, tried until `until`. `None` when it would not take them.
async fn store(context: &Context, bytes: Bytes, until: Instant) -> Option<String> {
    let mut wait = Duration::from_millis(50);
    loop {
        let placing = context.gc.placing().await;
        match context.blobs.put_bytes(bytes.clone()).await {
            Ok(stored) => {
                context.gc.touch(stored.digest.as_str());
                return Some(stored.digest.to_string());
            }
            Err(error) => {
                tracing::warn!(error = %telemetry::with_causes(&error), "the store did not take an output");
            }
        }
        drop(placing);
        if Instant::now() >= until {
            return None;
        }
        sleep(wait).await;
        wait *= 2;
    }
}

/// Leaves out results that the schema refuses, and says whether there were any: the whole status would be refused with
/// them.
fn writable_results(job: &Job, results: Vec<protocol::ResultPart>) -> (Vec<protocol::ResultPart>, bool) {
    let all = results.len();
    let writable = writable(results);
    let dropped = all - writable.len();
    if dropped > 0 {
        tracing::warn!(execution = %job.key, uid = %job.run.uid, dropped, "results that cannot be written were left out");
    }
    (writable, dropped > 0)
}

fn writable(results: Vec<protocol::ResultPart>) -> Vec<protocol::ResultPart> {
    results.into_iter().filter(is_writable).take(MAX_RESULTS).collect()
}

fn is_writable(part: &protocol::ResultPart) -> bool {
    [&part.name, &part.media_type].into_iter().all(|name| length_within(name, NAME))
}

/// Not empty and not longer than so many characters, as a schema counts.
fn length_within(text: &str, characters: usize) -> bool {
    !text.is_empty() && text.chars().nth(characters).is_none()
}

/// Long results go to the store. Those that it does not take are left out; the second answer says whether there
/// were any.
async fn typed_results<F>(
    results: Vec<protocol::ResultPart>,
    store: impl Fn(Bytes) -> F,
) -> (Vec<kinds::ResultPart>, bool)
where
    F: Future<Output = Option<String>>,
{
    let (mut used, mut parts, mut missing) = (0, Vec::new(), false);
    for protocol::ResultPart { name, media_type, data } in results {
        let size = encoded_bytes(&data);
        if used + size <= limits::INLINE_RESULTS_BYTES {
            used += size;
            parts.push(kinds::ResultPart { name, media_type, data, stored_as: None });
            continue;
        }
        let stored_as = store(Bytes::from(data)).await;
        missing |= stored_as.is_none();
        let part = |stored_as| kinds::ResultPart { name, media_type, data: String::new(), stored_as };
        parts.extend(stored_as.map(|digest| part(Some(digest))));
    }
    (parts, missing)
}

/// The files that a status can name, each with the executor's number of it, and what is left of the others.
fn writable_files(files: Vec<FileEntry>) -> (Vec<(usize, FileEntry)>, Vec<SkippedFile>) {
    let (mut writable, mut skipped, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, file) in files.into_iter().enumerate() {
        let reason = if writable.len() >= MAX_FILES {
            kinds::SkipReason::TooManyFiles
        } else if length_within(&file.path, PATH) && seen.insert(file.path.clone()) {
            writable.push((index, file));
            continue;
        } else {
            kinds::SkipReason::StoreFailed
        };
        skipped.push(SkippedFile { path: file.path.chars().take(PATH).collect(), reason });
    }
    (writable, skipped)
}

/// Fetches, stores and registers every changed file. The order of the paths stays.
async fn keep_files(
    job: &Job,
    target: &Target,
    files: Vec<FileEntry>,
    until: Instant,
) -> (Vec<OutputFile>, Vec<SkippedFile>) {
    let (files, mut skipped) = writable_files(files);
    let outcomes: Vec<_> = stream::iter(files)
        .map(|(index, file)| async move {
            let kept = produced::keep(job, target, index, &file, until).await;
            (file, kept)
        })
        .buffered(FILES_AT_ONCE)
        .collect()
        .await;
    let mut kept = Vec::new();
    for (file, outcome) in outcomes {
        let FileEntry { path, size_bytes, sha256 } = file;
        match outcome {
            Ok(()) => kept.push(OutputFile {
                file_ref: LocalReference::new(names::produced_file(&job.run.uid, &path)),
                path,
                sha256,
                size_bytes: signed(size_bytes),
            }),
            Err(error) => skipped.push(SkippedFile { path, reason: error.reason() }),
        }
    }
    (kept, skipped)
}

/// The list of files: inline when it fits, else its beginning, and all of it in the store.
async fn inline_files(
    context: &Context,
    files: Vec<OutputFile>,
    until: Instant,
) -> (Vec<OutputFile>, Option<String>) {
    if encoded_bytes(&files) <= limits::INLINE_FILES_BYTES {
        return (files, None);
    }
    let manifest = serde_json::to_vec(&files).unwrap_or_default();
    let stored = store(context, Bytes::from(manifest), until).await;
    let mut used = 2;
    let fits = |file: &OutputFile| {
        used += encoded_bytes(file) + 1;
        used <= limits::INLINE_FILES_BYTES
    };
    (files.into_iter().take_while(fits).collect(), stored)
}

fn skipped_file(file: &protocol::SkippedFile) -> SkippedFile {
    let reason = match file.reason {
        SkipReason::Unreadable => kinds::SkipReason::Unreadable,
        SkipReason::NameNotUtf8 => kinds::SkipReason::NameNotUtf8,
        SkipReason::TooLarge => kinds::SkipReason::TooLarge,
        SkipReason::TooManyFiles => kinds::SkipReason::TooManyFiles,
        SkipReason::TotalTooLarge => kinds::SkipReason::TotalTooLarge,
        SkipReason::ChangedWhileReading => kinds::SkipReason::ChangedWhileReading,
        SkipReason::StoreFailed => kinds::SkipReason::StoreFailed,
    };
    SkippedFile { path: file.path.chars().take(PATH).collect(), reason }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
