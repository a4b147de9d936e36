//! What every route can reach: one value, made once.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use crate::{
    admission::Admission, body::Bodies, config::ShimConfig, health::Health, inputs::Inputs, live::LiveOutput,
    metrics::Metrics, runs::Runs, waiters::Waiters,
};

/// The shared parts of the service.
#[derive(Debug)]
pub struct AppState {
    /// The configuration.
    pub config: ShimConfig,
    /// JSON bodies.
    pub bodies: Bodies,
    /// The slots.
    pub admission: Admission,
    /// The runs.
    pub runs: Arc<Runs>,
    /// Input files.
    pub inputs: Inputs,
    /// Live output.
    pub live: Arc<dyn LiveOutput>,
    /// The backend.
    pub health: Arc<Health>,
    /// Who waits; fed by the watch.
    pub waiters: Arc<Waiters>,
    /// All series.
    pub registry: Registry,
    /// The shim's series.
    pub metrics: Metrics,
}

/// As routes hold it.
pub type Shared = Arc<AppState>;
