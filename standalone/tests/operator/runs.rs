//! One run: what it costs, what is shown of it, and how it can end.

use crds::{ExecutionPhase, Reason};
use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use operator::Timings;
use serde_json::json;

use crate::{
    bed::{Bed, NEVER, alone, soon, until},
    programs::{go, gone, pid, started, starts, waiting},
};

#[test]
fn a_short_run_costs_two_writes_and_is_never_shown_as_running() {
    alone(async {
        let timings = Timings { lazy_running: NEVER, lazy_queued: NEVER, ..Timings::default() };
        let bed = Bed::with(timings, 1, 2).await;
        let mut events = Box::pin(watcher(bed.executions(), watcher::Config::default()));
        while !matches!(soon(events.next()).await.unwrap().unwrap(), Event::InitDone) {}
        assert!(bed.writes().is_empty());
        bed.create("hello", json!({"code": "print('hello')"})).await;
        let mut phases = vec![];
        while !phases.contains(&ExecutionPhase::Succeeded) {
            if let Event::Apply(seen) = soon(events.next()).await.unwrap().unwrap() {
                phases.push(seen.status.unwrap().phase);
            }
        }
        assert_eq!(phases, [ExecutionPhase::Pending, ExecutionPhase::Succeeded]);
        let status = bed.finished("hello").await;
        assert_eq!(status.stdout.unwrap().text, "hello\n");
        assert_eq!((status.reason, status.exit_code), (Some(Reason::Completed), Some(0)));
        // When its pod is gone, all that follows a run has happened.
        until(bed.pods(), &status.pod_name.unwrap(), |pod| pod.is_none()).await;
        bed.ready(1).await;
        let write = |verb: &str, part: &str| ((verb.to_owned(), part.to_owned()), 1);
        assert_eq!(bed.writes(), [write("PATCH", "status"), write("POST", "")].into());
    });
}

#[test]
fn a_long_run_is_shown_as_running_with_its_pod() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let status = bed.phase("long", ExecutionPhase::Running).await;
        let pod = bed.pods().get(&status.pod_name.unwrap()).await.unwrap();
        assert_eq!(pod.metadata.uid, status.pod_uid);
        assert!(status.start_time.is_some());
        assert_eq!((status.reason, status.completion_time), (None, None));
        go(&bed, "long");
        let status = bed.finished("long").await;
        assert_eq!(status.reason, Some(Reason::Completed));
        assert_eq!(status.stdout.unwrap().text, "before\nafter\n");
    });
}

#[test]
fn an_exit_code_and_a_signal_are_told_apart() {
    alone(async {
        let bed = Bed::new(2, 4).await;
        let code = "import sys; print('é', file=sys.stderr); sys.exit(3)";
        let status = bed.run("code", json!({"code": code})).await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::NonZeroExit)));
        assert_eq!((status.exit_code, status.signal), (Some(3), None));
        assert_eq!(status.stderr.unwrap().text, "é\n");
        let code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)";
        let status = bed.run("signal", json!({"code": code})).await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Signalled)));
        assert_eq!(status.signal, Some(9));
    });
}

#[test]
fn arguments_input_and_environment_reach_the_program() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let spec = json!({
            "code": "import os, sys\nprint(sys.argv[1:], input(), os.environ['A'], n)",
            "args": ["x", ""], "stdin": "line\n", "env": [{"name": "A", "value": "b"}],
            "variablesJSON": "{\"n\": 4}",
        });
        let status = bed.run("all", spec).await;
        assert_eq!(status.stdout.unwrap().text, "['x', ''] line b 4\n");
    });
}

#[test]
fn a_spec_that_cannot_be_run_is_invalid_and_names_the_field() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let path = json!({"path": "a/../b", "source": {"inline": ""}});
        for (name, spec, field) in [
            ("path", json!({"code": "1", "files": [path]}), "files[0].path"),
            ("args", json!({"code": "1", "args": ["a\u{0}"]}), "args[0]"),
        ] {
            let status = bed.run(name, spec).await;
            assert_eq!(status.reason, Some(Reason::Invalid), "{name}");
            let failure = status.failure.unwrap();
            assert_eq!(failure.field.as_deref(), Some(field), "{failure:?}");
        }
    });
}

#[test]
fn at_the_deadline_the_whole_tree_dies_and_what_it_wrote_is_kept() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let at = bed.path("child.pid").display().to_string();
        let code = format!(
            "import subprocess, time\n\
             child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n\
             open('{at}', 'w').write(str(child.pid))\n\
             print('told', flush=True)\n\
             time.sleep(1000)\n"
        );
        let status = bed.run("slow", json!({"code": code, "timeoutMilliseconds": 2000})).await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::TimedOut)));
        assert_eq!(status.exit_code, None);
        assert_eq!(status.stdout.unwrap().text, "told\n");
        gone(pid(&bed, "child")).await;
    });
}

#[test]
fn a_running_program_can_be_cancelled() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        bed.phase("long", ExecutionPhase::Running).await;
        let program = started(&bed, "long").await;
        bed.cancel("long").await;
        let status = bed.finished("long").await;
        assert_eq!((status.phase, status.reason), (ExecutionPhase::Failed, Some(Reason::Cancelled)));
        assert_eq!(status.stdout.unwrap().text, "before\n");
        gone(program).await;
    });
}

#[test]
fn a_queued_program_can_be_cancelled_and_never_starts() {
    alone(async {
        let bed = Bed::new(1, 1).await;
        bed.create("first", waiting(&bed, "first")).await;
        started(&bed, "first").await;
        bed.create("second", waiting(&bed, "second")).await;
        bed.phase("second", ExecutionPhase::Queued).await;
        bed.cancel("second").await;
        let status = bed.finished("second").await;
        assert_eq!((status.reason, status.start_time), (Some(Reason::Cancelled), None));
        go(&bed, "first");
        assert_eq!(bed.finished("first").await.reason, Some(Reason::Completed));
        // Whoever comes next gets the pod that the cancelled one waited for.
        assert_eq!(bed.run("third", json!({"code": ""})).await.reason, Some(Reason::Completed));
        assert_eq!(starts(&bed, "second"), 0);
    });
}

#[test]
fn deleting_a_running_execution_kills_its_program() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        bed.create("long", waiting(&bed, "long")).await;
        let pod = bed.phase("long", ExecutionPhase::Running).await.pod_name.unwrap();
        let program = started(&bed, "long").await;
        bed.executions().delete("long", &kube::api::DeleteParams::default()).await.unwrap();
        gone(program).await;
        until(bed.pods(), &pod, |pod| pod.is_none()).await;
        assert!(bed.executions().get_opt("long").await.unwrap().is_none());
        assert_eq!(bed.run("next", json!({"code": ""})).await.reason, Some(Reason::Completed));
    });
}

#[test]
fn what_the_kernel_would_not_take_is_invalid_and_names_its_field() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let env =
            |bytes: usize| json!([{"name": "A", "value": "a"}, {"name": "B", "value": "x".repeat(bytes)}]);
        let code = "import os; print(len(os.environ['B']))";
        let longest = bed.run("longest", json!({"code": code, "env": env(131_069)})).await;
        assert_eq!(
            (longest.reason, longest.stdout.unwrap().text.as_str()),
            (Some(Reason::Completed), "131069\n")
        );
        let status = bed.run("longer", json!({"code": code, "env": env(131_070)})).await;
        assert_eq!(status.reason, Some(Reason::Invalid));
        assert_eq!(status.failure.unwrap().field.as_deref(), Some("env[1].value"));
    });
}

#[test]
fn a_start_deadline_of_zero_runs_in_a_free_sandbox_and_waits_for_none() {
    alone(async {
        let bed = Bed::new(1, 1).await;
        let spec = |code: &str| json!({"code": code, "startDeadlineSeconds": 0});
        assert_eq!(bed.run("free", spec("")).await.reason, Some(Reason::Completed));
        bed.create("first", waiting(&bed, "first")).await;
        started(&bed, "first").await;
        let busy = bed.run("busy", spec("")).await;
        assert_eq!(busy.reason, Some(Reason::StartDeadlineExceeded));
        go(&bed, "first");
        assert_eq!(bed.finished("first").await.reason, Some(Reason::Completed));
    });
}
