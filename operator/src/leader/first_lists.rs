//! The first lists of a term: when they are complete, everything that an earlier leader may have started is known by
//! name. What follows from them is decided in `takeover.rs`.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::takeover::Inherited;
use crate::{
    context::Context,
    pool::{self, facts::Life},
};

/// Which first lists are complete. The takeover begins when those of executions and pods are.
pub(crate) struct Lists {
    waiting: Mutex<HashSet<&'static str>>,
}

impl Lists {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(HashSet::from(["executions", "pods", "pools"])) }
    }

    pub(crate) fn complete(&self, context: &Arc<Context>, list: &'static str) {
        let done = {
            let mut waiting = self.waiting.lock();
            waiting.remove(list) && waiting.is_empty()
        };
        if done {
            take_over(context);
        }
    }
}

/// Everything that an earlier leader may have started is known by name now.
fn take_over(context: &Arc<Context>) {
    let executions = context.executions.all();
    let pods = context.pods.all();
    {
        let mut takeover = context.takeover.lock();
        for pod in &pods {
            let facts = pod.facts();
            // What has not begun to run cannot have been given anything.
            if facts.life != Life::Pending {
                takeover.pod(Arc::clone(&facts.uid), facts.pool.clone());
            }
            if let Some(answer) = pod.answer() {
                takeover.answered(&facts.uid, answer.vacant, answer.holds.iter().cloned());
            } else if !facts.alive() {
                takeover.gone(&facts.uid, &facts.fate);
            }
        }
        for (key, entry) in &executions {
            let Ok(plan) = &entry.plan else { continue };
            let found = Inherited {
                phase: entry.phase,
                pod: entry.shown_pod.as_deref().map(str::to_owned),
                pool: plan.pool.clone(),
                created: plan.created,
            };
            takeover.execution(Arc::clone(&entry.uid), found);
            tracing::debug!(execution = %key, "found at takeover");
        }
        takeover.complete();
    }
    tracing::info!(executions = executions.len(), pods = pods.len(), "the first lists are complete");
    for (key, _) in executions {
        context.execution_queue.push(key);
    }
    for pod in pods {
        pool::pod_changed(context, &pod);
    }
}
