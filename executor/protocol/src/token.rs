//! The permission that travels with every request: who may ask what of which pod, and until when.
//!
//! Pure: the clock and the highest epoch seen are arguments. Keeping the highest epoch is the
//! executor's business, and it must look again at the moment of a start (a start may wait for its body).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::keys::{PublicKeys, SigningKey};

/// The header a token travels in.
pub const HEADER: &str = "authorization";
/// The scheme in front of the token.
pub const SCHEME: &str = "Carrel ";
/// A token that ends later than this from now is refused: permissions are short by design.
pub const MAX_LIFETIME_MILLISECONDS: i64 = 60_000;

/// No token is longer; what is longer is not even decoded.
const MAX_HEADER_BYTES: usize = 4096;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// `GET /v1/inventory`.
    Inventory,
    /// `PUT` of an execution.
    Execute,
    /// `GET` of an execution.
    Attach,
    /// `GET` of a changed file.
    ReadFile,
    /// `POST` that cancels.
    Cancel,
    /// `DELETE` of an execution.
    Acknowledge,
    /// `POST` that makes an executor ready for another execution after one that was acknowledged.
    Reset,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    /// The key it is signed with.
    pub key_id: String,
    /// What may be done.
    pub method: Method,
    /// With which execution; absent for the inventory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_uid: Option<String>,
    /// On which pod.
    pub pod_uid: String,
    /// By the leader of which epoch.
    pub epoch: u64,
    /// Until when.
    pub expires_unix_milliseconds: i64,
}

/// What the receiver of a request knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation<'a> {
    /// What the request does.
    pub method: Method,
    /// With which execution.
    pub execution: Option<&'a str>,
    /// Who the receiver is.
    pub pod_uid: &'a str,
}

/// Why a token is refused, in the order of the checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is missing or has another form.
    #[error("the token is missing or malformed")]
    Malformed,
    /// Its key is not known.
    #[error("the token's key is not known")]
    UnknownKey,
    /// Its signature does not fit.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// It allows something else.
    #[error("the token is for another method")]
    WrongMethod,
    /// It is for another execution.
    #[error("the token is for another execution")]
    WrongExecution,
    /// It is for another pod.
    #[error("the token is for another pod")]
    WrongPod,
    /// It came too late.
    #[error("the token has expired")]
    Expired,
    /// It claims to live longer than any token does.
    #[error("the token's expiry is too far ahead")]
    TooFarAhead,
    /// A newer leader has been here.
    #[error("epoch {epoch} is older than {highest}")]
    OldEpoch {
        /// The token's.
        epoch: u64,
        /// The highest seen.
        highest: u64,
    },
}

/// The header value for these claims. `claims.key_id` should be the key's; the key's is what is written.
#[must_use]
pub fn sign(key: &SigningKey, claims: &Claims) -> String {
    let claims = Claims { key_id: key.id().to_owned(), ..claims.clone() };
    // A struct of strings and numbers always has a JSON form.
    let json = serde_json::to_vec(&claims).unwrap_or_default();
    let body = URL_SAFE_NO_PAD.encode(json);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(body.as_bytes()));
    format!("{SCHEME}{body}.{signature}")
}

/// Checks a header value: form, key, signature, method, execution, pod, expiry, epoch.
pub fn verify(
    header: &str,
    keys: &PublicKeys,
    expected: Expectation<'_>,
    highest_epoch: u64,
    now_unix_milliseconds: i64,
) -> Result<Claims, TokenError> {
    let claims = authentic(header, keys)?;
    if claims.method != expected.method {
        return Err(TokenError::WrongMethod);
    }
    if claims.execution_uid.as_deref() != expected.execution {
        return Err(TokenError::WrongExecution);
    }
    if claims.pod_uid != expected.pod_uid {
        return Err(TokenError::WrongPod);
    }
    still_valid(&claims, highest_epoch, now_unix_milliseconds)?;
    Ok(claims)
}

/// The part of [`verify`] that time and other leaders can change: expiry and epoch.
pub fn still_valid(
    claims: &Claims,
    highest_epoch: u64,
    now_unix_milliseconds: i64,
) -> Result<(), TokenError> {
    let left = claims.expires_unix_milliseconds.saturating_sub(now_unix_milliseconds);
    if left <= 0 {
        return Err(TokenError::Expired);
    }
    if left > MAX_LIFETIME_MILLISECONDS {
        return Err(TokenError::TooFarAhead);
    }
    if claims.epoch < highest_epoch {
        return Err(TokenError::OldEpoch { epoch: claims.epoch, highest: highest_epoch });
    }
    Ok(())
}

/// The claims, when one of `keys` signed exactly these bytes.
fn authentic(header: &str, keys: &PublicKeys) -> Result<Claims, TokenError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(TokenError::Malformed);
    }
    let token = header.strip_prefix(SCHEME).ok_or(TokenError::Malformed)?;
    let (body, signature) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let json = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Malformed)?;
    let claims: Claims = serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    let signature = <[u8; 64]>::try_from(signature.as_slice()).map_err(|_| TokenError::Malformed)?;
    if !keys.contains(&claims.key_id) {
        return Err(TokenError::UnknownKey);
    }
    if !keys.verify(&claims.key_id, body.as_bytes(), &signature) {
        return Err(TokenError::BadSignature);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed("k1", &[byte; 32]).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            key_id: "k1".to_owned(),
            method: Method::Execute,
            execution_uid: Some("u1".to_owned()),
            pod_uid: "p1".to_owned(),
            epoch: 5,
            expires_unix_milliseconds: NOW + 10_000,
        }
    }

    fn check(header: &str, highest: u64, now: i64) -> Result<Claims, TokenError> {
        let keys = key(1).public().parse().unwrap();
        let expected = Expectation { method: Method::Execute, execution: Some("u1"), pod_uid: "p1" };
        verify(header, &keys, expected, highest, now)
    }

    fn refused(change: impl FnOnce(&mut Claims)) -> TokenError {
        let mut claims = claims();
        change(&mut claims);
        check(&sign(&key(1), &claims), 5, NOW).unwrap_err()
    }

    #[test]
    fn what_was_signed_is_accepted_in_the_same_and_in_an_older_highest_epoch() {
        let header = sign(&key(1), &claims());
        assert_eq!(check(&header, 5, NOW), Ok(claims()));
        assert_eq!(check(&header, 0, NOW), Ok(claims()));
    }

    #[test]
    fn each_binding_is_checked() {
        assert_eq!(refused(|c| c.method = Method::Attach), TokenError::WrongMethod);
        assert_eq!(refused(|c| c.execution_uid = Some("u2".to_owned())), TokenError::WrongExecution);
        assert_eq!(refused(|c| c.execution_uid = None), TokenError::WrongExecution);
        assert_eq!(refused(|c| c.pod_uid = "p2".to_owned()), TokenError::WrongPod);
        assert_eq!(refused(|c| c.epoch = 4), TokenError::OldEpoch { epoch: 4, highest: 5 });
    }

    #[test]
    fn a_token_is_refused_from_the_moment_of_its_expiry() {
        let header = sign(&key(1), &claims());
        assert!(check(&header, 5, NOW + 9_999).is_ok());
        assert_eq!(check(&header, 5, NOW + 10_000), Err(TokenError::Expired));
    }

    #[test]
    fn an_expiry_more_than_a_minute_ahead_is_refused() {
        assert_eq!(refused(|c| c.expires_unix_milliseconds = NOW + 60_001), TokenError::TooFarAhead);
        assert_eq!(refused(|c| c.expires_unix_milliseconds = i64::MAX), TokenError::TooFarAhead);
        assert_eq!(refused(|c| c.expires_unix_milliseconds = i64::MIN), TokenError::Expired);
    }

    #[test]
    fn a_signature_by_another_key_of_the_same_id_is_refused() {
        assert_eq!(check(&sign(&key(2), &claims()), 5, NOW), Err(TokenError::BadSignature));
    }

    #[test]
    fn a_key_id_that_is_not_known_is_refused() {
        let other = SigningKey::from_seed("k2", &[1; 32]).unwrap();
        assert_eq!(check(&sign(&other, &claims()), 5, NOW), Err(TokenError::UnknownKey));
    }

    #[test]
    fn claims_changed_after_signing_are_refused() {
        let header = sign(&key(1), &claims());
        let (_, signature) = header.split_once('.').unwrap();
        let forged = Claims { epoch: 6, ..claims() };
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&forged).unwrap());
        assert_eq!(check(&format!("{SCHEME}{body}.{signature}"), 5, NOW), Err(TokenError::BadSignature));
    }

    #[test]
    fn no_single_changed_character_is_accepted() {
        let header = sign(&key(1), &claims());
        for at in 0..header.len() {
            let mut bytes = header.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(check(&changed, 5, NOW).is_err(), "accepted with character {at} changed");
        }
    }

    #[test]
    fn other_forms_are_malformed() {
        let header = sign(&key(1), &claims());
        let long = format!("{header}{}", "A".repeat(MAX_HEADER_BYTES));
        for text in ["", "Carrel ", "Carrel a", "Carrel a.b", "Bearer a.b", "carrel a.b", &long] {
            assert_eq!(check(text, 5, NOW), Err(TokenError::Malformed), "{text:.40}");
        }
    }
}
