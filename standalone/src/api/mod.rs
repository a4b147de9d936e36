//! An in-process Kubernetes API: list, watch, create, update, patch and delete of the kinds that Carrel uses,
//! durable in one file, for kubectl over HTTPS and for `kube::Client`s in this process.
//!
//! The path of a request: `server` → `target` → `verbs` → `admission` → `store` → `respond`.
//! Not here: any knowledge of what the kinds mean. That is the operator's, which is the same code as in a cluster.

mod admission;
mod clock;
mod core;
mod decode;
mod discovery;
mod field_error;
mod gc;
mod go_words;
mod kinds;
mod kubeconfig;
mod metrics;
mod openapi;
mod params;
mod patch;
mod protobuf;
mod respond;
mod seed;
mod selectors;
mod server;
mod status_error;
mod store;
mod table;
mod target;
mod tls;
mod verbs;
mod watch;

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use self::{
    clock::{Clock, Options, SystemClock},
    kinds::custom::DefinitionError,
    status_error::StatusError,
    store::disk::DiskError,
    tls::TlsError,
};
use self::{
    core::Core,
    kinds::{Registry, custom},
    metrics::Metrics,
    store::{Disk, ResourceId, Store},
    tls::Credentials,
};

/// The file of the objects, below the API's folder.
const DATABASE: &str = "api.redb";

/// Why the API could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A definition cannot be served.
    #[error("a definition cannot be served: {0}")]
    Definition(#[from] DefinitionError),
    /// The object database cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The credentials cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The folder cannot be used.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[from] io::Error),
    /// The objects that must exist could not be created.
    #[error("the first objects could not be created: {0}")]
    Seed(#[source] StatusError),
}

/// The objects cannot be written any more, so the API accepts nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{cause}; what was acknowledged is kept in {file}: see to that disk (is it full?), then start again",
    file = .file.display()
)]
pub struct StorageFailure {
    /// Where the objects are.
    pub file: PathBuf,
    /// What the disk said.
    pub cause: String,
}

/// Who a client in this process is; it appears in logs.
#[derive(Debug, Clone)]
pub struct Identity(String);

impl Identity {
    /// Names an identity.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// The API. Clones are handles to the same one; it ends when `close` is called or the last handle goes.
#[derive(Debug, Clone)]
pub struct ApiServer {
    core: Arc<Core>,
    file: Arc<Path>,
    _guard: Arc<StopOnDrop>,
}

#[derive(Debug)]
struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ApiServer {
    /// Opens the API over `dir`, serving the built-in kinds and `definitions`. Needs a Tokio runtime.
    pub async fn open(dir: &Path, definitions: Vec<CustomResourceDefinition>) -> Result<Self, OpenError> {
        Self::open_with(dir, definitions, Options::default()).await
    }

    /// Opens the API with a clock, a commit delay and a history size of the caller's choice.
    pub async fn open_with(
        dir: &Path,
        definitions: Vec<CustomResourceDefinition>,
        options: Options,
    ) -> Result<Self, OpenError> {
        std::fs::create_dir_all(dir)?;
        let disk = Disk::open(&dir.join(DATABASE), options.commit_delay)?;
        Self::open_on(disk, dir, definitions, options).await
    }

    async fn open_on(
        disk: Disk,
        dir: &Path,
        mut definitions: Vec<CustomResourceDefinition>,
        options: Options,
    ) -> Result<Self, OpenError> {
        definitions.iter_mut().for_each(custom::complete);
        let custom = definitions.iter().map(custom::kind).collect::<Result<Vec<_>, _>>()?;
        let registry = Registry::new(custom);
        let resources: Vec<ResourceId> = registry.all().map(|kind| Arc::clone(&kind.resource)).collect();
        let kinds: HashMap<&str, _> = registry.all().map(|kind| (&*kind.resource, kind)).collect();
        let store = Store::open(disk, &options, &resources, |resource, mut value| {
            if let Some(kind) = kinds.get(resource).filter(|kind| kind.custom().is_some()) {
                admission::fill_defaults(kind, &mut value);
            }
            value
        })?;
        let stop = CancellationToken::new();
        let core = Arc::new(Core {
            store,
            registry,
            options,
            metrics: Metrics::default(),
            credentials: Credentials::open(&dir.join("pki"))?,
            stop: stop.clone(),
        });
        seed::namespaces(&core).await.map_err(OpenError::Seed)?;
        seed::definitions(&core, &definitions).await.map_err(OpenError::Seed)?;
        tokio::spawn(gc::run(Arc::clone(&core)));
        Ok(Self { core, file: dir.join(DATABASE).into(), _guard: Arc::new(StopOnDrop(stop)) })
    }

    /// Waits until the objects cannot be written any more. From then on every request for a resource is refused,
    /// and only a new start helps: whoever runs the API should end.
    pub async fn failed(&self) -> StorageFailure {
        let cause = self.core.store.failed().await.as_ref().to_owned();
        StorageFailure { file: self.file.to_path_buf(), cause }
    }

    /// A client that calls the API in this process: no network, the same semantics.
    #[must_use]
    pub fn client(&self, identity: Identity) -> kube::Client {
        let core = Arc::clone(&self.core);
        let identity: Arc<str> = identity.0.into();
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let core = Arc::clone(&core);
            let identity = Arc::clone(&identity);
            async move {
                tracing::trace!(user = %identity, method = %request.method(), uri = %request.uri(), "request");
                Ok::<_, Infallible>(server::handle(core, request).await)
            }
        });
        kube::Client::new(service, "default")
    }

    /// The TLS settings for a listener on `address`, under the API's own CA.
    pub fn tls(&self, address: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        self.core.credentials.server_config(address)
    }

    /// Serves HTTPS until `stop`; every path but the health checks needs the bearer token.
    pub async fn serve(&self, listener: TcpListener, tls: Arc<ServerConfig>, stop: CancellationToken) {
        server::serve(Arc::clone(&self.core), listener, TlsAcceptor::from(tls), stop).await;
    }

    /// The CA certificate, as PEM.
    #[must_use]
    pub fn ca_certificate(&self) -> &str {
        &self.core.credentials.ca
    }

    /// The bearer token that the HTTPS listener demands.
    #[must_use]
    pub fn token(&self) -> &str {
        self.core.credentials.token()
    }

    /// A kubeconfig for `server`, an https URL. It holds the token: write it for its owner only.
    #[must_use]
    pub fn kubeconfig(&self, server: &str) -> String {
        kubeconfig::render(server, &self.core.credentials.ca, self.core.credentials.token())
    }

    /// The counters as `/metrics` shows them.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.core.metrics.render()
    }

    /// Ends watches and clean-ups, finishes the accepted writes and closes the file.
    pub async fn close(&self) {
        self.core.stop.cancel();
        let core = Arc::clone(&self.core);
        if let Err(error) = tokio::task::spawn_blocking(move || core.store.close()).await {
            tracing::error!(%error, "the store could not be closed");
        }
    }
}

#[cfg(test)]
mod storage_failure_tests;
