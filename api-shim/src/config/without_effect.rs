//! Settings that are read and checked, and mean nothing where the front runs: each that is set is a warning.

use super::{
    reader::{Environment, Flags},
    settings::{ALL, Setting},
};

/// Where a front runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In front of a cluster.
    Cluster,
    /// In `carrel serve`.
    OneMachine,
}

/// Why a setting has no effect, in front of a cluster and on one machine.
struct Why {
    cluster: Option<&'static str>,
    one_machine: Option<&'static str>,
}

const fn everywhere(why: &'static str) -> Why {
    Why { cluster: Some(why), one_machine: Some(why) }
}

const fn on_one_machine(why: &'static str) -> Why {
    Why { cluster: None, one_machine: Some(why) }
}

const POD: Why = Why {
    cluster: Some("the SandboxPool says it"),
    one_machine: Some("it shapes pods on a cluster; here a sandbox is a process of this machine"),
};
const FIXED: Why = Why { cluster: Some("it is the same for all pods of this version"), ..POD };
const REPLICAS: Why = Why { one_machine: None, ..POD };
const GRPC: Why = everywhere("there is no gRPC listener");
const FILES: Why = everywhere("files are not uploaded over HTTP in this version");
const SESSIONS: Why = everywhere("there are no sessions in this version");
const LEEZHU: Why = everywhere("the leezhu dialect is not served in this version");
const PACKAGES: Why = everywhere("packages cannot be installed in this version");

/// Flag and reason.
const WITHOUT_EFFECT: &[(&str, Why)] = &[
    ("grpc-listen", GRPC),
    ("grpc-enabled", GRPC),
    ("grpc-tls-cert", GRPC),
    ("grpc-tls-cert-key", GRPC),
    ("grpc-tls-ca-cert", GRPC),
    ("grpc-client-certs", GRPC),
    ("executor-image", POD),
    ("executor-container-resources", POD),
    ("executor-pod-resources", POD),
    ("executor-pod-spec-extra", POD),
    ("executor-pod-overrides", POD),
    ("executor-pod-queue-target-length", REPLICAS),
    ("executor-pod-name-prefix", FIXED),
    ("executor-service-account", FIXED),
    ("executor-image-pull-policy", POD),
    ("executor-run-as-user", FIXED),
    ("executor-run-as-group", FIXED),
    ("executor-fs-group", FIXED),
    ("executor-read-only-root-filesystem", FIXED),
    ("executor-workspace-size-limit", POD),
    ("executor-tmp-size-limit", FIXED),
    ("workspace-size-limit", POD),
    ("session-executor-image", POD),
    ("executor-namespace", on_one_machine("programs run in the namespace default")),
    ("operator-namespace", on_one_machine("the operator is in the same process")),
    ("operator-token-file", on_one_machine("the operator is in the same process")),
    ("file-storage-path", on_one_machine("everything is kept in --data-dir")),
    ("max-file-size-mb", FILES),
    ("session-max-lifetime-seconds", SESSIONS),
    ("volume-idle-seconds", SESSIONS),
    ("shared-folder", SESSIONS),
    ("runcode-timeout-seconds", LEEZHU),
    ("remove-python-code-block", LEEZHU),
    ("public-domain", LEEZHU),
    ("packages-allowlist", PACKAGES),
    ("install-timeout-seconds", PACKAGES),
];

/// Why a setting has no effect there, if it has none.
#[must_use]
pub fn without_effect(setting: &Setting, place: Place) -> Option<&'static str> {
    let (_, why) = WITHOUT_EFFECT.iter().find(|(flag, _)| *flag == setting.flag)?;
    match place {
        Place::Cluster => why.cluster,
        Place::OneMachine => why.one_machine,
    }
}

/// One warning for each setting that is given and means nothing there.
#[must_use]
pub fn warnings(flags: &Flags, environment: Environment<'_>, place: Place) -> Vec<String> {
    let here = match place {
        Place::Cluster => "",
        Place::OneMachine => " in carrel serve",
    };
    let warning = |setting| {
        let why = without_effect(setting, place)?;
        let names = flags.names(setting, environment);
        let verb = if names.len() > 1 { "are set and have" } else { "is set and has" };
        (!names.is_empty()).then(|| format!("{} {verb} no effect{here}: {why}", names.join(", ")))
    };
    ALL.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_setting_and_is_named_once() {
        let known = |setting: &&Setting| WITHOUT_EFFECT.iter().any(|(flag, _)| *flag == setting.flag);
        assert_eq!(ALL.iter().filter(known).count(), WITHOUT_EFFECT.len());
    }

    #[test]
    fn what_belongs_to_the_pool_is_told_on_a_cluster_and_what_the_front_needs_is_not() {
        let set = ["KUBERNETES_EXECUTOR_POD_RESOURCES", "APP_EXECUTOR_POD_NAME_PREFIX", "FILE_STORAGE_DIR"];
        let environment = |name: &str| set.contains(&name).then(|| "x".to_owned());
        let said = |place| warnings(&Flags::default(), &environment, place);
        assert_eq!(
            said(Place::Cluster),
            [
                "KUBERNETES_EXECUTOR_POD_RESOURCES is set and has no effect: the SandboxPool says it",
                "APP_EXECUTOR_POD_NAME_PREFIX is set and has no effect: it is the same for all pods of this version",
            ]
        );
        assert!(said(Place::OneMachine).iter().any(|text| text.starts_with("FILE_STORAGE_DIR is set")));
    }
}
