//! Where the leading operator is: the Lease names its holder, and the holder's name begins with its pod's.

use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{Api, Client};
use parking_lot::Mutex;
use uuid::Uuid;

/// The operator's Lease.
const LEASE: &str = "carrel-operator";

/// Finds the leader, and remembers it until it is told that it was wrong.
#[derive(Debug)]
pub struct Leader {
    leases: Api<Lease>,
    pods: Api<Pod>,
    port: u16,
    known: Mutex<Option<SocketAddr>>,
}

/// Why the leader is not known.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The Lease or the pod could not be read.
    #[error("the operator's Lease or pod could not be read")]
    Api(#[from] kube::Error),
    /// Nobody leads.
    #[error("no operator leads now")]
    Nobody,
    /// The holder is no pod, or has no address yet.
    #[error("the leading operator {holder:?} has no address")]
    NoAddress {
        /// As the Lease names it.
        holder: String,
    },
}

impl Leader {
    /// In the operator's namespace, at its internal port.
    #[must_use]
    pub fn new(client: Client, namespace: &str, port: u16) -> Self {
        let leases = Api::namespaced(client.clone(), namespace);
        Self { leases, pods: Api::namespaced(client, namespace), port, known: Mutex::new(None) }
    }

    /// Its address.
    pub async fn address(&self) -> Result<SocketAddr, LeaderError> {
        let known = *self.known.lock();
        if let Some(address) = known {
            return Ok(address);
        }
        let lease = self.leases.get(LEASE).await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        if holder.is_empty() {
            return Err(LeaderError::Nobody);
        }
        let Some(name) = pod_name(&holder) else { return Err(LeaderError::NoAddress { holder }) };
        let status = self.pods.get(name).await?.status;
        let address: Option<IpAddr> =
            status.and_then(|status| status.pod_ip).and_then(|address| address.parse().ok());
        let Some(address) = address else { return Err(LeaderError::NoAddress { holder }) };
        let address = SocketAddr::new(address, self.port);
        *self.known.lock() = Some(address);
        Ok(address)
    }

    /// The next one who asks looks again.
    pub fn forget(&self) {
        *self.known.lock() = None;
    }
}

/// An identity is a pod's name, a dash, and a UUID of the process.
fn pod_name(identity: &str) -> Option<&str> {
    let dash = identity.len().checked_sub(37)?;
    let (name, process) = identity.split_at_checked(dash)?;
    let is_process = process.strip_prefix('-').is_some_and(|id| Uuid::try_parse(id).is_ok());
    (is_process && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_what_stands_before_the_process() {
        let process = "6f1e0a52-6b0e-4f9e-8f7a-0c1d2e3f4a5b";
        assert_eq!(pod_name(&format!("operator-7d9-x-{process}")), Some("operator-7d9-x"));
        for foreign in ["", "operator", process, &format!("-{process}"), &format!("é{process}")] {
            assert_eq!(pod_name(foreign), None, "{foreign}");
        }
    }
}
