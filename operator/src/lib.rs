//! The operator: reconciles executions, files and pools.
//!
//! The way of one execution, in the order of the files:
//!
//! ```text
//! watch event                      controllers.rs
//!   → what can be run              code_execution/validate.rs   (pure)
//!   → what is true now             code_execution/observe.rs
//!   → what to do next              code_execution/decide.rs     (pure)
//!   → do it                        code_execution/act.rs
//!        → which pod               pool/reserve.rs              (pure)
//!        → its files               code_execution/inputs.rs
//!        → send, follow            code_execution/run.rs → executor_client.rs
//!             → live output        live_output.rs
//!        → keep what it left       code_execution/collect.rs, produced.rs
//!   → the one status patch         code_execution/status.rs     (pure)
//!   → the end of the object        code_execution/ttl.rs
//! ```
//!
//! Pools keep warm pods (`pool/`), files become durable and end (`sandbox_file/`), and `leader/` sees to it that
//! only one operator starts anything and that nothing is started twice. It serves no users: that is `api-shim`.

pub mod args;
mod backoff;
pub mod clock;
mod code_execution;
pub mod config;
mod context;
mod controllers;
mod definitions;
mod drive;
mod executor_client;
mod front_tokens;
mod key;
mod keys;
mod leader;
pub mod live_output;
mod live_server;
mod metrics;
mod nodes;
mod operator;
mod pool;
mod reach;
mod report;
mod resource_version;
mod sandbox_file;
mod secrets;
mod supervisor;
mod work_queue;
mod writes;

pub use crate::{
    config::{FrontTokens, Namespaces, OperatorConfig, Timings},
    operator::{Operator, OperatorError},
};
