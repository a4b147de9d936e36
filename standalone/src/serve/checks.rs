//! What is refused before anything is started. Pure.

use std::net::SocketAddr;

/// An address that others can reach, for as long as programs are not isolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting} {address} is not a loopback address: programs run NOT ISOLATED in this version, so only this machine \
     may send them; use 127.0.0.1:{port}", port = .address.port()
)]
pub(crate) struct Refusal {
    /// What the address was set by.
    pub setting: String,
    /// It.
    pub address: SocketAddr,
}

/// Refuses addresses that are not loopback; `http_setting` is what the HTTP addresses were set by.
pub(super) fn addresses(http_setting: &str, http: &[SocketAddr], kube: SocketAddr) -> Result<(), Refusal> {
    let all = http.iter().map(|address| (http_setting, *address)).chain([("--kube-listen", kube)]);
    match all.into_iter().find(|(_, address)| !address.ip().to_canonical().is_loopback()) {
        Some((setting, address)) => Err(Refusal { setting: setting.to_owned(), address }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Refusal> {
        let addresses: Vec<SocketAddr> =
            text.split(',').filter(|t| !t.is_empty()).map(|t| t.parse().unwrap()).collect();
        super::addresses("--http-listen", &addresses, "127.0.0.1:0".parse().unwrap())
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
        let local = "127.0.0.1:0".parse().unwrap();
        let text =
            super::addresses("HOST", &[local], "0.0.0.0:6443".parse().unwrap()).unwrap_err().to_string();
        assert!(text.starts_with("--kube-listen 0.0.0.0:6443"), "{text}");
    }
}
