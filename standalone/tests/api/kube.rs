//! The API as kube-rs uses it: typed and dynamic objects, watches, patches, pages.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, reflector, watcher},
};
use serde_json::json;
use standalone::api::{ApiServer, Identity, Options};

use crate::support::{PATIENCE, open, widget, widget_definition, widget_resource, widgets};

#[tokio::test]
async fn an_object_lives_from_create_to_delete() {
    let test = open().await;
    let api = widgets(&test.client);
    let made = api.create(&PostParams::default(), &widget("a")).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    assert_eq!(made.data["spec"]["color"], "Red");
    assert_eq!(made.data["status"]["phase"], "Pending");
    let patch = json!({"spec": {"color": "Green"}, "status": {"phase": "Ignored"}});
    let changed = api.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    assert_eq!(changed.data["status"]["phase"], "Pending");
    let status = json!({"spec": {"color": "Red"}, "status": {"phase": "Done"}});
    let done = api.patch_status("a", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!(done.metadata.generation, Some(2));
    assert_eq!(
        (&done.data["status"]["phase"], &done.data["spec"]["color"]),
        (&json!("Done"), &json!("Green"))
    );
    assert_eq!(api.get("a").await.unwrap().resource_version(), done.resource_version());
    let gone = api.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(gone.is_right());
    let missing = api.get("a").await.unwrap_err();
    assert!(missing.to_string().contains(r#"widgets.test.dev "a" not found"#), "{missing}");
}

#[tokio::test]
async fn an_unchanged_patch_writes_nothing() {
    let test = open().await;
    let api = widgets(&test.client);
    let made = api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"code": "x"}}));
    let same = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(same.resource_version(), made.resource_version());
}

#[tokio::test]
async fn of_two_replaces_with_one_version_one_loses() {
    let test = open().await;
    let api = widgets(&test.client);
    let mut one = api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let mut two = one.clone();
    one.data["spec"]["replicas"] = json!(2);
    two.data["spec"]["replicas"] = json!(3);
    let params = PostParams::default();
    let (one, two) = tokio::join!(api.replace("a", &params, &one), api.replace("a", &params, &two));
    assert!(one.is_ok() != two.is_ok());
    let lost = one.and(two).unwrap_err();
    let kube::Error::Api(status) = lost else { panic!("{lost}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Operation cannot be fulfilled on widgets.test.dev \"a\": the object has been modified; please apply your \
         changes to the latest version and try again"
    );
}

#[tokio::test]
async fn unversioned_patches_all_win() {
    let test = open().await;
    let api = widgets(&test.client);
    api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let params = PatchParams::default();
    let patches = (0..8).map(|i| {
        let (api, params) = (&api, &params);
        async move {
            let patch = json!({"metadata": {"annotations": {format!("n{i}"): "x"}}});
            api.patch("a", params, &Patch::Merge(patch)).await
        }
    });
    futures::future::try_join_all(patches).await.unwrap();
    assert_eq!(api.get("a").await.unwrap().annotations().len(), 8);
}

#[tokio::test]
async fn a_watch_resumes_and_selects() {
    let test = open().await;
    let api = widgets(&test.client);
    let start = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let status = Patch::Merge(json!({"status": {"phase": "Done"}}));
    api.patch_status("a", &PatchParams::default(), &status).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let params = WatchParams::default().fields("status.phase=Done").timeout(1);
    let events: Vec<_> = api.watch(&params, &start).await.unwrap().try_collect().await.unwrap();
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            WatchEvent::Bookmark(_) => "bookmark",
            WatchEvent::Error(_) => "error",
        })
        .collect();
    assert_eq!(kinds, ["added", "deleted"]);
}

#[tokio::test]
async fn reflectors_follow_with_lists_and_with_streams() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let test = open().await;
        let api = widgets(&test.client);
        api.create(&PostParams::default(), &widget("before")).await.unwrap();
        let writer = reflector::store::Writer::new(widget_resource());
        let store = writer.as_reader();
        let mut stream = reflector(writer, watcher(api.clone(), config)).applied_objects().boxed();
        let first = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(first.name_any(), "before");
        api.create(&PostParams::default(), &widget("after")).await.unwrap();
        let second = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(second.name_any(), "after");
        assert_eq!(store.state().len(), 2);
    }
}

#[tokio::test]
async fn a_pod_gets_a_node_and_time_to_end() {
    let test = open().await;
    let pods: Api<Pod> = Api::default_namespaced(test.client.clone());
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}))
    .unwrap();
    let made = pods.create(&PostParams::default(), &pod).await.unwrap();
    assert_eq!(made.spec.unwrap().node_name.as_deref(), Some("local"));
    assert_eq!(made.status.unwrap().phase.as_deref(), Some("Pending"));
    let going = pods.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
    pods.delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none());
}

#[tokio::test]
async fn pages_show_the_state_of_the_first() {
    let test = open().await;
    let api = widgets(&test.client);
    for name in ["a", "b", "c", "d"] {
        api.create(&PostParams::default(), &widget(name)).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(2));
    api.delete("d", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &widget("e")).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    let names: Vec<String> = first.iter().chain(second.iter()).map(ResourceExt::name_any).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
}

#[tokio::test]
async fn a_forgotten_position_is_expired() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { history_events: 2, ..Options::default() };
    let server = ApiServer::open_with(folder.path(), vec![widget_definition()], options).await.unwrap();
    let api = widgets(&server.client(Identity::new("test")));
    api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let b = api.create(&PostParams::default(), &widget("b")).await.unwrap();
    let page = api.list(&ListParams::default().limit(1)).await.unwrap();
    for name in ["c", "d", "e"] {
        api.create(&PostParams::default(), &widget(name)).await.unwrap();
    }
    let token = page.metadata.continue_.unwrap();
    let late = api.list(&ListParams::default().limit(1).continue_token(&token)).await.unwrap_err();
    assert!(matches!(late, kube::Error::Api(status) if status.code == 410 && status.reason == "Expired"));
    let old = b.resource_version().unwrap();
    let events: Vec<_> = api.watch(&WatchParams::default(), &old).await.unwrap().try_collect().await.unwrap();
    assert!(matches!(&events[..], [WatchEvent::Error(status)] if status.code == 410));
}

#[tokio::test]
async fn a_restart_keeps_objects_and_answers_old_watches() {
    let test = open().await;
    let api = widgets(&test.client);
    let first = api.create(&PostParams::default(), &widget("a")).await.unwrap();
    let last = api.create(&PostParams::default(), &widget("b")).await.unwrap();
    test.api.close().await;
    assert!(api.create(&PostParams::default(), &widget("c")).await.is_err());
    let reopened = ApiServer::open(test.folder.path(), vec![widget_definition()]).await.unwrap();
    let api = widgets(&reopened.client(Identity::new("test")));
    assert_eq!(api.get("b").await.unwrap(), last);
    let old = first.resource_version().unwrap();
    let events: Vec<_> = api.watch(&WatchParams::default(), &old).await.unwrap().try_collect().await.unwrap();
    assert!(
        matches!(&events[..], [WatchEvent::Error(status)] if status.code == 410 && status.reason == "Expired")
    );
    let mut stream =
        api.watch(&WatchParams::default(), &last.resource_version().unwrap()).await.unwrap().boxed();
    api.create(&PostParams::default(), &widget("c")).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Added(object) if object.name_any() == "c"));
}
