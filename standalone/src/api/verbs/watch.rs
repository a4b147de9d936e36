//! GET of a collection with `watch=true`: checks the options and starts the stream.

use std::{sync::Arc, time::Duration};

use crate::api::{
    core::Core,
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    verbs::{Request, list, list_options},
    watch::{Wish, start},
};

/// How long a watch lives that does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);

pub(super) fn run(core: &Arc<Core>, request: &Request) -> Result<Answer> {
    let params = &request.params;
    let bookmarks = params.flag("allowWatchBookmarks") == Some(true);
    let initial = params.flag("sendInitialEvents");
    list_options::check_watch(params)?;
    let version = params.version().map_err(|error| StatusError::new(500, "", error.to_string()))?;
    let version = version.filter(|version| *version > 0);
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
