//! The `carrel` binary: operator, shim, an in-process Kubernetes API and a local node, joined in [`serve`].
//!
//! There is no second implementation of any controller here: what a cluster does is done by the same code.

pub mod api;
pub mod args;
pub mod endpoints;
pub mod node;
pub mod private_file;
pub mod python;
pub mod run;
pub mod serve;
