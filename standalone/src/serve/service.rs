//! The parts of the service and how they are joined.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use api_shim::{App, ShimConfig};
use blobs::{Blobs, BlobsConfig};
use crds::{SandboxPool, names};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use operator::{Operator, OperatorConfig};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{live::InProcess, settings::Settings};
use crate::{
    api::{ApiServer, Identity},
    args::ServeArgs,
    endpoints::{Endpoints, kubeconfig_file},
    node::{Node, NodeConfig},
    private_file, python,
};

/// The namespace that programs run in.
const NAMESPACE: &str = "default";
/// How many sandboxes wait in a new default pool: enough for a burst, and little memory while idle.
const WARM_SANDBOXES: u16 = 4;
/// How long the first sandbox may take. It imports nothing, so a longer start means that something is wrong.
const FIRST_SANDBOX: Duration = Duration::from_mins(1);
/// How long requests under way may take to be answered when the service ends.
const DRAIN: Duration = Duration::from_secs(5);
/// How long the other parts may take to end after that.
const STOP: Duration = Duration::from_secs(10);

/// A running service.
#[derive(Debug)]
pub struct Service {
    endpoints: Endpoints,
    /// Ends the HTTP front, which needs the others to answer what is under way.
    drain: CancellationToken,
    /// Ends the others.
    shutdown: CancellationToken,
    parts: JoinSet<anyhow::Result<()>>,
    /// Keeps a second service out of the data folder.
    _lock: File,
}

impl Service {
    /// Starts every part, and returns when a program can be run.
    pub async fn start(args: &ServeArgs, settings: Settings) -> anyhow::Result<Self> {
        let lock = lock(&args.data_dir)?;
        let http = listen(&settings.http_listen).await?;
        let urls = http.iter().map(|l| url("http", l)).collect::<anyhow::Result<Vec<_>>>()?;
        let kube =
            TcpListener::bind(args.kube_listen).await.with_context(|| cannot_listen(args.kube_listen))?;
        let internal =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot open the internal port")?;
        let api = open_api(&args.data_dir).await?;
        let endpoints = Endpoints {
            http: urls.first().cloned().unwrap_or_default(),
            http_all: urls,
            grpc: None,
            kube: url("https", &kube)?,
            operator: url("http", &internal)?,
        };
        let mut service = Self {
            endpoints,
            drain: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            parts: JoinSet::new(),
            _lock: lock,
        };
        let (live, blobs) = service.start_back(args, &api, kube, internal).await?;
        let wanted = ensure_pool(api.client(Identity::new("setup")), settings.warm_sandboxes).await?;
        let front = ShimConfig { namespace: NAMESPACE.to_owned(), ..settings.front };
        let app = App::new(front, api.client(Identity::new("shim")), blobs, Arc::new(live));
        let running = app.run(http, service.drain.clone());
        service.parts.spawn(async move { running.await.context("the HTTP front") });
        tokio::select! {
            came = await_sandbox(api.client(Identity::new("setup")), wanted) => came?,
            failure = service.failed() => return Err(failure),
        }
        service.endpoints.write(&args.data_dir)?;
        Ok(service)
    }

    /// Where it can be reached.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Waits until a part ends by itself, which none should, and says why it did.
    pub async fn failed(&mut self) -> anyhow::Error {
        match self.parts.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => anyhow::Error::new(panic).context("a part of the service panicked"),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the service ended"),
        }
    }

    /// Answers what is under way, for a while, then ends every part and waits for it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.drain.cancel();
        // The front is the first part to end, because nothing else has been told to.
        let drained = tokio::time::timeout(DRAIN, self.parts.join_next()).await;
        self.shutdown.cancel();
        if drained.is_err() {
            tracing::warn!("requests were still under way and are not answered");
        }
        let ended = async {
            // Without the operator a request that is still open has nothing to wait for.
            let left = usize::from(drained.is_err());
            while self.parts.len() > left && self.parts.join_next().await.is_some() {}
            self.parts.shutdown().await;
        };
        tokio::time::timeout(STOP, ended).await.context("a part of the service did not end in time")
    }
}

impl Service {
    /// Starts everything behind the HTTP front.
    async fn start_back(
        &mut self,
        args: &ServeArgs,
        api: &ApiServer,
        kube: TcpListener,
        internal: TcpListener,
    ) -> anyhow::Result<(InProcess, Blobs)> {
        let data_dir = &args.data_dir;
        private_file::write(&kubeconfig_file(data_dir), api.kubeconfig(&self.endpoints.kube).as_bytes())?;
        let blobs = Blobs::open(BlobsConfig::local(data_dir.join("blobs"))).await?;
        let stop = |this: &Self| this.shutdown.clone();

        let (serving, tls, ended) = (api.clone(), api.tls(kube.local_addr()?.ip())?, stop(self));
        self.parts.spawn(async move {
            tokio::select! {
                () = serving.serve(kube, tls, ended) => Ok(()),
                failure = serving.failed() => Err(failure).context("the Kubernetes API"),
            }
        });

        let node = Node::new(api.client(Identity::new("node")), node_config(args)?);
        let running = node.run(stop(self));
        self.parts.spawn(async move { running.await.context("the local node") });

        let operator = Operator::new(operator_config(), api.client(Identity::new("operator")), blobs.clone());
        let live = operator.live_output();
        let running = operator.run(Some(internal), stop(self));
        self.parts.spawn(async move { running.await.context("the operator") });

        Ok((InProcess(live), blobs))
    }
}

/// Makes the data folder and takes it for this process.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let private = std::fs::Permissions::from_mode(0o700);
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    // One that was there keeps its mode, but keys and objects are for their owner alone.
    let api = data_dir.join("api");
    let made = made
        .and_then(|()| std::fs::create_dir_all(&api))
        .and_then(|()| std::fs::set_permissions(&api, private));
    let choose = || format!("cannot make the data folder {}; choose another --data-dir", data_dir.display());
    made.with_context(choose)?;
    let path = data_dir.join("lock");
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => bail!("another carrel uses {}; end it, or choose another --data-dir", data_dir.display()),
    }
}

async fn listen(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(TcpListener::bind(address).await.with_context(|| cannot_listen(*address))?);
    }
    Ok(listeners)
}

fn cannot_listen(address: SocketAddr) -> String {
    format!("cannot listen on {address}; is it in use? port 0 takes a free one")
}

fn url(scheme: &str, listener: &TcpListener) -> anyhow::Result<String> {
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}

fn node_config(args: &ServeArgs) -> anyhow::Result<NodeConfig> {
    let executable = std::env::current_exe().context("cannot find our own program")?;
    let search = std::env::var_os("PATH").unwrap_or_default();
    let python = python::find(args.python.clone(), &executable, &search)?;
    let pods_dir = args.data_dir.join("pods");
    let pods_dir = std::path::absolute(&pods_dir).context("the data folder has no absolute path")?;
    Ok(NodeConfig {
        pods_dir,
        executable,
        python: python.interpreter,
        matplotlib_cache: python.matplotlib_cache,
    })
}

async fn open_api(data_dir: &Path) -> anyhow::Result<ApiServer> {
    let folder = data_dir.join("api");
    let opened = ApiServer::open(&folder, crds::definitions::all()).await;
    opened.with_context(|| {
        format!(
            "cannot open the objects in {}; bring back a copy of the data folder, or move it away to start anew",
            folder.display()
        )
    })
}

/// The operator is the only one: nothing else reaches this API before it has ended.
fn operator_config() -> OperatorConfig {
    OperatorConfig { sole_operator: true, executor_image: "carrel".to_owned(), ..OperatorConfig::default() }
}

/// Makes the default pool. One that is there stays as its user left it, but for a size that was asked for now.
/// Gives the number of sandboxes that will wait.
async fn ensure_pool(client: Client, warm: Option<u16>) -> anyhow::Result<i32> {
    let pools: Api<SandboxPool> = Api::namespaced(client, NAMESPACE);
    let wanted = json!({ "replicas": warm.unwrap_or(WARM_SANDBOXES) });
    let new = SandboxPool::new(names::DEFAULT_POOL, serde_json::from_value(wanted.clone())?);
    let pool = match pools.create(&PostParams::default(), &new).await {
        Err(kube::Error::Api(error)) if error.code == 409 && warm.is_some() => {
            let resize = Patch::Merge(json!({ "spec": wanted }));
            pools.patch(names::DEFAULT_POOL, &PatchParams::default(), &resize).await
        }
        Err(kube::Error::Api(error)) if error.code == 409 => pools.get(names::DEFAULT_POOL).await,
        created => created,
    };
    Ok(pool.context("cannot make the default pool")?.spec.replicas)
}

/// Waits until a program can be run, so that the first request is as fast as the others.
async fn await_sandbox(client: Client, wanted: i32) -> anyhow::Result<()> {
    if wanted == 0 {
        return Ok(());
    }
    let pools: Api<SandboxPool> = Api::namespaced(client, NAMESPACE);
    let ready = |pool: Option<&SandboxPool>| {
        pool.and_then(|p| p.status.as_ref()).is_some_and(|status| status.ready_replicas > 0)
    };
    let coming = await_condition(pools, names::DEFAULT_POOL, ready);
    let came = tokio::time::timeout(FIRST_SANDBOX, coming).await;
    let Ok(came) = came else {
        bail!("no sandbox came up within {} s; the log lines above say why", FIRST_SANDBOX.as_secs())
    };
    came.context("cannot watch the default pool")?;
    Ok(())
}
