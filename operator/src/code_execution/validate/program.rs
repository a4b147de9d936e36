//! The texts of a spec → what can be sent to an executor: pure.

use crds::{
    CodeExecutionSpec, Interpreter,
    code_execution::{EnvironmentVariable, Failure, FileSource, InputFile},
};
use protocol::{EnvVariable, strings};
use serde_json::Value;

use super::{Input, Program, Source, Text, refuse};

/// Checks the large half of a spec.
pub(super) fn program(spec: &CodeExecutionSpec) -> Result<Program, Failure> {
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
    let env = environment(&spec.env)?;
    strings::check(&spec.args, &env).map_err(|error| refuse(error.field(), None, error.to_string()))?;
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
        env,
        variables: bound(spec)?,
        tool_input: tool(spec)?,
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

fn bound(spec: &CodeExecutionSpec) -> Result<Option<Text>, Failure> {
    match (&spec.variables_json, &spec.variables_from) {
        (Some(_), Some(_)) => {
            let message = "at most one of variablesJSON, variablesFrom may be set";
            Err(refuse("variablesFrom", None, message))
        }
        (Some(text), None) => {
            variables("variablesJSON", text)?;
            Ok(Some(Text::Inline(text.clone())))
        }
        (None, Some(from)) => Ok(Some(Text::File(from.file_ref.name.clone()))),
        (None, None) => Ok(None),
    }
}

/// Checks the text of `variablesJSON`, or of the file that `field` names.
pub(crate) fn variables(field: &str, text: &str) -> Result<(), Failure> {
    let wrong = |message: String| refuse(field, None, message);
    let value: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("{field} is not JSON: {error}")))?;
    let Some(members) = value.as_object() else {
        return Err(wrong(format!("{field} must be a JSON object")));
    };
    match members.keys().find(|name| !is_identifier(name)) {
        Some(name) => Err(refuse(field, Some(name), "a variable's name must be a Python identifier")),
        None => Ok(()),
    }
}

/// What Python binds as a name; its keywords fail there with a clear error of their own.
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && characters.all(|c| c == '_' || c.is_alphanumeric())
}

fn tool(spec: &CodeExecutionSpec) -> Result<Option<Text>, Failure> {
    let Some(tool) = &spec.tool else { return Ok(None) };
    if spec.interpreter == Interpreter::Bash {
        return Err(refuse("tool", None, "a tool is a Python function: interpreter must not be Bash"));
    }
    match (&tool.input_json, &tool.input_from) {
        (Some(text), None) => {
            tool_input("tool.inputJSON", text)?;
            Ok(Some(Text::Inline(text.clone())))
        }
        (None, Some(from)) => Ok(Some(Text::File(from.file_ref.name.clone()))),
        _ => Err(refuse("tool", None, "exactly one of inputJSON, inputFrom must be set")),
    }
}

/// Checks the text of `tool.inputJSON`, or of the file that `field` names.
pub(crate) fn tool_input(field: &str, text: &str) -> Result<(), Failure> {
    let wrong = |message: String| refuse(field, None, message);
    let value: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("{field} is not JSON: {error}")))?;
    if value.is_object() || value.is_array() {
        Ok(())
    } else {
        Err(wrong(format!("{field} must be a JSON object or array")))
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
