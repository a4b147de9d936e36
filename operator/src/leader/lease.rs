//! What to do about the Lease: pure. Reading and writing it is `election.rs`.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use crds::labels;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};

/// What a candidate does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Write the Lease with this epoch.
    Take { epoch: u64 },
    /// Somebody else holds it; look again then or when it changes.
    Wait(Duration),
}

/// Who wants the Lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) identity: &'a str,
    /// No other operator can run, so whoever is named as the holder is dead.
    pub(crate) alone: bool,
    /// No operator has led here before.
    pub(crate) first: bool,
    /// How long a lease lasts.
    pub(crate) duration: Duration,
}

/// What a candidate does. `unchanged` is how long this candidate has seen the Lease as it is: the holder's clock
/// is not trusted for the end of the lease, only our own waiting is.
///
/// A Lease that is not there may have been deleted under a leader, who learns of it with its next renewal. So its
/// absence is waited out as if somebody held it. The epoch of the Lease before is not known then either; the clock's
/// seconds are ahead of it as a rule, because leaders that follow each other raise it by one and need longer than that.
pub(crate) fn next_move(
    lease: Option<&Lease>,
    candidate: Candidate<'_>,
    unchanged: Duration,
    now: DateTime<Utc>,
) -> Move {
    let Candidate { identity, alone, first, duration } = candidate;
    let wait_or_take = |duration: Duration, epoch| match duration.checked_sub(unchanged) {
        Some(left) if !left.is_zero() => Move::Wait(left),
        _ => Move::Take { epoch },
    };
    let Some(lease) = lease else {
        let epoch = u64::try_from(now.timestamp()).unwrap_or(0).max(1);
        return wait_or_take(if alone || first { Duration::ZERO } else { duration }, epoch);
    };
    let epoch = epoch(lease).saturating_add(1);
    let spec = lease.spec.as_ref();
    let holder = spec.and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
    if holder.is_empty() || holder == identity || alone {
        return Move::Take { epoch };
    }
    let seconds = spec.and_then(|s| s.lease_duration_seconds).unwrap_or(0).max(0).unsigned_abs();
    wait_or_take(Duration::from_secs(u64::from(seconds)), epoch)
}

/// The epoch that is stored in a Lease; 0 when there is none.
pub(crate) fn epoch(lease: &Lease) -> u64 {
    let annotations = lease.metadata.annotations.as_ref();
    annotations.and_then(|a| a.get(labels::EPOCH)).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// When the term of the Lease's last holder had ended at the latest.
pub(crate) fn ended(lease: &Lease) -> Option<DateTime<Utc>> {
    let spec = lease.spec.as_ref()?;
    let renewed = DateTime::from_timestamp_micros(spec.renew_time.as_ref()?.0.as_microsecond())?;
    let seconds = spec.lease_duration_seconds.unwrap_or_default().max(0);
    renewed.checked_add_signed(TimeDelta::seconds(seconds.into()))
}

/// The Lease as this holder writes it, over the one that was read.
pub(crate) fn held(
    read: Option<&Lease>,
    name: &str,
    identity: &str,
    epoch: u64,
    duration: Duration,
    now: DateTime<Utc>,
) -> Lease {
    let old = read.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let same_holder = old.holder_identity.as_deref() == Some(identity);
    let transitions = old.lease_transitions.unwrap_or(0);
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(duration.as_secs().max(1)).unwrap_or(i32::MAX)),
        acquire_time: if same_holder { old.acquire_time.clone() } else { Some(micro_time(now)) },
        renew_time: Some(micro_time(now)),
        lease_transitions: Some(if same_holder { transitions } else { transitions.saturating_add(1) }),
        ..old
    };
    let mut metadata = read.map_or_else(
        || ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        |lease| lease.metadata.clone(),
    );
    metadata.managed_fields = None;
    let annotations: &mut BTreeMap<_, _> = metadata.annotations.get_or_insert_default();
    annotations.insert(labels::EPOCH.to_owned(), epoch.to_string());
    Lease { metadata, spec: Some(spec) }
}

/// The Lease as a holder leaves it that goes: the next one need not wait. The epoch stays.
pub(crate) fn released(mut lease: Lease) -> Lease {
    lease.metadata.managed_fields = None;
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
    }
    lease
}

fn micro_time(now: DateTime<Utc>) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(now.timestamp_micros()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    const ME: Candidate<'static> =
        Candidate { identity: "me", alone: false, first: false, duration: Duration::from_secs(15) };

    fn lease(holder: &str) -> Lease {
        held(None, "carrel-operator", holder, 7, Duration::from_secs(15), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_ours_or_unchanged_for_its_whole_duration() {
        let ago = Duration::from_secs;
        let next = |lease: Option<Lease>, unchanged| next_move(lease.as_ref(), ME, unchanged, NOW);
        assert_eq!(next(Some(lease("me")), ago(0)), Move::Take { epoch: 8 });
        assert_eq!(next(Some(released(lease("you"))), ago(0)), Move::Take { epoch: 8 });
        assert_eq!(next(Some(lease("you")), ago(10)), Move::Wait(ago(5)));
        assert_eq!(next(Some(lease("you")), ago(15)), Move::Take { epoch: 8 });
        let alone = Candidate { alone: true, ..ME };
        assert_eq!(next_move(Some(&lease("you")), alone, ago(0), NOW), Move::Take { epoch: 8 });
    }

    #[test]
    fn a_lease_that_is_not_there_is_made_when_a_leader_that_had_it_must_have_ended() {
        let ago = Duration::from_secs;
        let take = Move::Take { epoch: 1_700_000_000 };
        assert_eq!(next_move(None, ME, ago(0), NOW), Move::Wait(ago(15)));
        assert_eq!(next_move(None, ME, ago(15), NOW), take);
        assert_eq!(next_move(None, Candidate { alone: true, ..ME }, ago(0), NOW), take);
        assert_eq!(next_move(None, Candidate { first: true, ..ME }, ago(0), NOW), take);
        let held = next_move(Some(&lease("you")), Candidate { first: true, ..ME }, ago(0), NOW);
        assert_eq!(held, Move::Wait(ago(15)));
    }

    #[test]
    fn a_new_holder_counts_as_a_transition_and_a_renewal_does_not() {
        let first = lease("you");
        let renewed = held(Some(&first), "x", "you", 7, Duration::from_secs(15), DateTime::UNIX_EPOCH);
        let taken = held(Some(&first), "x", "me", 8, Duration::from_secs(15), DateTime::UNIX_EPOCH);
        let transitions = |lease: &Lease| lease.spec.as_ref().and_then(|s| s.lease_transitions);
        assert_eq!(transitions(&renewed), transitions(&first));
        assert_eq!(transitions(&taken), transitions(&first).map(|t| t + 1));
        assert_eq!(epoch(&taken), 8);
        assert_eq!(ended(&taken), DateTime::from_timestamp(15, 0));
    }

    #[test]
    fn a_released_lease_keeps_its_epoch() {
        assert_eq!(epoch(&released(lease("you"))), 7);
    }
}
