//! What is refused before anything is started. Pure.

use std::net::SocketAddr;

/// Why the service does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// Others could send programs that nothing holds back.
    #[error(
        "{flag} {address} is not a loopback address: programs run NOT ISOLATED in this version, so only this \
         machine may send them; use 127.0.0.1:{port}", port = .address.port()
    )]
    NotLoopback {
        /// The setting.
        flag: &'static str,
        /// Its value.
        address: SocketAddr,
    },
    /// Nothing would be listened on.
    #[error("--http-listen names no address; use for example 127.0.0.1:8000")]
    NoAddress,
}

/// Refuses addresses that are not loopback, for as long as programs are not isolated.
pub(super) fn addresses(http: &[SocketAddr], kube: SocketAddr) -> Result<(), Refusal> {
    if http.is_empty() {
        return Err(Refusal::NoAddress);
    }
    let all = http.iter().map(|a| ("--http-listen", *a)).chain([("--kube-listen", kube)]);
    match all.into_iter().find(|(_, address)| !address.ip().to_canonical().is_loopback()) {
        Some((flag, address)) => Err(Refusal::NotLoopback { flag, address }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Refusal> {
        let addresses: Vec<SocketAddr> =
            text.split(',').filter(|t| !t.is_empty()).map(|t| t.parse().unwrap()).collect();
        super::addresses(&addresses, "127.0.0.1:0".parse().unwrap())
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
        let local = "127.0.0.1:0".parse().unwrap();
        let text = super::addresses(&[local], "0.0.0.0:6443".parse().unwrap()).unwrap_err().to_string();
        assert!(text.starts_with("--kube-listen 0.0.0.0:6443"), "{text}");
    }
}
