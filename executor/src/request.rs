//! From the JSON line of a `PUT` to a request that can be run. Pure; each refusal names its field.

use std::collections::BTreeSet;

use protocol::{
    EnvVariable, ExecuteRequest, InputFile, Interpreter, MAX_TIMEOUT_MILLISECONDS, RunLimits, strings,
};
use serde_json::value::RawValue;

use crate::paths::RelativePath;

const MAX_INPUTS: usize = 10_000;
/// Kept output lives in memory until it is acknowledged.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024 * 1024;

/// What is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Invalid {
    pub field: Option<String>,
    pub message: String,
}

type Result<T, E = Invalid> = std::result::Result<T, E>;

/// A request in which every field has been looked at.
#[derive(Debug)]
pub(crate) struct ValidRequest {
    pub interpreter: Interpreter,
    pub code: String,
    pub interactive: bool,
    pub entry_path: RelativePath,
    pub args: Vec<String>,
    pub stdin: String,
    pub env: Vec<EnvVariable>,
    /// As sent: numbers keep all their digits.
    pub variables: Option<Box<RawValue>>,
    pub tool_input: Option<Box<RawValue>>,
    pub inputs: Vec<Input>,
    pub collect_files: bool,
    pub save_figures: bool,
    pub timeout_milliseconds: u64,
    pub limits: RunLimits,
}

/// One file to stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub path: RelativePath,
    pub size_bytes: u64,
    pub sha256: Option<String>,
}

impl ValidRequest {
    pub(crate) fn parse(line: &[u8]) -> Result<Self> {
        let mut reader = serde_json::Deserializer::from_slice(line);
        let request = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            let field = (path != "." && path != "?").then_some(path);
            Invalid { field, message: error.into_inner().to_string() }
        })?;
        reader.end().map_err(|error| Invalid { field: None, message: error.to_string() })?;
        Self::check(request)
    }

    fn check(request: ExecuteRequest) -> Result<Self> {
        let entry_path = RelativePath::parse(&request.entry_path)
            .map_err(|error| invalid("entryPath", error.to_string()))?;
        // bash gets its program as an argument, which ends at a NUL; Python reads it and refuses it itself.
        if request.interpreter == Interpreter::Bash {
            without_nul("code", &request.code)?;
        }
        check_strings(&request.args, &request.env)?;
        check_env(&request.env)?;
        if !(1..=MAX_TIMEOUT_MILLISECONDS).contains(&request.timeout_milliseconds) {
            return Err(invalid("timeoutMilliseconds", format!("must be 1 to {MAX_TIMEOUT_MILLISECONDS}")));
        }
        if request.limits.output_bytes > MAX_OUTPUT_BYTES {
            return Err(invalid("limits.outputBytes", format!("must be at most {MAX_OUTPUT_BYTES}")));
        }
        let variables = request.variables_json.map(|text| object("variablesJson", text)).transpose()?;
        let tool_input = request.tool_input_json.map(|text| json("toolInputJson", text)).transpose()?;
        Ok(Self {
            interpreter: request.interpreter,
            code: request.code,
            interactive: request.interactive,
            entry_path,
            args: request.args,
            stdin: request.stdin,
            env: request.env,
            variables,
            tool_input,
            inputs: check_inputs(request.inputs)?,
            collect_files: request.collect_files,
            save_figures: request.save_figures,
            timeout_milliseconds: request.timeout_milliseconds,
            limits: request.limits,
        })
    }
}

fn invalid(field: impl Into<String>, message: impl Into<String>) -> Invalid {
    Invalid { field: Some(field.into()), message: message.into() }
}

fn without_nul(field: &str, text: &str) -> Result<()> {
    if text.contains('\0') { Err(invalid(field, "must not contain NUL")) } else { Ok(()) }
}

/// What goes to `execve` has to fit there, or the start would fail with an error nobody understands.
fn check_strings(args: &[String], env: &[EnvVariable]) -> Result<()> {
    for (at, arg) in args.iter().enumerate() {
        without_nul(&format!("args[{at}]"), arg)?;
    }
    strings::check(args, env).map_err(|error| invalid(error.field(), error.to_string()))
}

fn check_env(env: &[EnvVariable]) -> Result<()> {
    let mut names = BTreeSet::new();
    for (at, EnvVariable { name, value }) in env.iter().enumerate() {
        let field = format!("env[{at}].name");
        if name.is_empty() {
            return Err(invalid(field, "must not be empty"));
        }
        without_nul(&field, name)?;
        if name.contains('=') {
            return Err(invalid(field, "must not contain '='"));
        }
        if !names.insert(name) {
            return Err(invalid(field, "occurs twice"));
        }
        without_nul(&format!("env[{at}].value"), value)?;
    }
    Ok(())
}

fn check_inputs(inputs: Vec<InputFile>) -> Result<Vec<Input>> {
    if inputs.len() > MAX_INPUTS {
        return Err(invalid("inputs", format!("must be at most {MAX_INPUTS}")));
    }
    let mut checked = Vec::with_capacity(inputs.len());
    let mut files = BTreeSet::new();
    for (at, InputFile { path, size_bytes, sha256 }) in inputs.into_iter().enumerate() {
        let path = RelativePath::parse(&path)
            .map_err(|error| invalid(format!("inputs[{at}].path"), error.to_string()))?;
        if sha256.as_deref().is_some_and(|hash| !is_sha256(hash)) {
            return Err(invalid(format!("inputs[{at}].sha256"), "must be 64 lower-case hexadecimal digits"));
        }
        if !files.insert(path.as_str().to_owned()) {
            return Err(invalid(format!("inputs[{at}].path"), "conflicts with another input"));
        }
        checked.push(Input { path, size_bytes, sha256 });
    }
    // A file cannot be the folder of another one.
    for (at, input) in checked.iter().enumerate() {
        if input.path.ancestors().any(|folder| files.contains(folder)) {
            return Err(invalid(format!("inputs[{at}].path"), "conflicts with another input"));
        }
    }
    Ok(checked)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn json(field: &str, text: String) -> Result<Box<RawValue>> {
    RawValue::from_string(text).map_err(|error| invalid(field, error.to_string()))
}

fn object(field: &str, text: String) -> Result<Box<RawValue>> {
    let value = json(field, text)?;
    if value.get().starts_with('{') { Ok(value) } else { Err(invalid(field, "must be a JSON object")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(change: impl FnOnce(&mut Value)) -> Result<ValidRequest> {
        let mut value = json!({"code": "1", "entryPath": "main.py", "timeoutMilliseconds": 1000});
        change(&mut value);
        ValidRequest::parse(value.to_string().as_bytes())
    }

    fn refused_field(change: impl FnOnce(&mut Value)) -> String {
        parse(change).unwrap_err().field.unwrap()
    }

    #[test]
    fn a_small_request_is_accepted() {
        let request = parse(|_| ()).unwrap();
        assert_eq!((request.code.as_str(), request.limits.output_bytes), ("1", 1_000_000));
    }

    #[test]
    fn malformed_json_and_wrong_types_name_the_place() {
        assert!(ValidRequest::parse(b"{").is_err());
        assert!(ValidRequest::parse(b"\xff").is_err());
        assert!(ValidRequest::parse(b"[]").is_err());
        assert!(ValidRequest::parse(br#"{"code":"1","entryPath":"m","timeoutMilliseconds":1} x"#).is_err());
        assert_eq!(refused_field(|r| r["timeoutMilliseconds"] = json!("1")), "timeoutMilliseconds");
        assert_eq!(refused_field(|r| r["limits"] = json!({"outputBytes": -1})), "limits.outputBytes");
        assert_eq!(refused_field(|r| r["env"] = json!([{"name": "A", "value": 1}])), "env[0].value");
        assert_eq!(refused_field(|r| r["surprise"] = json!(1)), "surprise");
        assert!(parse(|r| r["code"] = Value::Null).is_err());
    }

    #[test]
    fn nul_is_refused_wherever_the_kernel_would_cut_at_it() {
        let code = |interpreter: &'static str| {
            parse(move |r| {
                r["interpreter"] = json!(interpreter);
                r["code"] = json!("a\0");
            })
        };
        assert_eq!(code("Bash").unwrap_err().field.as_deref(), Some("code"));
        assert!(code("Python").is_ok() && code("PythonOrShell").is_ok());
        assert_eq!(refused_field(|r| r["args"] = json!(["a", "\0"])), "args[1]");
        assert_eq!(refused_field(|r| r["env"] = json!([{"name": "a\0", "value": ""}])), "env[0].name");
        assert_eq!(refused_field(|r| r["env"] = json!([{"name": "a", "value": "\0"}])), "env[0].value");
        assert_eq!(refused_field(|r| r["entryPath"] = json!("a\0")), "entryPath");
        let input = |path: &str| json!([{"path": path, "sizeBytes": 0}]);
        assert_eq!(refused_field(|r| r["inputs"] = input("a\0")), "inputs[0].path");
        assert!(parse(|r| r["stdin"] = json!("a\0")).is_ok());
    }

    #[test]
    fn environment_names_must_be_usable_and_single() {
        let env = |name: &str| json!([{"name": "A", "value": ""}, {"name": name, "value": ""}]);
        assert_eq!(refused_field(|r| r["env"] = env("")), "env[1].name");
        assert_eq!(refused_field(|r| r["env"] = env("a=b")), "env[1].name");
        assert_eq!(refused_field(|r| r["env"] = env("A")), "env[1].name");
        assert!(parse(|r| r["env"] = env("a")).is_ok());
    }

    #[test]
    fn what_the_kernel_would_not_take_is_refused_here() {
        let long = "x".repeat(strings::MAX_STRING_BYTES);
        assert_eq!(refused_field(|r| r["args"] = json!([long])), "args[0]");
        assert_eq!(refused_field(|r| r["env"] = json!([{"name": "A", "value": long}])), "env[0].value");
        let many = vec!["x".repeat(100_000); 11];
        assert_eq!(refused_field(|r| r["args"] = json!(many)), "args[10]");
    }

    #[test]
    fn conflicting_inputs_are_refused_at_the_one_that_cannot_be() {
        let inputs = |paths: [&str; 2]| json!(paths.map(|path| json!({"path": path, "sizeBytes": 0})));
        assert_eq!(refused_field(|r| r["inputs"] = inputs(["a", "a"])), "inputs[1].path");
        assert_eq!(refused_field(|r| r["inputs"] = inputs(["a/b", "a"])), "inputs[0].path");
        assert_eq!(refused_field(|r| r["inputs"] = inputs(["a", "a/b/c"])), "inputs[1].path");
        assert_eq!(refused_field(|r| r["inputs"] = inputs(["a", "../b"])), "inputs[1].path");
        assert!(parse(|r| r["inputs"] = inputs(["a/b", "a/c"])).is_ok());
    }

    #[test]
    fn hashes_must_look_like_one() {
        let input = |hash: &str| json!([{"path": "a", "sizeBytes": 0, "sha256": hash}]);
        assert_eq!(refused_field(|r| r["inputs"] = input("AB")), "inputs[0].sha256");
        assert_eq!(refused_field(|r| r["inputs"] = input(&"A".repeat(64))), "inputs[0].sha256");
        assert!(parse(|r| r["inputs"] = input(&"a".repeat(64))).is_ok());
    }

    #[test]
    fn numbers_in_variables_keep_all_their_digits() {
        let text = r#"{"n": 123456789012345678901234567890, "x": 0.1000000000000000055511151231257827}"#;
        let request = parse(|r| r["variablesJson"] = json!(text)).unwrap();
        assert_eq!(request.variables.unwrap().get(), text);
        assert_eq!(refused_field(|r| r["variablesJson"] = json!("[1]")), "variablesJson");
        assert_eq!(refused_field(|r| r["variablesJson"] = json!("{")), "variablesJson");
        assert_eq!(refused_field(|r| r["toolInputJson"] = json!("")), "toolInputJson");
        assert!(parse(|r| r["toolInputJson"] = json!("[1]")).is_ok());
    }

    #[test]
    fn the_deadline_and_the_kept_output_have_bounds() {
        assert_eq!(refused_field(|r| r["timeoutMilliseconds"] = json!(0)), "timeoutMilliseconds");
        assert_eq!(refused_field(|r| r["timeoutMilliseconds"] = json!(u64::MAX)), "timeoutMilliseconds");
        assert_eq!(refused_field(|r| r["limits"] = json!({"outputBytes": u64::MAX})), "limits.outputBytes");
    }
}
