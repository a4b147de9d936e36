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

pub mod addon;
pub mod cluster;
pub mod counter;
pub mod counts;
pub mod door;
pub mod examples;
pub mod front;
pub mod helm;
pub mod kubectl;
pub mod machine;
pub mod service;
pub mod times;
pub mod volume;

pub use addon::Addon;
pub use cluster::{Cluster, Process};
pub use counter::Counter;
pub use counts::Counts;
pub use door::Door;
pub use front::{Front, http};
pub use helm::Helm;
pub use kubectl::Kubectl;
pub use service::{Carrel, Options};
pub use times::Times;

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
pub async fn eventually<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, Duration::from_millis(20), what, check).await
}

/// As [`eventually`] for what takes a cluster its time, and for checks that are programs themselves.
pub async fn in_time<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE * 2, Duration::from_millis(300), what, check).await
}

async fn within<T>(
    limit: Duration,
    pause: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        tokio::time::sleep(pause).await;
    }
}
