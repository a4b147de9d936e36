//! The two servers that the tables are run against.

use std::{path::PathBuf, process::Stdio};

use kube::{Client, config::KubeConfigOptions};
use serde_json::{Value, json};
use standalone::api::ApiServer;
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The version of our kinds.
const OURS: &str = "carrel.dev/v1alpha1";

/// An API server with our kinds, and how to reach it.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) in_process: bool,
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
    _stop: Option<DropGuard>,
}

/// What kubectl said.
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

async fn config(kubeconfig: &PathBuf) -> kube::Config {
    let config = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap()
}

async fn client(kubeconfig: &PathBuf) -> Client {
    Client::try_from(config(kubeconfig).await).unwrap()
}

impl Server {
    /// The in-process API, over HTTPS as a person reaches it.
    pub(crate) async fn in_process() -> Self {
        let home = tempfile::tempdir().unwrap();
        // Opened twice: what happened before is then as unknown as on a server that has run for long.
        let earlier = ApiServer::open(home.path(), crds::definitions::all()).await.unwrap();
        earlier.close().await;
        drop(earlier);
        let api = ApiServer::open(home.path(), crds::definitions::all()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = api.tls(address.ip()).unwrap();
        let kubeconfig = home.path().join("kubeconfig");
        std::fs::write(&kubeconfig, api.kubeconfig(&format!("https://{address}"))).unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        tokio::spawn(async move { api.serve(listener, tls, token).await });
        let client = client(&kubeconfig).await;
        Self { client, in_process: true, kubeconfig, home, _stop: Some(stop.drop_guard()) }
    }

    /// The cluster of a kubeconfig; our kinds are installed as they are now.
    pub(crate) async fn real(kubeconfig: PathBuf) -> Self {
        let home = tempfile::tempdir().unwrap();
        let client = client(&kubeconfig).await;
        let server = Self { client, in_process: false, kubeconfig, home, _stop: None };
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/golden");
        server.succeed(&["apply", "--server-side", "--force-conflicts", "-f", golden], "").await;
        server.succeed(&["wait", "--for=condition=Established", "--timeout=30s", "-f", golden], "").await;
        server.await_collector().await;
        server
    }

    /// Waits until the garbage collector follows our kinds; it looks for new ones twice a minute.
    async fn await_collector(&self) {
        let ns = format!("parity-{}", uuid::Uuid::new_v4().simple());
        self.succeed(&["create", "namespace", &ns], "").await;
        let create = ["create", "--namespace", &ns, "-o", "jsonpath={.metadata.uid}", "-f", "-"];
        let object = |kind: &str, metadata: Value, spec: Value| {
            let object = json!({"apiVersion": OURS, "kind": kind, "metadata": metadata, "spec": spec});
            object.to_string()
        };
        let owner = object("SandboxPool", json!({"name": "owner"}), json!({}));
        let uid = self.succeed(&create, &owner).await;
        let owners = json!([{"apiVersion": OURS, "kind": "SandboxPool", "name": "owner", "uid": uid}]);
        let file = json!({"fileName": "a", "source": {"inline": ""}});
        let dependent = object("SandboxFile", json!({"name": "owned", "ownerReferences": owners}), file);
        self.succeed(&create, &dependent).await;
        self.succeed(&["delete", "--namespace", &ns, "sandboxpool/owner"], "").await;
        self.succeed(
            &["wait", "--namespace", &ns, "--for=delete", "sandboxfile/owned", "--timeout=120s"],
            "",
        )
        .await;
        self.succeed(&["delete", "namespace", &ns, "--wait=false"], "").await;
    }

    /// Runs kubectl, which must succeed, and gives its stdout.
    async fn succeed(&self, args: &[&str], input: &str) -> String {
        let said = self.kubectl(args, input).await;
        assert_eq!(said.exit, 0, "kubectl {args:?}: {}", said.stderr);
        said.stdout
    }

    /// A client with a token that may be none of the server's.
    pub(crate) async fn stranger(&self, token: &str) -> Client {
        let mut config = config(&self.kubeconfig).await;
        config.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..Default::default() };
        Client::try_from(config).unwrap()
    }

    /// Runs kubectl. Its cache is this server's own.
    pub(crate) async fn kubectl(&self, args: &[&str], input: &str) -> Said {
        self.kubectl_with(args, input, None).await
    }

    /// Runs kubectl; what it opens in an editor, a sed script edits.
    pub(crate) async fn kubectl_with(&self, args: &[&str], input: &str, editor: Option<&str>) -> Said {
        let mut child = Command::new("kubectl")
            .args(args)
            .arg("--cache-dir")
            .arg(self.home.path().join("cache"))
            .env("HOME", self.home.path())
            .env("KUBECONFIG", &self.kubeconfig)
            .env(
                "KUBE_EDITOR",
                editor.map_or_else(|| "false".to_owned(), |script| format!("sed -i '{script}'")),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        Said {
            exit: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
