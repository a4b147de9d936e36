//! The key pair behind the tokens: made once, kept in a Secret, of which pods get only the public halves.
//!
//! Rotation is a matter of writing the Secret: what is `current` signs, what is `previous` is still accepted.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use protocol::SigningKey;

use crate::{reach::OfApi, secrets};

/// The Secret's name.
pub(crate) const SECRET: &str = "carrel-executor-keys";
const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    /// The Secret could not be read or made.
    #[error("the Secret {SECRET} could not be read or made")]
    Api(#[from] kube::Error),
    /// The system gives no random bytes.
    #[error("there are no random bytes for a key")]
    Random(#[source] getrandom::Error),
    /// The Secret holds something else.
    #[error("the Secret {SECRET} has no usable entry {0:?}")]
    Entry(&'static str),
    /// The key cannot be used.
    #[error("the Secret {SECRET} holds an unusable key")]
    Key(#[source] protocol::KeyError),
}

impl OfApi for KeysError {
    fn unanswered(&self) -> Option<&kube::Error> {
        match self {
            Self::Api(error) => error.unanswered(),
            Self::Random(_) | Self::Entry(_) | Self::Key(_) => None,
        }
    }
}

/// The keys of this installation.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// What signs.
    pub(crate) current: SigningKey,
    /// What executors accept, as they read it from their environment.
    pub(crate) public: String,
    /// Whether this process made them, so that no operator can have signed anything before.
    pub(crate) made: bool,
}

/// Reads the keys, or makes them when there are none.
pub(crate) async fn load(client: Client, namespace: &str) -> Result<Keys, KeysError> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let found = secrets::read_or_make(&api, SECRET, fresh).await?;
    Ok(Keys { made: found.made, ..parse(&found.secret)? })
}

fn fresh() -> Result<Secret, KeysError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(KeysError::Random)?;
    let id = format!("k{}", uuid::Uuid::new_v4().simple());
    let key = SigningKey::from_seed(&id, &seed).map_err(KeysError::Key)?;
    let entry = format!("{id}:{}", key.seed_base64());
    Ok(secrets::secret(SECRET, CURRENT, entry.into_bytes()))
}

fn parse(secret: &Secret) -> Result<Keys, KeysError> {
    let current = entry(secret, CURRENT)?.ok_or(KeysError::Entry(CURRENT))?;
    let previous = entry(secret, PREVIOUS)?;
    let all = [Some(current.public()), previous.map(|key| key.public())];
    let public: Vec<String> = all.into_iter().flatten().collect();
    Ok(Keys { current, public: public.join(","), made: false })
}

fn entry(secret: &Secret, name: &'static str) -> Result<Option<SigningKey>, KeysError> {
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(name)) else { return Ok(None) };
    let text = std::str::from_utf8(&bytes.0).map_err(|_| KeysError::Entry(name))?;
    let (id, seed) = text.trim().split_once(':').ok_or(KeysError::Entry(name))?;
    SigningKey::from_seed_base64(id, seed).map(Some).map_err(KeysError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read_and_pods_get_no_secret_half() {
        let secret = fresh().unwrap();
        let keys = parse(&secret).unwrap();
        assert!(keys.public.starts_with(keys.current.id()));
        assert!(!keys.public.contains(&keys.current.seed_base64()));
    }

    #[test]
    fn the_previous_key_is_still_accepted() {
        let (mut secret, other) = (fresh().unwrap(), fresh().unwrap());
        let old = other.data.unwrap().remove(CURRENT).unwrap();
        secret.data.as_mut().unwrap().insert(PREVIOUS.to_owned(), old);
        assert_eq!(parse(&secret).unwrap().public.split(',').count(), 2);
    }

    #[test]
    fn a_secret_of_another_form_is_an_error_and_not_a_new_key() {
        assert!(matches!(parse(&Secret::default()), Err(KeysError::Entry(CURRENT))));
    }
}
