//! The in-process Kubernetes API, driven as its clients drive it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crash;
mod kube;
mod kubectl;
mod raw;
mod support;
