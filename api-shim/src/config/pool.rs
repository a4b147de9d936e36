//! Settings of the default pool and of other parts of the service. They are checked here, so that a bad one
//! stops the service at start; who makes pools or serves gRPC takes them from here.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crds::Quantity;
use serde_json::{Map, Value};
use telemetry::LogSettings;

use super::{
    reader::{ConfigError, Reader},
    settings as at,
    values::{boolean, integer, list, listen_address, object, one_of, quantity, text},
};

/// What may be merged into a pod template; anything else would replace containers or weaken the sandbox.
const TEMPLATE_KEYS: [&str; 9] = [
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "runtimeClassName",
    "imagePullSecrets",
    "labels",
    "annotations",
];

/// Settings of the default pool. `None` = not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolSettings {
    /// With a tag or digest.
    pub image: Option<String>,
    /// Image of the session pool.
    pub session_image: Option<String>,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: Option<&'static str>,
    /// Requests and limits.
    pub resources: Map<String, Value>,
    /// Keys of the template.
    pub template: Map<String, Value>,
    /// Warm sandboxes.
    pub replicas: Option<i64>,
    /// Prefix of pod names.
    pub name_prefix: Option<String>,
    /// Account of the pods; its token is never mounted.
    pub service_account: Option<String>,
    /// uid, gid and group of volumes.
    pub ids: [Option<i64>; 3],
    /// Read-only root.
    pub read_only_root: Option<bool>,
    /// Size of the workspace.
    pub workspace_size: Option<Quantity>,
    /// Size of the workspace of onyx runs when it differs.
    pub onyx_workspace_size: Option<Quantity>,
    /// Size of `/tmp`.
    pub tmp_size: Option<Quantity>,
}

/// Settings of parts that are not here yet or elsewhere. `None` = not set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OtherSettings {
    /// gRPC.
    pub grpc: GrpcSettings,
    /// Root of the local file backend.
    pub storage_path: Option<PathBuf>,
    /// Upload limits: tgpt and onyx.
    pub file_size_limit: Option<Quantity>,
    /// In MiB.
    pub max_file_size_mebibytes: Option<i64>,
    /// `auto`, `on` or `off`.
    pub shared_folder: Option<&'static str>,
    /// End of a session.
    pub session_max_lifetime: Option<Duration>,
    /// leezhu deadline.
    pub runcode_timeout: Option<Duration>,
    /// leezhu fence rule.
    pub remove_python_code_block: Option<bool>,
    /// Domain of image URLs.
    pub public_domain: Option<String>,
    /// Life of an unused chat volume.
    pub volume_idle: Option<Duration>,
    /// `TRACE` to `ERROR`.
    pub log_level: Option<String>,
    /// `plain` or `json`.
    pub log_format: Option<&'static str>,
    /// The namespace of the executions.
    pub namespace: Option<String>,
    /// The namespace of the operator.
    pub operator_namespace: Option<String>,
    /// Where the token for the operator is.
    pub operator_token_file: Option<PathBuf>,
}

impl OtherSettings {
    /// The root of the local file backend.
    #[must_use]
    pub fn storage_path(&self) -> PathBuf {
        self.storage_path.clone().unwrap_or_else(|| "/storage".into())
    }

    /// The namespace of the operator.
    #[must_use]
    pub fn operator_namespace(&self) -> &str {
        self.operator_namespace.as_deref().unwrap_or("carrel-system")
    }

    /// What is logged, and how.
    pub fn logs(&self) -> Result<LogSettings, telemetry::InitError> {
        LogSettings::parse(self.log_level.as_deref(), self.log_format)
    }
}

/// The gRPC listener.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GrpcSettings {
    /// Where.
    pub listen: Option<SocketAddr>,
    /// Whether.
    pub enabled: Option<bool>,
    /// Certificate and key.
    pub certificate: Option<(String, String)>,
    /// CA of client certificates.
    pub ca: Option<String>,
    /// Whether clients must have a certificate.
    pub require_client_certificate: bool,
}

impl std::fmt::Debug for GrpcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcSettings")
            .field("listen", &self.listen)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

fn setting_error(name: String, why: &str) -> ConfigError {
    ConfigError::Setting { name, why: why.to_owned() }
}

/// Reads the pool's settings.
pub(super) fn pool(reader: &Reader<'_>) -> Result<PoolSettings, ConfigError> {
    let id = integer(0..=i64::from(u32::MAX));
    let image = |image: &str| Ok(tagged(image));
    let size = reader.read(&at::WORKSPACE_SIZE_LIMIT, quantity)?;
    let onyx_size = reader.read(&at::ONYX_WORKSPACE_SIZE, quantity)?;
    let file_size = reader.read(&at::FILE_SIZE_LIMIT, quantity)?;
    let mut template = reader.read(&at::POD_OVERRIDES, template_part)?.unwrap_or_default();
    template.extend(reader.read(&at::POD_SPEC_EXTRA, template_part)?.unwrap_or_default());
    let mut resources = reader.read(&at::POD_RESOURCES, pod_resources)?.unwrap_or_default();
    resources.extend(reader.read(&at::EXECUTOR_RESOURCES, object)?.unwrap_or_default());
    Ok(PoolSettings {
        image: reader.read(&at::EXECUTOR_IMAGE, image)?,
        session_image: reader.read(&at::SESSION_IMAGE, image)?,
        pull_policy: reader.read(&at::PULL_POLICY, one_of(&["Always", "IfNotPresent", "Never"]))?,
        resources,
        template,
        replicas: reader.read(&at::POD_COUNT, integer(0..=1000))?,
        name_prefix: reader.read(&at::POD_PREFIX, name_prefix)?,
        service_account: reader.read(&at::SERVICE_ACCOUNT, text)?,
        ids: [
            reader.read(&at::RUN_AS_USER, integer(1..=i64::from(u32::MAX)))?,
            reader.read(&at::RUN_AS_GROUP, &id)?,
            reader.read(&at::FS_GROUP, &id)?,
        ],
        read_only_root: reader.read(&at::READ_ONLY_ROOT, boolean)?,
        onyx_workspace_size: onyx_size.clone().filter(|_| size.is_some()),
        workspace_size: size.or(onyx_size).or(file_size),
        tmp_size: reader.read(&at::TMP_SIZE, quantity)?,
    })
}

/// Without a tag or digest an image means its latest.
fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || image.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

fn name_prefix(prefix: &str) -> Result<String, String> {
    let plain = prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let sound =
        plain && prefix.len() <= 40 && prefix.starts_with(|first: char| first.is_ascii_alphanumeric());
    if sound {
        Ok(prefix.to_owned())
    } else {
        Err("expected up to 40 of a-z, 0-9 and -, not - first".to_owned())
    }
}

fn template_part(json: &str) -> Result<Map<String, Value>, String> {
    let part = object(json)?;
    if let Some(key) = part.keys().find(|key| !TEMPLATE_KEYS.contains(&key.as_str())) {
        return Err(format!("the key {key:?} is not one of: {}", TEMPLATE_KEYS.join(", ")));
    }
    for set in ["labels", "annotations"].into_iter().filter_map(|key| part.get(key)) {
        let Value::Object(set) = set else {
            return Err("labels and annotations are JSON objects".to_owned());
        };
        let reserved =
            |key: &&String| matches!(key.as_str(), "app" | "component") || key.starts_with("carrel.dev/");
        if let Some(key) = set.keys().find(reserved) {
            return Err(format!("{key:?} is used by the operator and cannot be set"));
        }
    }
    Ok(part)
}

/// Requests and limits; `null` removes a key. Memory is bounded by the pool alone.
fn pod_resources(json: &str) -> Result<Map<String, Value>, String> {
    let resources = object(json)?;
    if let Some(key) = resources.keys().find(|key| !matches!(key.as_str(), "requests" | "limits")) {
        return Err(format!("the key {key:?} is not one of: requests, limits"));
    }
    let memory = resources.get("limits").and_then(|limits| limits.get("memory"));
    if memory.is_some_and(|memory| !memory.is_null()) {
        return Err("a memory limit cannot be set here; use APP_EXECUTOR_CONTAINER_RESOURCES".to_owned());
    }
    Ok(resources)
}

/// Reads the rest.
pub(super) fn other(reader: &Reader<'_>) -> Result<OtherSettings, ConfigError> {
    let span = |setting, least| -> Result<Option<Duration>, ConfigError> {
        let seconds = reader.read(setting, integer(least..=315_360_000))?;
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs())))
    };
    reader.read(&at::PACKAGES_ALLOWLIST, list)?;
    Ok(OtherSettings {
        grpc: grpc(reader)?,
        storage_path: reader.text(&at::STORAGE_PATH).map(PathBuf::from),
        file_size_limit: reader.read(&at::FILE_SIZE_LIMIT, quantity)?,
        max_file_size_mebibytes: reader.read(&at::MAX_FILE_MB, integer(1..=1024 * 1024))?,
        shared_folder: reader.read(&at::SHARED_FOLDER, one_of(&["auto", "on", "off"]))?,
        session_max_lifetime: span(&at::SESSION_LIFETIME, 1)?,
        runcode_timeout: span(&at::LEEZHU_TIMEOUT, 1)?,
        remove_python_code_block: reader.read(&at::LEEZHU_FENCE, boolean)?,
        public_domain: reader.text(&at::PUBLIC_DOMAIN),
        volume_idle: span(&at::VOLUME_IDLE, 1)?,
        log_level: reader.text(&at::LOG_LEVEL),
        log_format: reader.read(&at::LOG_FORMAT, one_of(&["plain", "json"]))?,
        namespace: reader.text(&at::NAMESPACE),
        operator_namespace: reader.text(&at::OPERATOR_NAMESPACE),
        operator_token_file: reader.text(&at::OPERATOR_TOKEN_FILE).map(PathBuf::from),
    })
}

fn grpc(reader: &Reader<'_>) -> Result<GrpcSettings, ConfigError> {
    let (certificate, key) = (reader.text(&at::GRPC_TLS_CERT), reader.text(&at::GRPC_TLS_KEY));
    let ca = reader.text(&at::GRPC_TLS_CA);
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(setting_error(
                reader.name(&at::GRPC_TLS_CERT),
                "a certificate needs its key, APP_GRPC_TLS_CERT_KEY",
            ));
        }
        (None, Some(_)) => {
            return Err(setting_error(
                reader.name(&at::GRPC_TLS_KEY),
                "a key needs its certificate, APP_GRPC_TLS_CERT",
            ));
        }
    };
    if ca.is_some() && certificate.is_none() {
        return Err(setting_error(
            reader.name(&at::GRPC_TLS_CA),
            "a CA alone switches no TLS on; set APP_GRPC_TLS_CERT and APP_GRPC_TLS_CERT_KEY",
        ));
    }
    let client_certs = reader.read(&at::GRPC_CLIENT_CERTS, one_of(&["require", "off"]))?;
    Ok(GrpcSettings {
        listen: reader.read(&at::GRPC_LISTEN, listen_address)?,
        enabled: reader.read(&at::GRPC_ENABLED, boolean)?,
        require_client_certificate: ca.is_some() && client_certs != Some("off"),
        certificate,
        ca,
    })
}
