//! Folders that hold what the store did not leave there.

use std::{os::unix::fs::symlink, time::SystemTime};

use super::*;

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_put_heals_an_object_that_was_damaged() {
    let (root, blobs) = store().await;
    let stored = blobs.put_bytes("good".into()).await.unwrap();
    fs::write(root.path().join(stored.digest.as_str()), b"bad!").unwrap();
    assert!(matches!(blobs.get_bytes(&stored.digest, 100).await, Err(Error::HashMismatch { .. })));
    blobs.put_bytes("good".into()).await.unwrap();
    assert_eq!(blobs.get_bytes(&stored.digest, 100).await.unwrap(), "good");
}

#[tokio::test]
async fn an_object_that_became_shorter_is_an_error_and_not_a_short_answer() {
    let (root, blobs) = store().await;
    let stored = blobs.put_bytes(pattern(2 * PART_BYTES)).await.unwrap();
    let mut object = blobs.get(&stored.digest).await.unwrap();
    let first = object.stream.try_next().await.unwrap().unwrap();
    let file = fs::File::options().write(true).open(root.path().join(stored.digest.as_str())).unwrap();
    file.set_len(PART_BYTES as u64).unwrap();
    let rest: Vec<Result<Bytes>> = object.stream.collect().await;
    let received: usize = rest.iter().flatten().map(Bytes::len).sum();
    assert_eq!(first.len() + received, PART_BYTES);
    assert!(matches!(rest.last(), Some(Err(Error::Backend { .. }))));

    let cut_at_rest = blobs.get_exact(&stored.digest, stored.size_bytes).await;
    assert!(matches!(cut_at_rest, Err(Error::HashMismatch { .. })));
    assert!(matches!(blobs.get_bytes(&stored.digest, u64::MAX).await, Err(Error::HashMismatch { .. })));
}

#[tokio::test]
async fn a_name_that_is_no_regular_file_is_no_object() {
    let (root, blobs) = store().await;
    let secret = root.path().join("secret");
    fs::write(&secret, b"secret").unwrap();
    let [link, fifo, folder] = [b"link".as_slice(), b"fifo", b"folder"].map(Digest::of);
    symlink(&secret, root.path().join(link.as_str())).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join(fifo.as_str()), mode).unwrap();
    fs::create_dir(root.path().join(folder.as_str())).unwrap();
    for digest in [link, fifo, folder] {
        assert!(matches!(blobs.get(&digest).await, Err(Error::NotFound)), "{digest}");
        assert!(!blobs.exists(&digest).await.unwrap());
    }
}

#[tokio::test]
async fn a_put_replaces_a_symlink_and_leaves_its_target_alone() {
    let (root, blobs) = store().await;
    let target = root.path().join("target");
    fs::write(&target, b"untouched").unwrap();
    symlink(&target, root.path().join(Digest::of(b"new").as_str())).unwrap();
    let digest = blobs.put_bytes("new".into()).await.unwrap().digest;
    assert_eq!(blobs.get_bytes(&digest, 100).await.unwrap(), "new");
    assert_eq!(fs::read(&target).unwrap(), b"untouched");
}

#[tokio::test]
async fn the_sweep_removes_what_a_crash_left_and_nothing_else() {
    let (root, blobs) = store().await;
    let object = blobs.put_bytes("object".into()).await.unwrap().digest;
    let old = blobs.stage(chunks([b"old"]), 100).await.unwrap();
    let half = format!("{}#1", "ab".repeat(16));
    fs::write(staging(&root).join(&half), b"ha").unwrap();
    for foreign in [root.path().join("note.txt"), staging(&root).join("note.txt")] {
        fs::write(foreign, b"not ours").unwrap();
    }
    let now = SystemTime::now();
    let two_hours_ago = now.checked_sub(2 * HOUR).unwrap();
    for folder in [root.path(), &staging(&root)] {
        for name in names(folder) {
            fs::File::open(folder.join(name)).unwrap().set_modified(two_hours_ago).unwrap();
        }
    }
    let young = blobs.stage(chunks([b"young"]), 100).await.unwrap();

    assert_eq!(blobs.sweep_staging(now, 3 * HOUR).await.unwrap(), 0);
    assert_eq!(blobs.sweep_staging(now, HOUR).await.unwrap(), 2);
    let mut left = [young.key.as_str(), "note.txt"];
    left.sort_unstable();
    assert_eq!(names(&staging(&root)), left);
    assert_eq!(names(root.path()), [layout::STAGING, object.as_str(), "note.txt"]);
    assert!(matches!(blobs.promote(&old).await, Err(Error::NotFound)));
    blobs.promote(&young).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_went_away_is_an_error_and_is_not_made_again() {
    let (root, blobs) = store().await;
    let staged = blobs.stage(chunks([b"waiting"]), 100).await.unwrap();
    let digest = blobs.put_bytes("here".into()).await.unwrap().digest;
    fs::remove_dir_all(root.path()).unwrap();
    let backend = |error: Error| matches!(error, Error::Backend { .. });
    assert!(backend(blobs.put_bytes("gone".into()).await.unwrap_err()));
    assert!(backend(blobs.promote(&staged).await.unwrap_err()));
    assert!(backend(blobs.get(&digest).await.unwrap_err()));
    assert!(backend(blobs.exists(&digest).await.unwrap_err()));
    assert!(backend(blobs.delete(&digest).await.unwrap_err()));
    assert!(!root.path().exists());
}

#[tokio::test]
async fn a_name_that_cannot_be_taken_is_an_error_and_keeps_nothing_of_ours() {
    let (root, blobs) = store().await;
    let in_the_way = root.path().join(Digest::of(b"blocked").as_str());
    fs::create_dir(&in_the_way).unwrap();
    fs::write(in_the_way.join("theirs"), b"theirs").unwrap();
    let error = blobs.put_bytes("blocked".into()).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
    assert_eq!(names(&in_the_way), ["theirs"]);
    assert_eq!(names(&staging(&root)), [""; 0]);
}

#[tokio::test]
async fn a_root_that_is_a_file_cannot_be_opened() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Blobs::open(BlobsConfig::local(file.path())).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
}
