//! A spec as it is → what can be run: pure. What it refuses ends the execution as `Invalid`, with the field's name.
//!
//! The result has two halves: the small one is kept as long as the object, the texts only until they are sent.

mod bounds;
mod program;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use crds::{
    CodeExecution, CodeExecutionSpec,
    code_execution::{Failure, PackagePolicy},
    labels, size,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use protocol::{EnvVariable, RunLimits};

use self::bounds::{not_negative, positive, run_limits};
pub(crate) use self::program::{tool_input, variables};
use crate::{key::Key, pool::reserve::Scope};

/// A longer request id or trace context is none of ours, and would be kept as long as its execution waits.
const ANNOTATION_BYTES: usize = 256;

/// The small half of a valid execution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) created: DateTime<Utc>,
    pub(crate) generation: Option<i64>,
    pub(crate) pool: Key,
    pub(crate) scope: Scope,
    pub(crate) isolation_key: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) start_deadline: Option<Duration>,
    pub(crate) limits: RunLimits,
    pub(crate) collection: Option<String>,
    pub(crate) max_downloads: Option<i64>,
    pub(crate) output_ttl_seconds: Option<i64>,
}

/// Which request it comes from, for those who look for it in logs and traces. Known also of what cannot be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) request_id: Option<String>,
    /// Where it belongs in a trace, as W3C writes it.
    pub(crate) trace_parent: Option<String>,
}

impl Origin {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        let [request_id, trace_parent] = [labels::REQUEST_ID, labels::TRACE_PARENT];
        Self { request_id: annotation(meta, request_id), trace_parent: annotation(meta, trace_parent) }
    }
}

/// A text, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    Inline(String),
    File(String),
}

/// Where an input's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Inline(String),
    File(String),
    Digest(String),
}

/// An input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) path: String,
    pub(crate) source: Source,
}

/// The large half of a valid execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) interpreter: protocol::Interpreter,
    pub(crate) code: Text,
    pub(crate) stdin: Text,
    pub(crate) interactive: bool,
    pub(crate) entry_path: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVariable>,
    pub(crate) variables: Option<Text>,
    pub(crate) tool_input: Option<Text>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) collect_files: bool,
    pub(crate) save_figures: bool,
}

impl Program {
    /// Whether it needs anything from the store.
    pub(crate) fn names_files(&self) -> bool {
        let texts = [Some(&self.code), Some(&self.stdin), self.variables.as_ref(), self.tool_input.as_ref()];
        texts.into_iter().flatten().any(|text| matches!(text, Text::File(_)))
            || self.inputs.iter().any(|input| !matches!(input.source, Source::Inline(_)))
    }

    /// How much memory its texts take, without what is bounded by the number of its parts.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Text| match text {
            Text::Inline(text) | Text::File(text) => text.len(),
        };
        let inputs = self.inputs.iter().map(|Input { path, source }| {
            let (Source::Inline(text) | Source::File(text) | Source::Digest(text)) = source;
            path.len() + text.len() + size_of::<Input>()
        });
        let env = self.env.iter().map(|v| v.name.len() + v.value.len() + size_of::<EnvVariable>());
        let args = self.args.iter().map(|arg| arg.len() + size_of::<String>());
        let texts = [Some(&self.code), Some(&self.stdin), self.variables.as_ref(), self.tool_input.as_ref()];
        let texts = texts.into_iter().flatten().map(text);
        size_of::<Self>() + self.entry_path.len() + texts.chain(inputs).chain(env).chain(args).sum::<usize>()
    }
}

/// Checks an execution.
pub(crate) fn validate(object: &CodeExecution) -> Result<(Plan, Program), Failure> {
    let spec = &object.spec;
    size::check_spec(spec).map_err(|over| refuse("spec", None, over.to_string()))?;
    not_in_this_version(spec)?;
    let plan = plan(object, spec)?;
    let program = program::program(spec)?;
    Ok((plan, program))
}

fn refuse(field: impl Into<String>, value: Option<&str>, message: impl Into<String>) -> Failure {
    // The schema bounds these in characters; a long value helps nobody.
    let short = |text: &str| text.chars().take(256).collect();
    Failure { cause: None, field: Some(field.into()), value: value.map(short), message: message.into() }
}

fn not_in_this_version(spec: &CodeExecutionSpec) -> Result<(), Failure> {
    if let Some(workspace) = &spec.workspace_ref {
        let message = "workspaces are not available in this version: remove workspaceRef";
        return Err(refuse("workspaceRef", Some(&workspace.name), message));
    }
    if spec.packages.policy != PackagePolicy::Off {
        let message = "packages cannot be installed in this version: set packages.policy to Off";
        return Err(refuse("packages.policy", None, message));
    }
    Ok(())
}

fn plan(object: &CodeExecution, spec: &CodeExecutionSpec) -> Result<Plan, Failure> {
    let meta = &object.metadata;
    Ok(Plan {
        created: meta.creation_timestamp.as_ref().map_or(DateTime::UNIX_EPOCH, crate::pool::facts::time),
        generation: meta.generation,
        pool: Key::of(meta).sibling(&spec.pool_ref.name),
        scope: spec.scope.as_deref().map(Arc::from),
        isolation_key: spec.isolation_key.clone(),
        timeout: Duration::from_millis(positive(spec.timeout_milliseconds, "timeoutMilliseconds")?),
        start_deadline: match spec.start_deadline_seconds {
            Some(seconds) => Some(Duration::from_secs(not_negative(seconds, "startDeadlineSeconds")?)),
            None => None,
        },
        limits: run_limits(&spec.limits)?,
        collection: spec.outputs.collection.clone(),
        max_downloads: spec.outputs.max_downloads,
        output_ttl_seconds: spec.outputs.ttl_seconds,
    })
}

/// An annotation that is as short as those that we make. Whoever may create objects may write any.
fn annotation(meta: &ObjectMeta, key: &str) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(key)?;
    (value.len() <= ANNOTATION_BYTES).then(|| value.clone())
}

#[cfg(test)]
mod tests;
