//! What programs find in the image.

use e2e::kubectl::execution;
use serde_json::json;

use crate::shared::together;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn programs_find_what_the_documentation_promises() {
    let addon = together().await;
    let spec = json!({"code": include_str!("contents.py"), "timeoutMilliseconds": 240_000});
    let (kubectl, name) = (addon.tenant("a"), addon.tenant("a").create(&execution(&spec)));
    let target = format!("cex/{name}");
    let _ = kubectl.run(&["wait", "--for=condition=Finished", &target, "--timeout=300s"], "");
    let status = &kubectl.get("cex", &name)["status"];
    assert_eq!(status["stdout"]["text"], "['Größe']\n1.0\nlooked\n", "{status:#}");
    assert_eq!(status["reason"], "Completed", "{status:#}");
}
