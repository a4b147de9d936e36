//! Cleans up after deletions: objects whose owners are gone, owners that wait for their dependents, and the
//! content of namespaces. It follows the same history as any watch and writes through the same verbs.
//! Not here: what a DELETE does to its own object (`verbs::delete`).
//!
//! | step | file |
//! |---|---|
//! | what is to be looked at again | `find.rs` (pure) |
//! | one thing is looked at, and cleaned up | `act.rs` |

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};

mod act;
mod find;

use super::{
    core::Core,
    store::{ObjectName, ResourceId},
};

/// How many clean-ups run at once.
const PARALLEL: usize = 32;
/// How long a failed clean-up waits.
const RETRY: Duration = Duration::from_secs(1);

/// One thing to look at again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    /// An object whose owners may be gone.
    Dependent(ResourceId, ObjectName),
    /// An owner that waits for its dependents.
    Owner(ResourceId, ObjectName),
    /// A namespace that is being emptied.
    Namespace(String),
}

/// How far each resource's history has been read.
type Positions = HashMap<ResourceId, u64>;

/// Runs until the API stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut latest = core.store.latest();
    let mut positions = Positions::new();
    let mut tasks = find::everything(&core.store.read(), &mut positions);
    loop {
        let Unfinished { raced, failed } = perform_all(&core, tasks).await;
        if !failed.is_empty() {
            tokio::select! {
                () = core.stop.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
        tasks = find::news(&core.store.read(), &mut positions);
        tasks.extend(failed);
        tasks.extend(raced);
        if tasks.is_empty() {
            tokio::select! {
                () = core.stop.cancelled() => return,
                changed = latest.changed() => if changed.is_err() { return },
            }
            tasks = find::news(&core.store.read(), &mut positions);
        } else if core.stop.is_cancelled() {
            return;
        }
    }
}

/// What has to be done again.
#[derive(Debug, Default)]
struct Unfinished {
    /// At once, because something changed in between. It may have been a dependent, whose event does not bring its
    /// owner back.
    raced: HashSet<Task>,
    /// After a while.
    failed: HashSet<Task>,
}

async fn perform_all(core: &Core, tasks: HashSet<Task>) -> Unfinished {
    let mut unfinished = Unfinished::default();
    let outcomes =
        stream::iter(tasks.into_iter().map(|task| async move { (act::perform(core, &task).await, task) }));
    let mut outcomes = outcomes.buffer_unordered(PARALLEL);
    while let Some((outcome, task)) = outcomes.next().await {
        match outcome {
            Ok(()) => {}
            Err(error) if error.code == 404 => {}
            Err(error) if error.code == 409 => drop(unfinished.raced.insert(task)),
            Err(error) => {
                tracing::warn!(%error, ?task, "a clean-up failed and is tried again");
                unfinished.failed.insert(task);
            }
        }
    }
    unfinished
}
