//! Owns the short-lived tasks: runs, questions to executors. Long-lived ones are in `controllers.rs`.

use futures::future::BoxFuture;
use tokio::{sync::mpsc, task::JoinSet};

use crate::drive::text;

/// Takes tasks. Clones give to the same owner.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    tasks: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
}

/// The owner's end.
pub(crate) struct Tasks {
    incoming: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
}

impl Supervisor {
    pub(crate) fn new() -> (Self, Tasks) {
        let (tasks, incoming) = mpsc::unbounded_channel();
        (Self { tasks }, Tasks { incoming })
    }

    /// Runs a task to its end, or to the end of the operator. How many there are is bounded by pods and executions.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.tasks.send(Box::pin(task)).is_err() {
            tracing::debug!("a task came while the operator ends");
        }
    }
}

impl Tasks {
    /// Runs what comes, for ever. Dropping it ends all tasks.
    pub(crate) async fn run(mut self) {
        let mut active = JoinSet::new();
        loop {
            tokio::select! {
                Some(task) = self.incoming.recv() => { active.spawn(task); }
                Some(ended) = active.join_next() => {
                    if let Err(error) = ended
                        && let Ok(panic) = error.try_into_panic()
                    {
                        tracing::error!(panic = text(panic.as_ref()), "a task panicked");
                    }
                }
            }
        }
    }
}
