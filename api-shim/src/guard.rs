//! Who may spawn: the decision of contract section 2.7 as a pure function of rules and request.
//!
//! One rule is ours: while nothing is configured, a request that came in on loopback must also *name* a
//! loopback host. Otherwise a web page could reach the service through a name of its own that resolves to
//! 127.0.0.1; such a request carries neither a foreign `Origin` nor `Sec-Fetch-Site: cross-site`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header};

use crate::net::{Network, client_address, host_name, is_loopback, is_loopback_name};

/// What the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuardRules {
    /// Clients by address; empty = not set.
    pub addresses: Vec<Network>,
    /// Hosts by name, lower case; empty = not set.
    pub hosts: Vec<String>,
    /// Open to everybody who is not kept out by a list.
    pub public: bool,
    /// Whether a credential is required, and so was checked.
    pub authenticated: bool,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<Network>,
}

/// Both ends of the connection a request came in on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

/// Why a request is refused; for the log, never for the client.
pub type Refusal = &'static str;

impl GuardRules {
    /// Decides on one request. Without a known connection nothing is loopback and no list matches.
    pub fn check(
        &self,
        connection: Option<Connection>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let host = named_host(uri, headers)?;
        if !self.authenticated {
            refuse_foreign_pages(headers, host.as_deref())?;
        }
        let client = connection.and_then(|connection| self.client(connection, headers));
        if !self.addresses.is_empty() && !client.is_some_and(|client| self.has_address(client)) {
            return Err("the address is not in the list of addresses");
        }
        if !self.hosts.is_empty() && !host.as_ref().is_some_and(|host| self.hosts.contains(host)) {
            return Err("the host is not in the list of hosts");
        }
        self.check_open(connection, client, host.as_deref())
    }

    fn check_open(
        &self,
        connection: Option<Connection>,
        client: Option<IpAddr>,
        host: Option<&str>,
    ) -> Result<(), Refusal> {
        if self.authenticated || self.public || !self.hosts.is_empty() {
            return Ok(());
        }
        let came_in_on_loopback = connection.is_some_and(|connection| is_loopback(connection.local.ip()));
        let from_this_machine = came_in_on_loopback && client.is_some_and(is_loopback);
        if from_this_machine && host.is_some_and(|host| !is_loopback_name(host)) {
            return Err("the host is not a name of this machine");
        }
        if came_in_on_loopback || !self.addresses.is_empty() {
            return Ok(());
        }
        Err("nothing allows requests on this address")
    }

    fn has_address(&self, client: IpAddr) -> bool {
        self.addresses.iter().any(|network| network.contains(client))
    }

    fn client(&self, connection: Connection, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<_> =
            headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or("?")).collect();
        client_address(connection.peer.ip(), lines.into_iter(), &self.trusted_proxies)
    }

    /// What to log at start about these rules on these addresses.
    #[must_use]
    pub fn warnings(&self, listeners: &[SocketAddr]) -> Vec<&'static str> {
        let has_list = !self.addresses.is_empty() || !self.hosts.is_empty();
        let mut warnings = Vec::new();
        if self.public && has_list {
            warnings
                .push("APP_PUBLIC_SPAWN_ENABLED is true, and an allowlist is set: the list still applies");
        }
        let open = has_list || self.public || self.authenticated;
        if !open && listeners.iter().any(|listener| !is_loopback(listener.ip())) {
            warnings.push(
                "every execution that does not come in on a loopback address will be refused; set AUTH_TOKEN or \
                 CARREL_AUTH_TOKENS_FILE, APP_INTERNAL_IP_ALLOWLIST or APP_INTERNAL_HOST_ALLOWLIST, or \
                 APP_PUBLIC_SPAWN_ENABLED=true to change that",
            );
        }
        warnings
    }
}

/// The host that a request names: in HTTP/1.1 the `Host` header, in HTTP/2 the authority of the URI. There
/// may be several names only if all are the same: nobody shall choose which of them counts.
fn named_host(uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut named = uri.host().map(host_name);
    for value in headers.get_all(header::HOST) {
        let host = value.to_str().map(host_name).map_err(|_| "the host cannot be read")?;
        if named.as_ref().is_some_and(|named| *named != host) {
            return Err("it names two hosts");
        }
        named = Some(host);
    }
    Ok(named)
}

/// A web page must not be able to drive a local service.
fn refuse_foreign_pages(headers: &HeaderMap, host: Option<&str>) -> Result<(), Refusal> {
    if headers.get("sec-fetch-site").is_some_and(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site")) {
        return Err("a page of another site sent it");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin_host = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, authority)| host_name(authority));
    if origin_host.is_some() && origin_host.as_deref() == host {
        return Ok(());
    }
    Err("a page of another host sent it")
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
