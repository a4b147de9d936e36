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

    /// Runs a line that must fail and gives what it complained.
    async fn fail(&self, line: &str, input: &str) -> String {
        let args: Vec<&str> = line.split(' ').collect();
        let said = self.run(&args, input).await;
        assert!(!said.ok, "kubectl {line}\n{}", said.out);
        said.err
    }
}

const WIDGET: &str = "apiVersion: test.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec: {code: x}\n";

#[tokio::test]
async fn create_get_and_delete_as_a_person_would() {
    let served = served().await;
    assert_eq!(served.say("create -f -", WIDGET).await, "widget.test.dev/a created\n");
    let again = served.fail("create -f -", WIDGET).await;
    assert!(
        again.contains("(AlreadyExists)") && again.contains(r#"widgets.test.dev "a" already exists"#),
        "{again}"
    );
    let table = served.say("get wd", "").await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "PHASE", "READY", "AGE"]);
    assert_eq!(lines[1][..2], ["a", "Pending"]);
    assert!(served.say("get widget a -o wide", "").await.contains("COLOR"));
    assert_eq!(served.say("get wd/a -o jsonpath={.status.phase}", "").await, "Pending");
    assert!(served.say("get wd a -o yaml", "").await.contains("color: Red"));
    assert!(served.say("get all -A", "").await.contains("widget.test.dev/a"));
    assert_eq!(served.say("get wd -l x=y -o name", "").await, "");
    assert_eq!(served.say("get wd --field-selector spec.color=Red -o name", "").await, "widget.test.dev/a\n");
    // Newer ones add where it was.
    assert!(served.say("delete wd a", "").await.starts_with("widget.test.dev \"a\" deleted"));
    let missing = served.fail("get wd a", "").await;
    assert_eq!(missing.trim(), "Error from server (NotFound): widgets.test.dev \"a\" not found");
}

#[tokio::test]
async fn apply_edits_and_relatives_change_objects() {
    let served = served().await;
    assert_eq!(served.say("apply -f -", WIDGET).await, "widget.test.dev/a created\n");
    assert_eq!(served.say("apply -f -", WIDGET).await, "widget.test.dev/a unchanged\n");
    let green = WIDGET.replace("code: x", "code: x, color: Green");
    assert_eq!(served.say("apply -f -", &green).await, "widget.test.dev/a configured\n");
    assert_eq!(served.say("label wd a k=v", "").await, "widget.test.dev/a labeled\n");
    assert_eq!(served.say("annotate wd a k=v", "").await, "widget.test.dev/a annotated\n");
    served.say(r#"patch wd a --type=merge -p {"spec":{"replicas":3}}"#, "").await;
    served.say(r#"patch wd a --type=merge --subresource=status -p {"status":{"note":"n"}}"#, "").await;
    served.say("scale wd a --replicas=5", "").await;
    let object = served.say("get wd a -o json", "").await;
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(object["spec"]["replicas"], 5);
    assert_eq!(object["spec"]["color"], "Green");
    assert_eq!(object["status"]["note"], "n");
    assert_eq!(object["metadata"]["labels"]["k"], "v");
    let replaced = object.to_string().replace("\"replicas\":5", "\"replicas\":6");
    assert_eq!(served.say("replace -f -", &replaced).await, "widget.test.dev/a replaced\n");
    let stale = served.fail("replace -f -", &replaced).await;
    assert!(stale.contains("the object has been modified"), "{stale}");
    let mut edit = served.command(&["edit", "wd", "a"]);
    edit.env("KUBE_EDITOR", "sed -i s/replicas:.6/replicas:\\ 7/");
    let output = tokio::task::spawn_blocking(move || edit.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(served.say("get wd a -o jsonpath={.spec.replicas}", "").await, "7");
    let server_side = served.fail("apply --server-side -f -", WIDGET).await;
    assert!(server_side.contains("server-side apply is not offered"), "{server_side}");
}

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
async fn refusals_reach_the_person() {
    let served = served().await;
    let typo = WIDGET.replace("code: x", "code: x, colour: Red");
    let strict = served.fail("create --validate=strict -f -", &typo).await;
    assert!(strict.contains(r#"strict decoding error: unknown field "spec.colour""#), "{strict}");
    let said = served.run(&["create", "--validate=warn", "--dry-run=server", "-f", "-"], &typo).await;
    assert!(said.ok && said.err.contains(r#"unknown field "spec.colour""#), "{}", said.err);
    assert_eq!(said.out, "widget.test.dev/a created (server dry run)\n");
    let invalid = served.fail("create -f -", &WIDGET.replace("code: x", "code: x, color: Blue")).await;
    let text = "* spec.color: Unsupported value: \"Blue\": supported values: \"Red\", \"Green\"";
    assert!(invalid.starts_with("The Widget \"a\" is invalid:") && invalid.contains(text), "{invalid}");
    let nowhere = served.fail("create -n nowhere -f -", WIDGET).await;
    assert!(nowhere.contains(r#"namespaces "nowhere" not found"#), "{nowhere}");
}

#[tokio::test]
async fn discovery_explains_and_describes() {
    let served = served().await;
    let resources = served.say("api-resources", "").await;
    for name in ["widgets", "pods", "events", "leases", "customresourcedefinitions"] {
        assert!(resources.contains(name), "{resources}");
    }
    let explained = served.say("explain widget.spec.code", "").await;
    assert!(explained.contains("The code to run."), "{explained}");
    served.say("create -f -", WIDGET).await;
    let described = served.say("describe wd a", "").await;
    assert!(described.contains("Events:") && described.contains("Code:"), "{described}");
    assert!(served.say("get ns", "").await.contains("carrel-system"));
    assert!(served.say("get crd", "").await.contains("widgets.test.dev"));
    assert!(served.say("version", "").await.contains("v1.33.0+carrel"));
    assert_eq!(served.say("auth can-i create wd", "").await, "yes\n");
}

#[tokio::test]
async fn pods_are_made_patched_and_deleted() {
    let served = served().await;
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: i}]\n";
    served.say("apply -f -", pod).await;
    assert!(served.say("get pods", "").await.contains("Pending"));
    served.say("apply -f -", &pod.replace("name: p", "name: p, labels: {a: b}")).await;
    assert_eq!(served.say("get pods -l a=b -o name", "").await, "pod/p\n");
    assert!(served.say("describe pod p", "").await.contains("Pending"));
    assert!(served.say("delete pod p --force --grace-period=0", "").await.contains("deleted"));
    assert_eq!(served.say("get pods -o name", "").await, "");
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: tenant}\n";
    served.say("create -f -", namespace).await;
    served.say("create configmap m --from-literal=a=b", "").await;
    served.say("create secret generic s --from-literal=a=b", "").await;
    assert_eq!(served.say("get secret s -o jsonpath={.data.a}", "").await, "Yg==");
    served.say("create ns other", "").await;
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: tenant}\ndata: {a: b}\n";
    served.say("create -f -", map).await;
    served.say("delete ns tenant --timeout=30s", "").await;
}

#[tokio::test]
async fn nobody_enters_without_the_token() {
    let served = served().await;
    // The caller installs a provider for the whole process; tests may race to do it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(served.test.api.ca_certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let get = |path: &str, token: &str| {
        client.get(format!("https://{}{path}", served.address)).bearer_auth(token).send()
    };
    for (path, token, code) in [
        ("/api/v1/pods", "", 401),
        ("/api/v1/pods", "guess", 401),
        ("/metrics", "guess", 401),
        ("/openapi/v3", "guess", 401),
        ("/healthz", "guess", 200),
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
