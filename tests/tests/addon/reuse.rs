//! A pool whose pods run further programs of the same isolation key.

use std::collections::BTreeMap;

use e2e::{Kubectl, kubectl::execution};
use serde_json::json;

use crate::{batch::finished, pools::pool, shared::together};

/// How often each key runs a program. That nothing is left is proved after the answer, so now and then the very next
/// program of a key gets a new pod.
const ROUNDS: usize = 6;

/// Says what it finds of others, and leaves something in every place that can be written to, and a process. Where the
/// kernel or the container has no shared memory or no message queues, nothing can be left in them.
const LITTER: &str = "
import glob, os, subprocess
state = os.environ['HOME'].rsplit('/', 3)[0]
assert os.path.exists(state + '/runner/runner.py')
tops = [state, '/tmp'] + [top for top in ('/dev/shm', '/dev/mqueue') if os.path.isdir(top)]
folders = [at for top in tops for at, _, _ in os.walk(top)]
print([at for at in folders if os.path.exists(at + '/litter')])
names = (open(path).read().strip() for path in glob.glob('/proc/[0-9]*/comm'))
print([name for name in names if name == 'sleep'])
for at in folders:
    open(at + '/litter', 'w').close()
subprocess.Popen(['sleep', '600'], start_new_session=True)
";

/// The pod of a program that found nothing.
fn run(kubectl: &Kubectl, key: &str) -> String {
    let spec = json!({"code": LITTER, "isolationKey": key, "poolRef": {"name": "kept"}});
    let name = kubectl.create(&execution(&spec));
    let status = finished(kubectl, &name, 60);
    assert_eq!(status["stdout"]["text"], "[]\n[]\n", "{status:#}");
    status["podName"].as_str().expect("a pod").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn a_pod_is_used_again_by_its_own_chat_only_and_keeps_nothing() {
    let addon = together().await;
    let kubectl = addon.tenant("b");
    let mut kept = pool("kept", 1, &json!({}));
    kept["spec"]["reusePolicy"] = "SameKey".into();
    let _ = kubectl.create(&kept);
    let mut pods: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for key in ["c1", "c2"] {
            pods.entry(run(kubectl, key)).or_default().push(key);
        }
    }
    for (pod, keys) in &pods {
        assert!(keys.iter().all(|key| key == &keys[0]), "{pod} was shared: {keys:?}");
    }
    for key in ["c1", "c2"] {
        let again = pods.values().any(|keys| keys.len() > 1 && keys[0] == key);
        assert!(again, "no pod was used again by {key}: {pods:?}");
    }
    let _ = kubectl.run(&["delete", "sbp", "kept"], "");
}
