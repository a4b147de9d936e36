//! The admin port: `/healthz`, `/readyz` and `/metrics`. No route for users, and none that changes anything.

use std::{fmt, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use prometheus_client::registry::Registry;

use crate::metrics::exposition;

/// Says what is missing, from memory: it is asked often and must neither wait nor call anybody.
type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the admin port tells. Becomes a router; the caller brings the listener.
#[derive(Clone)]
pub struct Admin {
    registry: Arc<Registry>,
    checks: Vec<(&'static str, Check)>,
}

impl Admin {
    /// Starts with no condition for readiness.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, checks: Vec::new() }
    }

    /// Adds a condition for readiness. `check` answers from memory; its error says what is missing.
    #[must_use]
    pub fn ready_when<F>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Result<(), String> + Send + Sync + 'static,
    {
        self.checks.push((name, Arc::new(check)));
        self
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|(name, _)| name).collect();
        f.debug_struct("Admin").field("checks", &names).finish_non_exhaustive()
    }
}

/// One line for each condition; 503 when one of them does not hold.
async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, String) {
    let mut status = StatusCode::OK;
    let mut text = String::new();
    for (name, check) in &admin.checks {
        let line = match check() {
            Ok(()) => format!("{name}: ok\n"),
            Err(missing) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                format!("{name}: {missing}\n")
            }
        };
        text.push_str(&line);
    }
    if text.is_empty() {
        text.push_str("ok\n");
    }
    (status, text)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    exposition(&admin.registry)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::{
        body::{Body, to_bytes},
        http::{Request, header},
    };
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::new_registry;

    async fn ask(router: &Router, path: &str) -> (StatusCode, String, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let kind =
            response.headers().get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    fn admin() -> Admin {
        Admin::new(Arc::new(new_registry("operator", "1.2.3")))
    }

    #[tokio::test]
    async fn a_service_without_conditions_is_healthy_and_ready() {
        let router = admin().router();
        for path in ["/healthz", "/readyz"] {
            let (status, _, body) = ask(&router, path).await;
            assert_eq!((status, body.as_str()), (StatusCode::OK, "ok\n"));
        }
    }

    #[tokio::test]
    async fn readiness_follows_its_conditions_and_says_which_one_fails() {
        let synced = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&synced);
        let router = admin()
            .ready_when("epoch", || Ok(()))
            .ready_when("caches", move || {
                if seen.load(Ordering::SeqCst) { Ok(()) } else { Err("still filling".to_owned()) }
            })
            .router();
        let (status, _, body) = ask(&router, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "epoch: ok\ncaches: still filling\n")
        );
        assert_eq!(ask(&router, "/healthz").await.0, StatusCode::OK);
        synced.store(true, Ordering::SeqCst);
        let (status, _, body) = ask(&router, "/readyz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "epoch: ok\ncaches: ok\n"));
    }

    #[tokio::test]
    async fn metrics_are_told_as_openmetrics() {
        let (status, kind, body) = ask(&admin().router(), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
        assert!(body.contains("carrel_build_info{") && body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        assert_eq!(ask(&admin().router(), "/").await.0, StatusCode::NOT_FOUND);
    }
}
