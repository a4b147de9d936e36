//! The store as its callers see it, on a real folder.

mod damaged;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};
use tempfile::TempDir;

use super::*;
use crate::write::PART_BYTES;

async fn store() -> (TempDir, Blobs) {
    let root = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(BlobsConfig::local(root.path())).await.unwrap();
    (root, blobs)
}

fn chunks<const N: usize>(content: [&'static [u8]; N]) -> impl Stream<Item = Result<Bytes, BoxError>> {
    stream::iter(content.map(|chunk| Ok(Bytes::from_static(chunk))))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn staging(root: &TempDir) -> PathBuf {
    root.path().join(layout::STAGING)
}

async fn read(object: Object) -> Result<Vec<u8>> {
    object.stream.try_fold(Vec::new(), |all, chunk| future::ok([all, chunk.to_vec()].concat())).await
}

fn pattern(length: usize) -> Bytes {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect::<Vec<u8>>().into()
}

#[tokio::test]
async fn what_is_put_is_read_back_under_its_digest() {
    let (root, blobs) = store().await;
    let stored = blobs.put(chunks([b"he", b"", b"llo"]), 5).await.unwrap();
    assert_eq!(stored, Stored { digest: Digest::of(b"hello"), size_bytes: 5 });
    let object = blobs.get(&stored.digest).await.unwrap();
    assert_eq!(object.size_bytes, 5);
    assert_eq!(read(object).await.unwrap(), b"hello");
    assert_eq!(blobs.get_bytes(&stored.digest, 5).await.unwrap(), "hello");
    assert!(blobs.exists(&stored.digest).await.unwrap());
    assert_eq!(names(root.path()), [layout::STAGING, stored.digest.as_str()]);
    assert_eq!(names(&staging(&root)), [""; 0]);
}

#[tokio::test]
async fn lengths_around_the_part_size_come_back_whole() {
    let (_root, blobs) = store().await;
    for length in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES, 3 * PART_BYTES + 7] {
        let content = pattern(length);
        let stored = blobs.put_bytes(content.clone()).await.unwrap();
        assert_eq!(stored, Stored { digest: Digest::of(&content), size_bytes: length as u64 });
        assert_eq!(read(blobs.get(&stored.digest).await.unwrap()).await.unwrap(), content);
    }
}

#[tokio::test]
async fn a_content_exactly_at_the_limit_is_kept_and_one_byte_above_leaves_nothing() {
    let (root, blobs) = store().await;
    for length in [5, PART_BYTES, 2 * PART_BYTES + 5] {
        let content = pattern(length + 1);
        let limit = length as u64;
        let whole = |bytes: &Bytes| stream::iter([Ok::<_, BoxError>(bytes.clone())]);
        let above = blobs.put(whole(&content), limit).await.unwrap_err();
        assert!(matches!(above, Error::TooLarge { limit: told } if told == limit), "{above}");
        let halves = [content.slice(..length), content.slice(length..)].map(Ok::<_, BoxError>);
        let above = blobs.put(stream::iter(halves), limit).await.unwrap_err();
        assert!(matches!(above, Error::TooLarge { .. }), "{above}");
        assert_eq!(names(root.path()), [layout::STAGING]);
        assert_eq!(names(&staging(&root)), [""; 0]);
        let stored = blobs.put(whole(&content.slice(..length)), limit).await.unwrap();
        assert_eq!(stored.size_bytes, limit);
        blobs.delete(&stored.digest).await.unwrap();
    }
}

#[tokio::test]
async fn a_source_that_breaks_off_leaves_nothing() {
    let (root, blobs) = store().await;
    for length in [3, PART_BYTES + 3] {
        let broken = stream::iter([Ok(pattern(length)), Err("the client went away")]);
        let error = blobs.put(broken, u64::MAX).await.unwrap_err();
        assert!(matches!(&error, Error::Content(source) if source.to_string() == "the client went away"));
        assert_eq!(names(&staging(&root)), [""; 0]);
    }
}

#[tokio::test]
async fn staged_bytes_are_no_object_until_they_are_promoted_and_then_only_once() {
    let (root, blobs) = store().await;
    let staged = blobs.stage(chunks([b"later"]), 100).await.unwrap();
    assert!(!blobs.exists(&staged.digest).await.unwrap());
    assert_eq!(names(&staging(&root)), [staged.key.as_str()]);
    assert_eq!(blobs.promote(&staged).await.unwrap(), staged.digest);
    assert!(blobs.exists(&staged.digest).await.unwrap());
    assert!(matches!(blobs.promote(&staged).await, Err(Error::NotFound)));
    assert_eq!(blobs.get_bytes(&staged.digest, 100).await.unwrap(), "later");
}

#[tokio::test]
async fn staged_bytes_that_changed_their_size_are_not_promoted() {
    let (root, blobs) = store().await;
    let staged = blobs.stage(chunks([b"whole"]), 100).await.unwrap();
    fs::write(staging(&root).join(staged.key.as_str()), b"who").unwrap();
    assert!(matches!(blobs.promote(&staged).await, Err(Error::HashMismatch { .. })));
    assert!(!blobs.exists(&staged.digest).await.unwrap());
}

#[tokio::test]
async fn concurrent_puts_of_equal_bytes_all_succeed_and_store_one_object() {
    let (root, blobs) = store().await;
    let content = pattern(PART_BYTES + 1);
    let puts = (0..16).map(|_| {
        let (blobs, content) = (blobs.clone(), content.clone());
        tokio::spawn(async move { blobs.put_bytes(content).await.unwrap().digest })
    });
    let digests = future::try_join_all(puts).await.unwrap();
    assert_eq!(digests, vec![Digest::of(&content); 16]);
    assert_eq!(names(root.path()), [layout::STAGING, digests[0].as_str()]);
    assert_eq!(names(&staging(&root)), [""; 0]);
}

#[tokio::test]
async fn get_bytes_refuses_what_is_larger_than_asked_for() {
    let (_root, blobs) = store().await;
    let stored = blobs.put_bytes("four".into()).await.unwrap();
    assert!(matches!(blobs.get_bytes(&stored.digest, 3).await, Err(Error::TooLarge { limit: 3 })));
    assert_eq!(read(blobs.get_exact(&stored.digest, 4).await.unwrap()).await.unwrap(), b"four");
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_may_be_deleted_again() {
    let (_root, blobs) = store().await;
    let digest = blobs.put_bytes("x".into()).await.unwrap().digest;
    blobs.delete(&digest).await.unwrap();
    blobs.delete(&digest).await.unwrap();
    assert!(!blobs.exists(&digest).await.unwrap());
    assert!(matches!(blobs.get(&digest).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_stage_that_is_given_up_half_way_leaves_nothing() {
    let (root, blobs) = store().await;
    let endless = stream::iter([Ok::<_, BoxError>(pattern(2 * PART_BYTES))]).chain(stream::pending());
    let mut stage = Box::pin(blobs.stage(endless, u64::MAX));
    while names(&staging(&root)).is_empty() {
        assert!(futures::poll!(&mut stage).is_pending());
        tokio::task::yield_now().await;
    }
    drop(stage);
    let gone = async {
        while !names(&staging(&root)).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}

#[tokio::test]
async fn reopening_finds_what_was_stored_and_every_object_is_readable_by_others() {
    let (root, blobs) = store().await;
    let digest = blobs.put_bytes("kept".into()).await.unwrap().digest;
    let staged = blobs.stage(chunks([b"strict"]), 100).await.unwrap();
    let strict = fs::Permissions::from_mode(0o600);
    fs::set_permissions(staging(&root).join(staged.key.as_str()), strict).unwrap();
    let again = Blobs::open(BlobsConfig::local(root.path())).await.unwrap();
    again.promote(&staged).await.unwrap();
    for digest in [digest, staged.digest] {
        let metadata = fs::metadata(root.path().join(digest.as_str())).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
        assert!(again.exists(&digest).await.unwrap());
    }
}

/// Bytes that tell when they are freed.
struct Tracked(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn fifty_megabytes_pass_through_with_a_few_chunks_in_memory() {
    const CHUNK: usize = 64 * 1024;
    const COUNT: usize = 50 * 1024 * 1024 / CHUNK;
    let (_root, blobs) = store().await;
    let (alive, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, most) = (Arc::clone(&alive), Arc::clone(&peak));
    let content = stream::iter(0..COUNT).map(move |i| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let fill = u8::try_from(i % 256).unwrap();
        Ok::<_, BoxError>(Bytes::from_owner(Tracked(vec![fill; CHUNK], Arc::clone(&now))))
    });
    let stored = blobs.put(content, u64::MAX).await.unwrap();
    assert_eq!(stored.size_bytes, (CHUNK * COUNT) as u64);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert!(peak.load(Ordering::SeqCst) <= 2, "{peak:?} chunks were alive at once");

    let object = blobs.get(&stored.digest).await.unwrap();
    let (longest, total) = object
        .stream
        .try_fold((0, 0), |(longest, total), chunk| {
            future::ok((chunk.len().max(longest), total + chunk.len()))
        })
        .await
        .unwrap();
    assert_eq!(total, CHUNK * COUNT);
    assert!(longest <= 256 * 1024, "a chunk of {longest} bytes");
}
