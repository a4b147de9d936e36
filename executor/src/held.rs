//! One run as the rest of the executor sees it: its frames, its cancel switch, its changed files.

use std::sync::OnceLock;

use protocol::RunState;
use tokio_util::sync::CancellationToken;

use crate::{frames::FrameLog, snapshot::ServedFiles};

/// A run from the moment its uid took the slot until it is acknowledged.
#[derive(Debug)]
pub(crate) struct HeldRun {
    pub uid: String,
    pub frames: FrameLog,
    pub cancel: CancellationToken,
    /// Set before the last frame is.
    pub files: OnceLock<ServedFiles>,
}

impl HeldRun {
    pub(crate) fn new(uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            frames: FrameLog::default(),
            cancel: CancellationToken::new(),
            files: OnceLock::new(),
        }
    }

    pub(crate) fn state(&self) -> RunState {
        if self.frames.has_ended() { RunState::Finished } else { RunState::Running }
    }
}
