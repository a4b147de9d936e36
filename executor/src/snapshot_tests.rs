//! What counts as changed, on real files.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _, fs::symlink},
    path::Path,
};

use super::*;

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn limits() -> RunLimits {
    RunLimits { files: 10, file_bytes: 100, files_total_bytes: 150, ..RunLimits::default() }
}

fn before(files: &[(&str, &str)]) -> Before {
    let mut before = Before::default();
    for (path, text) in files {
        before.insert(&RelativePath::parse(path).unwrap(), text.len() as u64, sha256(text.as_bytes()));
    }
    before
}

fn find(dir: &Path, before: &Before) -> Changes {
    Changes::find(&Workspace::open(dir).unwrap(), before, &limits())
}

fn paths(changes: &Changes) -> Vec<&str> {
    changes.files.iter().map(|file| file.path.as_str()).collect()
}

fn skipped(changes: &Changes) -> Vec<(&str, SkipReason)> {
    changes.skipped.iter().map(|file| (file.path.as_str(), file.reason)).collect()
}

#[test]
fn new_and_different_files_are_changed_and_equal_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("same", "old"), ("touched", "old"), ("other", "new"), ("longer", "older"), ("copy", "old")]
    {
        fs::write(dir.path().join(name), text).unwrap();
    }
    fs::set_permissions(dir.path().join("touched"), fs::Permissions::from_mode(0o600)).unwrap();
    let before =
        before(&[("same", "old"), ("touched", "old"), ("other", "old"), ("longer", "old"), ("gone", "x")]);
    let changes = find(dir.path(), &before);
    assert_eq!(paths(&changes), ["copy", "longer", "other"]);
    assert_eq!(changes.files[0].sha256, sha256(b"old"));
    assert_eq!(changes.files[0].size_bytes, 3);
    assert!(changes.skipped.is_empty());
}

#[test]
fn a_new_content_with_the_old_size_and_time_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, "old").unwrap();
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, "new").unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(paths(&find(dir.path(), &before(&[("f", "old")]))), ["f"]);
}

#[test]
fn links_and_fifos_are_neither_followed_nor_listed() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc/passwd", dir.path().join("a")).unwrap();
    symlink("/proc/self", dir.path().join("b")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("c"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let changes = find(dir.path(), &Before::default());
    assert!(changes.files.is_empty() && changes.skipped.is_empty());
}

#[test]
fn a_hard_link_inside_is_returned_and_one_from_outside_is_not() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "x").unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "1").unwrap();
    fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
    fs::hard_link(outside.path().join("secret"), dir.path().join("c")).unwrap();
    let changes = find(dir.path(), &Before::default());
    assert_eq!(paths(&changes), ["a", "b"]);
    assert_eq!(skipped(&changes), [("c", SkipReason::Unreadable)]);
}

#[test]
fn each_limit_has_its_reason_and_smaller_files_behind_still_come() {
    let dir = tempfile::tempdir().unwrap();
    for (name, size) in [("a", 90), ("b", 101), ("c", 61), ("d", 60), ("e", 0)] {
        fs::write(dir.path().join(name), vec![b'x'; size]).unwrap();
    }
    let changes = find(dir.path(), &Before::default());
    assert_eq!(paths(&changes), ["a", "d", "e"]);
    assert_eq!(skipped(&changes), [("b", SkipReason::TooLarge), ("c", SkipReason::TotalTooLarge)]);
}

#[test]
fn a_large_input_that_was_only_read_is_not_mentioned() {
    let dir = tempfile::tempdir().unwrap();
    let text = "x".repeat(101);
    fs::write(dir.path().join("input"), &text).unwrap();
    let changes = find(dir.path(), &before(&[("input", &text)]));
    assert!(changes.files.is_empty() && changes.skipped.is_empty());
}

#[test]
fn the_first_files_are_kept_and_at_most_64_of_the_others_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..100 {
        fs::write(dir.path().join(format!("{number:03}")), "").unwrap();
    }
    let changes = find(dir.path(), &Before::default());
    assert_eq!(paths(&changes).last(), Some(&"009"));
    assert_eq!((changes.skipped.len(), changes.skipped_count), (MAX_SKIPPED_LISTED, 90));
    assert_eq!(changes.skipped[0].reason, SkipReason::TooManyFiles);
}

#[test]
fn a_name_that_is_no_text_is_skipped_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
    fs::write(dir.path().join("good"), "x").unwrap();
    let changes = find(dir.path(), &Before::default());
    assert_eq!(paths(&changes), ["good"]);
    assert_eq!(skipped(&changes), [("bad\u{fffd}", SkipReason::NameNotUtf8)]);
}

#[test]
fn a_file_that_shrank_or_grew_since_it_was_opened_is_changed_while_reading() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    for later in ["1", "123456"] {
        fs::write(&path, "1234").unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let (file, stat) = workspace.open_file(&RelativePath::parse("f").unwrap()).unwrap();
        fs::write(&path, later).unwrap();
        assert_eq!(hash(&file, &stat), Err(SkipReason::ChangedWhileReading));
    }
}

#[test]
fn a_listed_file_is_served_until_it_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "1234").unwrap();
    let served = find(dir.path(), &Before::default()).serve(Workspace::open(dir.path()).unwrap());
    assert_eq!(served.open(0).unwrap().unwrap().1, 4);
    assert!(served.open(1).unwrap().is_none());
    fs::remove_file(dir.path().join("f")).unwrap();
    symlink("/etc/passwd", dir.path().join("f")).unwrap();
    assert!(served.open(0).is_err());
}
