//! What was found out about bearer tokens, for a short while: tokens by their hash, bounded in number, the clock as an
//! argument. Those that were refused are kept apart, so that nobody drives good ones out with made-up ones.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{error::ShimError, token_review::User};

/// The SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// A token that was let in is asked about again after so long: a token that is revoked, or a right that is taken
/// away, counts so long at most.
const GOOD_FOR: Duration = Duration::from_mins(1);
/// Whoever was let in is known for so long after that: whoever comes back meanwhile need not wait behind strangers.
const KNOWN_FOR: Duration = Duration::from_mins(10);
/// One that was refused: a right that is given counts soon.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Users at a time.
const MOST_GOOD: usize = 4096;
/// Refused tokens at a time; further ones are asked about each time.
const MOST_REFUSED: usize = 1024;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The API does not know it, or it is for somebody else.
    Invalid,
    /// Its user is in no tenant.
    NoTenant,
    /// Its user may not run programs there.
    Forbidden,
}

impl From<Refusal> for ShimError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => Self::InvalidToken,
            Refusal::NoTenant => Self::NoTenant,
            Refusal::Forbidden => Self::NotAllowed,
        }
    }
}

/// What is known of a token.
pub(crate) type Verdict = Result<User, Refusal>;

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    good: Known<User>,
    refused: Known<Refusal>,
}

/// Values by token, and until when each counts.
#[derive(Debug)]
struct Known<T>(HashMap<TokenHash, (T, Instant)>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> Known<T> {
    fn get(&self, token: &TokenHash, now: Instant) -> Option<T> {
        self.0.get(token).filter(|(_, until)| now < *until).map(|(value, _)| value.clone())
    }

    /// Makes room among those that count no more. `false` when there is none.
    fn has_room(&mut self, most: usize, now: Instant) -> bool {
        if self.0.len() >= most {
            self.0.retain(|_, (_, until)| now < *until);
        }
        self.0.len() < most
    }

    /// Drops that which ends first.
    fn drop_oldest(&mut self) {
        let oldest = self.0.iter().min_by_key(|(_, (_, until))| *until).map(|(token, _)| *token);
        oldest.and_then(|token| self.0.remove(&token));
    }
}

impl Verdicts {
    /// What is known of a token now.
    pub(crate) fn get(&self, token: &TokenHash, now: Instant) -> Option<Verdict> {
        self.good.get(token, now).map(Ok).or_else(|| self.refused.get(token, now).map(Err))
    }

    /// Whether a token was good at last, and a short while ago.
    pub(crate) fn was_good(&self, token: &TokenHash, now: Instant) -> bool {
        self.good.0.get(token).is_some_and(|(_, until)| now < *until + KNOWN_FOR)
    }

    /// Takes in what was found out about a token.
    pub(crate) fn put(&mut self, token: TokenHash, verdict: Verdict, now: Instant) {
        match verdict {
            Ok(user) => {
                if !self.good.has_room(MOST_GOOD, now) {
                    self.good.drop_oldest();
                }
                self.refused.0.remove(&token);
                self.good.0.insert(token, (user, now + GOOD_FOR));
            }
            Err(refusal) => {
                self.good.0.remove(&token);
                if self.refused.has_room(MOST_REFUSED, now) {
                    self.refused.0.insert(token, (refusal, now + REFUSED_FOR));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> TokenHash {
        let mut token = [0; 32];
        token[..8].copy_from_slice(&number.to_be_bytes());
        token
    }

    fn user() -> User {
        User { scope: "alice".to_owned(), namespace: "ns-a".to_owned() }
    }

    #[test]
    fn a_verdict_counts_for_its_time_and_no_longer() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(token(1), Ok(user()), now);
        verdicts.put(token(2), Err(Refusal::Invalid), now);
        assert_eq!(verdicts.get(&token(1), now + Duration::from_secs(59)), Some(Ok(user())));
        assert_eq!(verdicts.get(&token(1), now + GOOD_FOR), None);
        assert_eq!(verdicts.get(&token(2), now + Duration::from_secs(4)), Some(Err(Refusal::Invalid)));
        assert_eq!(verdicts.get(&token(2), now + REFUSED_FOR), None);
        assert_eq!(verdicts.get(&token(3), now), None);
    }

    #[test]
    fn who_was_let_in_is_known_for_a_while_after_the_verdict() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(token(1), Ok(user()), now);
        verdicts.put(token(2), Err(Refusal::Invalid), now);
        assert!(verdicts.was_good(&token(1), now + GOOD_FOR));
        assert!(!verdicts.was_good(&token(1), now + GOOD_FOR + KNOWN_FOR));
        assert!(!verdicts.was_good(&token(2), now) && !verdicts.was_good(&token(3), now));
        verdicts.put(token(1), Err(Refusal::Invalid), now + GOOD_FOR);
        assert!(!verdicts.was_good(&token(1), now + GOOD_FOR), "a token that was revoked");
    }

    #[test]
    fn the_latest_verdict_is_the_only_one() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(token(1), Ok(user()), now);
        verdicts.put(token(1), Err(Refusal::Forbidden), now);
        assert_eq!(verdicts.get(&token(1), now), Some(Err(Refusal::Forbidden)));
        verdicts.put(token(1), Ok(user()), now);
        assert_eq!(verdicts.get(&token(1), now), Some(Ok(user())));
    }

    #[test]
    fn made_up_tokens_fill_nothing_and_drive_nobody_out() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(token(0), Ok(user()), now);
        for number in 1..=2 * MOST_REFUSED {
            verdicts.put(token(number), Err(Refusal::Invalid), now);
        }
        assert_eq!(verdicts.refused.0.len(), MOST_REFUSED);
        assert_eq!(verdicts.get(&token(0), now), Some(Ok(user())));
        let later = now + REFUSED_FOR;
        verdicts.put(token(9999), Err(Refusal::Invalid), later);
        assert_eq!(verdicts.refused.0.len(), 1, "those of before are forgotten");
    }

    #[test]
    fn among_too_many_users_the_one_who_is_asked_about_next_goes() {
        let (mut verdicts, now) = (Verdicts::default(), Instant::now());
        verdicts.put(token(0), Ok(user()), now);
        let later = now + Duration::from_secs(1);
        for number in 1..=MOST_GOOD {
            verdicts.put(token(number), Ok(user()), later);
        }
        assert_eq!(verdicts.good.0.len(), MOST_GOOD);
        assert_eq!((verdicts.get(&token(0), later), verdicts.get(&token(1), later).is_some()), (None, true));
    }
}
