//! Being the one active operator: the Lease, its epoch, and the permissions that end with it.

pub(crate) mod election;
pub(crate) mod first_lists;
pub(crate) mod lease;
pub(crate) mod takeover;
pub(crate) mod term;
