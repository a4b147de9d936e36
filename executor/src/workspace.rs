//! The directories of one run, and the workspace as a handle. Paths of requests go through the handle.

use std::{
    fs, io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, Stat},
    io::Errno,
};

use crate::{beneath, paths::RelativePath, runner};

/// Where one run lives on the disk.
#[derive(Debug, Clone)]
pub(crate) struct RunDirs {
    pub run: PathBuf,
    pub workspace: PathBuf,
    pub home: PathBuf,
    pub tmp: PathBuf,
    pub matplotlib: PathBuf,
}

impl RunDirs {
    pub(crate) fn of(state_dir: &Path, uid: &str) -> Self {
        let run = runner::runs(state_dir).join(uid);
        Self {
            workspace: run.join("workspace"),
            home: run.join("home"),
            tmp: run.join("tmp"),
            matplotlib: run.join("matplotlib"),
            run,
        }
    }

    /// What programs write to.
    pub(crate) fn all(&self) -> [&PathBuf; 4] {
        [&self.workspace, &self.home, &self.tmp, &self.matplotlib]
    }

    /// Makes them. The run's own directory must be new: this is the last guard against a second start.
    ///
    /// Matplotlib takes only a folder that it may write to, and what one program writes there, settings too, must not
    /// reach another one. So each run has its own, with links to the caches that are warm.
    pub(crate) fn create(&self, matplotlib_caches: &[PathBuf]) -> io::Result<()> {
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).create(&self.run)?;
        for dir in self.all() {
            fs::DirBuilder::new().mode(0o755).create(dir)?;
        }
        for cache in matplotlib_caches {
            symlink(cache, self.matplotlib.join(cache.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }
}

/// The workspace directory.
#[derive(Debug)]
pub(crate) struct Workspace(OwnedFd);

impl Workspace {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// A new file of mode 0644, and its folders of mode 0755.
    pub(crate) fn create(&self, path: &RelativePath) -> io::Result<fs::File> {
        let (folders, name) = path.split();
        let folder = self.descend(folders, make_dir)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = beneath::open(folder.as_fd(), name.as_bytes(), flags, Mode::from_raw_mode(0o644))?;
        Ok(fs::File::from(file))
    }

    /// An existing regular file.
    pub(crate) fn open_file(&self, path: &RelativePath) -> io::Result<(fs::File, Stat)> {
        let (folders, name) = path.split();
        let folder = self.descend(folders, beneath::open_dir)?;
        let (file, stat) = beneath::open_file(folder.as_fd(), name.as_bytes())?;
        Ok((fs::File::from(file), stat))
    }

    fn descend<'a>(
        &self,
        folders: impl Iterator<Item = &'a str>,
        step: fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        let mut folder = self.0.try_clone()?;
        for name in folders {
            folder = step(folder.as_fd(), name.as_bytes())?;
        }
        Ok(folder)
    }
}

fn make_dir(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => beneath::open_dir(dir, name),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text).unwrap()
    }

    #[test]
    fn a_staged_file_has_its_folders_modes_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        workspace.create(&path("a/b/c.txt")).unwrap().write_all(b"hello").unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b"), mode("a/b/c.txt")), (0o755, 0o755, 0o644));
        let (mut file, stat) = workspace.open_file(&path("a/b/c.txt")).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), stat.st_size), ("hello", 5));
    }

    #[test]
    fn nothing_is_written_or_read_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink(outside.path().join("new"), dir.path().join("file")).unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        assert!(workspace.create(&path("out/new")).is_err());
        assert!(workspace.create(&path("file")).is_err());
        assert!(workspace.open_file(&path("out/secret")).is_err());
        assert!(!outside.path().join("new").exists());
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        workspace.create(&path("a")).unwrap();
        assert_eq!(workspace.create(&path("a")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn the_directories_of_a_run_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("runs")).unwrap();
        let dirs = RunDirs::of(dir.path(), "u1");
        let warm = dir.path().join("fonts.json");
        fs::write(&warm, "warm").unwrap();
        dirs.create(&[warm]).unwrap();
        assert!(dirs.workspace.is_dir() && dirs.home.is_dir() && dirs.tmp.is_dir());
        assert_eq!(fs::read(dirs.matplotlib.join("fonts.json")).unwrap(), b"warm");
        assert_eq!(dirs.create(&[]).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
