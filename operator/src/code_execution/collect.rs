//! What a run left behind → what the status says of it: long texts and changed files go to the store first.
//!
//! Nothing here fails a run: what cannot be kept is left out and said so.

use std::time::Duration;

use bytes::Bytes;
use crds::{
    LocalReference,
    code_execution::{self as kinds, Failure, OutputFile, OutputText, SkippedFile},
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
/// How often the store is tried.
const ATTEMPTS: u32 = 4;
/// How many typed results the schema takes.
const MAX_RESULTS: usize = 16;

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
        results_truncated: _,
        timings,
        usage,
        isolation,
    } = outcome;
    let began = Instant::now();
    let limit = usize::try_from(job.plan.limits.output_bytes).unwrap_or(usize::MAX);
    let out = text(context, live.text(Stream::Stdout), stdout, limit);
    let err = text(context, live.text(Stream::Stderr), stderr, limit);
    let (out, err, results, (files, failed)) =
        futures::join!(out, err, typed_results(context, results), keep_files(job, target, files));
    let kept = number(files.len() as u64);
    let (files, files_stored_as) = inline_files(context, files).await;
    let skipped_count = files_skipped_count + failed.len() as u64;
    let skipped = files_skipped.iter().map(skipped_file).chain(failed).collect();
    let collect = timings.collect_milliseconds + u64::try_from(began.elapsed().as_millis()).unwrap_or(0);
    Collected {
        stdout: out,
        stderr: err,
        results,
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
        isolation: isolation.into_iter().take(32).collect(),
    }
}

/// One stream: all of it inline when it fits, else its beginning, and all of it in the store.
async fn text(context: &Context, text: String, summary: StreamSummary, limit: usize) -> OutputText {
    let text = output::kept(text, summary.truncated, limit);
    let size_bytes = signed(summary.size_bytes);
    let inline = output::inline_part(&text, limits::INLINE_OUTPUT_BYTES).to_owned();
    if inline.len() == text.len() {
        return OutputText { text, size_bytes, truncated: summary.truncated, stored_as: None };
    }
    let stored_as = store(context, Bytes::from(text)).await;
    let truncated = summary.truncated || stored_as.is_none();
    OutputText { text: inline, size_bytes, truncated, stored_as }
}

/// Puts bytes into the store, with a few tries. `None` when it would not take them.
async fn store(context: &Context, bytes: Bytes) -> Option<String> {
    let mut wait = Duration::from_millis(50);
    for attempt in 1..=ATTEMPTS {
        match context.blobs.put_bytes(bytes.clone()).await {
            Ok(stored) => {
                context.gc.touch(stored.digest.as_str());
                return Some(stored.digest.to_string());
            }
            Err(error) => tracing::warn!(%error, attempt, "the store did not take an output"),
        }
        sleep(wait).await;
        wait *= 2;
    }
    None
}

async fn typed_results(context: &Context, results: Vec<protocol::ResultPart>) -> Vec<kinds::ResultPart> {
    let mut used = 0;
    let mut parts = Vec::new();
    for protocol::ResultPart { name, media_type, data } in results.into_iter().take(MAX_RESULTS) {
        let size = encoded_bytes(&data);
        let (data, stored_as) = if used + size <= limits::INLINE_RESULTS_BYTES {
            used += size;
            (data, None)
        } else {
            (String::new(), store(context, Bytes::from(data)).await)
        };
        let name = name.chars().take(253).collect();
        let media_type = media_type.chars().take(253).collect();
        parts.push(kinds::ResultPart { name, media_type, data, stored_as });
    }
    parts
}

/// Fetches, stores and registers every changed file. The order of the paths stays.
async fn keep_files(
    job: &Job,
    target: &Target,
    files: Vec<FileEntry>,
) -> (Vec<OutputFile>, Vec<SkippedFile>) {
    let outcomes: Vec<_> = stream::iter(files.into_iter().enumerate())
        .map(|(index, file)| async move {
            let kept = produced::keep(job, target, index, &file).await;
            (file, kept)
        })
        .buffered(FILES_AT_ONCE)
        .collect()
        .await;
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for (file, outcome) in outcomes {
        let FileEntry { path, size_bytes, sha256 } = file;
        match outcome {
            Ok(()) => kept.push(OutputFile {
                file_ref: LocalReference::new(names::produced_file(&job.run.uid, &path)),
                path,
                sha256,
                size_bytes: signed(size_bytes),
            }),
            Err(error) => {
                tracing::warn!(execution = %job.key, uid = %job.run.uid, %error, "a changed file was not kept");
                skipped.push(SkippedFile { path, reason: error.reason() });
            }
        }
    }
    (kept, skipped)
}

/// The list of files: inline when it fits, else its beginning, and all of it in the store.
async fn inline_files(context: &Context, files: Vec<OutputFile>) -> (Vec<OutputFile>, Option<String>) {
    if encoded_bytes(&files) <= limits::INLINE_FILES_BYTES {
        return (files, None);
    }
    let manifest = serde_json::to_vec(&files).unwrap_or_default();
    let stored = store(context, Bytes::from(manifest)).await;
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
    SkippedFile { path: file.path.chars().take(4096).collect(), reason }
}

/// The executor's name of a field → the name of the same field in the spec.
pub(crate) fn renamed(failure: Failure) -> Failure {
    const NAMES: [(&str, &str); 6] = [
        ("inputs", "files"),
        ("toolInputJson", "tool.inputJSON"),
        ("variablesJson", "variablesJSON"),
        ("limits.memoryBytes", "limits.memory"),
        ("limits.fileBytes", "limits.outputFileBytes"),
        ("limits.filesTotalBytes", "limits.outputFilesBytes"),
    ];
    let field = failure.field.map(|field| {
        let known =
            NAMES.iter().find_map(|(theirs, ours)| field.strip_prefix(theirs).map(|rest| (ours, rest)));
        match known {
            Some((ours, rest)) => format!("{ours}{rest}"),
            None => field,
        }
    });
    Failure { field, ..failure }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_called_what_the_user_wrote() {
        for (theirs, ours) in [
            ("inputs[3].path", "files[3].path"),
            ("toolInputJson", "tool.inputJSON"),
            ("args[0]", "args[0]"),
            ("limits.memoryBytes", "limits.memory"),
        ] {
            let failure = Failure { field: Some(theirs.to_owned()), ..Failure::default() };
            assert_eq!(renamed(failure).field.as_deref(), Some(ours));
        }
    }
}
