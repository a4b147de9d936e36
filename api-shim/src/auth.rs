//! Bearer tokens and the identities they stand for. Tokens are kept and compared as hashes, every one of
//! them on every request, so that the time says nothing about any.

use std::collections::BTreeMap;

use http::{HeaderMap, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ShimError;

/// The identity of the one token that `AUTH_TOKEN` sets.
const SINGLE_IDENTITY: &str = "default";
/// What fits `spec.scope`.
const MAX_IDENTITY_LENGTH: usize = 253;

/// Who sent a request; without authentication nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// What separates the objects of one identity from those of another; none is *anonymous*.
    pub scope: Option<String>,
}

/// The configured tokens.
#[derive(Clone, Default)]
pub struct Tokens(Vec<(Hash, String)>);

type Hash = [u8; 32];

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It is not the JSON we expect.
    #[error("expected a JSON object of identities, each with a token or a list of tokens: {0}")]
    Form(#[from] serde_json::Error),
    /// An identity that cannot be a scope.
    #[error("the identity {0:?} is empty or longer than 253 characters")]
    Identity(String),
    /// A token that nobody could send.
    #[error("a token of {0:?} is empty or has spaces")]
    Token(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Tokens {
    /// Adds the one token of `AUTH_TOKEN`.
    pub fn add_single(&mut self, token: &str) {
        self.0.push((hash(token), SINGLE_IDENTITY.to_owned()));
    }

    /// Adds those of a file: `{"alice": "token", "bob": ["token", "token"]}`.
    pub fn add_file(&mut self, content: &str) -> Result<(), TokensError> {
        let identities: BTreeMap<String, OneOrMore> = serde_json::from_str(content)?;
        for (identity, tokens) in identities {
            if identity.is_empty() || identity.chars().count() > MAX_IDENTITY_LENGTH {
                return Err(TokensError::Identity(identity));
            }
            let tokens = match tokens {
                OneOrMore::One(token) => vec![token],
                OneOrMore::More(tokens) => tokens,
            };
            for token in tokens {
                if token.is_empty() || token.contains(char::is_whitespace) {
                    return Err(TokensError::Token(identity));
                }
                self.0.push((hash(&token), identity.clone()));
            }
        }
        Ok(())
    }

    /// Whether a credential is required.
    #[must_use]
    pub fn required(&self) -> bool {
        !self.0.is_empty()
    }

    /// Who sent a request with these headers.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Identity, ShimError> {
        if !self.required() {
            return Ok(Identity::default());
        }
        let sent = hash(bearer(headers).ok_or(ShimError::NotAuthenticated)?);
        let matching = self.0.iter().filter(|(known, _)| bool::from(known.ct_eq(&sent)));
        // `fold` and not `next`: all tokens are compared, whichever matches.
        let identity = matching.fold(None, |_, (_, identity)| Some(identity.clone()));
        identity.map(|identity| Identity { scope: Some(identity) }).ok_or(ShimError::InvalidToken)
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    fn tokens() -> Tokens {
        let mut tokens = Tokens::default();
        tokens.add_single("one");
        tokens.add_file(r#"{"alice": "two", "bob": ["three", "four"]}"#).expect("a file");
        tokens
    }

    #[test]
    fn a_token_stands_for_its_identity() {
        for (value, scope) in [
            ("Bearer one", "default"),
            ("bearer two", "alice"),
            ("Bearer  four ", "bob"),
            ("BEARER three", "bob"),
        ] {
            let identity = tokens().identify(&sent(value)).expect(value);
            assert_eq!(identity.scope.as_deref(), Some(scope));
        }
    }

    #[test]
    fn nothing_usable_and_a_wrong_token_are_told_apart() {
        for value in ["", "Bearer", "Bearer ", "Basic b25l", "one"] {
            assert!(matches!(tokens().identify(&sent(value)), Err(ShimError::NotAuthenticated)), "{value:?}");
        }
        assert!(matches!(tokens().identify(&HeaderMap::new()), Err(ShimError::NotAuthenticated)));
        assert!(matches!(tokens().identify(&sent("Bearer on")), Err(ShimError::InvalidToken)));
    }

    #[test]
    fn without_tokens_everybody_is_anonymous() {
        assert_eq!(Tokens::default().identify(&HeaderMap::new()).expect("open"), Identity::default());
    }

    #[test]
    fn a_file_that_cannot_work_is_refused() {
        for content in ["[]", "{\"a\": 1}", "{\"\": \"t\"}", "{\"a\": \"\"}", "{\"a\": \"two words\"}"] {
            assert!(Tokens::default().add_file(content).is_err(), "{content}");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", tokens()), "Tokens(4)");
    }
}
