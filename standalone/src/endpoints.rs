//! Where a running service can be reached: `endpoints.json` and `kubeconfig` in its data folder.
//!
//! Both hold or lead to a credential, so both are readable by their owner alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::private_file;

/// The addresses that a service chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The first HTTP address, as a URL.
    pub http: String,
    /// All HTTP addresses.
    pub http_all: Vec<String>,
    /// The gRPC address; absent while there is none.
    pub grpc: Option<String>,
    /// The Kubernetes API, for the kubeconfig beside this file.
    pub kube: String,
    /// The operator's internal address, for live output.
    pub operator: String,
}

/// Why the files cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct EndpointsError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// The file with the addresses.
#[must_use]
pub fn endpoints_file(data_dir: &Path) -> PathBuf {
    data_dir.join("endpoints.json")
}

/// The file for kubectl.
#[must_use]
pub fn kubeconfig_file(data_dir: &Path) -> PathBuf {
    data_dir.join("kubeconfig")
}

impl Endpoints {
    /// Writes the addresses of a service whose data is in `data_dir`.
    pub fn write(&self, data_dir: &Path) -> Result<(), EndpointsError> {
        let path = endpoints_file(data_dir);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| private_file::write(&path, &text))
            .map_err(|source| EndpointsError { path, source })
    }

    /// Reads what a service wrote. That it wrote something does not say that it still runs.
    pub fn read(data_dir: &Path) -> Result<Self, EndpointsError> {
        let path = endpoints_file(data_dir);
        let read = std::fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        read.map_err(|source| EndpointsError { path, source })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn endpoints_are_private_and_survive_writing_and_reading() {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = Endpoints {
            http: "http://127.0.0.1:1".into(),
            http_all: vec!["http://127.0.0.1:1".into()],
            grpc: None,
            kube: "https://127.0.0.1:2".into(),
            operator: "http://127.0.0.1:3".into(),
        };
        endpoints.write(dir.path()).unwrap();
        endpoints.write(dir.path()).unwrap();
        assert_eq!(Endpoints::read(dir.path()).unwrap(), endpoints);
        let mode = std::fs::metadata(endpoints_file(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_file_is_named_in_the_error() {
        let dir = tempfile::tempdir().unwrap();
        let text = Endpoints::read(dir.path()).unwrap_err().to_string();
        assert!(text.contains("endpoints.json"), "{text}");
    }
}
