//! Makes the executor ready for another execution after one that was acknowledged: proves that nothing is left of it.
//! What cannot be proved leaves the executor spent, and its pod goes. Whose the next execution may be is not decided
//! here: the operator gives it one of the same isolation key only.
//!
//! 1. `processes`: everything that the program started is dead. In a container of its own there is no other process
//! 2. `queues_and_segments`: no System V object is left (in a container of its own)
//! 3. `places`: nothing can be written but what is cleaned here (in a container of its own)
//! 4. what is shared there is emptied: `/tmp`, `/dev/shm`, `/dev/mqueue`
//! 5. the state directory holds the runner and one empty folder for each execution that was accepted, all of them made
//!    anew: the folders keep an executor that is started again in its place, and a second run of the same uid, from
//!    starting
//! 6. the pod's last words are those of the last execution again
//!
//! Without a container of its own (on one machine, where a parent holds its lifeline) the executor shares all but its
//! state directory with everybody, so 2 to 4 would prove nothing and remove what is others'. What is proved nowhere,
//! and so may be left, is listed in `docs/THREAT-MODEL.md`, "Pods that are used again".

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use protocol::Claims;

use crate::{
    app::App,
    config::Config,
    error::ApiError,
    remove::remove_tree,
    run::{kill, proc_table},
    runner::{self, ByteCode},
    termination,
};

/// What every container may write to beside its volumes.
const SHARED: [&str; 3] = ["/tmp", "/dev/shm", QUEUES];
/// Where the kernel shows POSIX message queues.
const QUEUES: &str = "/dev/mqueue";
/// The lists of System V objects; a kernel without them has none.
const SYSTEM_V: [&str; 3] = ["/proc/sysvipc/msg", "/proc/sysvipc/sem", "/proc/sysvipc/shm"];
/// Where the kernel's own files and devices are: no place to keep anything.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// What may be left.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproved {
    #[error("a process of it cannot be killed")]
    Process,
    #[error("the process {0} is not the executor's")]
    Stranger(i32),
    #[error("the process table cannot be read")]
    NoProcessTable,
    #[error("{0:?} is not empty")]
    SystemV(PathBuf),
    #[error("{0:?} can be written to and is not cleaned")]
    Place(PathBuf),
    #[error("cleaning {path:?}: {source}")]
    Disk { path: PathBuf, source: io::Error },
    #[error("the proof failed: {0}")]
    Failed(#[source] tokio::task::JoinError),
}

/// Frees the slot that the acknowledged run of `uid` had, when nothing of it is left. When the caller goes away in
/// between, the slot is never freed.
pub(crate) async fn reset(app: Arc<App>, uid: &str, claims: &Claims) -> Result<(), ApiError> {
    let byte_code = app.python()?.byte_code;
    let accepted = app.begin_reset(uid, claims)?;
    let (task, last) = (Arc::clone(&app), uid.to_owned());
    let proof = tokio::task::spawn_blocking(move || {
        let _alone = task.disk.lock();
        prove(&task.config, &byte_code, &accepted, &last)
    });
    let proof = proof.await.map_err(Unproved::Failed).flatten();
    app.end_reset(proof.is_ok());
    Ok(proof?)
}

fn prove(config: &Config, byte_code: &ByteCode, accepted: &[String], last: &str) -> Result<(), Unproved> {
    let own = std::process::id().cast_signed();
    let alone = is_alone(own, config.lifeline);
    processes(own, alone)?;
    if alone {
        queues_and_segments(&SYSTEM_V.map(PathBuf::from))?;
        // Before anything is removed: what is not the container of a pod is left as it is.
        places(config)?;
        for place in SHARED {
            in_place(Path::new(place), empty)?;
        }
    }
    in_place(&config.state_dir, |dir| clear_state(dir, byte_code, accepted, &config.termination_log))?;
    in_place(&config.termination_log, |log| termination::write(log, Some(last)))
}

/// Whether everything around is to be there for this executor only: it is the first process of a container, or nobody
/// has started it on a machine. In an image with another first process the proof fails; it is not left out.
fn is_alone(own: i32, has_parent: bool) -> bool {
    own == 1 || !has_parent
}

fn in_place(path: &Path, clean: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), Unproved> {
    clean(path).map_err(|source| Unproved::Disk { path: path.to_owned(), source })
}

fn processes(own: i32, alone: bool) -> Result<(), Unproved> {
    if !kill::everything(&mut |_| ()) {
        return Err(Unproved::Process);
    }
    if alone { stranger(own, proc_table::read_all().iter().map(|entry| entry.pid)) } else { Ok(()) }
}

/// In a table that can be believed there is the reader itself, and here nobody else.
fn stranger(own: i32, all: impl Iterator<Item = i32>) -> Result<(), Unproved> {
    let (mine, others): (Vec<i32>, Vec<i32>) = all.partition(|pid| *pid == own);
    match others.first() {
        Some(other) => Err(Unproved::Stranger(*other)),
        None if mine.is_empty() => Err(Unproved::NoProcessTable),
        None => Ok(()),
    }
}

/// Each list is a line of titles and a line for each object.
fn queues_and_segments(lists: &[PathBuf]) -> Result<(), Unproved> {
    for list in lists {
        match fs::read_to_string(list) {
            Ok(text) if text.lines().count() <= 1 => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Err(Unproved::SystemV(list.clone())),
            Err(source) => return Err(Unproved::Disk { path: list.clone(), source }),
        }
    }
    Ok(())
}

/// Whether everything that can be written to is cleaned.
fn places(config: &Config) -> Result<(), Unproved> {
    if SHARED.iter().any(|place| config.state_dir.starts_with(place)) {
        // What must stay there would go.
        return Err(Unproved::Place(config.state_dir.clone()));
    }
    let list = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(list).map_err(|source| Unproved::Disk { path: list.to_owned(), source })?;
    if !shows_queues(&text, Path::new("/proc/sys/fs/mqueue").exists()) {
        return Err(Unproved::Place(QUEUES.into()));
    }
    let cleaned = |place: &Path| {
        place == config.state_dir || place == config.termination_log || SHARED.iter().any(|s| place == *s)
    };
    // Files like `/etc/hosts` are mounts too, which only the kubelet writes to.
    let matters = |place: &PathBuf| {
        fs::metadata(place).map_or(true, |found| found.is_dir())
            || rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok()
    };
    let other = writable(&text).into_iter().find(|place| !cleaned(place) && matters(place));
    other.map_or(Ok(()), |place| Err(Unproved::Place(place)))
}

/// Whether the names of POSIX message queues can be seen: a kernel that has queues has them also where they are not
/// mounted.
fn shows_queues(mounts: &str, kernel_has_them: bool) -> bool {
    !kernel_has_them || mounts.lines().any(|line| line.split(' ').nth(4) == Some(QUEUES))
}

/// The places that are not mounted read-only, from the kernel's list.
fn writable(mounts: &str) -> Vec<PathBuf> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let (place, options) = (PathBuf::from(fields.next()?), fields.next()?);
        let written = !options.split(',').any(|option| option == "ro");
        let kernel = KERNEL.iter().any(|own| place.starts_with(own));
        let shared = SHARED.iter().any(|shared| place == Path::new(shared));
        (written && (shared || !kernel)).then_some(place)
    };
    mounts.lines().filter_map(mount).collect()
}

/// Removes everything, and writes the runner and one empty folder for each accepted execution. A new folder takes the
/// place of the old one at once, so that an executor that is started meanwhile finds that another one was here.
fn clear_state(state_dir: &Path, byte_code: &ByteCode, accepted: &[String], log: &Path) -> io::Result<()> {
    let runs = runner::runs(state_dir);
    if !fs::symlink_metadata(&runs)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    clear(state_dir, |path| path == runs || path == log)?;
    let marks: Vec<PathBuf> = accepted.iter().map(|uid| runs.join(uid)).collect();
    let is_mark = |path: &Path| {
        marks.iter().any(|mark| path == mark) && fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
    };
    clear(&runs, is_mark)?;
    let fresh = state_dir.join("mark");
    for mark in &marks {
        empty(mark)?;
        fs::create_dir(&fresh)?;
        fs::rename(&fresh, mark)?;
    }
    runner::write(state_dir, byte_code)
}

/// Removes all that a directory holds. One that is not there holds nothing.
fn empty(dir: &Path) -> io::Result<()> {
    match clear(dir, |_| false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.exists() => Ok(()),
        result => result,
    }
}

fn clear(dir: &Path, stays: impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if stays(&path) {
            continue;
        }
        if fs::symlink_metadata(&path)?.is_dir() {
            remove_tree(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
