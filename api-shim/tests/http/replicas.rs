//! Several replicas in front of one API: what one of them leaves behind when it dies.

use super::*;

/// Another replica on the same API.
async fn replica(api: &Arc<FakeApi>) -> Service {
    service_on(Arc::clone(api), Arc::new(NoLiveOutput), |_| {}).await
}

fn mark(object: &Value) -> &Value {
    &object["metadata"]["labels"]["carrel.dev/replica"]
}

#[tokio::test]
async fn a_replica_that_dies_leaves_its_executions_to_their_end() {
    let script: Script = Box::new(|object| {
        let long = object["spec"]["code"] == "long";
        vec![if long { json!({"phase": "Running"}) } else { completed("short") }]
    });
    let api = FakeApi::new(script);
    api.put("sandboxpools", pool_in("default"));
    // What dies has a runtime of its own, so that nothing of it is carried out any more.
    let doomed = tokio::runtime::Runtime::new().expect("a runtime");
    let shared = Arc::clone(&api);
    let clients: Vec<_> = ["/v1/execute", "/v1/execute/stream"]
        .map(|path| {
            let shared = Arc::clone(&shared);
            doomed.spawn(async move {
                let service = replica(&shared).await;
                post(&service, path, "{\"code\":\"long\"}").await.status
            })
        })
        .into();
    until("created", || api.all("codeexecutions").len() == 2).await;
    doomed.shutdown_background();
    for client in clients {
        assert!(client.await.expect_err("no answer").is_cancelled());
    }
    // A client that sends it again is served by the next replica, with an execution of its own.
    let next = replica(&api).await;
    assert_eq!(execute(&next, &json!({"code": "again"})).await.json()["stdout"], "short");
    let made = api.all("codeexecutions");
    let (left, again): (Vec<_>, Vec<_>) = made.iter().partition(|object| object["spec"]["code"] == "long");
    assert_eq!((left.len(), again.len()), (2, 1));
    for object in left {
        assert_ne!(object["spec"]["cancel"], json!(true), "it goes on");
        assert_eq!(object["spec"]["ttlSecondsAfterFinished"], 60, "and is removed after its end");
        assert_ne!(mark(object), mark(again[0]));
    }
}

#[tokio::test]
async fn two_replicas_at_once_each_answer_their_own() {
    let api = FakeApi::new(Box::new(|object| {
        let code = object["spec"]["code"].as_str().unwrap_or_default().to_owned();
        vec![json!({"phase": "Running"}), completed(&code)]
    }));
    api.put("sandboxpools", pool_in("default"));
    let replicas = [replica(&api).await, replica(&api).await];
    let requests = (0..40).map(|number| {
        let service = &replicas[number % 2];
        async move {
            let answer = execute(service, &json!({"code": number.to_string()})).await;
            assert_eq!(answer.json()["stdout"], number.to_string());
        }
    });
    futures::future::join_all(requests).await;
    assert_eq!(api.all("codeexecutions").len(), 40);
}
