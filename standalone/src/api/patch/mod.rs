//! Patch forms that no library offers.

pub(crate) mod strategic;
