//! The programs of `tests/examples`, as a `CodeExecution` spec and as HTTP bodies, and the check of what came out.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// One program with what is expected of it; `tests/examples/README.md` describes the format.
#[derive(Debug, Clone)]
pub struct Example {
    /// The folder's name.
    pub name: String,
    /// The program.
    pub source: String,
    case: Case,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "description")]
    _description: String,
    dialects: Vec<String>,
    #[serde(default = "main_py")]
    program: String,
    generate: Option<Generate>,
    #[serde(default)]
    spec: Map<String, Value>,
    expect: Expect,
}

/// A program that is too long to be kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    before: String,
    line: String,
    count: usize,
    after: String,
}

/// What is expected. A key that nobody checks is refused when the file is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expect {
    reason: String,
    exit_code: Option<i64>,
    signal: Option<i64>,
    stdout: Option<String>,
    stdout_sha256: Option<String>,
    stdout_size_bytes: Option<usize>,
    stdout_cut: Option<Cut>,
    stderr: Option<String>,
    stderr_contains: Option<String>,
    stderr_regex: Option<String>,
    files: Vec<String>,
    #[serde(default)]
    files_sha256: Map<String, Value>,
    #[serde(default)]
    results: Vec<Value>,
}

/// An output that is longer than the limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Cut {
    size_bytes: i64,
    starts_with: String,
}

/// What came out, the same whichever way the program went in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The whole kept text.
    pub stdout: String,
    /// The whole kept text.
    pub stderr: String,
    /// Paths and content hashes; an empty hash where the dialect has none.
    pub files: Vec<(String, String)>,
}

fn main_py() -> String {
    "main.py".to_owned()
}

/// All examples, by name.
#[must_use]
pub fn all() -> Vec<Example> {
    let folder = crate::repository().join("tests/examples");
    let entries =
        fs::read_dir(&folder).expect("tests/examples can be read").map(|e| e.expect("an entry").path());
    let mut examples: Vec<Example> = entries.filter(|path| path.is_dir()).map(|path| load(&path)).collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

fn load(folder: &Path) -> Example {
    let name = folder.file_name().and_then(|n| n.to_str()).expect("a folder has a name").to_owned();
    let text = fs::read_to_string(folder.join("case.json")).expect("a case.json in each folder");
    let case: Case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}/case.json: {error}"));
    let source = match &case.generate {
        Some(generate) => generate.source(),
        None => fs::read_to_string(folder.join(&case.program)).expect("a program"),
    };
    Example { name, source, case }
}

impl Generate {
    fn source(&self) -> String {
        let lines = (0..self.count).map(|i| self.line.replace("{i}", &i.to_string()));
        [self.before.clone()].into_iter().chain(lines).chain([self.after.clone()]).collect()
    }
}

impl Example {
    /// Whether it can be said in that dialect.
    #[must_use]
    pub fn speaks(&self, dialect: &str) -> bool {
        self.case.dialects.iter().any(|d| d == dialect)
    }

    /// As the spec of a `CodeExecution`.
    #[must_use]
    pub fn spec(&self) -> Value {
        let mut spec = self.case.spec.clone();
        spec.insert("code".into(), self.source.clone().into());
        spec.into()
    }

    /// As a body in the bee dialect.
    #[must_use]
    pub fn bee(&self) -> Value {
        let mut body = json!({ "source_code": self.source });
        if let Some(env) = self.case.spec.get("env").and_then(Value::as_array) {
            let pairs =
                env.iter().map(|v| (v["name"].as_str().expect("a name").to_owned(), v["value"].clone()));
            body["env"] = pairs.collect::<Map<_, _>>().into();
        }
        if let Some(milliseconds) = self.timeout() {
            #[expect(clippy::cast_precision_loss, reason = "a timeout of an example is small")]
            let seconds = milliseconds as f64 / 1000.0;
            body["timeout"] = seconds.into();
        }
        body
    }

    /// As a body in the onyx dialect.
    #[must_use]
    pub fn onyx(&self) -> Value {
        let interactive = self.case.spec.get("interactive").cloned().unwrap_or_else(|| false.into());
        json!({
            "code": self.source,
            "stdin": self.case.spec.get("stdin").cloned().unwrap_or(Value::Null),
            "timeout_ms": self.timeout().unwrap_or(60_000),
            "last_line_interactive": interactive,
        })
    }

    fn timeout(&self) -> Option<i64> {
        self.case.spec.get("timeoutMilliseconds").and_then(Value::as_i64)
    }

    /// Checks a finished object's status; `stdout` and `stderr` are the whole texts, wherever they are kept.
    pub fn check_status(&self, status: &Value, outcome: &Outcome) {
        let expect = &self.case.expect;
        assert_eq!(status["reason"], expect.reason.as_str(), "{}: {status:#}", self.name);
        let code = expect.exit_code.map_or(Value::Null, Value::from);
        assert_eq!(status["exitCode"], code, "{}: {status:#}", self.name);
        assert_eq!(status["signal"], expect.signal.map_or(Value::Null, Value::from), "{}", self.name);
        let results: Vec<Value> = status["results"].as_array().cloned().unwrap_or_default();
        assert_eq!(results, expect.results, "{}", self.name);
        if let Some(cut) = &expect.stdout_cut {
            assert_eq!(status["stdout"]["sizeBytes"], cut.size_bytes, "{}", self.name);
            assert_eq!(status["stdout"]["truncated"], true, "{}", self.name);
        }
        self.check_outcome(outcome, "");
    }

    /// Checks an answer in the bee dialect.
    pub fn check_bee(&self, answer: &Value) {
        let expect = &self.case.expect;
        let ended = expect.exit_code.filter(|_| expect.reason != "TimedOut").unwrap_or(-1);
        assert_eq!(answer["exit_code"], ended, "{}: {answer:#}", self.name);
        let files = answer["files"].as_object().expect("files are a map").iter();
        let files = files.map(|(path, hash)| {
            let path = path.strip_prefix("/workspace/").expect("absolute paths").to_owned();
            (path, hash.as_str().expect("a hash").to_owned())
        });
        self.check_outcome(&outcome(answer, files.collect()), "Execution timed out");
    }

    /// Checks an answer in the onyx dialect.
    pub fn check_onyx(&self, answer: &Value) {
        let expect = &self.case.expect;
        let timed_out = expect.reason == "TimedOut";
        assert_eq!(answer["timed_out"], timed_out, "{}: {answer:#}", self.name);
        let ended = expect.signal.map(|s| 128 + s).or(expect.exit_code).filter(|_| !timed_out);
        assert_eq!(answer["exit_code"], ended.map_or(Value::Null, Value::from), "{}: {answer:#}", self.name);
        let files = answer["files"].as_array().expect("files are a list").iter();
        let files = files.map(|f| (f["path"].as_str().expect("a path").to_owned(), String::new()));
        self.check_outcome(&outcome(answer, files.collect()), "");
    }

    fn check_outcome(&self, outcome: &Outcome, after_deadline: &str) {
        let expect = &self.case.expect;
        let paths: Vec<&str> = outcome.files.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, expect.files, "{}: {}", self.name, outcome.stderr);
        for (path, hash) in outcome.files.iter().filter(|(_, hash)| !hash.is_empty()) {
            if let Some(expected) = expect.files_sha256.get(path) {
                assert_eq!(expected, hash, "{}: {path}", self.name);
            }
        }
        self.check_stdout(&outcome.stdout);
        let timed_out = expect.reason == "TimedOut";
        let stderr =
            outcome.stderr.strip_suffix(after_deadline).filter(|_| timed_out).unwrap_or(&outcome.stderr);
        self.check_stderr(stderr);
    }

    fn check_stdout(&self, stdout: &str) {
        let expect = &self.case.expect;
        if let Some(expected) = &expect.stdout {
            assert_eq!(stdout, expected, "{}", self.name);
        }
        if let Some(expected) = &expect.stdout_sha256 {
            assert_eq!(&sha256(stdout), expected, "{}", self.name);
        }
        if let Some(expected) = expect.stdout_size_bytes {
            assert_eq!(stdout.len(), expected, "{}", self.name);
        }
        if let Some(cut) = &expect.stdout_cut {
            assert!(stdout.starts_with(&cut.starts_with), "{}", self.name);
            assert!(stdout.ends_with("\n...[truncated]"), "{}", self.name);
            assert!(stdout.len() <= 1_000_000, "{}: {} bytes", self.name, stdout.len());
        }
    }

    fn check_stderr(&self, stderr: &str) {
        let expect = &self.case.expect;
        if let Some(expected) = &expect.stderr {
            assert_eq!(stderr, expected, "{}", self.name);
        }
        if let Some(expected) = &expect.stderr_contains {
            assert!(stderr.contains(expected), "{}: {stderr}", self.name);
        }
        if let Some(expected) = &expect.stderr_regex {
            let regex = regex::Regex::new(expected).expect("a valid pattern");
            assert!(regex.is_match(stderr), "{}: {stderr}", self.name);
        }
    }
}

fn outcome(answer: &Value, files: Vec<(String, String)>) -> Outcome {
    let text = |key: &str| answer[key].as_str().expect("text").to_owned();
    Outcome { stdout: text("stdout"), stderr: text("stderr"), files }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
