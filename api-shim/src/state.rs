//! What every route can reach: one value, made once.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio_util::task::TaskTracker;

use crate::{
    admission::{Admission, Slot},
    body::Bodies,
    config::ShimConfig,
    error::ShimError,
    gate::Gate,
    health::Health,
    live::LiveOutput,
    metrics::{Metrics, Operation},
    prepare::Asked,
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
    /// Who may come in, and the tenants.
    pub gate: Gate,
    /// The runs under way, for an orderly shutdown.
    pub tasks: TaskTracker,
    /// Live output.
    pub live: Arc<dyn LiveOutput>,
    /// The backend.
    pub health: Arc<Health>,
    /// All series.
    pub registry: Registry,
    /// The shim's series.
    pub metrics: Metrics,
}

impl AppState {
    /// Takes a slot for a run of a tenant. Who waits for the tenant's watch has no slot yet, which others need.
    pub async fn enter(&self, asked: &Asked, operation: Operation) -> Result<Slot, ShimError> {
        self.metrics.prepared(asked.since.elapsed().as_secs_f64());
        asked.tenant.in_sync().await?;
        self.admission.enter(&asked.tenant.share, operation).await
    }
}

/// As routes hold it.
pub type Shared = Arc<AppState>;
