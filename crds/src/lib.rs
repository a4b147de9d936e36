//! The kinds of carrel.dev: what the cluster says. No I/O.
