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
    /// It was made from another template, or is too old.
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
/// `maxPods`.
pub(crate) fn decide(pool: &ValidPool, seen: &Observed) -> Step {
    let of = |wanted: &[Class]| seen.pods.iter().filter(|p| wanted.contains(&p.class)).count();
    let delete: Vec<PodView> =
        seen.pods.iter().filter(|p| matches!(p.class, Class::Dead | Class::Spent)).cloned().collect();
    if pool.deleting {
        return Step { delete, ..Step::default() };
    }
    let waiting = |p: &&PodView| matches!(p.class, Class::Idle | Class::Warming);
    let (old, mut fresh): (Vec<_>, Vec<_>) =
        seen.pods.iter().filter(waiting).cloned().partition(|p| p.outdated);
    let busy = of(&[Class::Busy]);
    let room = pool.max_pods.saturating_sub(busy);
    let wanted = (pool.replicas + seen.queued).min(room);
    let present = fresh.len() + seen.coming + of(&[Class::Unknown]);
    let hopeless = seen.pods.iter().filter(|p| matches!(p.class, Class::Stalled | Class::Lost));
    let total = present + old.len() + busy + of(&[Class::Leaving, Class::Spent]) + hopeless.clone().count();
    let missing = wanted.saturating_sub(present);
    let create = missing.min(pool.max_pods.saturating_sub(total));

    let usable = fresh.iter().filter(|p| p.class == Class::Idle).count();
    let mut replaceable = (usable + old.len()).saturating_sub(wanted).min(old.len());
    if replaceable == 0 && create == 0 && missing > 0 && seen.coming == 0 && usable == fresh.len() {
        // There is no room beside the old ones, so one must go first.
        replaceable = usize::from(!old.is_empty());
    }
    let mut retire = oldest(old, replaceable);
    let surplus = present.saturating_sub(wanted).min(fresh.len());
    // What is not up yet goes first, then the youngest: the others have proved themselves.
    fresh.sort_by_key(|p| (p.class == Class::Idle, std::cmp::Reverse(p.created)));
    fresh.truncate(surplus);
    retire.extend(fresh);
    // They may come to themselves at this very moment and be given out, so they go as the unused do.
    retire.extend(hopeless.cloned());
    Step { create: if seen.held_back { 0 } else { create }, delete, retire }
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
            pod: k8s_openapi::api::core::v1::Pod::default(),
            template: "t".to_owned(),
            deleting: false,
        }
    }

    /// One letter for each pod: `i`dle, `w`arming, `b`usy, `s`pent, `d`ead, `l`eaving, stuc`k`, `u`nknown, `n`ot ready for long, never hea`r`d; capitals are outdated.
    fn seen(pods: &str) -> Observed {
        let view = |(at, letter): (usize, char)| PodView {
            key: Key::new("ns", &format!("p{at}")),
            uid: format!("p{at}").into(),
            class: match letter.to_ascii_lowercase() {
                'i' => Class::Idle,
                'w' => Class::Warming,
                'b' => Class::Busy,
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
