//! What the end-to-end tests share: a running `carrel`, kubectl, and waiting without guessing.
//!
//! Everything here runs real programs. Each test gets folders and ports of its own, and what it started is
//! ended when the test ends, also when it fails.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "all of this is test code: a failure is to be seen at once, with its reason"
)]

pub mod cluster;
pub mod counter;
pub mod examples;
pub mod front;
pub mod kubectl;
pub mod service;

pub use cluster::{Cluster, Process};
pub use counter::Counter;
pub use front::{Front, http};
pub use kubectl::Kubectl;
pub use service::{Carrel, Options};

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a test waits for something that should come within moments.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository").to_owned()
}

/// The program under test, as `make build` leaves it beside the tests.
#[must_use]
pub fn carrel_binary() -> PathBuf {
    binary("carrel")
}

/// One of the programs that `make build` leaves beside the tests.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own program");
    let profile = test.ancestors().nth(2).expect("tests are built into target/PROFILE/deps");
    let binary = profile.join(name);
    assert!(binary.exists(), "{} is missing: run `make build`", binary.display());
    binary
}

/// Asks `check` until it gives something, at most [`PATIENCE`] long; `what` says what was waited for.
pub async fn eventually<T, F, C>(what: &str, mut check: C) -> T
where
    C: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
