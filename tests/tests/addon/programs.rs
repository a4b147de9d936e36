//! What programs find in the image.

use serde_json::json;

use crate::shared::together;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster; make e2e runs it"]
async fn programs_find_what_the_documentation_promises() {
    let addon = together().await;
    let spec = json!({"code": include_str!("contents.py"), "timeoutMilliseconds": 120_000});
    let finished = addon.tenant("a").execute(&spec);
    let status = &finished["status"];
    assert_eq!(status["stdout"]["text"], "['Größe']\n1.0\nlooked\n", "{status:#}");
    assert_eq!(status["reason"], "Completed", "{status:#}");
}
