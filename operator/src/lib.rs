//! Reconciles the four kinds: warm pools, executions, expiry.
