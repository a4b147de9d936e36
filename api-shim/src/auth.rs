//! Configured bearer tokens and the identities they stand for. Tokens are kept and compared as hashes, every one of
//! them on every request, so that the time says nothing about any. Those of Kubernetes are `token_review.rs`'s.

use std::collections::BTreeMap;

use http::{HeaderMap, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{error::ShimError, tenants::MAX_IDENTITY_LENGTH};

/// The identity of the one token that `AUTH_TOKEN` sets.
const SINGLE_IDENTITY: &str = "default";

/// Who sent a request; without authentication nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// What separates the objects of one identity from those of another; none is *anonymous*.
    pub scope: Option<String>,
}

/// The configured tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

#[derive(Clone, PartialEq, Eq)]
struct Token {
    hash: Hash,
    identity: String,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Setting,
    File,
}

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
    /// Not one token, at the start.
    #[error("has no tokens, so nobody could come in")]
    Empty,
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
        let identity = SINGLE_IDENTITY.to_owned();
        self.0.push(Token { hash: hash(token), identity, origin: Origin::Setting });
    }

    /// Takes those of a file as [`Self::replace_file`] does. At the start one without tokens is a mistake.
    pub fn add_file(&mut self, content: &str) -> Result<(), TokensError> {
        let mut with_file = self.clone();
        with_file.replace_file(content)?;
        if !with_file.0.iter().any(|token| token.origin == Origin::File) {
            return Err(TokensError::Empty);
        }
        *self = with_file;
        Ok(())
    }

    /// Takes those of a file, `{"alice": "token", "bob": ["token", "token"]}`, in place of those of an earlier one:
    /// one without tokens revokes them all. A file that cannot be used changes nothing.
    pub fn replace_file(&mut self, content: &str) -> Result<(), TokensError> {
        let identities: BTreeMap<String, OneOrMore> = serde_json::from_str(content)?;
        let mut of_file = Vec::new();
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
                of_file.push(Token { hash: hash(&token), identity: identity.clone(), origin: Origin::File });
            }
        }
        self.0.retain(|token| token.origin == Origin::Setting);
        self.0.append(&mut of_file);
        Ok(())
    }

    /// Whether there are any. This configures at the start whether a credential is required, and says nothing of it
    /// later: tokens can go.
    #[must_use]
    pub fn required(&self) -> bool {
        !self.0.is_empty()
    }

    /// Who sent a request with these headers; without tokens it can be nobody.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Identity, ShimError> {
        let sent = hash(bearer(headers).ok_or(ShimError::NotAuthenticated)?);
        let matching = self.0.iter().filter(|known| bool::from(known.hash.ct_eq(&sent)));
        // `fold` and not `next`: all tokens are compared, whichever matches.
        let identity = matching.fold(None, |_, known| Some(known.identity.clone()));
        identity.map(|identity| Identity { scope: Some(identity) }).ok_or(ShimError::InvalidToken)
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
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
        tokens.replace_file(r#"{"alice": "two", "bob": ["three", "four"]}"#).expect("a file");
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
    fn without_tokens_nobody_is_let_in() {
        assert!(Tokens::default().identify(&HeaderMap::new()).is_err());
        assert!(Tokens::default().identify(&sent("Bearer one")).is_err());
    }

    #[test]
    fn a_file_that_cannot_work_is_refused() {
        for content in ["", "[]", "{\"a\": 1}", "{\"\": \"t\"}", "{\"a\": \"\"}", "{\"a\": \"two words\"}"] {
            let mut changed = tokens();
            assert!(changed.replace_file(content).is_err(), "{content}");
            assert!(changed == tokens(), "{content} changes nothing");
        }
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_one_before_and_of_nothing_else() {
        let mut tokens = tokens();
        tokens.replace_file(r#"{"alice": "five"}"#).expect("a file");
        for (value, scope) in
            [("Bearer one", Some("default")), ("Bearer five", Some("alice")), ("Bearer two", None)]
        {
            let identity = tokens.identify(&sent(value)).ok();
            assert_eq!(identity.and_then(|identity| identity.scope).as_deref(), scope, "{value}");
        }
    }

    #[test]
    fn a_file_without_tokens_is_refused_at_the_start_and_revokes_later() {
        for content in ["{}", "{\"a\": []}"] {
            let mut tokens = Tokens::default();
            tokens.add_single("one");
            assert!(matches!(tokens.add_file(content), Err(TokensError::Empty)), "{content}");
            tokens.add_file(r#"{"alice": "two"}"#).expect("a file");
            tokens.replace_file(content).expect("a file");
            assert!(matches!(tokens.identify(&sent("Bearer two")), Err(ShimError::InvalidToken)));
            assert!(tokens.identify(&sent("Bearer one")).is_ok(), "that of the setting is not the file's");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        assert_eq!(format!("{:?}", tokens()), "Tokens(4)");
    }
}
