//! Whether the definitions in the cluster are as new as this operator. Helm may leave them to somebody else or keep old
//! ones, and the API drops what an old one does not know without a word, so it is said here, in the readiness and on
//! each pool. The operator goes on with what there is.

mod compare;

use std::{sync::Arc, time::Duration};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use tokio::{sync::watch, time::sleep};

use crate::metrics::Metrics;

/// What it is called in the log, in the readiness and in conditions.
pub(crate) const OUTDATED: &str = "CRDOutdated";

/// Between two looks.
const AGAIN: Duration = Duration::from_mins(5);
/// Between two looks while something is outdated or the API could not be asked.
const SOON: Duration = Duration::from_secs(10);
const REMEDY: &str = "install those of this version: helm upgrade with crds.install=true, or kubectl apply -f \
                      charts/carrel/files/crds";

/// What is known of the definitions. Clones know the same.
#[derive(Debug, Clone)]
pub(crate) struct Definitions(Arc<watch::Sender<Option<Arc<str>>>>);

impl Default for Definitions {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Definitions {
    /// What they lack, when they are outdated.
    pub(crate) fn outdated(&self) -> Option<Arc<str>> {
        self.0.borrow().clone()
    }

    /// Tells when that changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.0.subscribe()
    }

    /// Takes in what a look has found.
    pub(crate) fn set(&self, outdated: Option<String>) {
        let new = outdated.map(Arc::from);
        let changed = self.0.send_if_modified(|known| {
            let changed = *known != new;
            known.clone_from(&new);
            changed
        });
        match &new {
            Some(message) if changed => {
                tracing::warn!(reason = OUTDATED, lacking = %message, "the definitions in the cluster are old");
            }
            None if changed => tracing::info!("the definitions are those of this version now"),
            _ => {}
        }
    }
}

/// Looks for ever.
pub(crate) async fn keep(client: Client, definitions: Definitions, metrics: Metrics) {
    let mut told = false;
    loop {
        let wait = match look(&client).await {
            Ok(outdated) => {
                metrics.crd_outdated.set(i64::from(outdated.is_some()));
                let wait = if outdated.is_some() { SOON } else { AGAIN };
                definitions.set(outdated);
                wait
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        "the definitions may not be read, so nobody can say whether they are outdated"
                    );
                }
                AGAIN
            }
            Err(error) => {
                tracing::debug!(%error, "the definitions could not be read");
                SOON
            }
        };
        sleep(wait).await;
    }
}

/// What the definitions of the cluster lack, as a sentence with the next step; `None` when nothing.
async fn look(client: &Client) -> Result<Option<String>, kube::Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut lacking = Vec::new();
    for wanted in crds::definitions::all() {
        let installed = api.get_opt(wanted.metadata.name.as_deref().unwrap_or_default()).await?;
        lacking.extend(compare::lacks(&wanted, installed.as_ref()));
    }
    Ok((!lacking.is_empty()).then(|| format!("{}; {REMEDY}", lacking.join("; "))))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Mutex};

    use axum::http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// A cluster with the definitions that are in `installed`; it allows nothing when that is empty.
    fn cluster(installed: Arc<Mutex<Vec<CustomResourceDefinition>>>) -> Client {
        let service = tower::service_fn(move |request: Request<Body>| {
            let (installed, path) = (installed.lock().unwrap().clone(), request.uri().path().to_owned());
            let name = path.rsplit('/').next().unwrap();
            let found = installed.iter().find(|crd| crd.metadata.name.as_deref() == Some(name));
            let code = if installed.is_empty() { 403 } else { 404 };
            let reason = if code == 404 { "NotFound" } else { "Forbidden" };
            let refusal =
                serde_json::json!({ "kind": "Status", "status": "Failure", "reason": reason, "code": code });
            let (code, answer) = found.map_or((code, refusal), |crd| (200, serde_json::json!(crd)));
            let answer = Body::from(answer.to_string().into_bytes());
            std::future::ready(Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap()))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn what_is_outdated_is_said_with_the_next_step_until_it_is_mended() {
        let mut old = crds::definitions::all();
        let gone = old.pop().unwrap().spec.names.kind;
        let (installed, definitions) = (Arc::new(Mutex::new(old)), Definitions::default());
        let client = cluster(Arc::clone(&installed));
        let mut changes = definitions.changes();
        definitions.set(look(&client).await.unwrap());
        assert!(changes.has_changed().unwrap());
        let message = changes.borrow_and_update().clone().unwrap();
        assert!(message.starts_with(&format!("{gone} is not installed; ")), "{message}");
        assert!(message.contains("crds.install=true"), "{message}");
        definitions.set(look(&client).await.unwrap());
        assert!(!changes.has_changed().unwrap(), "it is said once");
        *installed.lock().unwrap() = crds::definitions::all();
        definitions.set(look(&client).await.unwrap());
        assert!(changes.has_changed().unwrap());
        assert_eq!(definitions.outdated(), None);
    }

    #[tokio::test]
    async fn definitions_that_may_not_be_read_are_not_called_outdated() {
        let refused = look(&cluster(Arc::default())).await.unwrap_err();
        assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
    }
}
