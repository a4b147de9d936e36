//! The HTTP front: speaks the wire dialects of four existing services, creates `CodeExecution` objects and
//! waits for their status. It never talks to pods and never runs anything itself.
//!
//! One request, file by file:
//!
//! ```text
//! serve.rs (connection.rs, activity.rs) → router.rs → middleware/{request_id,authenticate,guard}.rs
//!   → gate.rs                    headers → auth.rs or token_review.rs → identity → tenants.rs → tenant.rs, the handles it may use
//!   → routes/execute.rs          extract, call, respond
//!   → body.rs → budget.rs, json/ bytes → value                         (json/ is pure)
//!   → dispatch.rs                value → dialect                       (pure)
//!   → dialect/{bee,onyx}.rs      value → checked request, with validate/, paths.rs, duration.rs (pure)
//!   → prepare.rs → inputs.rs     ids of files → sources
//!   → convert.rs                 request → spec                        (pure)
//!   → admission.rs               a slot
//!   → runs.rs                    rooms.rs → stage.rs → waiters.rs (watch.rs) → executions.rs → wait → outputs.rs
//!                                what nobody waits for: cancels.rs
//!   → reasons.rs                 terminal status → how it ended        (pure)
//!   → answer.rs, output.rs       → the dialect's answer                (pure)
//!   → events.rs                  the same as server-sent events, with live.rs; in a cluster live_http.rs, leader.rs
//! ```
//!
//! What can be refused or fail is in `error.rs`, what can be set in `config/`.

mod activity;
pub mod admission;
pub mod answer;
mod app;
mod audience;
pub mod auth;
pub mod body;
pub mod budget;
pub mod cancels;
pub mod config;
mod connection;
pub mod convert;
pub mod dialect;
pub mod dispatch;
pub mod draft;
pub mod duration;
pub mod error;
pub mod events;
pub mod executions;
pub mod gate;
pub mod guard;
pub mod health;
pub mod inputs;
pub mod json;
pub mod leader;
pub mod live;
pub mod live_http;
pub mod metrics;
pub mod middleware;
pub mod net;
pub mod openapi;
pub mod output;
pub mod outputs;
pub mod paths;
pub mod prepare;
pub mod reasons;
pub mod rooms;
mod router;
pub mod routes;
pub mod runs;
pub mod schema;
mod serve;
pub mod stage;
pub mod state;
pub mod tenant;
pub mod tenants;
pub mod token_file;
pub mod token_review;
pub mod validate;
mod verdicts;
pub mod waiters;
pub mod watch;

pub use app::App;
pub use config::ShimConfig;
