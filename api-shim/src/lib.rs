//! The wire dialects in front: creates executions and waits for their status.
