//! The service that runs the program: the one whose data folder is named, or one started for this program alone.

use std::time::Duration;

use anyhow::Context;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use secrecy::ExposeSecret;

use crate::{
    args::{FrontFlags, RunArgs, ServeArgs},
    endpoints::{self, Endpoints},
    serve::{self, Service},
};

/// How long a service may take to say that it is there.
const PROBE: Duration = Duration::from_secs(2);

/// A connection to a service.
pub(super) struct Session {
    client: Client,
    http: reqwest::Client,
    operator: String,
    token: String,
    own: Option<(Service, tempfile::TempDir)>,
}

impl Session {
    /// Uses the service of `args.data_dir` when it answers, and starts one of our own otherwise.
    pub(super) async fn open(args: &RunArgs) -> anyhow::Result<Self> {
        if let Ok(endpoints) = Endpoints::read(&args.data_dir)
            && let Ok(session) = Self::connect(&args.data_dir, endpoints).await
        {
            return Ok(session);
        }
        let dir = tempfile::tempdir().context("cannot make a temporary folder")?;
        let own = own(args, dir.path());
        // Settings of a front that nobody will ask are not looked for.
        let settings = serve::read_settings(&own, &|_| None)?;
        let service = Service::start(&own, settings).await.context("cannot start")?;
        let endpoints = service.endpoints().clone();
        let mut session = Self::connect(dir.path(), endpoints).await?;
        session.own = Some((service, dir));
        Ok(session)
    }

    async fn connect(data_dir: &std::path::Path, endpoints: Endpoints) -> anyhow::Result<Self> {
        let kubeconfig = Kubeconfig::read_from(endpoints::kubeconfig_file(data_dir))?;
        let mut users = kubeconfig.auth_infos.iter();
        let token = users.find_map(|user| user.auth_info.as_ref()?.token.as_ref());
        let token = token.context("the kubeconfig has no token")?.expose_secret().to_owned();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        tokio::time::timeout(PROBE, client.apiserver_version())
            .await
            .context("the service does not answer")??;
        Ok(Self { client, http: reqwest::Client::new(), operator: endpoints.operator, token, own: None })
    }

    /// A client of the service's Kubernetes API.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks the operator for an execution's output as it comes.
    pub(super) async fn live(&self, name: &str, uid: &str) -> reqwest::Result<reqwest::Response> {
        let namespace = self.client.default_namespace();
        let url = format!("{}/v1/live/{namespace}/{name}?uid={uid}", self.operator);
        self.http.get(url).bearer_auth(&self.token).send().await
    }

    /// Ends the service that was started for this program alone, and removes its data.
    pub(super) async fn close(self) {
        if let Some((service, dir)) = self.own {
            if let Err(error) = service.stop().await {
                tracing::warn!(%error, "the service did not end cleanly");
            }
            drop(dir);
        }
    }
}

/// The settings of a service for one program.
fn own(args: &RunArgs, data_dir: &std::path::Path) -> ServeArgs {
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    ServeArgs {
        data_dir: data_dir.to_owned(),
        kube_listen: free,
        python: args.python.clone(),
        warm_sandboxes: Some(1),
        demo: false,
        front: FrontFlags::listening_on(free),
    }
}
