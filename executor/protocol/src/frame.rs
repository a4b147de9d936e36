//! The stream that answers a `PUT` or `GET` of an execution: one JSON object per line.
//!
//! A stream always begins at the beginning, so whoever re-attaches sees everything.

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// One line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Frame {
    /// The program runs. Absent when it never did.
    Started {
        /// When, by the executor's clock.
        started_unix_milliseconds: i64,
    },
    /// Something the program wrote.
    Output {
        /// Where it wrote.
        stream: Stream,
        /// Decoded with replacement; a character is never split between two frames.
        text: String,
    },
    /// The last line.
    Ended {
        /// What came of it.
        outcome: Box<Outcome>,
    },
}

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
