//! What an executor says about itself.

use serde::{Deserialize, Serialize};

/// Answer of `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether a run can start now.
    pub ready: bool,
    /// Why not, or what was found.
    pub message: String,
    /// The isolation layers runs really get.
    #[serde(default)]
    pub isolation: Vec<String>,
}

/// Answer of `GET /v1/inventory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// [`crate::PROTOCOL_VERSION`] of the executor.
    pub protocol_version: u32,
    /// The pod it believes to be.
    pub pod_uid: String,
    /// The highest epoch it has met; 0 before the first request.
    pub epoch: u64,
    /// Whether it refuses starts because it is about to go.
    pub draining: bool,
    /// Whether it could take a run: it has never held one. An executor that was reset is not vacant, because only
    /// the leader that had it reset knows for whom.
    pub vacant: bool,
    /// How many executions it has accepted in its life. All but those in `runs` were acknowledged.
    #[serde(default)]
    pub used: u32,
    /// Its clock.
    pub clock_unix_milliseconds: i64,
    /// The isolation layers runs really get.
    #[serde(default)]
    pub isolation: Vec<String>,
    /// What it holds.
    #[serde(default)]
    pub runs: Vec<HeldRun>,
}

/// One run an executor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldRun {
    /// The execution's uid.
    pub uid: String,
    /// How far it is.
    pub state: RunState,
}

/// How far a held run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunState {
    /// Being staged, running or being collected.
    Running,
    /// Its outcome waits to be acknowledged.
    Finished,
}
