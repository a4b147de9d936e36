//! The carrel binary: operator, shim, an in-process Kubernetes API and a local node.

pub mod api;
