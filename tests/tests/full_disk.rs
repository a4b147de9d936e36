//! A disk that takes no more ends the service, with the reason. A limit on the size of files stands for the disk:
//! the system refuses the write as it does on a full one, and it needs no privilege.

use std::time::Duration;

use e2e::{Carrel, Options, PATIENCE, http};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};

fn map(number: usize) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(format!("m{number}"));
    map.data = Some([("k".to_owned(), "x".repeat(900_000))].into());
    map
}

#[tokio::test]
async fn a_disk_that_is_full_ends_the_service_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // The signal that a file is too large would end the service without a word; a full disk sends none.
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$@\"";
    let limited = Options {
        args: vec!["--warm-sandboxes".into(), "0".into()],
        starter: ["bash", "-c", script, "bash"].map(str::to_owned).to_vec(),
        ..Options::default()
    };
    let mut carrel = Carrel::start_in(dir.path(), &limited);
    let ready = carrel.url("/ready");
    assert_eq!(http().get(&ready).send().await.unwrap().status(), 200);
    let maps: Api<ConfigMap> = Api::default_namespaced(carrel.client().await);
    let mut acknowledged = 0;
    // The answer to the one that fails may be cut off by the end of the service.
    while maps.create(&PostParams::default(), &map(acknowledged)).await.is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 40, "the limit was never reached");
    }
    // Once a write was refused it is never ready again, until it is gone.
    let start = std::time::Instant::now();
    while let Ok(answer) = http().get(&ready).timeout(Duration::from_secs(5)).send().await {
        assert_eq!(answer.status(), 503);
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(carrel.wait().code(), Some(1), "{}", carrel.log());
    let log = carrel.log();
    let last = log.lines().last().unwrap_or_default();
    assert!(
        last.contains("File too large") && last.contains("api.redb") && last.contains("start again"),
        "{log}"
    );

    let carrel = Carrel::start_in(dir.path(), &Options { starter: vec![], ..limited });
    let maps: Api<ConfigMap> = Api::default_namespaced(carrel.client().await);
    let kept = maps.list(&ListParams::default()).await.unwrap();
    let names: Vec<String> = kept.iter().map(ResourceExt::name_any).collect();
    for number in 0..acknowledged {
        assert!(names.contains(&format!("m{number}")), "m{number} is gone: {names:?}");
    }
    maps.create(&PostParams::default(), &map(99)).await.unwrap();
}
