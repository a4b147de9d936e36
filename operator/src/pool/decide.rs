//! How many pods to make and which to delete: pure.

use std::sync::Arc;

use super::validate::ValidPool;
use crate::key::Key;

/// What a pod is to its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It is being deleted and still takes up room.
    Leaving,
    /// It is being deleted for so long that its node is probably lost.
    Stuck,
    /// It can do nothing any more.
    Dead,
    /// It has run its program, or must not run one.
    Spent,
    /// It has an execution.
    Busy,
    /// It waits for an execution.
    Idle,
    /// It has run programs, and waits for another one of their key.
    Kept,
    /// It is coming up.
    Warming,
    /// It runs for so long without being of use that it will not come up.
    Stalled,
    /// An earlier leader may have given it an execution; it has not said so yet.
    Unknown,
    /// It never said so, and what it may hold is lost.
    Lost,
}

/// A pod as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PodView {
    pub(crate) key: Key,
    pub(crate) uid: Arc<str>,
    pub(crate) class: Class,
    /// It was made from another template, is too old, or is to be kept no longer.
    pub(crate) outdated: bool,
    /// For order: the larger, the younger.
    pub(crate) created: i64,
}

/// What is true of a pool now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) pods: Vec<PodView>,
    /// Pods that were created and are not seen yet.
    pub(crate) coming: usize,
    /// Executions that wait for a pod.
    pub(crate) queued: usize,
    /// The API refused the last pods, so none are made for now.
    pub(crate) held_back: bool,
    /// It did so because a quota is used up.
    pub(crate) no_room: bool,
}

/// What to do next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// How many pods to make.
    pub(crate) create: usize,
    /// Pods that are of no use and can be deleted at once.
    pub(crate) delete: Vec<PodView>,
    /// Pods that can be deleted if they are still idle when it comes to that.
    pub(crate) retire: Vec<PodView>,
}

/// Decides. Running pods come on top of `replicas`; whoever waits in the queue gets a pod as well; all within
/// `maxPods`. Kept pods have what room these leave.
pub(crate) fn decide(pool: &ValidPool, seen: &Observed) -> Step {
    let of = |wanted: &[Class]| seen.pods.iter().filter(|p| wanted.contains(&p.class)).count();
    let delete: Vec<PodView> =
        seen.pods.iter().filter(|p| matches!(p.class, Class::Dead | Class::Spent)).cloned().collect();
    if pool.deleting {
        // The others have their programs, or go with the pool. Kept pods cannot be of use to it any more.
        let kept = seen.pods.iter().filter(|p| p.class == Class::Kept).cloned();
        return Step { create: 0, delete, retire: kept.collect() };
    }
    let waiting = |p: &&PodView| matches!(p.class, Class::Idle | Class::Warming);
    let (old, mut fresh): (Vec<_>, Vec<_>) =
        seen.pods.iter().filter(waiting).cloned().partition(|p| p.outdated);
    let busy = of(&[Class::Busy]);
    let room = pool.max_pods.saturating_sub(busy);
    let wanted = (pool.replicas + seen.queued).min(room);
    let present = fresh.len() + seen.coming + of(&[Class::Unknown]);
    let hopeless = seen.pods.iter().filter(|p| matches!(p.class, Class::Stalled | Class::Lost));
    let going = of(&[Class::Leaving, Class::Spent]) + hopeless.clone().count();
    let total = present + old.len() + busy + going + of(&[Class::Kept]);
    let missing = wanted.saturating_sub(present);
    let create = missing.min(pool.max_pods.saturating_sub(total));
    let short = if seen.no_room { missing } else { missing - create };
    let surplus = present.saturating_sub(wanted).min(fresh.len());
    // More than the pool may have by now, without those that go anyway.
    let over = (total - surplus).saturating_sub(pool.max_pods);
    let kept = unkept(seen, short.max(over).saturating_sub(going));

    let usable = fresh.iter().filter(|p| p.class == Class::Idle).count();
    let mut replaceable = (usable + old.len()).saturating_sub(wanted).min(old.len());
    if kept.is_empty()
        && replaceable == 0
        && create == 0
        && missing > 0
        && seen.coming == 0
        && usable == fresh.len()
    {
        // There is no room beside the old ones, so one must go first.
        replaceable = usize::from(!old.is_empty());
    }
    let mut retire = oldest(old, replaceable);
    // What is not up yet goes first, then the youngest: the others have proved themselves.
    fresh.sort_by_key(|p| (p.class == Class::Idle, std::cmp::Reverse(p.created)));
    fresh.truncate(surplus);
    retire.extend(fresh);
    // They may come to themselves at this very moment and be given out, so they go as the unused do.
    retire.extend(hopeless.cloned());
    retire.extend(kept);
    Step { create: if seen.held_back { 0 } else { create }, delete, retire }
}

/// The kept pods that go: those that are kept no longer, and the oldest when that many pods lack room.
fn unkept(seen: &Observed, lacking: usize) -> Vec<PodView> {
    let kept = seen.pods.iter().filter(|p| p.class == Class::Kept).cloned();
    let (mut go, stay): (Vec<_>, Vec<_>) = kept.partition(|p| p.outdated);
    let more = lacking.saturating_sub(go.len());
    go.extend(oldest(stay, more));
    go
}

fn oldest(mut pods: Vec<PodView>, count: usize) -> Vec<PodView> {
    pods.sort_by_key(|pod| pod.created);
    pods.truncate(count);
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(replicas: usize, max_pods: usize) -> ValidPool {
        ValidPool {
            replicas,
            max_pods,
            queue_depth: 64,
            max_age_seconds: 3600,
            reuse: true,
            pod: k8s_openapi::api::core::v1::Pod::default(),
            template: "t".to_owned(),
            deleting: false,
        }
    }

    /// One letter for each pod: `i`dle, `w`arming, `b`usy, ke`p`t, `s`pent, `d`ead, `l`eaving, stuc`k`, `u`nknown,
    /// `n`ot ready for long, never hea`r`d; capitals are outdated.
    fn seen(pods: &str) -> Observed {
        let view = |(at, letter): (usize, char)| PodView {
            key: Key::new("ns", &format!("p{at}")),
            uid: format!("p{at}").into(),
            class: match letter.to_ascii_lowercase() {
                'i' => Class::Idle,
                'w' => Class::Warming,
                'b' => Class::Busy,
                'p' => Class::Kept,
                's' => Class::Spent,
                'd' => Class::Dead,
                'k' => Class::Stuck,
                'u' => Class::Unknown,
                'n' => Class::Stalled,
                'r' => Class::Lost,
                _ => Class::Leaving,
            },
            outdated: letter.is_ascii_uppercase(),
            created: i64::try_from(at).unwrap(),
        };
        Observed { pods: pods.chars().enumerate().map(view).collect(), ..Observed::default() }
    }

    fn names(pods: &[PodView]) -> String {
        pods.iter().map(|p| p.uid.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pods_are_made_up_to_the_idle_ones_wanted_and_never_beyond_the_limit() {
        for (pods, coming, queued, create, why) in [
            ("", 0, 0, 2, "an empty pool is filled"),
            ("iw", 0, 0, 0, "what comes up counts"),
            ("i", 1, 0, 0, "what is not seen yet counts"),
            ("bb", 0, 0, 2, "running ones come on top"),
            ("bbbb", 0, 0, 1, "but not beyond the limit"),
            ("bbbbb", 0, 3, 0, "a full pool makes none"),
            ("", 0, 2, 4, "who waits gets one as well"),
            ("", 0, 100, 5, "within the limit"),
            ("bbbl", 0, 0, 1, "what is leaving takes up room"),
            ("bbbk", 0, 0, 2, "what is stuck does not"),
            ("d", 0, 0, 2, "a dead one is none"),
            ("n", 0, 0, 2, "one that does not come up is none"),
            ("r", 0, 0, 2, "nor one that was never heard of"),
            ("nrbbb", 0, 0, 0, "but they take up room until they are gone"),
            ("sbbbb", 0, 0, 0, "a used one takes up room until it is gone"),
        ] {
            let observed = Observed { coming, queued, ..seen(pods) };
            assert_eq!(decide(&pool(2, 5), &observed).create, create, "{why}: {pods}");
        }
    }

    #[test]
    fn kept_pods_have_the_room_that_others_leave() {
        for (pods, queued, create, retire, why) in [
            ("iip", 0, 0, "", "there is room"),
            ("ppp", 0, 2, "", "idle ones are made beside them"),
            ("pppp", 0, 1, "p0", "and instead of them"),
            ("ppppp", 0, 0, "p0 p1", "the oldest first"),
            ("iippp", 1, 0, "p2", "who waits gets the room"),
            ("ppppl", 0, 0, "p0", "what is leaving makes room as well"),
            ("pppll", 0, 0, "", "and may be enough"),
            ("bbbip", 9, 0, "p4", "no more go than there can be new ones"),
            ("iiP", 0, 0, "p2", "one that is kept no longer goes without need"),
            ("iPppp", 0, 0, "p1", "and makes room"),
        ] {
            let step = decide(&pool(2, 5), &Observed { queued, ..seen(pods) });
            assert_eq!((step.create, names(&step.retire).as_str()), (create, retire), "{why}: {pods}");
        }
    }

    #[test]
    fn kept_pods_follow_a_limit_that_was_lowered() {
        for (pods, retire, why) in [
            ("iipppp", "p2 p3 p4 p5", "all that are too many"),
            ("bpp", "p1", "and no more than that"),
            ("bppl", "p1", "what is leaving goes only once"),
            ("iiipp", "p2 p3 p4", "the idle one too many goes as well"),
            ("bbbp", "p3", "running ones stay"),
        ] {
            assert_eq!(names(&decide(&pool(2, 2), &seen(pods)).retire), retire, "{why}: {pods}");
        }
    }

    #[test]
    fn a_pool_that_is_being_deleted_lets_its_kept_pods_go() {
        let step = decide(&ValidPool { deleting: true, ..pool(2, 5) }, &seen("ibpPs"));
        assert_eq!((step.create, names(&step.retire), names(&step.delete)), (0, "p2 p3".into(), "p4".into()));
    }

    #[test]
    fn where_a_quota_is_used_up_kept_pods_make_room_although_there_may_be_more() {
        let refused = |no_room| Observed { queued: 1, held_back: true, no_room, ..seen("iipp") };
        assert_eq!(names(&decide(&pool(2, 9), &refused(true)).retire), "p2");
        assert_eq!(names(&decide(&pool(2, 9), &refused(false)).retire), "", "nothing else would come of it");
    }

    #[test]
    fn none_are_made_while_the_api_refuses_them_or_the_pool_goes() {
        let observed = Observed { held_back: true, ..seen("") };
        assert_eq!(decide(&pool(2, 5), &observed).create, 0);
        assert_eq!(decide(&ValidPool { deleting: true, ..pool(2, 5) }, &seen("")).create, 0);
    }

    #[test]
    fn the_dead_and_the_used_are_deleted() {
        assert_eq!(names(&decide(&pool(2, 5), &seen("idsb")).delete), "p1 p2");
    }

    #[test]
    fn a_smaller_pool_loses_what_is_not_up_yet_and_then_the_youngest() {
        assert_eq!(names(&decide(&pool(1, 5), &seen("iwi")).retire), "p1 p2");
        assert_eq!(names(&decide(&pool(0, 5), &seen("ib")).retire), "p0");
        assert_eq!(names(&decide(&pool(2, 5), &seen("ii")).retire), "");
        assert_eq!(names(&decide(&pool(0, 5), &seen("uU")).retire), "", "it may hold a run");
    }

    #[test]
    fn what_does_not_come_up_and_what_was_never_heard_of_goes_if_it_is_still_unused() {
        let step = decide(&pool(2, 5), &seen("inr"));
        assert_eq!((names(&step.retire).as_str(), names(&step.delete).as_str()), ("p1 p2", ""));
    }

    #[test]
    fn outdated_pods_go_one_for_each_new_one_that_is_up() {
        for (pods, create, retire, why) in [
            ("II", 2, "", "new ones are made first"),
            ("IIww", 0, "", "the old ones serve until the new ones are up"),
            ("IIiw", 0, "p0", "one for one"),
            ("IIii", 0, "p0 p1", "and then all"),
        ] {
            let step = decide(&pool(2, 5), &seen(pods));
            assert_eq!((step.create, names(&step.retire).as_str()), (create, retire), "{why}: {pods}");
        }
    }

    #[test]
    fn without_room_for_a_new_pod_an_outdated_one_goes_first() {
        let step = decide(&pool(2, 2), &seen("II"));
        assert_eq!((step.create, names(&step.retire).as_str()), (0, "p0"));
        let step = decide(&pool(2, 2), &seen("Iw"));
        assert_eq!((step.create, names(&step.retire).as_str()), (0, ""), "one at a time");
    }
}
