use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    time::UNIX_EPOCH,
};

use super::*;

const POD: &str = "\
600 500 0:70 / / ro,relatime - overlay overlay rw,lowerdir=/a
601 600 0:71 / /proc rw,nosuid - proc proc rw
602 600 0:72 / /dev rw,nosuid - tmpfs tmpfs rw
603 602 0:73 / /dev/mqueue rw,nosuid - mqueue mqueue rw
604 600 8:1 /pods/x/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
605 600 8:1 /pods/x/state /var/lib/carrel rw,relatime - ext4 /dev/sda1 rw
606 600 8:1 /pods/x/tmp /tmp rw,relatime - ext4 /dev/sda1 rw
607 602 0:74 / /dev/shm rw,nosuid - tmpfs shm rw
608 600 0:75 / /sys ro,nosuid - sysfs sysfs ro
";

#[test]
fn in_a_pod_only_its_volumes_and_what_is_shared_can_be_written_to() {
    let found: Vec<String> = writable(POD).iter().map(|place| place.display().to_string()).collect();
    assert_eq!(found, ["/dev/mqueue", "/etc/hosts", "/var/lib/carrel", "/tmp", "/dev/shm"]);
}

#[test]
fn a_root_that_can_be_written_to_and_a_further_volume_are_found() {
    let open = POD.replace("/ / ro,", "/ / rw,") + "609 600 8:1 /v /data rw - ext4 /dev/sda1 rw\n";
    let found = writable(&open);
    assert!(found.contains(&PathBuf::from("/")) && found.contains(&PathBuf::from("/data")), "{found:?}");
}

#[test]
fn queues_that_nobody_shows_prove_nothing() {
    assert!(shows_queues(POD, true));
    let hidden = POD.replace("/dev/mqueue", "/other");
    assert!(!shows_queues(&hidden, true) && shows_queues(&hidden, false));
}

#[test]
fn where_the_machine_is_shared_nothing_counts_as_the_sandboxs_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(crate::config::tests::args(dir.path())).unwrap();
    // The state of this one is in /tmp, or its root can be written to.
    assert!(matches!(places(&config), Err(Unproved::Place(_))));
}

#[test]
fn only_a_parent_on_the_same_machine_makes_the_proof_of_a_container_needless() {
    assert!(is_alone(1, false) && is_alone(1, true));
    assert!(is_alone(7, false), "a container with another first process");
    assert!(!is_alone(7, true));
}

#[test]
fn a_process_that_is_not_the_executors_is_found_and_an_unreadable_table_proves_nothing() {
    assert!(stranger(1, [1].into_iter()).is_ok());
    assert!(matches!(stranger(1, [1, 77].into_iter()), Err(Unproved::Stranger(77))));
    assert!(matches!(stranger(1, [].into_iter()), Err(Unproved::NoProcessTable)));
}

#[test]
fn an_object_of_system_v_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (none, one) = (dir.path().join("shm"), dir.path().join("sem"));
    fs::write(&none, "key shmid perms\n").unwrap();
    fs::write(&one, "key semid perms\n 0 1 600\n").unwrap();
    assert!(queues_and_segments(&[none.clone(), dir.path().join("absent")]).is_ok());
    assert!(matches!(queues_and_segments(&[none, one.clone()]), Err(Unproved::SystemV(list)) if list == one));
}

#[test]
fn of_the_state_only_the_runner_and_the_marks_of_accepted_uids_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (state, log) = (dir.path().join("state"), dir.path().join("state/log"));
    fs::create_dir(&state).unwrap();
    runner::prepare_state(&state).unwrap();
    fs::create_dir_all(state.join("runs/b/home/deep")).unwrap();
    fs::create_dir(state.join("runs/strange")).unwrap();
    fs::set_permissions(state.join("runs/b"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::File::open(state.join("runs/b")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    fs::write(state.join("runs/note"), "x").unwrap();
    fs::write(state.join("runner/json.py"), "x").unwrap();
    fs::write(state.join("hidden"), "x").unwrap();
    fs::write(&log, "words").unwrap();
    symlink("/", state.join("link")).unwrap();
    clear_state(&state, &ByteCode::default(), &["a".to_owned(), "b".to_owned()], &log).unwrap();
    let names = |dir: &Path| {
        let all = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string());
        let mut all: Vec<String> = all.map(Result::unwrap).collect();
        all.sort();
        all.join(" ")
    };
    assert_eq!((names(&state).as_str(), names(&state.join("runs")).as_str()), ("log runner runs", "a b"));
    assert_eq!(names(&state.join("runs/b")), "");
    let mark = fs::metadata(state.join("runs/b")).unwrap();
    assert!(
        mark.modified().unwrap() > UNIX_EPOCH && mark.permissions().mode() & 0o777 == 0o755,
        "an old mark"
    );
    assert!(!state.join("runner/json.py").exists() && runner::entry(&state).exists());
    assert!(runner::prepare_state(&state).is_err(), "another executor does not start here");
}

#[test]
fn a_state_whose_folder_of_runs_was_replaced_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    runner::prepare_state(dir.path()).unwrap();
    fs::remove_dir(runner::runs(dir.path())).unwrap();
    symlink("/", runner::runs(dir.path())).unwrap();
    assert!(clear_state(dir.path(), &ByteCode::default(), &["a".to_owned()], Path::new("/none")).is_err());
}

#[test]
fn emptying_what_is_not_there_is_no_failure_and_what_a_link_points_to_stays() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("keep"), "x").unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    empty(dir.path()).unwrap();
    empty(&dir.path().join("absent")).unwrap();
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    assert!(outside.path().join("keep").exists());
}
