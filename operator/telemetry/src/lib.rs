//! Logs, metrics and the admin port, shared by the servers.
