//! Logs, metrics, traces and the admin port, shared by the servers.
//!
//! What is worth logging, counting or tracing is decided where it happens; this crate decides only how it looks.
//! It knows nothing of Kubernetes. The executor does not use it: what runs beside untrusted code keeps its
//! dependencies few.

mod admin;
mod errors;
mod json;
mod logs;
mod metrics;
mod otlp_client;
mod trace_parent;
mod traces;

pub use crate::{
    admin::Admin,
    errors::with_causes,
    logs::{Guard, InitError, LogFormat, LogSettings, init, init_with},
    metrics::{LATENCY_BUCKETS_SECONDS, exposition, latency_histogram, new_registry},
    trace_parent::TraceParent,
    traces::{Past, TraceError, continue_trace, record, trace_parent},
};
