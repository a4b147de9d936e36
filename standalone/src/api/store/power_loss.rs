//! A power cut at any moment loses no acknowledged object.
//!
//! What this can show: that nothing is acknowledged before the fsync that keeps it, and that a file of which any
//! sectors since the last fsync are missing opens again with everything that was acknowledged. What it cannot show:
//! that a real disk, its controller and its file system keep what they promise with fsync.

use std::collections::BTreeMap;

use serde_json::json;

use super::{platter::Platter, *};

const RESOURCE: &str = "g/things";

fn open(platter: &Platter) -> Store {
    let disk = Disk::on(platter.clone()).unwrap();
    Store::open(disk, &Options::default(), &[], |_, value| value).unwrap()
}

/// The version of each object.
type Objects = BTreeMap<String, u64>;

/// Makes, changes and deletes objects, three at a time, until the power is cut or all is done. Gives what a restart
/// may find: all that was acknowledged, and then each write that was under way or not, in their order.
async fn work(store: &Store, platter: &Platter) -> Vec<Objects> {
    let mut acknowledged = Objects::new();
    for round in 0..6 {
        let writes = (0..3).map(|n| {
            let name = ObjectName::new("n", format!("o{}", (round + n) % 4));
            let known = acknowledged.get(&name.name).copied();
            let gone = known.is_some() && (round + n) % 3 == 0;
            let value = json!({"metadata": {"name": name.name, "namespace": "n", "uid": name.name},
                "data": "x".repeat(2000 * n)});
            let write = Write {
                resource: RESOURCE.into(),
                name: name.clone(),
                expect: known.map_or(Expect::Absent, Expect::Version),
                value: (!gone).then_some(value),
            };
            async move { (store.commit(write).await.unwrap().version, name.name, gone) }
        });
        let mut outcomes = futures::future::join_all(writes).await;
        outcomes.sort();
        let mut possible = vec![acknowledged];
        for (version, name, gone) in outcomes {
            let mut next = possible.last().unwrap().clone();
            if gone {
                next.remove(&name)
            } else {
                next.insert(name, version)
            };
            possible.push(next);
        }
        if platter.is_cut() {
            return possible;
        }
        acknowledged = possible.pop().unwrap();
    }
    vec![acknowledged]
}

/// What a restart finds; nothing when the disk cannot be opened.
fn found(left: Vec<u8>) -> Option<Objects> {
    let disk = Disk::on(Platter::holding(left)).ok()?;
    let store = Store::open(disk, &Options::default(), &[], |_, value| value).ok()?;
    let state = store.read();
    let objects = state.collection(RESOURCE).map(|all| all.objects.values()).into_iter().flatten();
    Some(objects.map(|object| (object.name().to_owned(), object.version)).collect())
}

/// Cuts the power at every moment of the work, and gives how many moments there were and after how many of them something was lost.
async fn cut_everywhere(lies: bool) -> (usize, usize) {
    let (mut cuts, mut lost) = (0, 0);
    for seed in [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03] {
        for moment in 0.. {
            let platter = Platter::default();
            let store = open(&platter);
            platter.cut_after(moment, seed);
            if lies {
                platter.set_lies();
            }
            let possible = work(&store, &platter).await;
            let Some(left) = platter.left() else { break };
            cuts += 1;
            let kept = found(left).is_some_and(|found| possible.contains(&found));
            lost += usize::from(!kept);
        }
    }
    (cuts, lost)
}

#[tokio::test]
async fn a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged() {
    let (cuts, lost) = cut_everywhere(false).await;
    assert!(cuts > 100, "only {cuts} moments were tried");
    assert_eq!(lost, 0, "of {cuts} cuts");
}

#[tokio::test]
async fn a_disk_that_ignores_fsync_is_found_out() {
    let (_, lost) = cut_everywhere(true).await;
    assert!(lost > 0, "the test above would not see a loss");
}
