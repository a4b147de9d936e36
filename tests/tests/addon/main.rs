//! Carrel as an admin installs it: the chart on a cluster, with people who use it, and everything that goes wrong in a
//! cluster while programs run. Most tests share one installation; `shared` says how.
//!
//! Tests begin in the order of their names, so those that mostly wait come first, and those that want the installation
//! for themselves come before those that share it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on shall stop with the reason"
)]

mod accounts;
mod age;
mod basics;
mod batch;
mod capacity;
mod crashes;
mod lifecycle;
mod load;
mod network;
mod node;
mod people;
mod pods;
mod policies;
mod pools;
mod programs;
mod reuse;
mod shared;
mod tenants;
