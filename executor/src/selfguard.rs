//! What the executor does to its own process before it serves. Not the walls of a run.

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit},
};

/// Applies all of it, in this order.
///
/// 1. child subreaper: whatever a program detaches becomes the executor's child and can be found
/// 2. not dumpable: a program of the same user cannot read the executor's memory and environment
/// 3. no core files
/// 4. umask 022: staged files are 0644 and folders 0755 whatever the parent had
pub(crate) fn apply() -> rustix::io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    Ok(())
}
