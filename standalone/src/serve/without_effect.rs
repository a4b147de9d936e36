//! Settings of the front that mean something on a cluster, or for parts that are not here, and nothing in
//! `carrel serve`.

use api_shim::config::settings::Setting;

const POD: &str = "it shapes pods on a cluster; here a sandbox is a process of this machine";
const GRPC: &str = "there is no gRPC listener";
const FILES: &str = "files are not uploaded over HTTP in this version";
const SESSIONS: &str = "there are no sessions in this version";
const LEEZHU: &str = "the leezhu dialect is not served in this version";
const PACKAGES: &str = "packages cannot be installed in this version";

/// Flag and reason.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
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
    ("executor-pod-name-prefix", POD),
    ("executor-service-account", POD),
    ("executor-image-pull-policy", POD),
    ("executor-run-as-user", POD),
    ("executor-run-as-group", POD),
    ("executor-fs-group", POD),
    ("executor-read-only-root-filesystem", POD),
    ("executor-workspace-size-limit", POD),
    ("executor-tmp-size-limit", POD),
    ("workspace-size-limit", POD),
    ("session-executor-image", POD),
    ("executor-namespace", "programs run in the namespace default"),
    ("file-storage-path", "everything is kept in --data-dir"),
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

/// Why a setting has no effect here, if it has none.
pub(crate) fn why(setting: &Setting) -> Option<&'static str> {
    WITHOUT_EFFECT.iter().find(|(flag, _)| *flag == setting.flag).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use api_shim::config::settings::ALL;

    use super::*;

    #[test]
    fn each_is_a_setting_and_is_named_once() {
        let known = ALL.iter().filter(|setting| why(setting).is_some()).count();
        assert_eq!(known, WITHOUT_EFFECT.len());
    }
}
