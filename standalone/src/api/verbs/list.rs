//! GET of a collection: selectors, pages, and the state at a resourceVersion.
//! A later page shows the state of the first one: newer changes are undone from the history.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{
    core::Core,
    go_words,
    params::Params,
    respond::{Answer, List, Reply},
    selectors::Selector,
    status_error::{Result, StatusError},
    store::{Object, ObjectName, State},
    verbs::{Request, list_options},
};

/// Where the next page goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    #[serde(rename = "rv")]
    version: u64,
    namespace: String,
    name: String,
}

impl Continue {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!(self).to_string())
    }

    fn decode(text: &str) -> Result<Self> {
        let invalid = |why: String| {
            StatusError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| invalid(go_words::base64(&error, text)))?;
        serde_json::from_slice(&bytes).map_err(|error| invalid(go_words::json(&error, &bytes)))
    }
}

pub(super) fn run(core: &Core, request: &Request) -> Result<Answer> {
    collect(core, request).map(|list| Answer::ok(Reply::List(list)))
}

/// The objects that the request's selectors, page and version choose.
pub(super) fn collect(core: &Core, request: &Request) -> Result<List> {
    let params = &request.params;
    list_options::check_list(params)?;
    let selector = selector(request)?;
    let state = core.store.read();
    let next = params.text("continue").map(Continue::decode).transpose()?;
    let version = match &next {
        Some(next) => next.version,
        None => version_of(params, state.version)?,
    };
    let after = next.map(|next| ObjectName::new(next.namespace, next.name));
    let mut items = at(&state, &request.target.kind.resource, version, after.as_ref(), &selector)?;
    drop(state);
    let mut list = List { items: vec![], version, continue_token: None, remaining: None };
    let limit = params.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    if limit > 0 && items.len() > limit {
        list.remaining = (!selector.is_narrow()).then(|| items.len() - limit);
        items.truncate(limit);
        let end = items.last().map(|object| object.object_name());
        list.continue_token =
            end.map(|end| Continue { version, namespace: end.namespace, name: end.name }.encode());
    }
    list.items = items;
    Ok(list)
}

/// The request's selectors, bound to its namespace.
pub(super) fn selector(request: &Request) -> Result<Selector> {
    let text = |name| request.params.text(name).unwrap_or_default();
    let namespace = request.target.namespace.as_deref();
    Selector::parse(&request.target.kind, namespace, text("labelSelector"), text("fieldSelector"))
}

/// Which version a list shows: the newest unless an exact one was asked for.
fn version_of(params: &Params, current: u64) -> Result<u64> {
    let wanted = params
        .version()
        .map_err(|error| StatusError::bad_request(format!("invalid resource version: {error}")))?;
    match (wanted, params.text("resourceVersionMatch")) {
        (Some(wanted), _) if wanted > current => Err(StatusError::new(
            504,
            "Timeout",
            format!("Too large resource version: {wanted}, current: {current}"),
        )),
        (Some(wanted), Some("Exact")) => Ok(wanted),
        // Without a match rule a limited list is exact, which is what the API server does as well.
        (Some(wanted), None) if wanted > 0 && params.text("limit").is_some_and(|limit| limit != "0") => {
            Ok(wanted)
        }
        _ => Ok(current),
    }
}

type Objects = BTreeMap<ObjectName, Arc<Object>>;

fn at(
    state: &State,
    resource: &str,
    version: u64,
    after: Option<&ObjectName>,
    selector: &Selector,
) -> Result<Vec<Arc<Object>>> {
    let Some(collection) = state.collection(resource) else { return Ok(vec![]) };
    let expired = || {
        StatusError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new \
             list without the continue parameter.",
        )
    };
    let mut newer = collection.history.undo(version).ok_or_else(expired)?.peekable();
    let past: Objects;
    let objects = if newer.peek().is_none() {
        &collection.objects
    } else {
        let mut undone = collection.objects.clone();
        for event in newer {
            let name = event.object.object_name();
            match &event.previous {
                Some(previous) => undone.insert(name, Arc::clone(previous)),
                None => undone.remove(&name),
            };
        }
        past = undone;
        &past
    };
    Ok(range(objects, after, selector).filter(|object| selector.matches(&object.value)).cloned().collect())
}

/// The objects after a name, from the selector's namespace on.
fn range<'a>(
    objects: &'a Objects,
    after: Option<&ObjectName>,
    selector: &'a Selector,
) -> impl Iterator<Item = &'a Arc<Object>> {
    let namespace = selector.namespace.as_deref();
    let start = match (after, namespace) {
        (Some(after), _) => Bound::Excluded(after.clone()),
        (None, Some(namespace)) => Bound::Included(ObjectName::new(namespace, "")),
        (None, None) => Bound::Unbounded,
    };
    objects
        .range((start, Bound::Unbounded))
        .take_while(move |(name, _)| namespace.is_none_or(|wanted| name.namespace == wanted))
        .map(|(_, object)| object)
}
