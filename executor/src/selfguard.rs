//! What the executor does to its own process before it serves. Not the walls of a run.

use std::io;

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit},
};

/// Applies all of it, in this order.
///
/// 1. child subreaper: whatever a program detaches becomes the executor's child and can be found
/// 2. not dumpable: a program of the same user cannot read the executor's memory and environment
/// 3. no core files
/// 4. handles it inherited do not reach a program
/// 5. umask 022: staged files are 0644 and folders 0755 whatever the parent had
pub(crate) fn apply() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    crate::run::process::keep_inherited_handles()?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    Ok(())
}
