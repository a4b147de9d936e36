//! The paths an executor serves, as patterns for its router and as functions for its client.
//!
//! This is only the spelling; which verb does what is written at each message.

/// Liveness; no token.
pub const HEALTHZ: &str = "/healthz";
/// Readiness; no token; answers [`crate::Readiness`].
pub const READYZ: &str = "/readyz";
/// `GET` answers [`crate::Inventory`].
pub const INVENTORY: &str = "/v1/inventory";
/// `PUT` starts or re-attaches, `GET` re-attaches, `DELETE` acknowledges.
pub const EXECUTION: &str = "/v1/executions/{uid}";
/// `GET` answers the bytes of one changed file.
pub const FILE: &str = "/v1/executions/{uid}/files/{index}";
/// `POST` kills everything the run started.
pub const CANCEL: &str = "/v1/executions/{uid}/cancel";
/// `POST` proves that nothing is left of the acknowledged run, so that another one may follow it. It names that run,
/// so that a request that comes late, or twice, is never about a later one.
pub const RESET: &str = "/v1/executions/{uid}/reset";

/// Media type of the stream of [`crate::Frame`]s.
pub const FRAMES_MEDIA_TYPE: &str = "application/x-ndjson";

/// The path of one execution.
#[must_use]
pub fn execution(uid: &str) -> String {
    format!("/v1/executions/{uid}")
}

/// The path of one changed file; `index` counts in [`crate::Outcome::files`].
#[must_use]
pub fn file(uid: &str, index: usize) -> String {
    format!("/v1/executions/{uid}/files/{index}")
}

/// The path that cancels one execution.
#[must_use]
pub fn cancel(uid: &str) -> String {
    format!("/v1/executions/{uid}/cancel")
}

/// The path that clears away what one acknowledged execution left.
#[must_use]
pub fn reset(uid: &str) -> String {
    format!("/v1/executions/{uid}/reset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_fill_in_the_patterns() {
        assert_eq!(execution("u1"), EXECUTION.replace("{uid}", "u1"));
        assert_eq!(file("u1", 7), FILE.replace("{uid}", "u1").replace("{index}", "7"));
        assert_eq!(cancel("u1"), CANCEL.replace("{uid}", "u1"));
        assert_eq!(reset("u1"), RESET.replace("{uid}", "u1"));
    }
}
