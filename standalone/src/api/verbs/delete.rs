//! DELETE of one object or of a collection: preconditions, finalizers, propagation and a pod's grace.

use std::sync::Arc;

use chrono::Duration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions;
use serde_json::{Value, json};

use crate::api::{
    clock::seconds,
    core::{Core, Refused},
    decode::decode,
    field_error::FieldError,
    kinds::{Class, Kind},
    respond::{Answer, Reply},
    status_error::{Result, StatusError},
    store::{Expect, Object, ObjectName, Write},
    verbs::{Request, list, write::ATTEMPTS},
};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";
/// Namespaces that the service itself lives on.
const PROTECTED: [&str; 3] = ["default", "kube-system", "kube-public"];

/// What became of the object.
#[derive(Debug)]
pub(crate) enum Deleted {
    Gone(Arc<Object>),
    /// It waits for finalizers, for its content or for the end of its grace period.
    Waiting(Arc<Object>),
}

pub(super) async fn run(core: &Arc<Core>, request: &Request) -> Result<Answer> {
    let kind = &request.target.kind;
    let (options, dry_run) = options(request)?;
    if dry_run {
        let object = core.get(kind, &request.object_name())?;
        check_preconditions(kind, &object, &options)?;
        return Ok(Answer::ok(success(kind, &object)));
    }
    Ok(Answer::ok(match remove(core, kind, &request.object_name(), &options).await? {
        // A pod is answered with itself, everything else with a Status, as clients expect.
        Deleted::Gone(object) if matches!(kind.class, Class::Pod) => Reply::Object(object),
        Deleted::Gone(object) => success(kind, &object),
        Deleted::Waiting(object) => Reply::Object(object),
    }))
}

fn success(kind: &Kind, object: &Object) -> Reply {
    let mut details = json!({"name": object.name(), "kind": kind.plural, "uid": object.uid()});
    if let (Some(map), false) = (details.as_object_mut(), kind.group.is_empty()) {
        map.insert("group".to_owned(), json!(kind.group));
    }
    Reply::Plain(
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}),
    )
}

/// Deletes what the selectors choose; what vanished in between is fine.
pub(super) async fn collection(core: &Arc<Core>, request: &Request) -> Result<Answer> {
    if request.target.kind.namespaced && request.target.namespace.is_none() {
        return Err(StatusError::method_not_allowed());
    }
    let (options, dry_run) = options(request)?;
    let found = list::collect(core, request)?;
    if !dry_run {
        let removals = found.items.iter().map(|object| {
            let name = object.object_name();
            let options = &options;
            async move { remove(core, &request.target.kind, &name, options).await }
        });
        for outcome in futures::future::join_all(removals).await {
            match outcome {
                Ok(_) => {}
                Err(error) if error.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Answer::ok(Reply::List(found)))
}

/// The options from the body, or else from the query.
fn options(request: &Request) -> Result<(DeleteOptions, bool)> {
    let params = &request.params;
    let mut options: DeleteOptions = if request.body.is_empty() {
        DeleteOptions::default()
    } else {
        let decoded = decode("DeleteOptions", &request.body, &request.content_type)?;
        serde_json::from_value(decoded.value)
            .map_err(|error| StatusError::bad_request(format!("error decoding DeleteOptions: {error}")))?
    };
    if let Some(grace) = params.number("gracePeriodSeconds")? {
        options.grace_period_seconds = i64::try_from(grace).ok();
    }
    if let Some(policy) = params.text("propagationPolicy") {
        options.propagation_policy = Some(policy.to_owned());
    }
    if options.propagation_policy.is_none() && options.orphan_dependents == Some(true) {
        options.propagation_policy = Some("Orphan".to_owned());
    }
    match options.propagation_policy.as_deref() {
        None | Some("Background" | "Foreground" | "Orphan") => {}
        Some(other) => {
            let known = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
            let error = FieldError::not_supported("propagationPolicy", json!(other), &known);
            return Err(StatusError::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
        }
    }
    let dry_run =
        params.dry_run("DeleteOptions")? || options.dry_run.as_ref().is_some_and(|all| !all.is_empty());
    Ok((options, dry_run))
}

/// Deletes an object, or starts to.
pub(crate) async fn remove(
    core: &Core,
    kind: &Kind,
    name: &ObjectName,
    options: &DeleteOptions,
) -> Result<Deleted> {
    for _ in 0..ATTEMPTS {
        let object = core.get(kind, name)?;
        check_preconditions(kind, &object, options)?;
        if matches!(kind.class, Class::Namespace) && PROTECTED.contains(&object.name()) {
            return Err(StatusError::forbidden(kind, object.name(), "this namespace may not be deleted"));
        }
        match attempt(core, kind, object, options).await {
            Ok(deleted) => return Ok(deleted),
            Err(refused) if refused.raced => {}
            Err(refused) => return Err(refused.status),
        }
    }
    Err(StatusError::conflict(kind, &name.name))
}

fn check_preconditions(kind: &Kind, object: &Object, options: &DeleteOptions) -> Result<()> {
    let Some(conditions) = &options.preconditions else { return Ok(()) };
    // The API server names the kind here, and not the resource.
    let conflict = |why: &str| StatusError::conflict_on(&kind.group, &kind.kind, object.name(), why);
    if let Some(uid) = conditions.uid.as_deref().filter(|uid| *uid != object.uid()) {
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            object.uid()
        );
        return Err(conflict(&why));
    }
    let version = object.version.to_string();
    if let Some(wanted) = conditions.resource_version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(conflict(&why));
    }
    Ok(())
}

async fn attempt(
    core: &Core,
    kind: &Kind,
    object: Arc<Object>,
    options: &DeleteOptions,
) -> Result<Deleted, Refused> {
    let grace = grace(kind, &object.value, options);
    let finalizers = finalizers(&object, options);
    let write = |value| Write {
        resource: Arc::clone(&kind.resource),
        name: object.object_name(),
        expect: Expect::Version(object.version),
        value,
    };
    if matches!(kind.class, Class::Namespace) && object.is_deleting() {
        return Ok(Deleted::Waiting(object));
    }
    let stays = grace > 0 || !finalizers.is_empty() || matches!(kind.class, Class::Namespace);
    if !stays {
        return Ok(Deleted::Gone(core.commit(kind, write(None)).await?));
    }
    let next = marked(core, kind, &object.value, grace, finalizers);
    if next == object.value {
        return Ok(Deleted::Waiting(object));
    }
    Ok(Deleted::Waiting(core.commit(kind, write(Some(next))).await?))
}

/// How long the object may stay, in seconds; only a pod that runs is given time.
fn grace(kind: &Kind, value: &Value, options: &DeleteOptions) -> i64 {
    let phase = value.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    let node = value.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if !matches!(kind.class, Class::Pod) || node.is_empty() || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let running = value.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
    let own = value.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
    match (options.grace_period_seconds, running) {
        (Some(asked), Some(running)) => asked.clamp(0, running),
        (None, Some(running)) => running,
        (Some(asked), None) => asked.max(0),
        (None, None) => own,
    }
}

/// The finalizers the object must wait for, with the one that the propagation policy asks for.
fn finalizers(object: &Object, options: &DeleteOptions) -> Vec<Value> {
    let own = object.value.pointer("/metadata/finalizers").and_then(Value::as_array);
    let mut all: Vec<Value> = own.cloned().unwrap_or_default();
    let wanted = match options.propagation_policy.as_deref() {
        Some("Foreground") => Some(FOREGROUND),
        Some("Orphan") => Some(ORPHAN),
        Some(_) => None,
        None => return all,
    };
    all.retain(|one| !matches!(one.as_str(), Some(FOREGROUND | ORPHAN)));
    all.extend(wanted.map(|one| json!(one)));
    all
}

fn marked(core: &Core, kind: &Kind, value: &Value, grace: i64, finalizers: Vec<Value>) -> Value {
    let mut next = value.clone();
    let is_namespace = matches!(kind.class, Class::Namespace);
    if is_namespace && let Some(status) = next.get_mut("status").and_then(Value::as_object_mut) {
        status.insert("phase".to_owned(), json!("Terminating"));
    }
    let Some(metadata) = next.get_mut("metadata").and_then(Value::as_object_mut) else { return next };
    let running = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64);
    if running != Some(grace) {
        let until = core.now() + Duration::try_seconds(grace).unwrap_or_default();
        if running.is_none()
            && let Some(generation) = metadata.get("generation").and_then(Value::as_i64)
        {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
        metadata.insert("deletionTimestamp".to_owned(), json!(seconds(until)));
        if !is_namespace {
            metadata.insert("deletionGracePeriodSeconds".to_owned(), json!(grace));
        }
    }
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".to_owned(), Value::Array(finalizers));
    }
    next
}
