//! Which Python programs run with, when the command line does not say.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The interpreter and, where there is one, its warm Matplotlib cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The interpreter; a bare name is looked up on PATH.
    pub interpreter: PathBuf,
    /// The cache that `make build` has filled.
    pub matplotlib_cache: Option<PathBuf>,
}

/// There is no such program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no Python at {path}: install Python 3.11 or newer, or name one with --python or CARREL_PYTHON",
    path = .0.display()
)]
pub struct NoPython(PathBuf);

/// `given`, or the environment that `make build` puts beside the binary, or `python3` from `search`, a PATH.
pub fn find(given: Option<PathBuf>, executable: &Path, search: &OsStr) -> Result<Python, NoPython> {
    // target/release/carrel -> target/python
    let built = executable.ancestors().nth(2).map(|target| target.join("python/bin/python3"));
    let built = built.filter(|path| path.exists());
    let interpreter = given.or(built).unwrap_or_else(|| PathBuf::from("python3"));
    let is_name = interpreter.components().count() == 1 && !interpreter.is_absolute();
    let found = if is_name {
        std::env::split_paths(search).any(|folder| folder.join(&interpreter).is_file())
    } else {
        interpreter.is_file()
    };
    if !found {
        return Err(NoPython(interpreter));
    }
    let cache = interpreter.ancestors().nth(2).map(|environment| environment.join("mplconfig"));
    Ok(Python { matplotlib_cache: cache.filter(|dir| dir.is_dir()), interpreter })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_over_what_was_built_and_that_over_path() {
        let target = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = target.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("python3"), "").unwrap();
            folder
        };
        let (executable, on_path) = (target.path().join("release/carrel"), folder("usr"));
        let find = |given: Option<PathBuf>| find(given, &executable, on_path.as_os_str()).unwrap();
        assert_eq!(find(None).interpreter, Path::new("python3"));
        let built = folder("python/bin").join("python3");
        std::fs::create_dir_all(target.path().join("python/mplconfig")).unwrap();
        let cache = Some(target.path().join("python/mplconfig"));
        assert_eq!(find(None), Python { interpreter: built, matplotlib_cache: cache });
        let given = folder("other").join("python3");
        assert_eq!(find(Some(given.clone())).interpreter, given);
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_named() {
        let nowhere = tempfile::tempdir().unwrap();
        let executable = nowhere.path().join("release/carrel");
        for given in [None, Some("python9".into()), Some(nowhere.path().join("python3"))] {
            let name = given.clone().unwrap_or_else(|| PathBuf::from("python3"));
            let error = find(given, &executable, nowhere.path().as_os_str()).unwrap_err();
            assert_eq!(error, NoPython(name));
        }
    }
}
