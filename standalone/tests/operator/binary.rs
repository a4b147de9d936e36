//! The operator's own binary against the API over HTTPS, as it meets a cluster. Without a node: that one would take the
//! binary for an orphan of its programs.

use std::{
    collections::BTreeMap,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use k8s_openapi::{
    ByteString,
    api::{coordination::v1::Lease, core::v1::Secret},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, alone, eventually};

/// It is built beside the binary of this package, by every build of the workspace.
fn binary() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_carrel")).with_file_name("carrel-operator")
}

/// Ends the process also when the test fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves the API over HTTPS, and starts the binary against it.
async fn start(bed: &Bed) -> (Process, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (api, stop) = (bed.api.clone(), CancellationToken::new());
    let tls = api.tls(address.ip()).unwrap();
    std::fs::write(bed.path("kubeconfig"), api.kubeconfig(&format!("https://{address}"))).unwrap();
    let serving = tokio::spawn(async move { api.serve(listener, tls, stop).await });

    let mut command = Command::new(binary());
    command
        .args(["--executor-image=carrel", "--internal-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
        .args(["--token-secret=front", "--token-identities=a,b"])
        .arg("--blobs-dir")
        .arg(bed.path("blobs"))
        .env("KUBECONFIG", bed.path("kubeconfig"))
        .process_group(0);
    (Process(command.spawn().unwrap()), serving)
}

#[test]
fn tokens_that_somebody_has_written_wrongly_stay_and_keep_nobody_from_leading() {
    alone(async {
        let bed = Bed::empty().await;
        let secrets: Api<Secret> = Api::namespaced(bed.client(), "carrel-system");
        let entry = ByteString(br#"{"a": "a comma too many",}"#.to_vec());
        let by_hand = json!({"metadata": {"name": "front"}, "data": {"tokens.json": entry}});
        let by_hand: Secret = serde_json::from_value(by_hand).unwrap();
        let written = secrets.create(&PostParams::default(), &by_hand).await.unwrap();
        let (mut process, serving) = start(&bed).await;
        bed.make_pool("default", 1, 2).await;
        eventually("it makes a pod", async || bed.pod_names().await.len() == 1).await;
        assert_eq!(secrets.get("front").await.unwrap(), written);
        assert!(process.0.try_wait().unwrap().is_none(), "it goes on");
        serving.abort();
    });
}

#[test]
fn the_binary_takes_the_lease_makes_its_key_and_pods_and_gives_the_lease_back() {
    alone(async {
        let bed = Bed::empty().await;
        let (mut process, serving) = start(&bed).await;
        bed.make_pool("default", 1, 2).await;
        eventually("it makes a pod", async || bed.pod_names().await.len() == 1).await;
        let secrets: Api<Secret> = Api::namespaced(bed.client(), "carrel-system");
        let secret = secrets.get("carrel-executor-keys").await.unwrap().data.unwrap();
        let (_, seed) = std::str::from_utf8(&secret["current"].0).unwrap().split_once(':').unwrap();
        eventually("it makes the tokens", async || secrets.get_opt("front").await.unwrap().is_some()).await;
        let tokens = secrets.get("front").await.unwrap().data.unwrap();
        let tokens: BTreeMap<String, String> = serde_json::from_slice(&tokens["tokens.json"].0).unwrap();
        assert_eq!(tokens.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(tokens["a"].len() == 43 && tokens["a"] != tokens["b"]);
        let pods = bed.pods().list(&ListParams::default()).await.unwrap();
        let pod = serde_json::to_string(&pods.items).unwrap();
        assert!(pod.contains("CARREL_PUBLIC_KEYS") && !pod.contains(seed), "pods get the public half only");
        let leases: Api<Lease> = Api::namespaced(bed.client(), "carrel-system");
        let holder = async || {
            leases.get("carrel-operator").await.unwrap().spec.unwrap().holder_identity.unwrap_or_default()
        };
        assert!(holder().await.starts_with("operator-"));

        kill(Pid::from_raw(process.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut ended = None;
        eventually("it ends", async || {
            ended = process.0.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        assert!(ended.unwrap().success(), "{ended:?}");
        assert_eq!(holder().await, "");
        serving.abort();
    });
}
