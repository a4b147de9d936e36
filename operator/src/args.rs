//! Flags and environment of the operator's own binary, read once.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, builder::NonEmptyStringValueParser};

use crate::config::{FrontTokens, Namespaces, OperatorConfig};

/// Runs the operator against the cluster of the environment.
#[derive(Debug, Parser)]
#[command(name = "carrel-operator", version)]
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
    /// Where live output is served to the shim.
    #[arg(long, env = "CARREL_INTERNAL_LISTEN", default_value = "0.0.0.0:8701")]
    pub internal_listen: SocketAddr,
    /// Where health and metrics are served.
    #[arg(long, env = "CARREL_ADMIN_LISTEN", default_value = "0.0.0.0:8702")]
    pub admin_listen: SocketAddr,
    /// Write no events on pools.
    #[arg(long, env = "CARREL_NO_EVENTS")]
    no_events: bool,
    /// Replace sandboxes on nodes that are cordoned or about to go. Needs the right to list and watch nodes.
    #[arg(long, env = "CARREL_WATCH_NODES", action = clap::ArgAction::Set, default_value_t = false)]
    watch_nodes: bool,
    /// A Secret to make, in the operator's namespace, with a bearer token of the HTTP front for each identity.
    #[arg(long, env = "CARREL_TOKEN_SECRET", value_parser = NonEmptyStringValueParser::new(),
        requires = "token_identities")]
    token_secret: Option<String>,
    /// Who gets a token there, separated by commas. Who has one keeps it.
    #[arg(long, env = "CARREL_TOKEN_IDENTITIES", value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new())]
    token_identities: Vec<String>,
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
            admin_listen: _,
            no_events,
            watch_nodes,
            token_secret,
            token_identities,
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
            watch_nodes: *watch_nodes,
            front_tokens: token_secret
                .clone()
                .map(|secret| FrontTokens { secret, identities: token_identities.clone() }),
            ..OperatorConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> OperatorConfig {
        let needed = ["carrel-operator", "--executor-image=e", "--blobs-dir=/b"];
        Args::try_parse_from(needed.iter().chain(flags)).unwrap().config()
    }

    #[test]
    fn operators_are_elected_and_each_process_has_its_own_name() {
        let (one, other) = (parse(&["--pod-name=a"]), parse(&["--pod-name=a"]));
        assert!(!one.sole_operator);
        assert!(one.identity.starts_with("a-") && one.identity != other.identity);
    }

    #[test]
    fn namespaces_are_a_list_and_all_without_one() {
        assert_eq!(parse(&[]).namespaces, Namespaces::All);
        let two = Namespaces::Only(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(parse(&["--namespaces=a,b"]).namespaces, two);
    }

    #[test]
    fn tokens_are_made_only_in_a_secret_that_is_named_and_for_somebody() {
        assert_eq!(parse(&[]).front_tokens, None);
        let tokens = parse(&["--token-secret=t", "--token-identities=a,b"]).front_tokens.unwrap();
        assert_eq!((tokens.secret.as_str(), tokens.identities), ("t", vec!["a".to_owned(), "b".to_owned()]));
        let needed = ["carrel-operator", "--executor-image=e", "--blobs-dir=/b"];
        for wrong in [&["--token-secret=t"][..], &["--token-secret=", "--token-identities=a"]] {
            assert!(Args::try_parse_from(needed.iter().chain(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_user_namespace_of_ones_own_is_not_the_hosts() {
        assert_eq!(parse(&[]).host_users, None);
        assert_eq!(parse(&["--user-namespaces=true"]).host_users, Some(false));
        assert!(!parse(&["--no-events"]).events);
        assert!(!parse(&[]).watch_nodes && parse(&["--watch-nodes=true"]).watch_nodes);
    }
}
