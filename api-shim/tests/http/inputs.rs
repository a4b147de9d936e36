//! Input files: found, or told by the name the client knows.

use super::*;

#[tokio::test]
async fn inputs_are_found_or_told() {
    let service = service(ending(completed(""))).await;
    let digest = "ab".repeat(32);
    let id = "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b";
    let label = digest.get(..63).expect("digits");
    let file = |name: &str, spec: Value| {
        json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile",
            "metadata": {"name": name, "labels": {"carrel.dev/sha256": label}}, "spec": spec,
            "status": {"phase": "Ready", "sha256": digest}})
    };
    service.api.put(
        "sandboxfiles",
        file("f", json!({"fileName": "a", "isolationKey": "default", "source": {"inline": ""}})),
    );
    service.api.put(
        "sandboxfiles",
        file(id, json!({"fileName": "a", "collection": "onyx", "source": {"inline": ""}})),
    );

    assert_eq!(
        execute(&service, &json!({"source_code": "", "files": {"/workspace/d/x": digest}})).await.status,
        StatusCode::OK
    );
    assert_eq!(
        service.api.all("codeexecutions")[0]["spec"]["files"],
        json!([{"path": "d/x", "source": {"sha256": digest}}])
    );
    let gone = execute(&service, &json!({"source_code": "", "files": {"/workspace//x": "nope"}})).await;
    assert_eq!(
        (gone.status, gone.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File not found", "path": "/workspace//x"}))
    );
    let foreign =
        execute(&service, &json!({"source_code": "", "chat_id": "c2", "files": {"/workspace/x": digest}}))
            .await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);

    let onyx = |path: &str, id: &str| json!({"code": "", "files": [{"path": path, "file_id": id}]});
    assert_eq!(execute(&service, &onyx("./in.txt", id)).await.status, StatusCode::OK);
    let gone = execute(&service, &onyx("../x", "../nope")).await;
    assert_eq!(
        (gone.status, gone.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File with ID '../nope' not found for path '../x'."}))
    );
    let bad = execute(&service, &onyx("/x", id)).await;
    assert_eq!(
        (bad.status, bad.json()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!({"detail": "File paths must be relative."}))
    );
}

#[tokio::test]
async fn an_input_that_vanishes_before_the_start_is_told_by_its_key() {
    let failed = json!({"phase": "Failed", "reason": "FileUnavailable", "failure": {"field": "files[0].source", "message": "gone"}});
    let service = service(ending(failed)).await;
    let digest = "ab".repeat(32);
    let label = digest.get(..63).expect("digits");
    service.api.put("sandboxfiles", json!({"apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile",
        "metadata": {"name": "f", "labels": {"carrel.dev/sha256": label}},
        "spec": {"fileName": "a", "isolationKey": "default", "source": {"inline": ""}}, "status": {"phase": "Ready", "sha256": digest}}));
    let answer = execute(&service, &json!({"source_code": "", "files": {"/workspace/./x": digest}})).await;
    assert_eq!(
        (answer.status, answer.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "File not found", "path": "/workspace/./x"}))
    );
}
