//! The bearer tokens of the HTTP front, when the operator is asked to make them: one for each identity, in a Secret
//! that the front mounts. A token that is there is never changed, and none is ever written to a log or an error.
//!
//! The Secret is looked at again and again, by each operator, whether it leads or not. What is wrong with it is said in
//! the log and in the readiness, and keeps the operator from nothing else: executions need no tokens.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use crate::{config::FrontTokens, reach::OfApi, secrets};

/// The entry of the Secret: a JSON object of identities and their tokens.
const ENTRY: &str = "tokens.json";
const TOKEN_BYTES: usize = 32;
/// How often a Secret is completed that somebody else changes at the same time.
const ATTEMPTS: usize = 5;
/// Between two looks. A Secret that is deleted is made again so soon.
const AGAIN: Duration = Duration::from_mins(1);
/// Between two looks while something is wrong.
const SOON: Duration = Duration::from_secs(10);
/// A connection may swallow a request without a word.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
enum FrontTokensError {
    /// The Secret could not be read or written.
    #[error("their Secret could not be read or written")]
    Api(#[from] kube::Error),
    /// The system gives no random bytes.
    #[error("there are no random bytes for a token")]
    Random(#[from] getrandom::Error),
    /// It would be overwritten. The source is left out: it may quote what is there.
    #[error(
        "the entry {ENTRY} of their Secret is no JSON object and is left as it is; correct it, or delete the Secret \
         to have all tokens made anew"
    )]
    Form,
    /// Each time that it was to be written it had changed.
    #[error("their Secret changes all the time")]
    Contended,
    /// A request is not answered.
    #[error("the API did not answer")]
    Late,
}

impl OfApi for FrontTokensError {
    fn unanswered(&self) -> Option<&kube::Error> {
        match self {
            Self::Api(error) => error.unanswered(),
            Self::Random(_) | Self::Form | Self::Contended | Self::Late => None,
        }
    }
}

/// Why some identities may have no token, in words. Clones know the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<RwLock<Option<String>>>);

impl Trouble {
    /// For readiness.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.0.read().clone().map_or(Ok(()), Err)
    }

    /// Takes in what a look came to. It is logged when it has changed.
    fn set(&self, secret: &str, new: Option<String>) {
        let old = std::mem::replace(&mut *self.0.write(), new.clone());
        match new {
            Some(why) if old.as_ref() != Some(&why) => {
                tracing::error!(secret, why, "the tokens of the front are not all there");
            }
            None if old.is_some() => tracing::info!(secret, "the tokens of the front are there now"),
            _ => {}
        }
    }
}

/// Keeps the Secret complete, for ever.
pub(crate) async fn keep(client: Client, namespace: String, wanted: FrontTokens, trouble: Trouble) {
    let mut keeper = Keeper { client, namespace, wanted, trouble, failures: 0 };
    loop {
        let wait = keeper.look().await;
        sleep(wait).await;
    }
}

struct Keeper {
    client: Client,
    namespace: String,
    wanted: FrontTokens,
    trouble: Trouble,
    /// In a row.
    failures: u32,
}

impl Keeper {
    /// One look. The answer is when to look again.
    async fn look(&mut self) -> Duration {
        let ensured = ensure(self.client.clone(), &self.namespace, &self.wanted);
        let ensured = timeout(ANSWERS_WITHIN, ensured).await;
        let Err(error) = ensured.unwrap_or(Err(FrontTokensError::Late)) else {
            self.failures = 0;
            self.trouble.set(&self.wanted.secret, None);
            return AGAIN;
        };
        self.failures = self.failures.saturating_add(1);
        // An API server that has just started does not answer, or refuses everybody, for a moment.
        let passes = error.unanswered().is_some() || matches!(error, FrontTokensError::Late);
        if self.failures > 1 || !passes {
            self.trouble.set(&self.wanted.secret, Some(telemetry::with_causes(&error)));
        }
        SOON
    }
}

/// Makes the Secret, or adds the tokens that it lacks.
async fn ensure(client: Client, namespace: &str, wanted: &FrontTokens) -> Result<(), FrontTokensError> {
    let FrontTokens { secret: name, identities } = wanted;
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let found = secrets::read_or_make(&api, name, || {
        let Completed { all, .. } = completed(Map::new(), identities, random)?.unwrap_or_default();
        Ok::<_, FrontTokensError>(secrets::secret(name, ENTRY, text(&all)))
    })
    .await?;
    if found.made {
        tracing::info!(secret = name, identities = identities.len(), "the tokens of the front were made");
    }
    let mut secret = found.secret;
    for _ in 0..ATTEMPTS {
        let Some(Completed { all, new }) = completed(tokens(&secret)?, identities, random)? else {
            return Ok(());
        };
        let patch = json!({
            "metadata": { "resourceVersion": secret.metadata.resource_version },
            "data": { ENTRY: ByteString(text(&all)) },
        });
        let params = PatchParams {
            field_manager: Some(crds::names::FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match api.patch(name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => {
                tracing::info!(secret = name, identities = new, "tokens of new identities were made");
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.code == 409 => secret = api.get(name).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(FrontTokensError::Contended)
}

/// The tokens that a Secret has.
fn tokens(secret: &Secret) -> Result<Map<String, Value>, FrontTokensError> {
    let Some(content) = secret.data.as_ref().and_then(|data| data.get(ENTRY)) else {
        return Ok(Map::new());
    };
    match serde_json::from_slice(&content.0) {
        Ok(Value::Object(tokens)) => Ok(tokens),
        Ok(_) | Err(_) => Err(FrontTokensError::Form),
    }
}

/// Tokens, one for each identity.
#[derive(Default)]
struct Completed {
    all: Map<String, Value>,
    /// How many of them were made just now.
    new: usize,
}

/// `tokens` with one for each identity; `None` when nobody lacks one.
fn completed<E>(
    mut tokens: Map<String, Value>,
    identities: &[String],
    fresh: impl Fn() -> Result<String, E>,
) -> Result<Option<Completed>, E> {
    let before = tokens.len();
    for identity in identities {
        if !tokens.contains_key(identity) {
            tokens.insert(identity.clone(), Value::String(fresh()?));
        }
    }
    let new = tokens.len() - before;
    Ok((new > 0).then_some(Completed { all: tokens, new }))
}

fn text(tokens: &Map<String, Value>) -> Vec<u8> {
    format!("{:#}\n", json!(tokens)).into_bytes()
}

fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests;
