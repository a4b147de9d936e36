//! Kill -9 at any moment loses no acknowledged object. A real process writes, tells what was acknowledged, and is
//! killed in the middle; this happens several times over one data folder.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use kube::{
    ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use standalone::api::{ApiServer, Identity};

use crate::support::{widget, widget_definition, widgets};

const FOLDER: &str = "CARREL_CRASH_TEST_FOLDER";
const ROUND: &str = "CARREL_CRASH_TEST_ROUND";

/// The child: not a test of its own, and nothing without the variables that its parent sets.
#[tokio::test]
#[ignore = "started by a_killed_server_loses_nothing_it_acknowledged"]
async fn writer() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let api = ApiServer::open(folder.as_ref(), vec![widget_definition()]).await.unwrap();
    let api = widgets(&api.client(Identity::new("writer")));
    let said = |name: &str, version: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {name} {version}").unwrap();
        out.flush().unwrap();
    };
    let writers = (0..4).map(|writer| {
        let (api, round) = (&api, &round);
        async move {
            for i in 0.. {
                let name = format!("w-{round}-{writer}-{i}");
                let made = api.create(&PostParams::default(), &widget(&name)).await.unwrap();
                said(&name, made.resource_version().unwrap());
                let patch = Patch::Merge(json!({"status": {"note": name}}));
                let done = api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
                said(&name, done.resource_version().unwrap());
            }
        }
    });
    futures::future::join_all(writers).await;
}

/// Lets a child write until it has acknowledged `most` writes, kills it, and returns what it had said.
fn one_round(folder: &std::path::Path, round: usize, most: usize) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::writer", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = vec![];
    // After the kill the rest of the pipe is read too: it was acknowledged before.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness prints its own text before the first line.
        if let Some((_, said_now)) = line.split_once("ack ")
            && let Some((name, version)) = said_now.split_once(' ')
            && let Ok(version) = version.parse()
        {
            said.push((name.to_owned(), version));
            if said.len() == most {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    said
}

#[tokio::test]
async fn a_killed_server_loses_nothing_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, u64> = BTreeMap::new();
    for (round, most) in [1, 7, 40, 90, 23, 150].into_iter().enumerate() {
        let path = folder.path().to_owned();
        let said = tokio::task::spawn_blocking(move || one_round(&path, round, most)).await.unwrap();
        assert!(said.len() >= most);
        acknowledged.extend(said);
        let server = ApiServer::open(folder.path(), vec![widget_definition()]).await.unwrap();
        let list =
            widgets(&server.client(Identity::new("reader"))).list(&ListParams::default()).await.unwrap();
        let now: u64 = list.metadata.resource_version.clone().unwrap().parse().unwrap();
        let found: BTreeMap<String, u64> = list
            .iter()
            .map(|one| (one.name_any(), one.resource_version().unwrap().parse().unwrap()))
            .collect();
        for (name, version) in &acknowledged {
            assert!(found.get(name).is_some_and(|own| own >= version), "{name} at {version} is lost");
            assert!(*version <= now);
        }
        server.close().await;
    }
}
