//! The runner: Python files that set up a program inside its interpreter, carried in this binary.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Every file of the runner.
const FILES: [(&str, &str); 8] = [
    ("interactive.py", include_str!("../python/interactive.py")),
    ("media.py", include_str!("../python/media.py")),
    ("precompile.py", include_str!("../python/precompile.py")),
    ("program.py", include_str!("../python/program.py")),
    ("runner.py", include_str!("../python/runner.py")),
    ("shell.py", include_str!("../python/shell.py")),
    ("tool.py", include_str!("../python/tool.py")),
    ("xonsh_session.py", include_str!("../python/xonsh_session.py")),
];

/// Where in its folder the interpreter keeps what it compiled.
const COMPILED: &str = "__pycache__";

/// What the interpreter made of the runner before there was any program: names of files, and what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ByteCode(Arc<Vec<(OsString, Vec<u8>)>>);

impl ByteCode {
    pub(crate) fn read(state_dir: &Path) -> io::Result<Self> {
        let files = fs::read_dir(folder(state_dir).join(COMPILED))?.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), fs::read(entry.path())?))
        });
        Ok(Self(Arc::new(files.collect::<io::Result<_>>()?)))
    }
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// An executor that has run something must not be started again: what became of it is unknown, and a second
    /// start of the same program must never happen.
    #[error("{0:?} holds an earlier run; an executor is started once")]
    UsedBefore(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("runner")
}

/// Where the runner starts.
pub(crate) fn entry(state_dir: &Path) -> PathBuf {
    folder(state_dir).join("runner.py")
}

/// The folder that holds the folder of the run.
pub(crate) fn runs(state_dir: &Path) -> PathBuf {
    state_dir.join("runs")
}

/// Makes `runs/`, which must be empty, and writes the runner.
pub(crate) fn prepare_state(state_dir: &Path) -> Result<(), StateError> {
    let runs = runs(state_dir);
    fs::create_dir_all(&runs)?;
    if fs::read_dir(&runs)?.next().is_some() {
        return Err(StateError::UsedBefore(runs));
    }
    Ok(write(state_dir, &ByteCode::default())?)
}

/// Writes the runner.
pub(crate) fn write(state_dir: &Path, byte_code: &ByteCode) -> io::Result<()> {
    let folder = folder(state_dir);
    for (name, text) in FILES {
        put(&folder, OsStr::new(name), text.as_bytes())?;
    }
    byte_code.0.iter().try_for_each(|(name, code)| put(&folder.join(COMPILED), name, code))
}

fn put(folder: &Path, name: &OsStr, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    if fs::read(&path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    // A read-only file of an older version cannot be overwritten by its owner.
    let fresh = folder.join(".new");
    fs::write(&fresh, content)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o444))?;
    fs::rename(&fresh, &path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_runner_is_carried() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let python = |name: &String| Path::new(name).extension().is_some_and(|extension| extension == "py");
        let mut names: Vec<String> = names.filter(python).collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }

    #[test]
    fn the_runner_is_written_read_only_and_again_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        prepare_state(dir.path()).unwrap();
        prepare_state(dir.path()).unwrap();
        let meta = fs::metadata(entry(dir.path())).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o444);
        assert!(fs::read_dir(runs(dir.path())).unwrap().next().is_none());
    }

    #[test]
    fn what_was_compiled_is_written_again_with_the_runner() {
        let dir = tempfile::tempdir().unwrap();
        assert!(ByteCode::read(dir.path()).is_err());
        let compiled = dir.path().join("runner/__pycache__");
        fs::create_dir_all(&compiled).unwrap();
        fs::write(compiled.join("runner.pyc"), [1, 2]).unwrap();
        let byte_code = ByteCode::read(dir.path()).unwrap();
        fs::remove_dir_all(dir.path().join("runner")).unwrap();
        write(dir.path(), &byte_code).unwrap();
        assert_eq!(fs::read(compiled.join("runner.pyc")).unwrap(), [1, 2]);
        assert!(entry(dir.path()).exists());
        assert_eq!(ByteCode::read(dir.path()).unwrap(), byte_code);
    }

    #[test]
    fn a_state_directory_that_held_a_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        prepare_state(dir.path()).unwrap();
        fs::create_dir(runs(dir.path()).join("u1")).unwrap();
        assert!(matches!(prepare_state(dir.path()), Err(StateError::UsedBefore(_))));
    }
}
