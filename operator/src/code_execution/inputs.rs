//! The files that an execution names: whether it may use them, and their bytes.
//!
//! What may be used is a pure rule; the index of files answers nearly always, the API when the index does not know.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use crds::{FilePhase, SandboxFile, code_execution::Failure, labels, limits, names::BlobDigest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, api::ListParams};
use protocol::{ExecuteRequest, InputFile};

use super::validate::{Input, Plan, Program, Source, Text};
use crate::{
    context::Context,
    executor_client::{BoxError, Content},
    key::Key,
    sandbox_file::cache::FileFacts,
};

/// Why an execution's files are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputsError {
    /// One is being stored.
    #[error("a file is being stored")]
    Coming,
    /// One cannot be used.
    #[error("a file cannot be used: {}", .0.message)]
    Missing(Failure),
    /// What a file holds is no text.
    #[error("a file is no text: {}", .0.message)]
    Invalid(Failure),
    /// The API failed.
    #[error("files could not be looked up")]
    Api(#[source] kube::Error),
    /// The store failed.
    #[error("the bytes of a file could not be read")]
    Store(#[source] blobs::Error),
}

/// A file that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    digest: blobs::Digest,
    size_bytes: u64,
}

/// What an execution may do with a file: pure.
fn usable(file: &FileFacts, plan: &Plan, now: DateTime<Utc>) -> Result<Found, InputsError> {
    let missing = |message: &str| {
        Err(InputsError::Missing(Failure { message: message.to_owned(), ..Failure::default() }))
    };
    let foreign = file.scope.as_deref() != plan.scope.as_deref()
        || file.isolation_key.as_ref().is_some_and(|key| Some(key) != plan.isolation_key.as_ref());
    if foreign {
        // Whether it exists is not this execution's business.
        return missing("the file does not exist");
    }
    match file.phase {
        FilePhase::Pending => return Err(InputsError::Coming),
        FilePhase::Failed => return missing("the file could not be stored"),
        FilePhase::Ready | FilePhase::Expired if !file.live(now) => return missing("the file has expired"),
        FilePhase::Ready | FilePhase::Expired => {}
    }
    match file.digest.as_deref().map(str::parse) {
        Some(Ok(digest)) => Ok(Found { digest, size_bytes: file.size_bytes }),
        _ => missing("the file has no bytes"),
    }
}

/// Checks that all files can be used, and finds their bytes.
pub(crate) async fn check(
    context: &Context,
    key: &Key,
    plan: &Plan,
    program: &Program,
) -> Result<Files, InputsError> {
    let named = |text: &Text| match text {
        Text::File(name) => Some(name.clone()),
        Text::Inline(_) => None,
    };
    let code = match named(&program.code) {
        Some(name) => Some(by_name(context, key, plan, &name, "codeFrom.fileRef").await?),
        None => None,
    };
    let stdin = match named(&program.stdin) {
        Some(name) => Some(by_name(context, key, plan, &name, "stdinFrom.fileRef").await?),
        None => None,
    };
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (at, Input { source, .. }) in program.inputs.iter().enumerate() {
        let field = format!("files[{at}].source");
        inputs.push(match source {
            Source::Inline(_) => None,
            Source::File(name) => Some(by_name(context, key, plan, name, &field).await?),
            Source::Digest(digest) => Some(by_digest(context, key, plan, digest, &field).await?),
        });
    }
    Ok(Files { code, stdin, inputs })
}

/// All files of an execution, found.
#[derive(Debug)]
pub(crate) struct Files {
    code: Option<Found>,
    stdin: Option<Found>,
    inputs: Vec<Option<Found>>,
}

async fn by_name(
    context: &Context,
    key: &Key,
    plan: &Plan,
    name: &str,
    field: &str,
) -> Result<Found, InputsError> {
    let now = context.clock.now();
    let file = key.sibling(name);
    let known = context.files.get(&file).map(|facts| usable(&facts, plan, now));
    if let Some(Ok(found)) = known {
        return Ok(found);
    }
    // The watch may be late, so what it does not know or calls unusable is asked for once.
    let api: Api<SandboxFile> = Api::namespaced(context.client.clone(), &key.namespace);
    let live = api.get_opt(name).await.map_err(InputsError::Api)?;
    let judged = live.map(|object| usable(&FileFacts::of(&object), plan, now));
    named(judged, field, name)
}

async fn by_digest(
    context: &Context,
    key: &Key,
    plan: &Plan,
    digest: &str,
    field: &str,
) -> Result<Found, InputsError> {
    let now = context.clock.now();
    let known = context.files.with_digest(&key.namespace, digest);
    if let Some(found) = known.iter().find_map(|facts| usable(facts, plan, now).ok()) {
        return Ok(found);
    }
    let api: Api<SandboxFile> = Api::namespaced(context.client.clone(), &key.namespace);
    let label = digest.parse::<BlobDigest>().map(|digest| labels::digest_value(&digest)).unwrap_or_default();
    let list = api.list(&ListParams::default().labels(&format!("{}={label}", labels::DIGEST))).await;
    let files = list.map_err(InputsError::Api)?.items;
    let mut matching =
        files.iter().map(FileFacts::of).filter(|facts| facts.digest.as_deref() == Some(digest));
    let found = matching.find_map(|facts| usable(&facts, plan, now).ok());
    named(found.map(Ok), field, digest)
}

/// Adds to a refusal what was asked for.
fn named(judged: Option<Result<Found, InputsError>>, field: &str, value: &str) -> Result<Found, InputsError> {
    let failure = match judged {
        Some(Err(InputsError::Missing(failure))) => failure,
        Some(other) => return other,
        None => Failure { message: "the file does not exist".to_owned(), ..Failure::default() },
    };
    let (field, value) = (Some(field.to_owned()), Some(value.to_owned()));
    Err(InputsError::Missing(Failure { field, value, ..failure }))
}

/// The request for the executor and the bytes that follow it.
pub(crate) async fn request(
    context: &Context,
    plan: &Plan,
    program: &Program,
    files: &Files,
) -> Result<ExecuteRequest, InputsError> {
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (input, found) in program.inputs.iter().zip(&files.inputs) {
        inputs.push(match (&input.source, found) {
            (Source::Inline(text), _) => {
                InputFile { path: input.path.clone(), size_bytes: text.len() as u64, sha256: None }
            }
            (_, Some(found)) => InputFile {
                path: input.path.clone(),
                size_bytes: found.size_bytes,
                sha256: Some(found.digest.to_string()),
            },
            (_, None) => continue,
        });
    }
    Ok(ExecuteRequest {
        interpreter: program.interpreter,
        code: text(context, &program.code, files.code.as_ref(), "codeFrom").await?,
        interactive: program.interactive,
        entry_path: program.entry_path.clone(),
        args: program.args.clone(),
        stdin: text(context, &program.stdin, files.stdin.as_ref(), "stdinFrom").await?,
        env: program.env.clone(),
        variables_json: program.variables_json.clone(),
        tool_input_json: program.tool_input_json.clone(),
        inputs,
        collect_files: program.collect_files,
        save_figures: program.save_figures,
        timeout_milliseconds: u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX),
        limits: plan.limits.clone(),
    })
}

async fn text(
    context: &Context,
    text: &Text,
    found: Option<&Found>,
    field: &str,
) -> Result<String, InputsError> {
    let Some(found) = found else {
        return Ok(match text {
            Text::Inline(text) => text.clone(),
            Text::File(_) => String::new(),
        });
    };
    let invalid = |message: String| {
        InputsError::Invalid(Failure { cause: None, field: Some(field.to_owned()), value: None, message })
    };
    let bytes = match context.blobs.get_bytes(&found.digest, limits::SOURCE_BYTES as u64).await {
        Ok(bytes) => bytes,
        Err(blobs::Error::TooLarge { limit }) => {
            return Err(invalid(format!("the file is larger than {limit} bytes")));
        }
        Err(error) => return Err(InputsError::Store(error)),
    };
    String::from_utf8(bytes.into()).map_err(|_| invalid("the file is not UTF-8 text".to_owned()))
}

/// The bytes of all input files in order, read as they are sent.
pub(crate) fn content(context: &Context, program: &Program, files: &Files) -> Content {
    let blobs = context.blobs.clone();
    let parts: Vec<Part> = program
        .inputs
        .iter()
        .zip(&files.inputs)
        .filter_map(|(input, found)| match (&input.source, found) {
            (Source::Inline(text), _) => Some(Part::Text(Bytes::from(text.clone()))),
            (_, Some(found)) => Some(Part::Stored(found.clone())),
            (_, None) => None,
        })
        .collect();
    stream::iter(parts).then(move |part| open(blobs.clone(), part)).try_flatten().boxed()
}

enum Part {
    Text(Bytes),
    Stored(Found),
}

async fn open(blobs: blobs::Blobs, part: Part) -> Result<Content, BoxError> {
    match part {
        Part::Text(bytes) => Ok(stream::iter([Ok(bytes)]).boxed()),
        Part::Stored(found) => {
            let object = blobs.get_exact(&found.digest, found.size_bytes).await?;
            Ok(object.stream.map_err(BoxError::from).boxed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn plan(scope: Option<&str>, key: Option<&str>) -> Plan {
        Plan {
            created: at(0),
            generation: None,
            pool: Key::new("ns", "default"),
            scope: scope.map(Into::into),
            isolation_key: key.map(str::to_owned),
            timeout: std::time::Duration::from_secs(1),
            start_deadline: None,
            limits: protocol::RunLimits::default(),
            collection: None,
            max_downloads: None,
            output_ttl_seconds: None,
            request_id: None,
        }
    }

    fn file() -> FileFacts {
        FileFacts {
            key: Key::new("ns", "f"),
            uid: "u".into(),
            phase: FilePhase::Ready,
            digest: Some("a".repeat(64)),
            size_bytes: 3,
            end: None,
            isolation_key: None,
            scope: None,
            used_up: false,
            registered_again: false,
        }
    }

    fn allowed(file: &FileFacts, plan: &Plan) -> bool {
        usable(file, plan, at(10)).is_ok()
    }

    #[test]
    fn a_file_is_for_its_scope_and_for_its_key_or_any_when_it_has_none() {
        let keyed = FileFacts { isolation_key: Some("c1".to_owned()), ..file() };
        let scoped = FileFacts { scope: Some("alice".to_owned()), ..file() };
        for (file, scope, key, expected) in [
            (&file(), None, None, true),
            (&file(), None, Some("c1"), true),
            (&keyed, None, Some("c1"), true),
            (&keyed, None, Some("c2"), false),
            (&keyed, None, None, false),
            (&scoped, Some("alice"), None, true),
            (&scoped, Some("bob"), None, false),
            (&scoped, None, None, false),
            (&file(), Some("alice"), None, false),
        ] {
            assert_eq!(allowed(file, &plan(scope, key)), expected, "{file:?} {scope:?} {key:?}");
        }
    }

    #[test]
    fn a_file_that_has_ended_cannot_be_used_whether_or_not_its_status_says_so() {
        let plan = plan(None, None);
        assert!(allowed(&FileFacts { end: Some(at(11)), ..file() }, &plan));
        assert!(!allowed(&FileFacts { end: Some(at(10)), ..file() }, &plan));
        assert!(!allowed(&FileFacts { used_up: true, ..file() }, &plan));
        assert!(!allowed(&FileFacts { phase: FilePhase::Expired, ..file() }, &plan));
        assert!(!allowed(&FileFacts { phase: FilePhase::Failed, ..file() }, &plan));
        assert!(!allowed(&FileFacts { digest: None, ..file() }, &plan));
    }

    #[test]
    fn a_file_that_is_being_stored_is_worth_waiting_for() {
        let pending = FileFacts { phase: FilePhase::Pending, ..file() };
        assert!(matches!(usable(&pending, &plan(None, None), at(10)), Err(InputsError::Coming)));
    }
}
