//! Asks an executor to end a run that is to be cancelled.

use std::{convert::Infallible, sync::Arc};

use futures::future::pending;
use tokio::time::sleep;

use super::{super::runs::Run, FIRST_RETRY, LAST_RETRY};
use crate::{context::Context, executor_client::Target};

/// Waits until the run is to be cancelled, then asks until the executor has heard it. The run's stream then ends by
/// itself, so this never does: it is dropped with what follows the run.
///
/// An executor that does not know the run yet is asked again, because the request that brings it may be under way.
pub(super) async fn cancelling(context: Arc<Context>, target: Target, run: Run) -> Infallible {
    run.cancel.cancelled().await;
    let mut wait = FIRST_RETRY;
    while let Err(error) = context.executor.cancel(&target, &run.uid).await {
        tracing::debug!(uid = %run.uid, %error, "a cancel was not heard yet");
        sleep(wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
    pending().await
}
