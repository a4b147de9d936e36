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

#[test]
fn a_field_is_called_what_the_user_wrote() {
    for (theirs, ours) in [
        ("inputs[3].path", "files[3].path"),
        ("toolInputJson", "tool.inputJSON"),
        ("args[0]", "args[0]"),
        ("limits.memoryBytes", "limits.memory"),
    ] {
        let failure = Failure { field: Some(theirs.to_owned()), ..Failure::default() };
        assert_eq!(renamed(failure).field.as_deref(), Some(ours));
    }
}
