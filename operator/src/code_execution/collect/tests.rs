//! What of an outcome can be written.

use super::*;

#[test]
fn a_result_that_the_schema_refuses_is_not_written() {
    let part = |name: &str, media_type: &str| protocol::ResultPart {
        name: name.to_owned(),
        media_type: media_type.to_owned(),
        data: String::new(),
    };
    let (longest, longer) = ("é".repeat(253), "é".repeat(254));
    assert!(is_writable(&part("a", "b")) && is_writable(&part(&longest, &longest)));
    for (name, media_type) in [("", "b"), ("a", ""), (longer.as_str(), "b"), ("a", longer.as_str())] {
        assert!(!is_writable(&part(name, media_type)));
    }
}

#[test]
fn a_file_that_the_schema_refuses_is_skipped_and_the_others_keep_their_numbers() {
    let file = |path: &str| FileEntry { path: path.to_owned(), size_bytes: 0, sha256: String::new() };
    let (kept, skipped) =
        writable_files(vec![file(""), file("a"), file(&"x".repeat(4097)), file("a"), file("b")]);
    let kept: Vec<_> = kept.iter().map(|(index, file)| (*index, file.path.as_str())).collect();
    assert_eq!(kept, [(1, "a"), (4, "b")]);
    assert_eq!(skipped.iter().map(|file| file.path.len()).collect::<Vec<_>>(), [0, 4096, 1]);
    let many = (0..=MAX_FILES).map(|number| file(&number.to_string())).collect();
    let (kept, skipped) = writable_files(many);
    assert_eq!((kept.len(), skipped.len()), (MAX_FILES, 1));
}

fn long(name: &str) -> protocol::ResultPart {
    let data = "x".repeat(limits::INLINE_RESULTS_BYTES);
    protocol::ResultPart { name: name.to_owned(), media_type: "text/plain".to_owned(), data }
}

#[test]
fn more_results_than_the_schema_takes_are_left_out() {
    assert_eq!(writable(vec![long("a"); MAX_RESULTS]).len(), MAX_RESULTS);
    assert_eq!(writable(vec![long("a"); MAX_RESULTS + 1]).len(), MAX_RESULTS);
}

#[tokio::test]
async fn a_result_that_the_store_does_not_take_is_left_out_and_that_is_said() {
    let short = protocol::ResultPart { data: "1".to_owned(), ..long("short") };
    for (stored, names, missing) in
        [(None, vec!["short"], true), (Some("digest".to_owned()), vec!["long", "short"], false)]
    {
        let results = vec![long("long"), short.clone()];
        let (parts, left_out) = typed_results(results, |_| std::future::ready(stored.clone())).await;
        assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), names);
        assert!(parts.iter().all(|part| part.data.is_empty() == part.stored_as.is_some()));
        assert_eq!(left_out, missing);
    }
}
