//! Which Python programs run with, when the command line does not say.

use std::path::{Path, PathBuf};

/// The interpreter and, where there is one, its warm Matplotlib cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The interpreter; a bare name is looked up on PATH.
    pub interpreter: PathBuf,
    /// The cache that `make build` has filled.
    pub matplotlib_cache: Option<PathBuf>,
}

/// `given`, or the environment that `make build` puts beside the binary, or `python3` from PATH.
#[must_use]
pub fn find(given: Option<PathBuf>, executable: &Path) -> Python {
    // target/release/carrel -> target/python
    let built = executable.ancestors().nth(2).map(|target| target.join("python/bin/python3"));
    let built = built.filter(|path| path.exists());
    let interpreter = given.or(built).unwrap_or_else(|| PathBuf::from("python3"));
    let cache = interpreter.ancestors().nth(2).map(|environment| environment.join("mplconfig"));
    Python { matplotlib_cache: cache.filter(|dir| dir.is_dir()), interpreter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_over_what_was_built_and_that_over_path() {
        let target = tempfile::tempdir().unwrap();
        let executable = target.path().join("release/carrel");
        assert_eq!(find(None, &executable).interpreter, Path::new("python3"));
        std::fs::create_dir_all(target.path().join("python/bin")).unwrap();
        std::fs::create_dir_all(target.path().join("python/mplconfig")).unwrap();
        std::fs::write(target.path().join("python/bin/python3"), "").unwrap();
        let built = find(None, &executable);
        assert_eq!(built.interpreter, target.path().join("python/bin/python3"));
        assert_eq!(built.matplotlib_cache, Some(target.path().join("python/mplconfig")));
        assert_eq!(
            find(Some("/usr/bin/python3".into()), &executable).interpreter,
            Path::new("/usr/bin/python3")
        );
    }
}
