//! GET of a collection with `watch=true`: checks the options and starts the stream.

use std::{sync::Arc, time::Duration};

use crate::api::{
    core::Core,
    respond::{Answer, Reply},
    status_error::Result,
    verbs::{Request, list},
    watch::{Wish, start},
};

/// How long a watch lives that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);

pub(super) fn run(core: &Arc<Core>, request: &Request) -> Result<Answer> {
    let params = &request.params;
    let bookmarks = params.flag("allowWatchBookmarks") == Some(true);
    let initial = params.flag("sendInitialEvents");
    let matching = params.text("resourceVersionMatch");
    if initial.is_some() && matching != Some("NotOlderThan") {
        return Err(list::invalid_options(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if initial.is_none() && matching.is_some() {
        return Err(list::invalid_options(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    let version = params.version()?.filter(|version| *version > 0);
    let from = match (initial, version) {
        (Some(true), _) | (None, None) => None,
        (Some(false), None) => Some(core.store.read().version),
        (_, Some(version)) => Some(version),
    };
    let timeout = params.number("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let body = start(
        core,
        Wish {
            kind: Arc::clone(&request.target.kind),
            selector: list::selector(request)?,
            format: request.format,
            from,
            bookmarks,
            mark_initial: initial == Some(true) && bookmarks,
            timeout: timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs),
        },
    )?;
    Ok(Answer::ok(Reply::Stream(body)))
}
