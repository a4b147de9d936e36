//! A loopback address for each pod: every address of 127.0.0.0/8 is this machine, so pods can share one port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// How many addresses are tried. The range has four million, so one try is enough unless something is wrong.
const TRIES: usize = 32;

/// An address on which `port` is free. Random, so that two nodes on one machine do not meet; the executor
/// exits if another process takes the address first, and its pod is replaced.
pub(super) fn free(port: u16) -> std::io::Result<Ipv4Addr> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for _ in 0..TRIES {
        let address = random()?;
        match TcpListener::bind(SocketAddr::from((address, port))) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// An address of 127.64.0.0/10 that is neither a network's first nor its last.
fn random() -> std::io::Result<Ipv4Addr> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    let [b, c, d] = bytes;
    Ok(Ipv4Addr::new(127, 64 + b % 64, c, 1 + d % 254))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_loopback_and_differ() {
        let addresses: Vec<_> = (0..20).map(|_| random().unwrap()).collect();
        assert!(addresses.iter().all(Ipv4Addr::is_loopback));
        assert!(addresses.iter().any(|a| a != addresses.first().unwrap()));
    }

    #[test]
    fn an_address_can_be_listened_on() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = free(port).unwrap();
        TcpListener::bind((address, port)).unwrap();
    }
}
