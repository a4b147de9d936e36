//! Operators that die, also together with the node, and what the next one does with what they left.

use crds::{ExecutionPhase, Reason};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use operator::Timings;
use serde_json::json;

use crate::{
    bed::{Bed, NEVER, alone, eventually, until},
    lease::holder,
    programs::{counting, go, gone, started, starts, waiting, waiting_code},
};

#[test]
fn a_run_goes_on_while_the_operator_dies_and_the_next_one_follows_it() {
    alone(async {
        let mut bed = Bed::new(1, 2).await;
        let code = format!("print('x' * 3000)\n{}print('y' * 3000)", waiting_code(&bed, "long"));
        bed.create("long", json!({"code": code})).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_uid;
        started(&bed, "long").await;
        bed.kill_operator().await;
        bed.start_operator();
        // The new one works, and the old run still waits.
        assert_eq!(bed.run("new", json!({"code": ""})).await.reason, Some(Reason::Completed));
        assert_eq!(bed.phase("long", ExecutionPhase::Running).await.pod_uid, pod);
        go(&bed, "long");
        let status = bed.finished("long").await;
        assert_eq!((status.reason, status.pod_uid), (Some(Reason::Completed), pod));
        let whole = format!("{}\nbefore\nafter\n{}\n", "x".repeat(3000), "y".repeat(3000));
        assert_eq!(status.stdout.unwrap().text, whole);
        assert_eq!(starts(&bed, "long"), 1);
    });
}

#[test]
fn an_outcome_that_no_operator_waited_for_is_fetched_by_the_next() {
    alone(fetched_by_the_next(Timings::default()));
}

#[test]
fn an_outcome_of_which_the_status_said_nothing_is_fetched_by_the_next() {
    alone(fetched_by_the_next(Timings { lazy_running: NEVER, ..Timings::default() }));
}

async fn fetched_by_the_next(timings: Timings) {
    let mut bed = Bed::with(timings, 1, 2).await;
    let code = format!("{}open('kept.txt', 'w').write('kept')", waiting_code(&bed, "long"));
    bed.create("long", json!({"code": code})).await;
    let program = started(&bed, "long").await;
    if timings.lazy_running != NEVER {
        bed.phase("long", ExecutionPhase::Running).await;
    }
    bed.kill_operator().await;
    go(&bed, "long");
    gone(program).await;
    bed.start_operator();
    let status = bed.finished("long").await;
    assert_eq!(status.reason, Some(Reason::Completed), "{:?}", status.failure);
    assert_eq!(status.stdout.unwrap().text, "before\nafter\n");
    let files: Vec<_> = status.files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, ["kept.txt"], "{:?}", status.files_skipped);
    assert_eq!(starts(&bed, "long"), 1);
}

#[test]
fn when_operator_and_node_die_the_running_is_lost_and_the_queued_completes() {
    alone(async {
        let mut bed = Bed::new(1, 1).await;
        bed.create("running", waiting(&bed, "running")).await;
        bed.phase("running", ExecutionPhase::Running).await;
        let program = started(&bed, "running").await;
        let queued = ["queued-1", "queued-2", "queued-3"];
        for name in queued {
            bed.create(name, counting(&bed, name)).await;
            bed.phase(name, ExecutionPhase::Queued).await;
        }
        bed.kill_operator().await;
        bed.kill_node().await;
        gone(program).await;
        bed.start_node();
        bed.start_operator();
        let status = bed.finished("running").await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Lost)));
        for name in queued {
            let status = bed.finished(name).await;
            assert_eq!(status.reason, Some(Reason::Completed), "{name}: {:?}", status.failure);
            assert_eq!(starts(&bed, name), 1, "{name}");
        }
        assert_eq!(starts(&bed, "running"), 1);
    });
}

#[test]
fn what_ran_unshown_when_operator_and_node_died_is_lost_and_not_run_again() {
    alone(async {
        let timings = Timings { lazy_running: NEVER, ..Timings::default() };
        let mut bed = Bed::with(timings, 1, 1).await;
        bed.create("unshown", waiting(&bed, "unshown")).await;
        started(&bed, "unshown").await;
        bed.kill_operator().await;
        bed.kill_node().await;
        bed.create("new", counting(&bed, "new")).await;
        bed.start_node();
        bed.start_operator();
        assert_eq!(bed.finished("unshown").await.reason, Some(Reason::Lost));
        assert_eq!(bed.finished("new").await.reason, Some(Reason::Completed));
        assert_eq!((starts(&bed, "unshown"), starts(&bed, "new")), (1, 1));
    });
}

#[test]
fn what_an_operator_has_sent_when_it_is_told_to_end_is_never_started_again() {
    alone(async {
        let timings = Timings { lazy_running: NEVER, ..Timings::default() };
        let mut bed = Bed::elected(timings, 1, 1).await;
        bed.create("unshown", waiting(&bed, "unshown")).await;
        let program = started(&bed, "unshown").await;
        bed.create("waits", counting(&bed, "waits")).await;
        bed.phase("waits", ExecutionPhase::Queued).await;
        // The first write of the last moment fails.
        bed.faults.fail(1);
        bed.end_operator().await;
        assert_eq!(bed.faults.failed(), 1);
        assert_eq!(holder(&bed).await.as_deref(), Some(""), "the Lease is given back");
        let shown = bed.phase("unshown", ExecutionPhase::Running).await;
        // The pod goes without a word, by force.
        bed.kill_node().await;
        gone(program).await;
        let by_force = DeleteParams::default().grace_period(0);
        let pod = shown.pod_name.unwrap();
        bed.pods().delete(&pod, &by_force).await.unwrap();
        until(bed.pods(), &pod, |pod| pod.is_none()).await;
        bed.start_node();
        bed.start_operator();
        assert_eq!(bed.finished("waits").await.reason, Some(Reason::Completed));
        assert_eq!(bed.finished("unshown").await.reason, Some(Reason::Lost));
        assert_eq!((starts(&bed, "unshown"), starts(&bed, "waits")), (1, 1));
    });
}

#[test]
fn what_came_of_a_run_is_written_before_the_end_of_an_operator_that_could_not_write_it_before() {
    alone(async {
        let mut bed = Bed::elected(Timings { lazy_running: NEVER, ..Timings::default() }, 1, 1).await;
        bed.create("ended", waiting(&bed, "ended")).await;
        started(&bed, "ended").await;
        bed.faults.fail(usize::MAX);
        go(&bed, "ended");
        // After that many the next attempt is so far away that the one of the last moment comes first.
        eventually("its end cannot be written", async || bed.faults.failed() >= 5).await;
        bed.faults.fail(1);
        bed.end_operator().await;
        let ended = bed.executions().get("ended").await.unwrap().status.unwrap();
        assert_eq!(ended.reason, Some(Reason::Completed), "{:?}", ended.failure);
        assert_eq!(ended.stdout.unwrap().text, "before\nafter\n");
    });
}

#[test]
fn what_was_announced_and_never_sent_is_no_longer_shown_in_a_pod_that_others_got() {
    alone(async {
        let mut bed = Bed::new(1, 1).await;
        bed.kill_operator().await;
        let pod = bed.pods().list(&ListParams::default()).await.unwrap().items.remove(0);
        let (name, uid) = (pod.metadata.name, pod.metadata.uid);
        // What an operator leaves that ends after its last announcement and before it has sent anything.
        let announced = json!({"status": {"phase": ExecutionPhase::Running, "podName": name, "podUID": uid}});
        for name in ["a", "b"] {
            bed.create(name, waiting(&bed, name)).await;
            let patch = Patch::Merge(&announced);
            bed.executions().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
        }
        bed.start_operator();
        eventually("one of them to start", async || starts(&bed, "a") + starts(&bed, "b") == 1).await;
        let other = if starts(&bed, "a") == 1 { "b" } else { "a" };
        let shown = bed.phase(other, ExecutionPhase::Queued).await;
        assert_eq!((shown.pod_name, shown.pod_uid, shown.start_time), (None, None, None));
        // Neither it nor its pod would be there when the next operator looks.
        bed.kill_operator().await;
        go(&bed, "a");
        go(&bed, "b");
        bed.start_operator();
        for name in ["a", "b"] {
            let status = bed.finished(name).await;
            assert_eq!(status.reason, Some(Reason::Completed), "{name}: {:?}", status.failure);
            assert_eq!(starts(&bed, name), 1, "{name}");
        }
    });
}
