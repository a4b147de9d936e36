//! Secrets that are made once, by whichever operator comes first, and read from then on. What is in them is
//! `keys.rs` and `front_tokens.rs`.

use std::collections::BTreeMap;

use crds::labels;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

/// A Secret that is there.
pub(crate) struct Found {
    pub(crate) secret: Secret,
    /// Whether this process made it.
    pub(crate) made: bool,
}

/// Reads a Secret, or makes it when there is none.
pub(crate) async fn read_or_make<E>(
    api: &Api<Secret>,
    name: &str,
    fresh: impl FnOnce() -> Result<Secret, E>,
) -> Result<Found, E>
where
    E: From<kube::Error>,
{
    if let Some(secret) = api.get_opt(name).await? {
        return Ok(Found { secret, made: false });
    }
    match api.create(&PostParams::default(), &fresh()?).await {
        Ok(secret) => Ok(Found { secret, made: true }),
        // Another operator was faster; both must use the same.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(Found { secret: api.get(name).await?, made: false })
        }
        Err(error) => Err(error.into()),
    }
}

/// A Secret with one entry.
pub(crate) fn secret(name: &str, entry: &str, content: Vec<u8>) -> Secret {
    let labels = BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())]);
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() },
        data: Some(BTreeMap::from([(entry.to_owned(), ByteString(content))])),
        ..Secret::default()
    }
}
