//! Carrel's own kinds through the API: defaults, printed columns, immutability, terminal status.

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use standalone::api::{ApiServer, Identity};

async fn open() -> (ApiServer, Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::open(folder.path(), crds::definitions::all()).await.unwrap();
    let client = api.client(Identity::new("test"));
    (api, client, folder)
}

fn executions(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("carrel.dev", "v1alpha1", "CodeExecution");
    Api::default_namespaced_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, "codeexecutions"))
}

fn execution(name: &str, spec: &Value) -> DynamicObject {
    serde_json::from_value(json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "CodeExecution",
        "metadata": {"name": name}, "spec": spec}))
    .unwrap()
}

#[tokio::test]
async fn an_execution_starts_pending_without_a_second_write() {
    let (_server, client, _folder) = open().await;
    let api = executions(&client);
    let spec = json!({"interpreter": "Python", "code": "print(1)"});
    let made = api.create(&PostParams::default(), &execution("hello", &spec)).await.unwrap();
    assert_eq!(made.data["status"]["phase"], "Pending", "{}", made.data);
    assert!(made.data["spec"]["timeoutMilliseconds"].is_number(), "{}", made.data);
    let wrong = json!({"interpreter": "Perl", "code": "print(1)"});
    let refused = api.create(&PostParams::default(), &execution("perl", &wrong)).await.unwrap_err();
    let text = "CodeExecution.carrel.dev \"perl\" is invalid: [spec.interpreter: Unsupported value: \"Perl\": \
                supported values: \"Python\", \"PythonOrShell\", \"Bash\"";
    assert!(refused.to_string().contains(text), "{refused}");
}

#[tokio::test]
async fn an_execution_can_only_be_cancelled_and_its_end_is_final() {
    let (_server, client, _folder) = open().await;
    let api = executions(&client);
    let spec = json!({"interpreter": "Python", "code": "print(1)"});
    api.create(&PostParams::default(), &execution("a", &spec)).await.unwrap();
    let params = PatchParams::default();
    let code = Patch::Merge(json!({"spec": {"code": "print(2)"}}));
    let refused = api.patch("a", &params, &code).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 422), "{refused}");
    api.patch("a", &params, &Patch::Merge(json!({"spec": {"cancel": true}}))).await.unwrap();
    let end = json!({"status": {"phase": "Succeeded", "reason": "Completed", "exitCode": 0}});
    api.patch_status("a", &params, &Patch::Merge(end)).await.unwrap();
    let again = Patch::Merge(json!({"status": {"phase": "Failed", "reason": "Lost"}}));
    let refused = api.patch_status("a", &params, &again).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 422), "{refused}");
}
