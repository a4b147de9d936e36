//! Checked requests → specs of executions. Pure: no client, no clock, no ids made here.

use crds::{
    CodeExecutionSpec, Interpreter, LocalReference, Quantity,
    code_execution::{CodeSource, EnvironmentVariable, FileSource, InputFile, Limits, Outputs, Packages},
    limits,
    size::encoded_bytes,
};

use crate::{
    dialect::{bee::BeeRequest, onyx::OnyxRequest},
    paths::ONYX_ENTRY,
};

/// What onyx files and outputs are marked with, so that no other dialect lists or serves them.
pub const ONYX_COLLECTION: &str = "onyx";
/// A text whose JSON form is longer travels as a file. What stays of all texts is twice that at most, so that
/// with the files and the environment it is below the budget of a spec.
const INLINE_TEXT_BYTES: usize = limits::SPEC_BYTES / 4;

/// What the configuration says about every execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecRules {
    /// The pool that runs them.
    pub pool: String,
    /// How long to wait for a sandbox.
    pub start_deadline_seconds: i64,
    /// Bytes of each stream that are kept.
    pub output_bytes: i64,
    /// Changed files that are kept, their bytes in all and each.
    pub output_files: i32,
    /// Bytes of all changed files.
    pub output_files_bytes: i64,
    /// Bytes of one changed file.
    pub output_file_bytes: i64,
    /// Life of an onyx output.
    pub onyx_file_ttl_seconds: Option<i64>,
    /// CPU time of an onyx run.
    pub onyx_cpu_milliseconds: Option<i64>,
    /// Memory of an onyx run.
    pub onyx_memory: Option<Quantity>,
    /// Package installation in bee/tgpt.
    pub bee_packages: Packages,
}

/// The spec of a bee/tgpt request.
#[must_use]
pub fn bee_spec(
    request: &BeeRequest,
    files: Vec<InputFile>,
    scope: Option<&str>,
    rules: &SpecRules,
) -> CodeExecutionSpec {
    CodeExecutionSpec {
        interpreter: Interpreter::PythonOrShell,
        code: Some(request.source_code.clone()),
        env: request.env.iter().map(|(name, value)| variable(name, value)).collect(),
        files,
        // `false` means that nothing of the run is kept (contract, section 6.3).
        collect_files: request.persistent_workspace != Some(false),
        save_figures: true,
        outputs: Outputs {
            max_downloads: request.max_downloads,
            ttl_seconds: request.expires_seconds,
            collection: None,
        },
        timeout_milliseconds: request.timeout_milliseconds,
        packages: rules.bee_packages.clone(),
        isolation_key: Some(request.chat_id.clone()),
        ..base(scope, rules)
    }
}

/// The spec of an onyx request.
#[must_use]
pub fn onyx_spec(
    request: &OnyxRequest,
    files: Vec<InputFile>,
    scope: Option<&str>,
    rules: &SpecRules,
) -> CodeExecutionSpec {
    let spec = base(scope, rules);
    CodeExecutionSpec {
        interpreter: Interpreter::Python,
        code: Some(request.code.clone()),
        interactive: request.interactive,
        entry_path: ONYX_ENTRY.to_owned(),
        stdin: request.stdin.clone().unwrap_or_default(),
        files,
        outputs: Outputs {
            max_downloads: None,
            ttl_seconds: rules.onyx_file_ttl_seconds,
            collection: Some(ONYX_COLLECTION.to_owned()),
        },
        timeout_milliseconds: request.timeout_milliseconds,
        limits: Limits {
            memory: rules.onyx_memory.clone(),
            cpu_milliseconds: rules.onyx_cpu_milliseconds,
            ..spec.limits
        },
        ..spec
    }
}

fn base(scope: Option<&str>, rules: &SpecRules) -> CodeExecutionSpec {
    CodeExecutionSpec {
        start_deadline_seconds: Some(rules.start_deadline_seconds),
        limits: Limits {
            output_bytes: rules.output_bytes,
            output_files: rules.output_files,
            output_file_bytes: rules.output_file_bytes,
            output_files_bytes: rules.output_files_bytes,
            ..Limits::default()
        },
        scope: scope.map(str::to_owned),
        pool_ref: LocalReference::new(rules.pool.clone()),
        ttl_seconds_after_finished: limits::SHIM_TTL_SECONDS,
        ..CodeExecutionSpec::default()
    }
}

fn variable(name: &str, value: &str) -> EnvironmentVariable {
    EnvironmentVariable { name: name.to_owned(), value: value.to_owned() }
}

/// An input that is a stored file.
#[must_use]
pub fn stored_input(path: String, file: &str) -> InputFile {
    let source = FileSource { file_ref: Some(LocalReference::new(file)), ..FileSource::default() };
    InputFile { path, source }
}

/// An input by its content hash.
#[must_use]
pub fn hashed_input(path: String, digest: &str) -> InputFile {
    InputFile { path, source: FileSource { sha256: Some(digest.to_owned()), ..FileSource::default() } }
}

/// Text of a spec that travels as a file when it is too long for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongPart {
    /// The program.
    Code,
    /// Its input.
    Stdin,
    /// Its variables.
    Variables,
    /// The input of a tool.
    ToolInput,
}

impl LongPart {
    const ALL: [Self; 4] = [Self::Code, Self::Stdin, Self::Variables, Self::ToolInput];

    /// What its file is called after the execution.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Stdin => "stdin",
            Self::Variables => "variables",
            Self::ToolInput => "tool-input",
        }
    }

    fn text(self, spec: &CodeExecutionSpec) -> &str {
        let text = match self {
            Self::Code => spec.code.as_deref(),
            Self::Stdin => Some(spec.stdin.as_str()),
            Self::Variables => spec.variables_json.as_deref(),
            Self::ToolInput => spec.tool.as_ref().and_then(|tool| tool.input_json.as_deref()),
        };
        text.unwrap_or_default()
    }

    fn take(self, spec: &mut CodeExecutionSpec) -> Option<String> {
        match self {
            Self::Code => spec.code.take(),
            Self::Stdin => Some(std::mem::take(&mut spec.stdin)),
            Self::Variables => spec.variables_json.take(),
            Self::ToolInput => spec.tool.as_mut().and_then(|tool| tool.input_json.take()),
        }
    }
}

/// Takes the parts out of the spec that cannot travel in it: each that is too long, and the longest of the
/// others until they fit together. Nothing is ever cut.
pub fn take_long_parts(spec: &mut CodeExecutionSpec) -> Vec<(LongPart, String)> {
    let mut sizes = LongPart::ALL.map(|part| (encoded_bytes(&part.text(spec)), part));
    sizes.sort_unstable_by_key(|(size, _)| std::cmp::Reverse(*size));
    let mut left: usize = sizes.iter().map(|(size, _)| size).sum();
    let mut taken = Vec::new();
    for (size, part) in sizes {
        if size <= INLINE_TEXT_BYTES && left <= 2 * INLINE_TEXT_BYTES {
            break;
        }
        left -= size;
        taken.extend(part.take(spec).map(|text| (part, text)));
    }
    taken
}

/// Puts the reference to a stored part into the spec.
pub fn refer_to_part(spec: &mut CodeExecutionSpec, part: LongPart, file: &str) {
    let source = Some(CodeSource { file_ref: LocalReference::new(file) });
    match part {
        LongPart::Code => spec.code_from = source,
        LongPart::Stdin => spec.stdin_from = source,
        LongPart::Variables => spec.variables_from = source,
        LongPart::ToolInput => spec.tool.get_or_insert_default().input_from = source,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
