//! Files and long texts on their way into a run and out of it.

use std::time::Duration;

use blobs::Digest;
use crds::{ExecutionPhase, FilePhase, Reason, labels, limits};
use serde_json::json;

use crate::{
    bed::{Bed, alone, until},
    programs::{go, gone, started, waiting, waiting_code},
};

/// Waits until the bytes of a file are in the store.
async fn stored(bed: &Bed, name: &str) {
    until(bed.files(), name, |file| {
        file.and_then(|file| file.status.as_ref()).is_some_and(|status| status.phase == FilePhase::Ready)
    })
    .await;
}

#[test]
fn source_input_and_files_come_from_stored_files() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let code = "for path in ['named', 'hashed', 'dir/inline']: print(open(path).read())\nprint(input())";
        for (name, text) in
            [("code", code), ("named", "by name"), ("hashed", "by hash"), ("stdin", "typed\n")]
        {
            let source = json!({"inline": text});
            bed.make_file(name, json!({"fileName": name, "source": source})).await;
        }
        let spec = json!({
            "codeFrom": {"fileRef": {"name": "code"}},
            "stdinFrom": {"fileRef": {"name": "stdin"}},
            "files": [
                {"path": "named", "source": {"fileRef": {"name": "named"}}},
                {"path": "hashed", "source": {"sha256": Digest::of(b"by hash").as_str()}},
                {"path": "dir/inline", "source": {"inline": "in the spec"}},
            ],
        });
        // A file by its hash is one that is known already; one by its name may still be on its way.
        stored(&bed, "hashed").await;
        let status = bed.run("all", spec).await;
        assert_eq!(status.reason, Some(Reason::Completed), "{:?} {:?}", status.failure, status.stderr);
        assert_eq!(status.stdout.unwrap().text, "by name\nby hash\nin the spec\ntyped\n");
        assert!(status.files.is_empty(), "no input was changed: {:?}", status.files);
    });
}

#[test]
fn a_long_output_is_stored_as_a_whole_and_begins_in_the_status() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let code = "import sys\nprint('é' * 100_000)\nprint('short', file=sys.stderr)";
        let status = bed.run("long", json!({"code": code})).await;
        let (stdout, stderr) = (status.stdout.unwrap(), status.stderr.unwrap());
        let whole = format!("{}\n", "é".repeat(100_000));
        assert_eq!((stdout.size_bytes, stdout.truncated), (200_001, false));
        assert!(!stdout.text.is_empty() && whole.starts_with(&stdout.text));
        assert!(stdout.text.len() <= limits::INLINE_OUTPUT_BYTES);
        let digest = stdout.stored_as.unwrap().parse().unwrap();
        assert!(bed.blobs.get_bytes(&digest, 1_000_000).await.unwrap() == whole.as_bytes());
        assert_eq!((stderr.text.as_str(), stderr.stored_as), ("short\n", None));
    });
}

#[test]
fn an_output_beyond_its_limit_is_cut_and_says_so() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let spec = json!({"code": "print('é' * 1_000_000)", "limits": {"outputBytes": 1000}});
        let status = bed.run("huge", spec).await;
        assert_eq!(status.reason, Some(Reason::Completed));
        let stdout = status.stdout.unwrap();
        assert_eq!((stdout.size_bytes, stdout.truncated, stdout.stored_as), (2_000_001, true, None));
        let kept = stdout.text.strip_suffix(limits::TRUNCATION_MARKER).unwrap();
        assert_eq!(kept, "é".repeat((1000 - limits::TRUNCATION_RESERVE_BYTES) / 2));
    });
}

#[test]
fn changed_files_become_files_that_are_ready_and_can_be_used_again() {
    alone(async {
        let bed = Bed::new(2, 4).await;
        let code = "import os\n\
                    os.mkdir('dir')\n\
                    open('dir/large.bin', 'wb').write(b'x' * 3_000_000)\n\
                    open('edited.txt', 'a').write(' and changed')\n\
                    open('same.txt', 'w').write('same')\n";
        let input = |path: &str, text: &str| json!({"path": path, "source": {"inline": text}});
        let files = [input("edited.txt", "given"), input("same.txt", "same")];
        let made = bed.create("maker", json!({"code": code, "files": files})).await;
        let status = bed.finished("maker").await;
        assert_eq!(status.files_count, Some(2));
        let paths: Vec<&str> = status.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["dir/large.bin", "edited.txt"], "content decides what has changed");
        let expected = [vec![b'x'; 3_000_000], b"given and changed".to_vec()];
        for (file, content) in status.files.iter().zip(expected) {
            let digest = Digest::of(&content);
            assert_eq!(file.sha256, digest.as_str());
            assert_eq!(usize::try_from(file.size_bytes).unwrap(), content.len());
            assert!(bed.blobs.get_bytes(&digest, 4_000_000).await.unwrap() == content);
            let object = bed.files().get(&file.file_ref.name).await.unwrap();
            let of_object = object.status.unwrap();
            assert_eq!((of_object.phase, of_object.sha256), (FilePhase::Ready, Some(file.sha256.clone())));
            let marks = object.metadata.labels.unwrap();
            assert_eq!(marks.get(labels::EXECUTION_UID), made.metadata.uid.as_ref());
            assert_eq!(marks.get(labels::MANAGED_BY).map(String::as_str), Some(labels::MANAGER));
            let short = labels::digest_value(&file.sha256.parse().unwrap());
            assert_eq!(marks.get(labels::DIGEST), Some(&short));
            assert!(object.metadata.owner_references.is_none(), "it outlives its execution");
        }
        let edited = status.files.last().unwrap();
        let again = json!({"path": "again.txt", "source": {"sha256": edited.sha256}});
        let status =
            bed.run("reader", json!({"code": "print(open('again.txt').read())", "files": [again]})).await;
        assert_eq!(status.stdout.unwrap().text, "given and changed\n");
    });
}

#[test]
fn a_file_that_has_expired_or_never_was_is_named_and_nothing_runs() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let spec =
            json!({"fileName": "old.py", "source": {"inline": "1"}, "expiresAt": "2020-01-01T00:00:00Z"});
        bed.make_file("old", spec).await;
        let file = |name: &str| json!({"path": "a", "source": {"fileRef": {"name": name}}});
        for (name, spec, field, value) in [
            ("code", json!({"codeFrom": {"fileRef": {"name": "old"}}}), "codeFrom.fileRef", "old"),
            ("file", json!({"code": "1", "files": [file("old")]}), "files[0].source", "old"),
            ("none", json!({"code": "1", "files": [file("none")]}), "files[0].source", "none"),
        ] {
            let status = bed.run(name, spec).await;
            assert_eq!(status.reason, Some(Reason::FileUnavailable), "{name}");
            let failure = status.failure.unwrap();
            let fault = (failure.field.as_deref(), failure.value.as_deref());
            assert_eq!(fault, (Some(field), Some(value)), "{name}");
            assert_eq!(status.start_time, None, "{name}");
        }
    });
}

#[test]
fn a_store_that_is_away_for_a_moment_costs_no_file() {
    alone(async {
        let bed = Bed::new(1, 2).await;
        let code = format!("{}open('kept.txt', 'w').write('kept')", waiting_code(&bed, "run"));
        bed.create("run", json!({"code": code})).await;
        let program = started(&bed, "run").await;
        let (store, away) = (bed.path("blobs"), bed.path("away"));
        std::fs::rename(&store, &away).unwrap();
        go(&bed, "run");
        gone(program).await;
        // The outage is longer than a few quick tries.
        tokio::time::sleep(Duration::from_secs(2)).await;
        std::fs::rename(&away, &store).unwrap();
        let status = bed.finished("run").await;
        let files: Vec<_> = status.files.into_iter().map(|file| file.path).collect();
        assert_eq!(files, ["kept.txt"], "{:?}", status.files_skipped);
    });
}

#[test]
fn a_store_that_is_away_at_a_start_costs_no_pod() {
    alone(async {
        let bed = Bed::new(1, 1).await;
        let pods = bed.pod_names().await;
        let input =
            bed.make_file("input", json!({"fileName": "input", "source": {"inline": "print(1)"}})).await;
        stored(&bed, &input.metadata.name.unwrap()).await;
        let (store, away) = (bed.path("blobs"), bed.path("away"));
        std::fs::rename(&store, &away).unwrap();
        bed.create("run", json!({"codeFrom": {"fileRef": {"name": "input"}}})).await;
        // Several starts fail meanwhile.
        tokio::time::sleep(Duration::from_secs(2)).await;
        std::fs::rename(&away, &store).unwrap();
        let status = bed.finished("run").await;
        assert_eq!(status.reason, Some(Reason::Completed), "{:?}", status.failure);
        assert!(pods.contains(&status.pod_name.unwrap()), "it runs in the first pod that it was given");
    });
}

#[test]
fn a_store_that_is_away_after_a_shown_wait_costs_few_writes() {
    alone(async {
        let bed = Bed::new(1, 1).await;
        bed.make_file("input", json!({"fileName": "input", "source": {"inline": "print(1)"}})).await;
        stored(&bed, "input").await;
        bed.create("first", waiting(&bed, "first")).await;
        started(&bed, "first").await;
        bed.create("second", json!({"codeFrom": {"fileRef": {"name": "input"}}})).await;
        bed.phase("second", ExecutionPhase::Queued).await;
        let (store, away) = (bed.path("blobs"), bed.path("away"));
        std::fs::rename(&store, &away).unwrap();
        let patches = || bed.writes().get(&("PATCH".to_owned(), "status".to_owned())).copied().unwrap();
        let before = patches();
        go(&bed, "first");
        bed.finished("first").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Each attempt is announced and taken back, and there are longer and longer pauses between them.
        let written = patches() - before;
        assert!((3..=20).contains(&written), "{written} writes of a status");
        std::fs::rename(&away, &store).unwrap();
        let status = bed.finished("second").await;
        assert_eq!(status.reason, Some(Reason::Completed), "{:?}", status.failure);
    });
}

#[test]
fn variables_and_the_input_of_a_tool_come_from_stored_files() {
    alone(async {
        let bed = Bed::new(2, 4).await;
        for (name, text) in [("variables", r#"{"n": 4}"#), ("input", r#"{"a": 5}"#), ("list", "[1]")] {
            bed.make_file(name, json!({"fileName": name, "source": {"inline": text}})).await;
        }
        let from = |name: &str| json!({"fileRef": {"name": name}});
        let bound =
            bed.run("bound", json!({"code": "print(n + 1)", "variablesFrom": from("variables")})).await;
        assert_eq!((bound.reason, bound.stdout.unwrap().text.as_str()), (Some(Reason::Completed), "5\n"));
        let tool = json!({"code": "def f(a): return a * 2", "tool": {"inputFrom": from("input")}});
        let called = bed.run("called", tool).await;
        assert_eq!(called.reason, Some(Reason::Completed), "{:?}", called.stderr);
        assert_eq!(called.results.first().unwrap().data, "10");
        let wrong = bed.run("wrong", json!({"code": "", "variablesFrom": from("list")})).await;
        assert_eq!(wrong.reason, Some(Reason::Invalid));
        assert_eq!(wrong.failure.unwrap().field.as_deref(), Some("variablesFrom"));
    });
}
