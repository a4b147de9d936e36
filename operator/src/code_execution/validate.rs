//! A spec as it is → what can be run: pure. What it refuses ends the execution as `Invalid`, with the field's name.
//!
//! The result has two halves: the small one is kept as long as the object, the texts only until they are sent.

mod bounds;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use crds::{
    CodeExecution, CodeExecutionSpec, Interpreter,
    code_execution::{EnvironmentVariable, Failure, FileSource, InputFile, PackagePolicy},
    size,
};
use protocol::{EnvVariable, RunLimits};
use serde_json::Value;

use self::bounds::{not_negative, positive, run_limits};
use crate::{key::Key, pool::reserve::Scope};

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
    pub(crate) request_id: Option<String>,
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
    pub(crate) variables_json: Option<String>,
    pub(crate) tool_input_json: Option<String>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) collect_files: bool,
    pub(crate) save_figures: bool,
}

impl Program {
    /// Whether it needs anything from the store.
    pub(crate) fn names_files(&self) -> bool {
        let texts = [&self.code, &self.stdin];
        texts.iter().any(|text| matches!(text, Text::File(_)))
            || self.inputs.iter().any(|input| !matches!(input.source, Source::Inline(_)))
    }
}

/// Checks an execution.
pub(crate) fn validate(object: &CodeExecution) -> Result<(Plan, Program), Failure> {
    let spec = &object.spec;
    size::check_spec(spec).map_err(|over| refuse("spec", None, over.to_string()))?;
    not_in_this_version(spec)?;
    let plan = plan(object, spec)?;
    let program = program(spec)?;
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
    let annotations = meta.annotations.as_ref();
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
        request_id: annotations.and_then(|a| a.get(crds::labels::REQUEST_ID)).cloned(),
    })
}

fn program(spec: &CodeExecutionSpec) -> Result<Program, Failure> {
    let interpreter = match spec.interpreter {
        Interpreter::Python => protocol::Interpreter::Python,
        Interpreter::PythonOrShell => protocol::Interpreter::PythonOrShell,
        Interpreter::Bash => protocol::Interpreter::Bash,
    };
    path("entryPath", &spec.entry_path)?;
    no_nul("stdin", &spec.stdin)?;
    for (at, argument) in spec.args.iter().enumerate() {
        no_nul(&format!("args[{at}]"), argument)?;
    }
    Ok(Program {
        interpreter,
        code: code(spec)?,
        stdin: match &spec.stdin_from {
            Some(_) if !spec.stdin.is_empty() => {
                return Err(refuse("stdinFrom", None, "at most one of stdin, stdinFrom may be set"));
            }
            Some(from) => Text::File(from.file_ref.name.clone()),
            None => Text::Inline(spec.stdin.clone()),
        },
        interactive: spec.interactive,
        entry_path: spec.entry_path.clone(),
        args: spec.args.clone(),
        env: environment(&spec.env)?,
        variables_json: variables(spec.variables_json.as_deref())?,
        tool_input_json: tool(spec)?,
        inputs: inputs(&spec.files)?,
        collect_files: spec.collect_files,
        save_figures: spec.save_figures,
    })
}

fn code(spec: &CodeExecutionSpec) -> Result<Text, Failure> {
    match (&spec.code, &spec.code_from) {
        (Some(code), None) => {
            // CPython itself says what is wrong with a NUL in its source; a command line cannot carry one.
            if spec.interpreter == Interpreter::Bash {
                no_nul("code", code)?;
            }
            Ok(Text::Inline(code.clone()))
        }
        (None, Some(from)) => Ok(Text::File(from.file_ref.name.clone())),
        _ => Err(refuse("code", None, "exactly one of code, codeFrom must be set")),
    }
}

fn environment(env: &[EnvironmentVariable]) -> Result<Vec<EnvVariable>, Failure> {
    let check = |(at, variable): (usize, &EnvironmentVariable)| {
        let EnvironmentVariable { name, value } = variable;
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = "a variable's name must not be empty and must not contain = or NUL";
            return Err(refuse(format!("env[{at}].name"), None, message));
        }
        no_nul(&format!("env[{at}].value"), value)?;
        Ok(EnvVariable { name: name.clone(), value: value.clone() })
    };
    env.iter().enumerate().map(check).collect()
}

fn variables(text: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let wrong = |message: String| refuse("variablesJSON", None, message);
    let value: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("variablesJSON is not JSON: {error}")))?;
    let Some(members) = value.as_object() else {
        return Err(wrong("variablesJSON must be a JSON object".to_owned()));
    };
    match members.keys().find(|name| !is_identifier(name)) {
        Some(name) => {
            Err(refuse("variablesJSON", Some(name), "a variable's name must be a Python identifier"))
        }
        None => Ok(Some(text.to_owned())),
    }
}

/// What Python binds as a name; its keywords fail there with a clear error of their own.
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && characters.all(|c| c == '_' || c.is_alphanumeric())
}

fn tool(spec: &CodeExecutionSpec) -> Result<Option<String>, Failure> {
    let Some(tool) = &spec.tool else { return Ok(None) };
    if spec.interpreter == Interpreter::Bash {
        return Err(refuse("tool", None, "a tool is a Python function: interpreter must not be Bash"));
    }
    let wrong = |message: String| refuse("tool.inputJSON", None, message);
    // The schema admits exactly one of the two; the text of `inputFrom` is checked in the sandbox.
    let Some(input) = &tool.input_json else {
        return Err(refuse("tool.inputFrom", None, "tool.inputFrom is not read yet"));
    };
    let value: Value =
        serde_json::from_str(input).map_err(|error| wrong(format!("tool.inputJSON is not JSON: {error}")))?;
    if value.is_object() || value.is_array() {
        Ok(Some(input.clone()))
    } else {
        Err(wrong("tool.inputJSON must be a JSON object or array".to_owned()))
    }
}

fn inputs(files: &[InputFile]) -> Result<Vec<Input>, Failure> {
    let check = |(at, file): (usize, &InputFile)| {
        path(&format!("files[{at}].path"), &file.path)?;
        let FileSource { file_ref, sha256, inline } = &file.source;
        let source = match (file_ref, sha256, inline) {
            (Some(file), None, None) => Source::File(file.name.clone()),
            (None, Some(digest), None) => Source::Digest(digest.clone()),
            (None, None, Some(text)) => Source::Inline(text.clone()),
            _ => {
                let message = "exactly one of fileRef, sha256, inline must be set";
                return Err(refuse(format!("files[{at}].source"), None, message));
            }
        };
        Ok(Input { path: file.path.clone(), source })
    };
    files.iter().enumerate().map(check).collect()
}

fn path(field: &str, path: &str) -> Result<(), Failure> {
    no_nul(field, path)?;
    let problem = if path.is_empty() || path.starts_with('/') || path.ends_with('/') {
        "a path must name a file below the workspace, without a leading or trailing slash"
    } else if path.split('/').any(|part| part == "..") {
        "a path must not contain '..'"
    } else if path.split('/').any(|part| part.is_empty() || part == ".") {
        "a path must not contain empty or '.' components"
    } else {
        return Ok(());
    };
    Err(refuse(field, Some(path), problem))
}

fn no_nul(field: &str, text: &str) -> Result<(), Failure> {
    if text.contains('\0') {
        Err(refuse(field, None, format!("{field} must not contain NUL")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(spec: &Value) -> Result<(Plan, Program), Failure> {
        let mut object = json!({
            "apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution",
            "metadata": { "namespace": "ns", "name": "a", "uid": "u" },
            "spec": spec,
        });
        if object["spec"].get("code").is_none() && object["spec"].get("codeFrom").is_none() {
            object["spec"]["code"] = json!("1");
        }
        validate(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn each_refusal_names_its_field() {
        for (spec, field) in [
            (json!({ "workspaceRef": { "name": "w" } }), "workspaceRef"),
            (json!({ "packages": { "policy": "Any" } }), "packages.policy"),
            (json!({ "code": "é".repeat(300_000) }), "spec"),
            (json!({ "code": "a\0", "interpreter": "Bash" }), "code"),
            (json!({ "codeFrom": { "fileRef": { "name": "f" } }, "code": "1" }), "code"),
            (json!({ "args": ["a", "b\0"] }), "args[1]"),
            (json!({ "stdin": "\0" }), "stdin"),
            (json!({ "stdin": "a", "stdinFrom": { "fileRef": { "name": "f" } } }), "stdinFrom"),
            (json!({ "env": [{ "name": "A", "value": "\0" }] }), "env[0].value"),
            (json!({ "env": [{ "name": "A=B" }] }), "env[0].name"),
            (json!({ "entryPath": "../main.py" }), "entryPath"),
            (json!({ "entryPath": "/main.py" }), "entryPath"),
            (json!({ "variablesJSON": "[1]" }), "variablesJSON"),
            (json!({ "variablesJSON": "{" }), "variablesJSON"),
            (json!({ "variablesJSON": "{\"a b\": 1}" }), "variablesJSON"),
            (json!({ "variablesJSON": "{\"1a\": 1}" }), "variablesJSON"),
            (json!({ "tool": { "inputJSON": "1" } }), "tool.inputJSON"),
            (json!({ "tool": { "inputJSON": "{}" }, "interpreter": "Bash" }), "tool"),
            (json!({ "files": [{ "path": "a/../b", "source": { "inline": "" } }] }), "files[0].path"),
            (json!({ "files": [{ "path": "a//b", "source": { "inline": "" } }] }), "files[0].path"),
            (json!({ "files": [{ "path": "a", "source": {} }] }), "files[0].source"),
            (json!({ "limits": { "memory": "lots" } }), "limits.memory"),
            (json!({ "limits": { "memory": "0" } }), "limits.memory"),
            (json!({ "limits": { "outputBytes": -1 } }), "limits.outputBytes"),
            (json!({ "timeoutMilliseconds": 0 }), "timeoutMilliseconds"),
        ] {
            let failure = check(&spec).expect_err(&spec.to_string().chars().take(80).collect::<String>());
            assert_eq!(failure.field.as_deref(), Some(field));
            assert!(!failure.message.is_empty());
        }
    }

    #[test]
    fn what_can_be_run_is_accepted() {
        for spec in [
            json!({ "code": "a\0b" }),
            json!({ "code": "" }),
            json!({ "entryPath": "a/b/main.py" }),
            json!({ "files": [{ "path": "..dots", "source": { "inline": "" } }] }),
            json!({ "files": [{ "path": "%2e%2e/x", "source": { "inline": "" } }] }),
            json!({ "variablesJSON": "{\"_a1\": 1, \"größe\": 2}" }),
            json!({ "tool": { "inputJSON": "[1]" } }),
            json!({ "limits": { "memory": "512Mi" } }),
        ] {
            assert!(check(&spec).is_ok(), "{spec}");
        }
    }

    #[test]
    fn the_limits_arrive_in_the_executors_units() {
        let limits = json!({ "memory": "1Ki", "cpuMilliseconds": 5, "processes": 6, "outputBytes": 7 });
        let (plan, _) = check(&json!({ "limits": limits })).unwrap();
        assert_eq!(plan.limits.memory_bytes, Some(1024));
        assert_eq!((plan.limits.cpu_milliseconds, plan.limits.processes), (Some(5), Some(6)));
        assert_eq!((plan.limits.output_bytes, plan.limits.files), (7, 1000));
    }
}
