//! The borders between the crates and the rules of the house, as far as a program can check them. It reads
//! the manifests and the sources; it does not know what the code does.

#![expect(clippy::unwrap_used, reason = "the helpers fail the test when the workspace cannot be read")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Package};

/// Who may know whom. A crate that is missing here fails the test as well.
const ARROWS: [(&str, &[&str]); 9] = [
    ("crds", &[]),
    ("blobs", &[]),
    ("protocol", &[]),
    ("telemetry", &[]),
    ("executor", &["protocol"]),
    ("operator", &["crds", "blobs", "protocol", "telemetry"]),
    ("api-shim", &["crds", "blobs", "telemetry"]),
    ("standalone", &["crds", "blobs", "protocol", "telemetry", "executor", "operator", "api-shim"]),
    ("e2e", &["crds", "protocol"]),
];

/// What must not be anywhere in a crate's tree of normal dependencies. A `*` stands for any ending.
const FORBIDDEN: [(&str, &[&str]); 5] = [
    // The kinds and the wire are data: no runtime, no network.
    (
        "crds",
        &["tokio*", "mio", "hyper*", "reqwest", "kube-client", "kube-runtime", "object_store", "rustls*"],
    ),
    ("protocol", &["tokio*", "mio", "hyper*", "reqwest", "kube*", "k8s-openapi", "object_store", "rustls*"]),
    // It runs beside untrusted code: no cluster, no storage, no TLS client, so no credential to hold.
    ("executor", &["kube*", "k8s-openapi", "object_store", "rustls*", "reqwest", "native-tls", "openssl*"]),
    ("blobs", &["kube*", "k8s-openapi", "axum*"]),
    ("telemetry", &["kube*", "k8s-openapi", "object_store", "reqwest"]),
];

/// Files that decide. They get what they need as arguments, the time included.
const PURE_FILES: [&str; 6] =
    ["decide.rs", "validate.rs", "status.rs", "pod.rs", "convert.rs", "deadline.rs"];

/// What a file that decides must not import or call.
const IMPURE: [&str; 14] = [
    "kube::Client",
    "kube::Api",
    "kube::client",
    "kube::api::Api",
    "tokio::",
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process::Command",
    "Utc::now",
    "Timestamp::now",
    "Instant::now",
    "SystemTime::now",
];

/// Lines of a file, its tests not counted.
const MAX_LINES: usize = 400;

/// The only place for it, relative to the workspace.
const UNSAFE_HOME: &str = "executor/src/run/";

fn metadata() -> Metadata {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let options = ["--offline", "--filter-platform", &platform].map(str::to_owned).to_vec();
    MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(options)
        .exec()
        .unwrap()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Names of everything `package` is built from. Not from the metadata: there the features of all crates of
/// the workspace are joined, and every tree seems to hold what only one needs.
fn normal_tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            package,
        ])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Every Rust source of ours: its path relative to the workspace, and its text.
fn sources() -> BTreeMap<String, String> {
    fn visit(folder: &Path, root: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                visit(&path, root, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(relative, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let (root, mut found) = (workspace(), BTreeMap::new());
    visit(&root, &root, &mut found);
    assert!(found.contains_key("tests/tests/architecture.rs"));
    found
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/benches/")
}

/// The text without its inline test modules.
fn without_tests(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_module = |next: &&str| next.contains("mod ") && next.ends_with('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(opens_module) {
            lines.by_ref().find(|line| *line == "}");
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// The text without comments: whole lines only, which is all that `rustfmt` leaves in our files.
fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths that the `use` statements of a source name, each written out: `a::{b, c::d}` is `a::b`, `a::c::d`.
fn imports(source: &str) -> Vec<String> {
    fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
        let (mut depth, mut start) = (0, 0);
        let mut items = Vec::new();
        for (at, letter) in tree.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    items.push(&tree[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.push(&tree[start..]);
        for item in items.into_iter().map(str::trim).filter(|item| !item.is_empty()) {
            match item.split_once('{') {
                Some((head, rest)) => {
                    expand(&format!("{prefix}{head}"), rest.strip_suffix('}').unwrap(), paths);
                }
                None => paths.push(format!("{prefix}{item}")),
            }
        }
    }
    let mut paths = Vec::new();
    for statement in source.split(';') {
        // Each word between spaces, so that `reuse` is not one of them.
        let statement: String = statement.split_whitespace().flat_map(|word| [" ", word]).collect();
        if let Some((_, tree)) = statement.split_once(" use ").filter(|(before, _)| !before.contains('{')) {
            expand("", tree, &mut paths);
        }
    }
    paths
}

/// What an impure import or call in a file that decides is.
fn impurities(source: &str) -> Vec<&'static str> {
    let code = without_comments(&without_tests(source));
    let imports = imports(&code);
    let named = |word: &&str| {
        let imported = |path: &String| path == word.trim_end_matches("::") || path.starts_with(*word);
        code.contains(*word) || imports.iter().any(imported)
    };
    IMPURE.into_iter().filter(named).collect()
}

fn own_dependencies<'a>(package: &'a Package, members: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    package
        .dependencies
        .iter()
        .map(|found| found.name.as_str())
        .filter(|name| members.contains(name))
        .collect()
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ARROWS.iter().map(|(name, _)| *name).collect(), "the list of crates");
    for package in members {
        let allowed = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).unwrap().1;
        let unexpected: Vec<_> =
            own_dependencies(package, &names).into_iter().filter(|name| !allowed.contains(name)).collect();
        assert!(unexpected.is_empty(), "{} must not know {unexpected:?}", package.name);
    }
}

#[test]
fn no_crate_is_built_from_what_it_must_not_contain() {
    for (package, forbidden) in FORBIDDEN {
        let tree = normal_tree(package);
        assert!(tree.contains(package), "{tree:?}");
        let found: Vec<_> =
            tree.iter().filter(|name| forbidden.iter().any(|pattern| matches(pattern, name))).collect();
        assert!(found.is_empty(), "{package} is built from {found:?}");
    }
}

#[test]
fn every_crate_inherits_the_lints_and_is_called_like_its_folder() {
    for package in metadata().workspace_packages() {
        let manifest = package.manifest_path.as_std_path();
        let text = fs::read_to_string(manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true\n"), "{} has lints of its own", package.name);
        let folder = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let expected = if folder == "tests" { "e2e" } else { folder };
        assert_eq!(package.name.as_str(), expected);
    }
}

#[test]
fn files_that_decide_take_time_and_state_as_arguments() {
    let is_pure = |path: &str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        PURE_FILES.contains(&name) && format!("{folder}/").contains("/src/")
    };
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| is_pure(path))
        .map(|(path, text)| (path, impurities(&text)))
        .filter(|(_, impure)| !impure.is_empty())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_file_is_longer_than_its_budget() {
    let lengths: BTreeMap<String, usize> = sources()
        .into_iter()
        .filter(|(path, _)| !is_test_file(path))
        .map(|(path, text)| (path, without_tests(&text).lines().count()))
        .collect();
    let mut sorted: Vec<_> = lengths.values().copied().collect();
    sorted.sort_unstable();
    let (median, p90) = (sorted[sorted.len() / 2], sorted[sorted.len() * 9 / 10]);
    println!("{} files: median {median} lines, 90% up to {p90}", sorted.len());
    let long: Vec<_> = lengths.iter().filter(|(_, lines)| **lines > MAX_LINES).collect();
    assert!(long.is_empty(), "longer than {MAX_LINES} lines without tests: {long:#?}");
}

#[test]
fn unsafe_code_is_only_where_processes_are_made() {
    // As code has it: a header's `'unsafe-inline'` is text.
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe(", "unsafe_code"];
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with(UNSAFE_HOME))
        .filter(|(_, text)| forms.iter().any(|form| without_comments(text).contains(form)))
        .map(|(path, _)| path)
        .filter(|path| path != "tests/tests/architecture.rs")
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nested_imports_and_calls_are_found_and_tests_and_comments_are_not() {
    let source = "\
//! Not Utc::now.
use std::{collections::BTreeMap, env};
use kube::{
    Client as Kube,
    api::{Api, ListParams},
};

fn a() {
    let now = chrono::Utc::now();
}

#[cfg(test)]
mod tests {
    use tokio::time;
}
";
    assert_eq!(impurities(source), ["kube::Client", "kube::api::Api", "std::env", "Utc::now"]);
    let clean =
        "use kube::{Resource, api::ObjectMeta};\n\n/// Not tokio::spawn.\nfn a(now: DateTime<Utc>) {}\n";
    assert_eq!(impurities(clean), [""; 0]);
    assert_eq!(impurities("use tokio::sync::mpsc;\n"), ["tokio::"]);
    assert_eq!(imports("let reuse = policy;"), [""; 0]);
    assert_eq!(
        impurities("#[expect(dead_code)]\npub use std::{io, time::Instant, fs::File};\n"),
        ["std::fs"]
    );
}
