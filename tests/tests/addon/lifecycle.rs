//! Upgrade, uninstall and a new installation, with programs that run and objects that are to stay.

use e2e::{Addon, Counter, Door, Kubectl, in_time, kubectl::execution};
use serde_json::{Value, json};

use crate::{
    batch::{check_completed, create_one, finished, running},
    shared::apart,
};

/// One of each component, the store of a single node, and two people with tokens who share a tenant.
struct Bed {
    addon: Addon,
}

impl Bed {
    fn install() -> Self {
        let values = json!({
            "operator": {"userNamespaces": true},
            "shim": {"auth": {"mode": "existingSecret", "existingSecret": {"name": "people", "key": "tokens.json"}}},
        });
        let pool = json!({"replicas": 1, "maxPods": 4});
        let addon = Addon::prepare(&values, &[json!({"name": "team", "pool": pool})]);
        let tokens = format!("--from-literal=tokens.json={}", json!({"alice": "token-a", "bob": "token-b"}));
        let _ = addon.admin().run(&["create", "secret", "generic", "people", &tokens], "");
        addon.install();
        Self { addon }
    }

    fn kubectl(&self) -> &Kubectl {
        self.addon.tenant("team")
    }

    async fn door(&self, token: &str) -> Door {
        self.addon.door("team").await.with_token(token)
    }

    /// A file of alice, by its id.
    async fn make_file(&self) -> String {
        let made = json!({"source_code": "open('kept.txt', 'w').write('still here')"});
        let answer = self.door("token-a").await.execute(&made).await;
        answer["files"]["/workspace/kept.txt"].as_str().expect("a file").to_owned()
    }

    /// Alice reads her file, and nobody else does.
    async fn check_file(&self, id: &str) {
        let read = json!({"source_code": "print(open('in.txt').read())", "files": {"/workspace/in.txt": id}});
        assert_eq!(self.door("token-a").await.execute(&read).await["stdout"], "still here\n");
        let answer = self.door("token-b").await.try_execute(&read).await;
        assert_eq!(answer.status, 404, "{}", answer.body);
    }

    /// An execution that has finished and stays for an hour.
    fn finish_one(&self) -> Value {
        let spec = json!({"code": "print('before')", "ttlSecondsAfterFinished": 3600});
        self.kubectl().execute(&spec)
    }

    /// It is the same object with the same outcome.
    fn check_same(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let now = self.kubectl().get("cex", name);
        assert_eq!(
            (&now["metadata"]["uid"], &now["status"]),
            (&object["metadata"]["uid"], &object["status"])
        );
    }
}

/// The identities of the definitions: who removes one removes all objects.
fn definitions(kubectl: &Kubectl) -> Vec<Value> {
    let all = kubectl.list(&["crd"]);
    let ours = all.iter().filter(|crd| crd["spec"]["group"] == "carrel.dev");
    ours.map(|crd| crd["metadata"]["uid"].clone()).collect()
}

/// What the next version changes: its images, where they are known by another tag too, and the pods in any case.
fn next_version() -> Value {
    let annotations = json!({"e2e/version": "next"});
    let mut values =
        json!({"operator": {"podAnnotations": annotations}, "shim": {"podAnnotations": annotations}});
    match std::env::var("CARREL_E2E_NEXT_TAG") {
        Ok(tag) => {
            values["image"] = json!({ "tag": tag });
            values["executor"] = json!({"image": {"tag": tag}});
        }
        Err(_) => println!("CARREL_E2E_NEXT_TAG is not set: the images stay the same"),
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn an_upgrade_loses_nothing() {
    let _apart = apart().await;
    let (mut bed, counter) = (Bed::install(), Counter::start());
    let (before, file, kinds) = (bed.finish_one(), bed.make_file().await, definitions(bed.kubectl()));
    let name = create_one(bed.kubectl(), &counter, "upgraded", 40.0);
    let pod = running(bed.kubectl(), &name);
    bed.addon.upgrade(&next_version());
    check_completed(&finished(bed.kubectl(), &name, 120));
    assert_eq!(counter.starts("upgraded"), 1);
    bed.check_same(&before);
    bed.check_file(&file).await;
    assert_eq!(definitions(bed.kubectl()), kinds, "the definitions are the same objects");
    let old = pod["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned();
    if let Ok(tag) = std::env::var("CARREL_E2E_NEXT_TAG") {
        in_time("all sandboxes to have the new image", async || {
            let pods = bed.kubectl().list(&["pods", "-l", "carrel.dev/pool"]);
            let new = |pod: &Value| {
                let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
                image.ends_with(&tag) && image != old
            };
            (!pods.is_empty() && pods.iter().all(new)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn an_uninstall_does_not_hang_and_a_new_installation_finds_everything_again() {
    let _apart = apart().await;
    let (bed, counter) = (Bed::install(), Counter::start());
    let (before, file, kinds) = (bed.finish_one(), bed.make_file().await, definitions(bed.kubectl()));
    let name = create_one(bed.kubectl(), &counter, "uninstalled", 3600.0);
    let _ = running(bed.kubectl(), &name);
    let idle = json!({"code": "1", "poolRef": {"name": "nowhere"}, "ttlSecondsAfterFinished": 3600});
    let waiting = bed.kubectl().create(&execution(&idle));
    bed.addon.helm().uninstall();
    in_time("all sandboxes to go", async || bed.kubectl().list(&["pods"]).is_empty().then_some(())).await;
    for name in [&name, &waiting] {
        assert_eq!(bed.kubectl().get("cex", name)["status"]["reason"], "Cancelled");
    }
    bed.check_same(&before);
    assert_eq!(definitions(bed.kubectl()), kinds, "the definitions stay");
    let left = bed.addon.admin().list(&["deployments,services,jobs,networkpolicies"]);
    assert!(left.is_empty(), "{left:#?}");

    bed.addon.install();
    bed.check_same(&before);
    bed.check_file(&file).await;
    assert_eq!(counter.starts("uninstalled"), 1);
}
