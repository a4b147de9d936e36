//! The configuration of the shim as a struct: read once at start, passed on as a value.
//!
//! | file | what it holds |
//! |---|---|
//! | `settings.rs` | every setting with its flag and variables |
//! | `reader.rs` | which value counts; the flags of the command line |
//! | `values.rs` | how values are written |
//! | `refused.rs` | variables that are refused or ignored |
//! | `without_effect.rs` | settings that mean nothing where the front runs |
//! | `load.rs` | settings → configuration |
//! | `access.rs` | settings of who may come in, and the files of tokens and tenants |
//! | `pool.rs` | settings of the pool and of other parts, checked and passed on |

mod access;
mod load;
mod pool;
mod reader;
mod refused;
pub mod settings;
mod values;
mod without_effect;

pub use load::{Loaded, load};
pub use pool::{GrpcSettings, OtherSettings, PoolSettings};
pub use reader::{ConfigError, Environment, Flags};
pub use without_effect::{Place, warnings, without_effect};

use std::{net::SocketAddr, time::Duration};

use crds::{code_execution::Packages, limits, names::DEFAULT_POOL};

use crate::{
    admission::AdmissionRules, auth::Tokens, body::BodyRules, convert::SpecRules, dialect::bee::BeeRules,
    guard::GuardRules, tenants::Tenants, token_file::TokenFile,
};

/// The version that clients read.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct ShimConfig {
    /// Addresses to listen on; none when nothing was said.
    pub http_listen: Option<Vec<SocketAddr>>,
    /// The namespace of all executions, when there are no `tenants`.
    pub namespace: String,
    /// Whose executions are in which namespace.
    pub tenants: Option<Tenants>,
    /// Marks what this process creates; a new one for every process.
    pub replica: String,
    /// Who may spawn.
    pub guard: GuardRules,
    /// Whose credentials are valid.
    pub tokens: Tokens,
    /// Where those of them are that can change.
    pub token_file: Option<TokenFile>,
    /// Valid are the tokens of Kubernetes, and no `tokens`.
    pub token_review: Option<TokenReviewRules>,
    /// The slots.
    pub admission: AdmissionRules,
    /// `Retry-After` when the cluster has no room.
    pub capacity_retry_after_seconds: u64,
    /// bee/tgpt.
    pub bee: BeeRules,
    /// The highest `timeout_ms` of onyx.
    pub onyx_max_timeout_milliseconds: i64,
    /// What every spec says.
    pub spec: SpecRules,
    /// JSON bodies.
    pub body: BodyRules,
    /// Health.
    pub health: HealthRules,
    /// Who waits for an execution and hears nothing of it for so long looks himself.
    pub silence: Duration,
    /// A request waits so long, before its slot, for a watch that is not in sync: one that was lost begins anew within
    /// that. Who would wait longer might wait for ever, and hold a slot that others need.
    pub sync: Duration,
    /// Requests and runs under way have so long to end after a shutdown.
    pub drain: Duration,
    /// How long requests are still taken after a shutdown began, for those who have not heard of it.
    pub linger: Duration,
}

/// Which tokens of Kubernetes are valid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenReviewRules {
    /// What they are for; the API server itself when it is not said.
    pub audience: Option<String>,
}

/// What health and readiness say and how often they look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRules {
    /// Between two checks.
    pub interval: Duration,
    /// For one check.
    pub check_timeout: Duration,
    /// `kubernetes` or `standalone`.
    pub backend: String,
    /// The version to report.
    pub version: String,
}

/// Where the service listens when nothing is said.
pub const DEFAULT_HTTP_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8000);

impl ShimConfig {
    /// For the service on one machine.
    #[must_use]
    pub fn standalone(namespace: &str) -> Self {
        let mut config = Self { namespace: namespace.to_owned(), ..Self::default() };
        "standalone".clone_into(&mut config.health.backend);
        config
    }

    /// Whose executions are in which namespace.
    #[must_use]
    pub fn tenants(&self) -> Tenants {
        self.tenants.clone().unwrap_or_else(|| Tenants::one(&self.namespace))
    }

    /// Whether everybody has to show who he is.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.tokens.required() || self.token_file.is_some() || self.token_review.is_some()
    }

    /// The addresses to listen on.
    #[must_use]
    pub fn http_listen(&self) -> Vec<SocketAddr> {
        self.http_listen.clone().unwrap_or_else(|| vec![DEFAULT_HTTP_LISTEN])
    }
}

impl Default for ShimConfig {
    fn default() -> Self {
        Self {
            http_listen: None,
            namespace: "default".to_owned(),
            tenants: None,
            replica: format!("shim-{}", uuid::Uuid::new_v4().simple()),
            guard: GuardRules::default(),
            tokens: Tokens::default(),
            token_file: None,
            token_review: None,
            admission: AdmissionRules { slots: 16, wait: Duration::from_secs(30), retry_after_seconds: 2 },
            capacity_retry_after_seconds: 10,
            bee: BeeRules {
                default_timeout_seconds: 60,
                max_timeout_seconds: 600,
                default_max_downloads: 0,
                require_chat_id: true,
            },
            onyx_max_timeout_milliseconds: 60_000,
            spec: SpecRules::default(),
            body: BodyRules {
                limit: 16 * 1024 * 1024,
                in_flight: 256 * 1024 * 1024,
                grace: Duration::from_secs(20),
                bytes_per_second: 16 * 1024,
                longest: Duration::from_mins(2),
            },
            health: HealthRules {
                interval: Duration::from_secs(30),
                check_timeout: Duration::from_millis(2500),
                backend: "kubernetes".to_owned(),
                version: VERSION.to_owned(),
            },
            silence: Duration::from_secs(30),
            sync: Duration::from_secs(10),
            drain: Duration::from_secs(25),
            linger: Duration::ZERO,
        }
    }
}

impl Default for SpecRules {
    fn default() -> Self {
        Self {
            pool: DEFAULT_POOL.to_owned(),
            start_deadline_seconds: limits::START_DEADLINE_SECONDS,
            output_bytes: limits::OUTPUT_BYTES,
            output_files: limits::OUTPUT_FILES,
            output_files_bytes: limits::OUTPUT_FILES_BYTES,
            output_file_bytes: limits::OUTPUT_FILE_BYTES,
            onyx_file_ttl_seconds: Some(86_400),
            onyx_cpu_milliseconds: None,
            onyx_memory: None,
            bee_packages: Packages::default(),
        }
    }
}
