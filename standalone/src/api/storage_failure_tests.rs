//! A disk that runs full ends the API, with the reason, instead of an API that refuses for ever and looks well.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};

use super::{store::platter::Platter, *};

fn map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

fn code(error: kube::Error) -> (u16, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.message),
        other => panic!("{other}"),
    }
}

async fn health(client: &kube::Client, path: &str) -> u16 {
    let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
    client.send(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn after_a_write_that_failed_nothing_is_answered_and_the_cause_is_told() {
    let (folder, platter) = (tempfile::tempdir().unwrap(), Platter::default());
    let disk = Disk::on(platter.clone()).unwrap();
    let api = ApiServer::open_on(disk, folder.path(), vec![], Options::default()).await.unwrap();
    let client = api.client(Identity::new("test"));
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    assert_eq!(health(&client, "/readyz").await, 200);
    assert!(tokio::time::timeout(Duration::ZERO, api.failed()).await.is_err(), "nothing has failed yet");

    platter.set_full(true);
    let (status, text) = code(maps.create(&PostParams::default(), &map("b")).await.unwrap_err());
    assert!(status == 500 && text.contains("no storage space"), "{status} {text}");
    let failure = api.failed().await.to_string();
    assert!(failure.contains("no storage space") && failure.contains("api.redb"), "{failure}");

    // Room alone helps nobody: the database has to be opened again.
    platter.set_full(false);
    assert_eq!(code(maps.create(&PostParams::default(), &map("c")).await.unwrap_err()).0, 500);
    assert_eq!(code(maps.get("a").await.unwrap_err()).0, 500);
    for path in ["/readyz", "/livez", "/healthz"] {
        assert_eq!(health(&client, path).await, 500, "{path}");
    }
}

#[tokio::test]
async fn an_api_that_was_closed_has_not_failed() {
    let folder = tempfile::tempdir().unwrap();
    let api = ApiServer::open(folder.path(), vec![]).await.unwrap();
    api.close().await;
    assert!(tokio::time::timeout(Duration::from_millis(50), api.failed()).await.is_err());
}
