//! The real kubectl over HTTPS, as a person uses it.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::support::{TestApi, open};

struct Served {
    test: TestApi,
    address: SocketAddr,
    home: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Said {
    ok: bool,
    out: String,
    err: String,
}

async fn served() -> Served {
    let test = open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let (api, tls) = (test.api.clone(), test.api.tls(address.ip()).unwrap());
    let token = stop.clone();
    tokio::spawn(async move { api.serve(listener, tls, token).await });
    let home = tempfile::tempdir().unwrap();
    let config = test.api.kubeconfig(&format!("https://{address}"));
    standalone::private_file::write(&home.path().join("kubeconfig"), config.as_bytes()).unwrap();
    Served { test, address, home, stop }
}

impl Served {
    fn command(&self, args: &[&str]) -> Command {
        let home: PathBuf = self.home.path().to_owned();
        let mut command = Command::new("kubectl");
        command
            .args(args)
            .arg("--cache-dir")
            .arg(home.join("cache"))
            .env("HOME", &home)
            .env("KUBECONFIG", home.join("kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str], input: &str) -> Said {
        let (mut command, input) = (self.command(args), input.to_owned());
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            Said {
                ok: output.status.success(),
                out: String::from_utf8_lossy(&output.stdout).into_owned(),
                err: String::from_utf8_lossy(&output.stderr).into_owned(),
            }
        })
        .await
        .unwrap()
    }

    /// Runs a line that must succeed and gives what it printed.
    async fn say(&self, line: &str, input: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        let said = self.run(&args, input).await;
        assert!(said.ok, "kubectl {line}\n{}\n{}", said.out, said.err);
        said.out
    }
}

const WIDGET: &str = "apiVersion: test.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec: {code: x}\n";

/// Reads up to a line that holds `word`.
fn until(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    let mut read = String::new();
    for line in lines.map_while(Result::ok) {
        read.push_str(&line);
        if line.contains(word) {
            break;
        }
    }
    read
}

#[tokio::test]
async fn wait_and_watch_follow_changes() {
    let served = served().await;
    served.say("create -f -", WIDGET).await;
    let mut watch = served.command(&["get", "wd", "-w"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // Nothing changes before the watch has shown how it was.
    let reading = tokio::task::spawn_blocking(move || (until(&mut lines, "Pending"), lines));
    let (before, mut lines) = reading.await.unwrap();
    let condition = served.run(&["wait", "--for=condition=Ready", "wd/a", "--timeout=30s"], "");
    let phase = served.run(&["wait", "--for=jsonpath={.status.phase}=Done", "wd/a", "--timeout=30s"], "");
    let ready = r#"{"status":{"phase":"Done","conditions":[{"type":"Ready","status":"True"}]}}"#;
    let args = ["patch", "wd", "a", "--type=merge", "--subresource=status", "-p", ready];
    let (condition, phase, patched) = tokio::join!(condition, phase, served.run(&args, ""));
    assert!(patched.ok, "{}", patched.err);
    assert!(condition.ok && condition.out.contains("condition met"), "{}", condition.err);
    assert!(phase.ok, "{}", phase.err);
    let gone = served.run(&["wait", "--for=delete", "wd/a", "--timeout=30s"], "");
    let delete = served.run(&["delete", "wd", "a", "--wait=false"], "");
    let (gone, deleted) = tokio::join!(gone, delete);
    // The wait may begin after the delete; then there is nothing left to wait for.
    assert!(deleted.ok && (gone.ok || gone.err.contains("NotFound")), "{}", gone.err);
    served.test.api.close().await;
    let after = tokio::task::spawn_blocking(move || {
        let after = until(&mut lines, "True");
        watch.kill().unwrap();
        watch.wait().unwrap();
        after
    })
    .await
    .unwrap();
    assert!(before.contains("Pending") && after.contains("Done"), "{before}{after}");
}

#[tokio::test]
async fn nobody_enters_without_the_token() {
    let served = served().await;
    // The caller installs a provider for the whole process; tests may race to do it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(served.test.api.ca_certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let get = |path: &str, token: &str| {
        let request = client.get(format!("https://{}{path}", served.address));
        if token.is_empty() { request.send() } else { request.bearer_auth(token).send() }
    };
    for (path, token, code) in [
        ("/api/v1/pods", "", 401),
        ("/api/v1/pods", "guess", 401),
        ("/metrics", "guess", 401),
        ("/openapi/v3", "guess", 401),
        ("/healthz", "guess", 401),
        ("/readyz", "", 200),
        ("/api/v1/pods", served.test.api.token(), 200),
    ] {
        assert_eq!(get(path, token).await.unwrap().status().as_u16(), code, "{path}");
    }
    let refusal: serde_json::Value = get("/api", "guess").await.unwrap().json().await.unwrap();
    assert_eq!((&refusal["kind"], &refusal["reason"]), (&"Status".into(), &"Unauthorized".into()));
}

#[tokio::test]
async fn an_owner_can_go_without_what_it_owns() {
    let served = served().await;
    served.say("create -f -", WIDGET).await;
    let uid = served.say("get wd a -o jsonpath={.metadata.uid}", "").await;
    let owner = format!("{{apiVersion: test.dev/v1, kind: Widget, name: a, uid: {uid}}}");
    let names = ["c0", "c1", "c2", "c3"];
    for name in names {
        let child = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, ownerReferences: [{owner}]}}\n"
        );
        served.say("create -f -", &child).await;
    }
    // While the references are taken away, others write to the same objects.
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::default_namespaced(served.test.client.clone());
    let stop = CancellationToken::new();
    let writers = names.map(|name| {
        let (maps, stop) = (maps.clone(), stop.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let patch = kube::api::Patch::Merge(serde_json::json!({"data": {"n": number.to_string()}}));
                maps.patch(name, &kube::api::PatchParams::default(), &patch).await.unwrap();
                if stop.is_cancelled() {
                    return;
                }
            }
        })
    });
    let said = served.say("delete wd a --cascade=orphan --timeout=20s", "").await;
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(said.starts_with("widget.test.dev \"a\" deleted"), "{said}");
    for name in names {
        let left = maps.get(name).await.unwrap();
        assert_eq!(left.metadata.owner_references, None, "{name}");
    }
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let served = served().await;
    let resources = served.say("api-resources", "").await;
    for name in ["widgets", "pods", "events", "leases", "customresourcedefinitions"] {
        assert!(resources.contains(name), "{resources}");
    }
    assert!(served.say("get ns", "").await.contains("carrel-system"));
    assert!(served.say("version", "").await.contains("v1.33.0+carrel"));
}
