//! The request that goes to an executor, and the bytes of the files behind it.

use bytes::Bytes;
use crds::{code_execution::Failure, limits};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{ExecuteRequest, InputFile};

use super::{
    super::validate::{self, Plan, Program, Source, Text},
    Files, Found, InputsError,
};
use crate::{
    context::Context,
    executor_client::{BoxError, Content},
};

/// The request for the executor and the bytes that follow it.
pub(crate) async fn request(
    context: &Context,
    plan: &Plan,
    program: &Program,
    files: &Files,
) -> Result<ExecuteRequest, InputsError> {
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (input, found) in program.inputs.iter().zip(&files.inputs) {
        inputs.push(match (&input.source, found) {
            (Source::Inline(text), _) => {
                InputFile { path: input.path.clone(), size_bytes: text.len() as u64, sha256: None }
            }
            (_, Some(found)) => InputFile {
                path: input.path.clone(),
                size_bytes: found.size_bytes,
                sha256: Some(found.digest.to_string()),
            },
            (_, None) => continue,
        });
    }
    Ok(ExecuteRequest {
        interpreter: program.interpreter,
        code: text(context, &program.code, files.code.as_ref(), "codeFrom").await?,
        interactive: program.interactive,
        entry_path: program.entry_path.clone(),
        args: program.args.clone(),
        stdin: text(context, &program.stdin, files.stdin.as_ref(), "stdinFrom").await?,
        env: program.env.clone(),
        variables_json: json(context, program.variables.as_ref(), files.variables.as_ref(), VARIABLES)
            .await?,
        tool_input_json: json(context, program.tool_input.as_ref(), files.tool_input.as_ref(), TOOL).await?,
        inputs,
        collect_files: program.collect_files,
        save_figures: program.save_figures,
        timeout_milliseconds: u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX),
        limits: plan.limits.clone(),
    })
}

async fn text(
    context: &Context,
    text: &Text,
    found: Option<&Found>,
    field: &str,
) -> Result<String, InputsError> {
    let Some(found) = found else {
        return Ok(match text {
            Text::Inline(text) => text.clone(),
            Text::File(_) => String::new(),
        });
    };
    let invalid = |message: String| {
        InputsError::Invalid(Failure { cause: None, field: Some(field.to_owned()), value: None, message })
    };
    let bytes = match context.blobs.get_bytes(&found.digest, limits::SOURCE_BYTES as u64).await {
        Ok(bytes) => bytes,
        Err(blobs::Error::TooLarge { limit }) => {
            return Err(invalid(format!("the file is larger than {limit} bytes")));
        }
        Err(error) => return Err(InputsError::Store(error)),
    };
    String::from_utf8(bytes.into()).map_err(|_| invalid("the file is not UTF-8 text".to_owned()))
}

/// What a text of JSON is called when it comes from a file, and what it must be.
type Shape = (&'static str, fn(&str, &str) -> Result<(), Failure>);
const VARIABLES: Shape = ("variablesFrom", validate::variables);
const TOOL: Shape = ("tool.inputFrom", validate::tool_input);

/// A text of JSON. One that stands in the spec was checked with it.
async fn json(
    context: &Context,
    source: Option<&Text>,
    found: Option<&Found>,
    (field, check): Shape,
) -> Result<Option<String>, InputsError> {
    let Some(source) = source else { return Ok(None) };
    let text = text(context, source, found, field).await?;
    if found.is_some() {
        check(field, &text).map_err(InputsError::Invalid)?;
    }
    Ok(Some(text))
}

/// The bytes of all input files in order, read as they are sent.
pub(crate) fn content(context: &Context, program: &Program, files: &Files) -> Content {
    let blobs = context.blobs.clone();
    let parts: Vec<Part> = program
        .inputs
        .iter()
        .zip(&files.inputs)
        .filter_map(|(input, found)| match (&input.source, found) {
            (Source::Inline(text), _) => Some(Part::Text(Bytes::from(text.clone()))),
            (_, Some(found)) => Some(Part::Stored(found.clone())),
            (_, None) => None,
        })
        .collect();
    stream::iter(parts).then(move |part| open(blobs.clone(), part)).try_flatten().boxed()
}

enum Part {
    Text(Bytes),
    Stored(Found),
}

async fn open(blobs: blobs::Blobs, part: Part) -> Result<Content, BoxError> {
    match part {
        Part::Text(bytes) => Ok(stream::iter([Ok(bytes)]).boxed()),
        Part::Stored(found) => {
            let object = blobs.get_exact(&found.digest, found.size_bytes).await?;
            Ok(object.stream.map_err(BoxError::from).boxed())
        }
    }
}
