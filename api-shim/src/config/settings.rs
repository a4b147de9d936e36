//! Every setting of the service: its flag, the variables it was inherited as, and what it means. The
//! `CARREL_` variable of each is made from its flag. Reading and checking is elsewhere.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The flag without its dashes.
    pub flag: &'static str,
    /// Variables of the services before, the first that is set wins.
    pub inherited: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

impl Setting {
    /// Our own variable.
    #[must_use]
    pub fn own_variable(&self) -> String {
        format!("CARREL_{}", self.flag.replace('-', "_").to_ascii_uppercase())
    }
}

macro_rules! settings {
    ($($name:ident $flag:literal [$($inherited:literal)*] $help:literal)*) => {
        $(pub(super) const $name: Setting = Setting { flag: $flag, inherited: &[$($inherited),*], help: $help };)*

        /// All settings.
        pub const ALL: &[Setting] = &[$($name),*];
    };
}

settings! {
    HTTP_LISTEN "http-listen" ["APP_HTTP_LISTEN_ADDR"] "HTTP addresses, one or several"
    GRPC_LISTEN "grpc-listen" ["APP_GRPC_LISTEN_ADDR"] "gRPC address"
    GRPC_ENABLED "grpc-enabled" ["APP_GRPC_ENABLED"] "whether gRPC is served"
    GRPC_TLS_CERT "grpc-tls-cert" ["APP_GRPC_TLS_CERT"] "certificate of the gRPC listener, PEM"
    GRPC_TLS_KEY "grpc-tls-cert-key" ["APP_GRPC_TLS_CERT_KEY"] "key of that certificate, PEM"
    GRPC_TLS_CA "grpc-tls-ca-cert" ["APP_GRPC_TLS_CA_CERT"] "CA of client certificates, PEM"
    GRPC_CLIENT_CERTS "grpc-client-certs" [] "require or off"
    EXECUTOR_IMAGE "executor-image" ["APP_EXECUTOR_IMAGE" "KUBERNETES_EXECUTOR_IMAGE"] "image of the default pool"
    EXECUTOR_RESOURCES "executor-container-resources" ["APP_EXECUTOR_CONTAINER_RESOURCES"] "resources of the executor container, JSON"
    POD_RESOURCES "executor-pod-resources" ["KUBERNETES_EXECUTOR_POD_RESOURCES"] "requests and limits, JSON; null removes a key"
    POD_SPEC_EXTRA "executor-pod-spec-extra" ["APP_EXECUTOR_POD_SPEC_EXTRA"] "merged into the pool's pod template, JSON"
    POD_OVERRIDES "executor-pod-overrides" ["KUBERNETES_EXECUTOR_POD_OVERRIDES"] "the same, from onyx"
    POD_COUNT "executor-pod-queue-target-length" ["APP_EXECUTOR_POD_QUEUE_TARGET_LENGTH"] "warm sandboxes of the default pool"
    POD_PREFIX "executor-pod-name-prefix" ["APP_EXECUTOR_POD_NAME_PREFIX"] "prefix of its pods' names"
    STORAGE_PATH "file-storage-path" ["APP_FILE_STORAGE_PATH" "FILE_STORAGE_DIR"] "root of the local file backend"
    PUBLIC_SPAWN "public-spawn-enabled" ["APP_PUBLIC_SPAWN_ENABLED"] "open to everybody"
    IP_ALLOWLIST "internal-ip-allowlist" ["APP_INTERNAL_IP_ALLOWLIST"] "networks that may spawn"
    HOST_ALLOWLIST "internal-host-allowlist" ["APP_INTERNAL_HOST_ALLOWLIST"] "hosts that may be asked"
    REQUIRE_CHAT_ID "require-chat-id" ["APP_REQUIRE_CHAT_ID"] "refuse an explicit empty chat_id"
    MAX_DOWNLOADS "global-max-downloads" ["APP_GLOBAL_MAX_DOWNLOADS"] "downloads of a file when the request does not say, 0 = unlimited"
    FILE_SIZE_LIMIT "file-size-limit" ["APP_FILE_SIZE_LIMIT"] "uploads, one output file, workspace"
    WORKSPACE_SIZE_LIMIT "workspace-size-limit" ["APP_WORKSPACE_SIZE_LIMIT"] "workspace only"
    BACKEND "executor-backend" ["EXECUTOR_BACKEND"] "kubernetes or standalone"
    NAMESPACE "executor-namespace" ["KUBERNETES_EXECUTOR_NAMESPACE"] "namespace of the pools"
    SERVICE_ACCOUNT "executor-service-account" ["KUBERNETES_EXECUTOR_SERVICE_ACCOUNT"] "account of the sandbox pods"
    READY_TIMEOUT "executor-ready-timeout-seconds" ["KUBERNETES_EXECUTOR_READY_TIMEOUT_SEC"] "wait for a sandbox, 1 to 600"
    PULL_POLICY "executor-image-pull-policy" ["KUBERNETES_EXECUTOR_IMAGE_PULL_POLICY"] "Always, IfNotPresent or Never"
    RUN_AS_USER "executor-run-as-user" ["KUBERNETES_EXECUTOR_RUN_AS_USER"] "uid of the sandbox pods"
    RUN_AS_GROUP "executor-run-as-group" ["KUBERNETES_EXECUTOR_RUN_AS_GROUP"] "gid of the sandbox pods"
    FS_GROUP "executor-fs-group" ["KUBERNETES_EXECUTOR_FS_GROUP"] "group of their volumes"
    READ_ONLY_ROOT "executor-read-only-root-filesystem" ["KUBERNETES_EXECUTOR_READ_ONLY_ROOT_FILESYSTEM"] "read-only root"
    ONYX_WORKSPACE_SIZE "executor-workspace-size-limit" ["KUBERNETES_EXECUTOR_WORKSPACE_SIZE_LIMIT"] "workspace, of the onyx dialect when both are set"
    TMP_SIZE "executor-tmp-size-limit" ["KUBERNETES_EXECUTOR_TMP_SIZE_LIMIT"] "size of /tmp"
    MAX_TIMEOUT_MS "max-exec-timeout-ms" ["MAX_EXEC_TIMEOUT_MS"] "highest timeout_ms"
    MAX_OUTPUT_BYTES "max-output-bytes" ["MAX_OUTPUT_BYTES"] "output limit of each stream"
    CPU_SECONDS "cpu-time-limit-seconds" ["CPU_TIME_LIMIT_SEC"] "CPU seconds of one onyx execution"
    MEMORY_MB "memory-limit-mb" ["MEMORY_LIMIT_MB"] "memory of one onyx execution, at least 16"
    MAX_FILE_MB "max-file-size-mb" ["MAX_FILE_SIZE_MB"] "onyx upload limit in MiB"
    FILE_TTL "file-ttl-seconds" ["FILE_TTL_SEC"] "life of onyx files, 0 = no end"
    LOG_LEVEL "log-level" ["LOG_LEVEL"] "an unknown level is INFO"
    LOG_FORMAT "log-format" ["LOG_FORMAT"] "plain or json"
    MAX_CONCURRENT "max-concurrent-executions" ["MAX_CONCURRENT_EXECUTIONS"] "slots of this replica"
    QUEUE_TIMEOUT "execution-queue-timeout-seconds" ["EXECUTION_QUEUE_TIMEOUT_SEC"] "wait for a slot, 0 rejects at once"
    RETRY_AFTER "execution-retry-after-seconds" ["EXECUTION_RETRY_AFTER_SEC"] "Retry-After of a 429"
    DRAIN "drain-seconds" [] "time for requests under way to end after SIGTERM"
    CAPACITY_RETRY_AFTER "capacity-retry-after-seconds" ["CAPACITY_RETRY_AFTER_SEC"] "Retry-After of a 503"
    HEALTH_INTERVAL "health-check-interval-seconds" ["HEALTH_CHECK_INTERVAL_SEC"] "between two health checks"
    CHECK_TIMEOUT "backend-check-timeout-seconds" ["BACKEND_CHECK_TIMEOUT_SEC"] "for one health check"
    SESSION_LIFETIME "session-max-lifetime-seconds" ["SESSION_MAX_LIFETIME_SEC"] "end of a session whatever keep-alives come"
    SESSION_IMAGE "session-executor-image" ["SESSION_EXECUTOR_IMAGE"] "image of the session pool"
    AUTH_TOKEN "auth-token" ["AUTH_TOKEN"] "one bearer token for every route"
    LEEZHU_TIMEOUT "runcode-timeout-seconds" ["TIMEOUT"] "leezhu deadline"
    LEEZHU_FENCE "remove-python-code-block" ["REMOVE_PYTHON_CODE_BLOCK"] "leezhu fence rule"
    DEFAULT_TIMEOUT "default-timeout-seconds" [] "bee/tgpt deadline when the request has none"
    MAX_TIMEOUT "max-timeout-seconds" [] "highest bee/tgpt deadline"
    MAX_BODY_BYTES "max-body-bytes" [] "one JSON body"
    MAX_BODIES_BYTES "max-bodies-bytes" [] "all JSON bodies that are held at a time"
    MAX_OUTPUT_FILES "max-output-files" [] "changed files that are kept"
    MAX_OUTPUT_FILES_BYTES "max-output-files-bytes" [] "bytes of all changed files"
    PACKAGES "packages" [] "off; allowlist and any are not supported in this version"
    PACKAGES_ALLOWLIST "packages-allowlist" [] "packages that may be installed"
    INSTALL_TIMEOUT "install-timeout-seconds" [] "deadline of an installation"
    SHARED_FOLDER "shared-folder" [] "auto, on or off"
    AUTH_MODE "auth-mode" [] "none, tokens or tokenReview; tokens when there are any"
    TOKEN_AUDIENCE "token-audience" [] "audience of tokens in the mode tokenReview; the API server's own when it is not set"
    TENANTS_FILE "tenants-file" [] "JSON file of tenants: namespaces and the identities in each"
    AUTH_TOKENS_FILE "auth-tokens-file" [] "JSON file of identities and their bearer tokens"
    TRUSTED_PROXIES "trusted-proxies" [] "networks whose X-Forwarded-For counts"
    VERSION_FLOOR "version-floor" [] "least version that is reported"
    PUBLIC_DOMAIN "public-domain" [] "domain of image URLs"
    VOLUME_IDLE "volume-idle-seconds" [] "life of an unused chat volume"
    OPERATOR_NAMESPACE "operator-namespace" [] "namespace of the operator, which has the live output"
    OPERATOR_TOKEN_FILE "operator-token-file" [] "file with a token for the audience carrel-operator"
    POOL "pool" [] "the pool that runs executions"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_is_used_twice_and_none_looks_like_a_service_of_kubernetes() {
        let mut seen = BTreeSet::new();
        for setting in ALL {
            let names =
                setting.inherited.iter().map(|name| (*name).to_owned()).chain([setting.own_variable()]);
            for name in names {
                assert!(!name.ends_with("_PORT") && !name.ends_with("_SERVICE_HOST"), "{name}");
                assert!(seen.insert(name.clone()), "{name} is used twice");
            }
        }
    }

    #[test]
    fn our_own_variables_have_the_names_of_the_contract() {
        for name in [
            "CARREL_MAX_BODY_BYTES",
            "CARREL_AUTH_TOKENS_FILE",
            "CARREL_GRPC_CLIENT_CERTS",
            "CARREL_VERSION_FLOOR",
            "CARREL_DEFAULT_TIMEOUT_SECONDS",
            "CARREL_PACKAGES_ALLOWLIST",
            "CARREL_SHARED_FOLDER",
            "CARREL_VOLUME_IDLE_SECONDS",
            "CARREL_TENANTS_FILE",
            "CARREL_AUTH_MODE",
            "CARREL_TOKEN_AUDIENCE",
        ] {
            assert!(ALL.iter().any(|setting| setting.own_variable() == name), "{name}");
        }
    }
}
