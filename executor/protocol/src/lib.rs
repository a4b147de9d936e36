//! What goes over the wire between operator and executor: routes, messages, tokens, error codes.
//!
//! Plain data and pure functions. It is not a client and not a server: nothing here opens a socket,
//! reads a clock or draws a random number. The JSON of every message is frozen by `tests/surface.rs`.

mod error;
mod execute;
mod files;
mod frame;
mod inventory;
mod keys;
mod outcome;
pub mod routes;
pub mod strings;
mod termination;
pub mod token;

pub use self::{
    error::{ErrorBody, ErrorCode},
    execute::{EnvVariable, ExecuteRequest, InputFile, Interpreter, RunLimits},
    files::{FileEntry, SkipReason, SkippedFile},
    frame::{Frame, Stream},
    inventory::{HeldRun, Inventory, Readiness, RunState},
    keys::{KeyError, PublicKeys, SigningKey},
    outcome::{End, Outcome, ResultPart, StartFailure, StreamSummary, Timings, Usage},
    termination::{TERMINATION_LOG, TerminationMessage},
    token::{Claims, Expectation, Method, TokenError},
};

/// Version of the messages in this crate; an executor reports it in its inventory.
pub const PROTOCOL_VERSION: u32 = 1;

/// The port an executor listens on in its pod.
pub const EXECUTOR_PORT: u16 = 8700;

/// The most bytes the first line of a `PUT` (the [`ExecuteRequest`]) may have.
///
/// A source of several MiB must fit even when JSON escapes most of it.
pub const MAX_REQUEST_LINE_BYTES: usize = 32 * 1024 * 1024;

/// The most bytes of text in one [`Frame::Output`].
pub const MAX_FRAME_TEXT_BYTES: usize = 64 * 1024;

/// The most bytes of typed results one run may hand back; what is beyond is dropped.
pub const MAX_RESULTS_BYTES: usize = 4 * 1024 * 1024;

/// The most entries in [`Outcome::files_skipped`]; the rest is only counted.
pub const MAX_SKIPPED_LISTED: usize = 64;

/// The longest deadline a run may ask for.
pub const MAX_TIMEOUT_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;

/// How long an executor that was told to go keeps a finished outcome that nobody asks for, unless it is told otherwise.
/// Ten minutes are long enough for an operator that restarts; a lease is taken over in less than one. An operator that
/// was away for longer cannot know what such executors had run.
pub const OUTCOME_PATIENCE_MILLISECONDS: u64 = 10 * 60 * 1000;
