//! The operator against the in-process API and a local node with real executors.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bed;
mod binary;
mod faults;
mod files;
mod finished;
mod kept;
mod lease;
mod live;
mod pool;
mod programs;
mod restart;
mod reuse;
mod runs;
mod waiting;
mod waits;
