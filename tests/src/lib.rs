//! End-to-end tests, attacks and benchmarks.
