//! The in-process Kubernetes API, driven as its clients drive it.

mod crash;
mod kube;
mod kubectl;
mod raw;
mod support;
