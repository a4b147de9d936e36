//! Step 3: what the interpreter is told, as memory that nobody can change or find on a disk.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
};

use protocol::{Interpreter, strings::MAX_STRING_BYTES};
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::request::ValidRequest;

/// The folder that tracebacks show, wherever the workspace really is.
const SHOWN_WORKSPACE: &str = "/workspace";

/// What the runner reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobMessage<'a> {
    interpreter: Interpreter,
    code: &'a str,
    interactive: bool,
    entry_path: String,
    args: &'a [String],
    variables: Option<&'a RawValue>,
    tool_input: Option<&'a RawValue>,
    save_figures: bool,
    workspace: &'a Path,
}

/// The handles a program starts with besides its output.
#[derive(Debug)]
pub(crate) struct Job {
    /// The text for standard input; without one it is `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// The job for the runner, or a script too long for an argument.
    pub message: Option<OwnedFd>,
}

impl Job {
    pub(crate) fn new(request: &ValidRequest, workspace: &Path) -> io::Result<Self> {
        let stdin = match request.stdin.as_str() {
            "" => None,
            text => Some(sealed("stdin", text.as_bytes())?),
        };
        let message = match request.interpreter {
            Interpreter::Python | Interpreter::PythonOrShell => {
                Some(sealed("job", &serde_json::to_vec(&message(request, workspace))?)?)
            }
            Interpreter::Bash if request.code.len() >= MAX_STRING_BYTES => {
                Some(sealed("script", request.code.as_bytes())?)
            }
            Interpreter::Bash => None,
        };
        Ok(Self { stdin, message })
    }

    /// The handles beyond the first three that the program inherits. Only the runner knows results.
    pub(crate) fn into_handles(self, interpreter: Interpreter, results: OwnedFd) -> Vec<OwnedFd> {
        let results = (interpreter != Interpreter::Bash).then_some(results);
        self.message.into_iter().chain(results).collect()
    }
}

fn message<'a>(request: &'a ValidRequest, workspace: &'a Path) -> JobMessage<'a> {
    JobMessage {
        interpreter: request.interpreter,
        code: &request.code,
        interactive: request.interactive,
        entry_path: format!("{SHOWN_WORKSPACE}/{}", request.entry_path.as_str()),
        args: &request.args,
        variables: request.variables.as_deref(),
        tool_input: request.tool_input.as_deref(),
        save_figures: request.save_figures,
        workspace,
    }
}

/// Memory with this content, at its beginning, that cannot be written any more.
fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(memory);
    file.write_all(bytes)?;
    file.rewind()?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn request(change: &str) -> ValidRequest {
        let line =
            format!(r#"{{"code":"print(1)","entryPath":"d/main.py","timeoutMilliseconds":1{change}}}"#);
        ValidRequest::parse(line.as_bytes()).unwrap()
    }

    fn text(handle: OwnedFd) -> String {
        let mut text = String::new();
        File::from(handle).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_runner_gets_absolute_paths_and_values_as_they_were_sent() {
        let request = request(r#","variablesJson":"{\"n\":1.50}","stdin":"in""#);
        let job = Job::new(&request, Path::new("/s/w")).unwrap();
        let message = text(job.message.unwrap());
        assert!(message.contains(r#""entryPath":"/workspace/d/main.py""#), "{message}");
        assert!(message.contains(r#""variables":{"n":1.50},"toolInput":null"#), "{message}");
        assert!(message.contains(r#""workspace":"/s/w""#), "{message}");
        assert_eq!(text(job.stdin.unwrap()), "in");
    }

    #[test]
    fn the_memory_cannot_be_written() {
        let handle = sealed("x", b"abc").unwrap();
        assert!(File::from(handle).write_all(b"d").is_err());
    }

    #[test]
    fn bash_needs_a_message_only_for_a_long_script() {
        let mut request = request(r#","interpreter":"Bash""#);
        assert!(Job::new(&request, Path::new("/w")).unwrap().message.is_none());
        request.code = "#".repeat(MAX_STRING_BYTES);
        assert_eq!(text(Job::new(&request, Path::new("/w")).unwrap().message.unwrap()), request.code);
    }
}
