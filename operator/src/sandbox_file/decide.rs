//! What to do next with a file: pure.

use chrono::{DateTime, Utc};
use crds::FilePhase;

use super::validate::ValidSource;

/// What is true of a file now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) phase: FilePhase,
    /// When it ends by itself.
    pub(crate) end: Option<DateTime<Utc>>,
    /// When it was seen to have expired.
    pub(crate) expired_at: Option<DateTime<Utc>>,
    /// Registered again since its status was written.
    pub(crate) registered_again: bool,
    pub(crate) deleting: bool,
}

/// The one thing to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until then.
    Wait(Option<DateTime<Utc>>),
    /// Put the bytes where they belong and say that the file is ready.
    Store,
    /// Say that the bytes cannot be had.
    Fail(String),
    /// Say that its time is over.
    Expire,
    /// Delete the record.
    Delete,
    /// A repeated registration makes it live again.
    Renew,
}

/// Decides. `record` is how long the record of an expired file is kept.
pub(crate) fn decide(
    source: Result<&ValidSource, &String>,
    seen: &Observed,
    record: chrono::TimeDelta,
    now: DateTime<Utc>,
) -> Step {
    if seen.deleting {
        return Step::Wait(None);
    }
    let over = seen.end.is_some_and(|end| now >= end);
    match seen.phase {
        FilePhase::Expired if seen.registered_again && !over => Step::Renew,
        FilePhase::Expired => {
            let end = seen.expired_at.unwrap_or(now) + record;
            if now >= end { Step::Delete } else { Step::Wait(Some(end)) }
        }
        _ if over => Step::Expire,
        FilePhase::Ready if seen.registered_again => Step::Renew,
        FilePhase::Ready | FilePhase::Failed => Step::Wait(seen.end),
        FilePhase::Pending => match source {
            Err(message) => Step::Fail(message.clone()),
            Ok(ValidSource::Produced) => Step::Wait(seen.end),
            Ok(ValidSource::Inline(_) | ValidSource::Staged(_)) => Step::Store,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn seen(phase: FilePhase) -> Observed {
        Observed { phase, end: None, expired_at: None, registered_again: false, deleting: false }
    }

    fn step(seen: &Observed) -> Step {
        decide(Ok(&ValidSource::Inline(String::new())), seen, chrono::TimeDelta::seconds(50), at(100))
    }

    #[test]
    fn each_phase_has_its_step() {
        use FilePhase::{Expired, Failed, Pending, Ready};
        let over = Some(at(100));
        let later = Some(at(101));
        for (observed, expected) in [
            (seen(Pending), Step::Store),
            (seen(Ready), Step::Wait(None)),
            (seen(Failed), Step::Wait(None)),
            (Observed { end: later, ..seen(Ready) }, Step::Wait(later)),
            (Observed { end: over, ..seen(Ready) }, Step::Expire),
            (Observed { end: over, ..seen(Pending) }, Step::Expire),
            (Observed { registered_again: true, ..seen(Ready) }, Step::Renew),
            (Observed { expired_at: Some(at(60)), ..seen(Expired) }, Step::Wait(Some(at(110)))),
            (Observed { expired_at: Some(at(50)), ..seen(Expired) }, Step::Delete),
            (Observed { registered_again: true, end: later, ..seen(Expired) }, Step::Renew),
            (Observed { deleting: true, ..seen(Pending) }, Step::Wait(None)),
        ] {
            assert_eq!(step(&observed), expected, "{observed:?}");
        }
    }

    #[test]
    fn a_produced_file_is_left_to_the_execution_and_a_bad_source_fails() {
        let record = chrono::TimeDelta::seconds(50);
        let produced = decide(Ok(&ValidSource::Produced), &seen(FilePhase::Pending), record, at(1));
        assert_eq!(produced, Step::Wait(None));
        let bad = decide(Err(&"no".to_owned()), &seen(FilePhase::Pending), record, at(1));
        assert_eq!(bad, Step::Fail("no".to_owned()));
    }
}
