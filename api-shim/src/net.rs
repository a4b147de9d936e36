//! Addresses: networks of allowlists, the client behind trusted proxies, host names of headers. Pure.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network, e.g. `10.0.0.0/8`. A bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Not an address and not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address or a network such as 10.0.0.0/8")]
pub struct InvalidNetwork;

impl Network {
    /// Whether an address is in it. An IPv4 address that is written as IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix);
                u32::from(network).checked_shr(shift).unwrap_or(0)
                    == u32::from(address).checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.prefix);
                u128::from(network).checked_shr(shift).unwrap_or(0)
                    == u128::from(address).checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidNetwork)?
            }
            Some(_) => return Err(InvalidNetwork),
        };
        if prefix > most {
            return Err(InvalidNetwork);
        }
        Ok(canonical(address, prefix))
    }
}

/// `::ffff:10.0.0.0/104` is the IPv4 network `10.0.0.0/8`.
fn canonical(address: IpAddr, prefix: u8) -> Network {
    match (address.to_canonical(), prefix.checked_sub(96)) {
        (mapped @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Network { address: mapped, prefix },
        _ => Network { address, prefix },
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address of the client: the peer, or what a trusted proxy says. `None` when a trusted proxy says
/// something that is no address: such a client is nobody we know.
#[must_use]
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Network],
) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if !is_trusted(peer) {
        return Some(peer);
    }
    let mut nearest = peer;
    for hop in forwarded.flat_map(|line| line.split(',')).rev() {
        nearest = forwarded_address(hop.trim())?;
        if !is_trusted(nearest) {
            break;
        }
    }
    Some(nearest)
}

/// An address of `X-Forwarded-For`, which some proxies write with a port.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|with| with.ip()));
    address.map(|address| address.to_canonical())
}

/// The host of a `Host` header or of an authority: without port, lower case, an IPv6 address without brackets.
#[must_use]
pub fn host_name(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether a host name can only mean this machine.
#[must_use]
pub fn is_loopback_name(host: &str) -> bool {
    let by_name = host == "localhost" || host.ends_with(".localhost");
    by_name || host.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// Whether an address is this machine's own.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::is_loopback(&address),
        IpAddr::V6(address) => Ipv6Addr::is_loopback(&address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().expect(text)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn a_network_contains_its_addresses_also_when_mapped() {
        for (net, inside, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fd00::1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
        ] {
            assert_eq!(network(net).contains(address(inside)), expected, "{inside} in {net}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "host", "10.0.0.1 "]
        {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text:?}");
        }
    }

    fn client(peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted = [network("10.0.0.0/8")];
        client_address(address(peer), forwarded.iter().copied(), &trusted).map(|found| found.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, forwarded, expected) in [
            ("1.2.3.4", vec!["9.9.9.9"], Some("1.2.3.4")),
            ("10.0.0.1", vec!["9.9.9.9"], Some("9.9.9.9")),
            ("10.0.0.1", vec!["6.6.6.6, 9.9.9.9, 10.0.0.2"], Some("9.9.9.9")),
            ("10.0.0.1", vec!["6.6.6.6", "9.9.9.9"], Some("9.9.9.9")),
            ("10.0.0.1", vec![], Some("10.0.0.1")),
            ("10.0.0.1", vec!["10.0.0.3"], Some("10.0.0.3")),
            ("10.0.0.1", vec!["9.9.9.9:4711"], Some("9.9.9.9")),
            ("10.0.0.1", vec!["9.9.9.9, unknown"], None),
            ("::ffff:10.0.0.1", vec!["9.9.9.9"], Some("9.9.9.9")),
        ] {
            assert_eq!(client(peer, &forwarded).as_deref(), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_host_is_compared_without_port_and_case() {
        for (authority, host) in [
            ("Example.org:8000", "example.org"),
            ("example.org", "example.org"),
            ("[::1]:8000", "::1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("localhost.", "localhost"),
        ] {
            assert_eq!(host_name(authority), host);
        }
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }
}
