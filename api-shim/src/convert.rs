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
/// A source or a stdin whose JSON form is longer travels as a file. Two of them, the files and the
/// environment stay below the budget of a spec.
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

/// Text of a spec that is too long for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongPart {
    /// The program.
    Code,
    /// Its input.
    Stdin,
}

/// Takes a part out of the spec when it is too long to travel in it.
pub fn take_long_part(spec: &mut CodeExecutionSpec, part: LongPart) -> Option<String> {
    match part {
        LongPart::Code => spec.code.take_if(|code| encoded_bytes(code) > INLINE_TEXT_BYTES),
        LongPart::Stdin => {
            (encoded_bytes(&spec.stdin) > INLINE_TEXT_BYTES).then(|| std::mem::take(&mut spec.stdin))
        }
    }
}

/// Puts the reference to a stored part into the spec.
pub fn refer_to_part(spec: &mut CodeExecutionSpec, part: LongPart, file: &str) {
    let source = Some(CodeSource { file_ref: LocalReference::new(file) });
    match part {
        LongPart::Code => spec.code_from = source,
        LongPart::Stdin => spec.stdin_from = source,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
