use std::{ffi::OsString, fs};

use protocol::{Claims, Method};

use super::*;
use crate::{
    config::{Config, tests::args},
    probe::{Probe, Python},
    registry::Claimed,
    runner::ByteCode,
};

#[test]
fn what_was_acknowledged_does_not_overwrite_the_words_of_a_later_run() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("words");
    fs::write(&log, "").unwrap();
    let config = Config::new(crate::Args { termination_log: log.clone(), ..args(dir.path()) }).unwrap();
    let app = App::new(config);
    let python = Python { program: "/python".into(), path: OsString::new(), byte_code: ByteCode::default() };
    app.set_probe(Probe::Usable(python));
    let claims = Claims {
        key_id: "k".to_owned(),
        method: Method::Execute,
        execution_uid: None,
        pod_uid: "p".to_owned(),
        epoch: 1,
        expires_unix_milliseconds: unix_milliseconds() + 60_000,
    };
    let Ok(Claimed::New(run)) = app.claim("first", &claims) else { panic!() };
    say(&app, "first").unwrap();
    assert!(fs::read_to_string(&log).unwrap().contains("first"));
    run.frames.end(outcome::cancelled_before_start());
    app.acknowledge("first").unwrap();
    fs::write(&log, "of the next").unwrap();
    say(&app, "first").unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "of the next");
}
