//! Flags and environment of the operator's own binary, read once.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::config::{Namespaces, OperatorConfig};

/// Runs the operator against the cluster of the environment.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Namespaces to look after, separated by commas; all of the cluster without it.
    #[arg(long, env = "CARREL_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Where the Lease and the keys are kept.
    #[arg(long, env = "CARREL_OPERATOR_NAMESPACE", default_value = "carrel-system")]
    operator_namespace: String,
    /// The name of this process's pod, for the Lease.
    #[arg(long, env = "CARREL_POD_NAME", default_value = "operator")]
    pod_name: String,
    /// The image of executors whose pool names none.
    #[arg(long, env = "CARREL_EXECUTOR_IMAGE")]
    executor_image: String,
    /// Give pods a user namespace of their own.
    #[arg(long, env = "CARREL_USER_NAMESPACES")]
    user_namespaces: Option<bool>,
    /// Where bytes are kept.
    #[arg(long, env = "CARREL_BLOBS_DIR")]
    pub blobs_dir: PathBuf,
    /// Where live output, health and metrics are served.
    #[arg(long, env = "CARREL_INTERNAL_LISTEN", default_value = "0.0.0.0:8701")]
    pub internal_listen: SocketAddr,
    /// Write no events on pools.
    #[arg(long, env = "CARREL_NO_EVENTS")]
    no_events: bool,
}

impl Args {
    /// The operator's configuration.
    #[must_use]
    pub fn config(&self) -> OperatorConfig {
        let Self {
            namespaces,
            operator_namespace,
            pod_name,
            executor_image,
            user_namespaces,
            blobs_dir: _,
            internal_listen: _,
            no_events,
        } = self;
        let namespaces =
            if namespaces.is_empty() { Namespaces::All } else { Namespaces::Only(namespaces.clone()) };
        OperatorConfig {
            namespaces,
            operator_namespace: operator_namespace.clone(),
            identity: format!("{pod_name}-{}", uuid::Uuid::new_v4()),
            executor_image: executor_image.clone(),
            host_users: user_namespaces.map(|own| !own),
            events: !no_events,
            ..OperatorConfig::default()
        }
    }
}
