//! What happens around every route, outermost first:
//!
//! 1. `request_id`: every answer has one, so it must see all of them, and all log lines need it.
//! 2. `authenticate`: before anything else that depends on the request (contract, section 2.6).
//! 3. `guard`: only on guarded routes, before the body is read (contract, section 2.7).

pub mod authenticate;
pub mod guard;
pub mod request_id;

/// What machines ask for every few seconds.
fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/ready" | "/metrics")
}
