//! What is refused before anything is started. Pure.

use std::net::SocketAddr;

/// Why the service does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Others could send programs that nothing holds back.
    #[error(
        "--http-listen {0} is not a loopback address: programs run NOT ISOLATED in this version, so only this \
         machine may send them; use 127.0.0.1:{port}", port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// Nothing would be listened on.
    #[error("--http-listen names no address; use for example 127.0.0.1:8000")]
    NoAddress,
}

/// Refuses addresses that are not loopback, for as long as programs are not isolated.
pub(super) fn http_addresses(addresses: &[SocketAddr]) -> Result<(), Refusal> {
    if addresses.is_empty() {
        return Err(Refusal::NoAddress);
    }
    match addresses.iter().find(|a| !a.ip().to_canonical().is_loopback()) {
        Some(address) => Err(Refusal::NotLoopback(*address)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Refusal> {
        let addresses: Vec<SocketAddr> =
            text.split(',').filter(|t| !t.is_empty()).map(|t| t.parse().unwrap()).collect();
        http_addresses(&addresses)
    }

    #[test]
    fn only_loopback_is_listened_on() {
        for good in
            ["127.0.0.1:0", "127.3.2.1:80", "[::1]:8000", "127.0.0.1:1,[::1]:2", "[::ffff:127.0.0.1]:1"]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["0.0.0.0:8000", "[::]:8000", "10.0.0.1:1", "127.0.0.1:1,0.0.0.0:1", "[::ffff:10.0.0.1]:1"]
        {
            let text = check(bad).unwrap_err().to_string();
            assert!(text.contains("NOT ISOLATED") && text.contains("use 127.0.0.1:"), "{text}");
        }
        assert_eq!(check(""), Err(Refusal::NoAddress));
    }
}
