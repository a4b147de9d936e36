//! `DELETE /v1/executions/{uid}`: the outcome is safe elsewhere; drop it, and never start the uid again.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use protocol::Method;

use crate::{app::App, error::ApiError, remove::remove_tree, workspace::RunDirs};

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Path(uid): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    app.authorize(&headers, Method::Acknowledge, Some(&uid))?;
    if app.acknowledge(&uid)?.is_some() {
        let dirs = RunDirs::of(&app.config.state_dir, &uid);
        // The caller need not wait. The run's own directory stays, empty: it says that this executor
        // was used, also to one that is started again in its place.
        tokio::task::spawn_blocking(move || {
            let _alone = app.disk.lock();
            for dir in dirs.all() {
                if let Err(error) = remove_tree(dir) {
                    tracing::warn!(%error, dir = %dir.display(), "a directory of the run stays");
                }
            }
        });
    }
    Ok(StatusCode::NO_CONTENT)
}
