//! What each dialect reads from a body and writes as an answer. Pure: no client, no clock.

pub mod bee;
pub mod onyx;
