//! A table of API interactions, as the files under `tables/` hold it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One file: steps that run one after another in a namespace of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) about: String,
    pub(crate) steps: Vec<Step>,
    /// The file's name without its ending.
    #[serde(skip)]
    pub(crate) name: String,
}

/// One interaction. `$ns` and what earlier steps saved are put into every text of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Unique in its table.
    pub(crate) name: String,
    /// A request: method, path and query. With `watch=` in the query the answer is read as a stream of events.
    pub(crate) send: Option<String>,
    /// Or a kubectl command line without `kubectl`.
    pub(crate) kubectl: Option<String>,
    /// The request's `Content-Type`.
    #[serde(rename = "type", default = "json")]
    pub(crate) media: String,
    /// The request's `Accept`.
    #[serde(default = "json")]
    pub(crate) accept: String,
    /// More headers of the request.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Send the request with this token and not the right one.
    pub(crate) token: Option<String>,
    /// What a person does in `kubectl edit`: a sed script.
    pub(crate) editor: Option<String>,
    /// Compare only the lines of kubectl's output that match.
    pub(crate) lines: Option<String>,
    /// The request's body.
    pub(crate) body: Option<Value>,
    /// The request's body, when it is no JSON or JSON that YAML cannot write; or kubectl's stdin.
    pub(crate) text: Option<String>,
    /// Texts of the body to be made that many characters long, by JSON pointer; negative: of two bytes each.
    #[serde(default)]
    pub(crate) fill: BTreeMap<String, i64>,
    /// Parts of the answer to keep for later steps, by JSON pointer.
    #[serde(default)]
    pub(crate) save: BTreeMap<String, String>,
    /// Compare only these parts of the answer, by JSON pointer.
    pub(crate) only: Option<Vec<String>>,
    /// Do not compare these parts of the answer, by JSON pointer.
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
    /// Compare the answer's code, or kubectl's exit code, and nothing else.
    #[serde(default)]
    pub(crate) only_code: bool,
    /// Ask again, for at most ten seconds, until the answer has this code.
    pub(crate) until: Option<u16>,
    /// The in-process API answers differently on purpose.
    pub(crate) differs: Option<Difference>,
}

/// How the in-process API answers where it does not follow, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    pub(crate) code: u16,
    pub(crate) why: String,
}

fn json() -> String {
    "application/json".to_owned()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

/// Where the answers of a real API server to a table are kept.
pub(crate) fn recording(table: &str) -> PathBuf {
    folder().join("recorded").join(format!("{table}.json"))
}

/// All tables by name, or those that `CARREL_PARITY_TABLES` names.
pub(crate) fn all() -> Vec<Table> {
    let wanted = std::env::var("CARREL_PARITY_TABLES").ok();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("tables")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let tables = files.into_iter().map(|file| {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let table: Table =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Table { name, ..table }
    });
    tables
        .filter(|table| wanted.as_ref().is_none_or(|names| names.split(',').any(|one| one == table.name)))
        .collect()
}
