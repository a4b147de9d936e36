//! The execution that a command line asks for.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use crds::{CodeExecution, CodeExecutionSpec, Interpreter, code_execution::EnvironmentVariable, limits};

use crate::args::RunArgs;

/// Reads the files that `args` name and makes the execution.
pub(super) fn execution(args: &RunArgs) -> anyhow::Result<CodeExecution> {
    let from_stdin = is_stdin(&args.file);
    if from_stdin && args.stdin_file.as_deref().is_some_and(is_stdin) {
        bail!("the program and its stdin cannot both come from -");
    }
    let code = text(&args.file)?;
    let stdin = args.stdin_file.as_deref().map(text).transpose()?.unwrap_or_default();
    let mut execution = CodeExecution::new("", spec(args, &code, stdin)?);
    execution.metadata.name = None;
    execution.metadata.generate_name = Some("run-".to_owned());
    crds::size::check_spec(&execution.spec)
        .context("the program is too large for the command line; send it over HTTP")?;
    Ok(execution)
}

fn spec(args: &RunArgs, code: &str, stdin: String) -> anyhow::Result<CodeExecutionSpec> {
    let milliseconds = i64::try_from(args.timeout.as_millis()).unwrap_or(i64::MAX);
    if milliseconds > limits::MAX_TIMEOUT_MILLISECONDS {
        bail!(
            "--timeout is longer than {} s, the longest a program may run",
            limits::MAX_TIMEOUT_MILLISECONDS / 1000
        );
    }
    let mut spec: CodeExecutionSpec = serde_json::from_value(serde_json::json!({ "code": code }))?;
    spec.interpreter = interpreter(&args.file);
    spec.entry_path = entry_path(&args.file);
    spec.args.clone_from(&args.args);
    spec.stdin = stdin;
    spec.env = args
        .env
        .iter()
        .map(|pair| EnvironmentVariable { name: pair.name.clone(), value: pair.value.clone() })
        .collect();
    spec.timeout_milliseconds = milliseconds;
    spec.save_figures = true;
    Ok(spec)
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn interpreter(file: &Path) -> Interpreter {
    match file.extension().and_then(|e| e.to_str()) {
        Some("sh" | "bash") => Interpreter::Bash,
        _ => Interpreter::Python,
    }
}

/// What tracebacks call the program: its file name, or `main.py` for stdin.
fn entry_path(file: &Path) -> String {
    let name = file.file_name().and_then(|n| n.to_str()).filter(|_| !is_stdin(file));
    name.unwrap_or("main.py").to_owned()
}

fn text(path: &Path) -> anyhow::Result<String> {
    let shown = if is_stdin(path) { PathBuf::from("stdin") } else { path.to_owned() };
    let mut bytes = Vec::new();
    let read = if is_stdin(path) {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|content| bytes = content)
    };
    read.with_context(|| format!("cannot read {}", shown.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", shown.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::EnvPair;

    fn args(file: &Path) -> RunArgs {
        RunArgs {
            file: file.to_owned(),
            args: vec!["a".into()],
            stdin_file: None,
            env: vec![EnvPair { name: "K".into(), value: "V".into() }],
            timeout: Duration::from_secs(2),
            data_dir: PathBuf::new(),
            python: None,
        }
    }

    #[test]
    fn a_file_becomes_an_execution() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("job.sh");
        std::fs::write(&file, "echo hi").unwrap();
        let execution = execution(&args(&file)).unwrap();
        assert_eq!(execution.spec.interpreter, Interpreter::Bash);
        assert_eq!(execution.spec.entry_path, "job.sh");
        assert_eq!(execution.spec.timeout_milliseconds, 2000);
        assert_eq!(execution.spec.args, ["a"]);
        assert_eq!(execution.spec.env.first().unwrap().name, "K");
        assert_eq!(execution.metadata.generate_name.as_deref(), Some("run-"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_the_file_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.py");
        let error = |file: &Path| format!("{:#}", execution(&args(file)).unwrap_err());
        assert!(error(&file).contains("cannot read") && error(&file).contains("x.py"));
        std::fs::write(&file, [0xff]).unwrap();
        assert!(error(&file).contains("not UTF-8"));
        std::fs::write(&file, "a".repeat(600_000)).unwrap();
        assert!(error(&file).contains("send it over HTTP"), "{}", error(&file));
    }

    #[test]
    fn program_and_stdin_cannot_both_be_a_dash() {
        let mut both = args(Path::new("-"));
        both.stdin_file = Some("-".into());
        assert!(execution(&both).unwrap_err().to_string().contains("cannot both"));
    }
}
