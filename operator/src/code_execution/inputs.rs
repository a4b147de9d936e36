//! The files that an execution names: whether it may use them, and where their bytes are. Sending them is `send.rs`.
//!
//! What may be used is a pure rule; the index of files answers nearly always, the API when the index does not know.

mod send;

use chrono::{DateTime, Utc};
use crds::{FilePhase, SandboxFile, code_execution::Failure, labels, names::BlobDigest};
use kube::{Api, api::ListParams};

pub(crate) use self::send::{content, request};
use super::validate::{Input, Plan, Program, Source, Text};
use crate::{context::Context, key::Key, sandbox_file::cache::FileFacts};

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
    let texts = [
        ("codeFrom.fileRef", Some(&program.code)),
        ("stdinFrom.fileRef", Some(&program.stdin)),
        ("variablesFrom.fileRef", program.variables.as_ref()),
        ("tool.inputFrom.fileRef", program.tool_input.as_ref()),
    ];
    let mut found = [None, None, None, None];
    for ((field, text), found) in texts.into_iter().zip(&mut found) {
        if let Some(Text::File(name)) = text {
            *found = Some(by_name(context, key, plan, name, field).await?);
        }
    }
    let [code, stdin, variables, tool_input] = found;
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (at, Input { source, .. }) in program.inputs.iter().enumerate() {
        let field = format!("files[{at}].source");
        inputs.push(match source {
            Source::Inline(_) => None,
            Source::File(name) => Some(by_name(context, key, plan, name, &field).await?),
            Source::Digest(digest) => Some(by_digest(context, key, plan, digest, &field).await?),
        });
    }
    Ok(Files { code, stdin, variables, tool_input, inputs })
}

/// All files of an execution, found.
#[derive(Debug)]
pub(crate) struct Files {
    code: Option<Found>,
    stdin: Option<Found>,
    variables: Option<Found>,
    tool_input: Option<Found>,
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
