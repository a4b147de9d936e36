//! The end of finished executions.

use std::{collections::BTreeSet, time::Duration};

use crds::Reason;
use kube::{ResourceExt, api::ListParams};
use operator::Timings;
use serde_json::json;

use crate::bed::{Bed, alone, eventually, until};

#[test]
fn a_finished_execution_goes_after_its_time_and_its_stored_output_with_it() {
    alone(async {
        let timings = Timings { blob_grace: Duration::from_millis(100), ..Timings::default() };
        let bed = Bed::with(timings, 2, 4).await;
        let code = "print('x' * 100_000)";
        let kept = bed.run("kept", json!({"code": "print('y' * 100_000)"})).await.stdout.unwrap();
        let status = bed.run("short", json!({"code": code, "ttlSecondsAfterFinished": 1})).await;
        assert_eq!(status.reason, Some(Reason::Completed));
        let stored = status.stdout.unwrap().stored_as.unwrap().parse().unwrap();
        until(bed.executions(), "short", |found| found.is_none()).await;
        eventually("its output goes", async || !bed.blobs.exists(&stored).await.unwrap()).await;
        assert!(bed.executions().get_opt("kept").await.unwrap().is_some());
        assert!(bed.blobs.exists(&kept.stored_as.unwrap().parse().unwrap()).await.unwrap());
    });
}

#[test]
fn a_namespace_keeps_only_its_last_finished_executions() {
    alone(async {
        let timings = Timings { finished_per_namespace: 2, ..Timings::default() };
        let bed = Bed::with(timings, 1, 2).await;
        for name in ["a", "b", "c", "d"] {
            bed.run(name, json!({"code": "", "ttlSecondsAfterFinished": 3600})).await;
        }
        let names = async || -> BTreeSet<String> {
            let all = bed.executions().list(&ListParams::default()).await.unwrap();
            all.iter().map(ResourceExt::name_any).collect()
        };
        eventually("only two are left", async || names().await.len() <= 2).await;
        assert_eq!(names().await, ["c".to_owned(), "d".to_owned()].into());
    });
}
