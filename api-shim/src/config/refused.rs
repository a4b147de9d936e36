//! Variables of the services before that are refused, and those that are ignored with a warning each
//! (contract, sections 12.3 and 12.4).

use super::reader::{ConfigError, Reader};

/// Ignored, and why.
const IGNORED: [(&str, &str); 15] = [
    ("APP_LOGGING_CONFIG", "a Python logging dictionary; use LOG_LEVEL"),
    ("APP_SCHEMA_PATH", "the request schema is built in"),
    ("BEE_SCHEMA_PATH", "the request schema is built in"),
    ("APP_LISTEN_ADDR", "inside of the old executor"),
    ("APP_WORKSPACE", "inside of the old executor"),
    ("PYPI_MAP_DB", "inside of the old executor"),
    ("PYTHON_EXECUTOR_DOCKER_BIN", "there is no Docker backend"),
    ("PYTHON_EXECUTOR_DOCKER_IMAGE", "there is no Docker backend"),
    ("PYTHON_EXECUTOR_DOCKER_IMAGE_WATCHDOG_INTERVAL_SEC", "there is no Docker backend"),
    ("KUBERNETES_EXECUTOR_NET_ADMIN_LOCKDOWN", "isolation needs no privileged init container"),
    ("KUBERNETES_OWN_NAMESPACE", "sandboxes are owned by Carrel's own objects"),
    ("KUBERNETES_OWNER_DEPLOYMENT_NAME", "sandboxes are owned by Carrel's own objects"),
    ("SESSION_NETWORK_MODE", "set by the pool"),
    ("SESSION_VENV_ENABLED", "set by the pool"),
    ("OUTPUT_BASE64", "images are always URLs"),
];

/// One warning for each ignored variable that is set.
#[must_use]
pub(super) fn ignored(reader: &Reader<'_>) -> Vec<String> {
    let set = IGNORED.iter().filter(|(name, _)| reader.variable(name).is_some());
    set.map(|(name, why)| format!("{name} is set and has no effect: {why}")).collect()
}

/// Stops at a variable that must not be set.
pub(super) fn refuse(reader: &Reader<'_>) -> Result<(), ConfigError> {
    let refused = |name: &str, value: String, why: &str| {
        Err(ConfigError::Value { name: name.to_owned(), value, why: why.to_owned() })
    };
    if let Some(value) = reader.variable("PYTHON_EXECUTOR_DOCKER_RUN_ARGS") {
        return refused(
            "PYTHON_EXECUTOR_DOCKER_RUN_ARGS",
            value,
            "may carry isolation options, which would be lost",
        );
    }
    match reader.variable("PYTHON_EXECUTOR_DOCKER_NETWORK") {
        Some(value) if value != "none" => refused(
            "PYTHON_EXECUTOR_DOCKER_NETWORK",
            value,
            "only none can be set; egress is a property of the pool",
        ),
        _ => Ok(()),
    }
}
