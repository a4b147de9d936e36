//! The termination message: what this executor has accepted, told even when it is dead.
//!
//! Only written where a file waits for it: Kubernetes and the local node provide one.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
};

use protocol::TerminationMessage;

/// Replaces the message, and returns when it is on disk: it must not claim less than was done before a power cut.
pub(crate) fn write(path: &Path, execution_uid: Option<&str>) -> io::Result<()> {
    let message = TerminationMessage { execution_uid: execution_uid.map(str::to_owned) };
    let mut file = match OpenOptions::new().write(true).truncate(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    file.write_all(serde_json::to_string(&message)?.as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_replaced_and_no_file_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, None).unwrap();
        assert!(!path.exists());
        std::fs::write(&path, "x".repeat(1000)).unwrap();
        write(&path, Some("u")).unwrap();
        let read = TerminationMessage::parse(&std::fs::read_to_string(&path).unwrap());
        assert_eq!(read, Some(TerminationMessage { execution_uid: Some("u".into()) }));
    }
}
