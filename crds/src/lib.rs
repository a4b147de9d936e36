//! The kinds of `carrel.dev/v1alpha1`: what the cluster says about executions, files, pools and workspaces.
//!
//! This crate holds types, bounds, rules and names. It does no I/O, knows no client and decides nothing:
//! controllers live in `operator`, wire dialects in `api-shim`.

#![expect(clippy::duplicated_attributes, reason = "each printer column names its own type and path")]

pub mod code_execution;
pub mod conditions;
pub mod definitions;
pub mod labels;
pub mod limits;
pub mod names;
pub mod quantity;
pub mod reason;
pub mod references;
mod rules;
pub mod sandbox_file;
pub mod sandbox_pool;
pub mod sandbox_workspace;
pub mod size;

pub use code_execution::{
    CodeExecution, CodeExecutionSpec, CodeExecutionStatus, ExecutionPhase, Interpreter,
};
pub use conditions::{Condition, ConditionStatus};
pub use quantity::Quantity;
pub use reason::Reason;
pub use references::LocalReference;
pub use sandbox_file::{FilePhase, SandboxFile, SandboxFileSpec, SandboxFileStatus};
pub use sandbox_pool::{SandboxPool, SandboxPoolSpec, SandboxPoolStatus};
pub use sandbox_workspace::{SandboxWorkspace, SandboxWorkspaceSpec, SandboxWorkspaceStatus};

/// The API group of all kinds.
pub const GROUP: &str = "carrel.dev";
/// The one served and stored version.
pub const VERSION: &str = "v1alpha1";
