use serde_json::json;

use super::*;

fn file(change: impl FnOnce(&mut SandboxFile)) -> SandboxFile {
    let mut file: SandboxFile = serde_json::from_value(json!({
        "apiVersion": "carrel.dev/v1alpha1", "kind": "SandboxFile", "metadata": {"name": "f"},
        "spec": {"fileName": "a.txt", "isolationKey": "c1", "source": {"inline": ""}},
        "status": {"phase": "Ready", "sha256": "ab".repeat(32)},
    }))
    .expect("a file");
    change(&mut file);
    file
}

fn owner() -> Owner<'static> {
    Owner { scope: None, chat: Some("c1"), now: "2026-11-21T00:00:00Z".parse().expect("a time") }
}

fn usable(change: impl FnOnce(&mut SandboxFile)) -> bool {
    let digest = "ab".repeat(32).parse().expect("a digest");
    is_live_hash(&file(change), &digest, owner())
}

#[test]
fn a_live_file_of_the_same_chat_and_scope_is_usable() {
    assert!(usable(|_| {}));
}

#[test]
fn everything_else_is_not_found() {
    let status = |file: &mut SandboxFile| file.status.clone().expect("a status");
    assert!(!usable(|file| file.spec.isolation_key = Some("c2".to_owned())));
    assert!(!usable(|file| file.spec.isolation_key = None));
    assert!(!usable(|file| file.spec.collection = Some("onyx".to_owned())));
    assert!(!usable(|file| file.spec.scope = Some("alice".to_owned())));
    assert!(!usable(|file| file.spec.expires_at = Some(owner().now)));
    assert!(!usable(|file| file.status = None));
    for phase in [FilePhase::Pending, FilePhase::Expired, FilePhase::Failed] {
        assert!(!usable(|file| file.status = Some(crds::SandboxFileStatus { phase, ..status(file) })));
    }
    assert!(!usable(|file| {
        file.status = Some(crds::SandboxFileStatus { remaining_downloads: Some(0), ..status(file) });
    }));
    // The label has 63 digits only, so the hash itself decides.
    assert!(!usable(|file| {
        let other = format!("{}c", "ab".repeat(32).get(..63).expect("digits"));
        file.status = Some(crds::SandboxFileStatus { sha256: Some(other), ..status(file) });
    }));
}

#[test]
fn an_id_has_the_form_in_which_we_make_it() {
    assert!(is_file_id("6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b"));
    for id in [
        "",
        "nope",
        "../x",
        "/etc/hostname",
        "6F1E0A52-6B0E-4F9E-8F7A-0C1D2E3F4A5B",
        "6f1e0a526b0e4f9e8f7a0c1d2e3f4a5b",
        "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b.meta.json",
        "{6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b}",
    ] {
        assert!(!is_file_id(id), "{id}");
    }
}
