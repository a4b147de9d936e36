//! The server in the untrusted pod that starts programs and keeps their outcomes.
