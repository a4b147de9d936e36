//! The API's own CA, its server certificate and its bearer token, kept under `pki/` for the owner only.
//! Nothing on loopback is trusted without them.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use subtle::ConstantTimeEq;

use crate::private_file;

/// Why the credentials could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    File(PathBuf, #[source] io::Error),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate cannot be used.
    #[error("the server certificate cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// What is on disk is not a certificate or key.
    #[error("{0}: not a PEM certificate or key")]
    Damaged(String),
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The CA certificate that clients need and the token that they must show.
#[derive(Clone)]
pub(crate) struct Credentials {
    folder: PathBuf,
    pub(crate) ca: String,
    token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads what is in `folder`, and makes what is missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, TlsError> {
        fs::create_dir_all(folder).map_err(|error| TlsError::File(folder.to_owned(), error))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|error| TlsError::File(folder.to_owned(), error))?;
        let token = read_or_make(&folder.join("token"), random_token)?;
        let key = read_or_make(&folder.join("ca.key"), || Ok(KeyPair::generate()?.serialize_pem()))?;
        let ca = read_or_make(&folder.join("ca.crt"), || {
            Ok(ca_params()?.self_signed(&KeyPair::from_pem(&key)?)?.pem())
        })?;
        Ok(Self { folder: folder.to_owned(), ca, token: token.trim().to_owned() })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Compares in constant time.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        token.as_bytes().ct_eq(self.token.as_bytes()).into()
    }

    /// The TLS settings for a server on `address`. The certificate is reused while it names that address.
    pub(crate) fn server_config(&self, address: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        let suffix = address.to_string().replace(':', "_");
        let key = read_or_make(&self.folder.join("server.key"), || Ok(KeyPair::generate()?.serialize_pem()))?;
        let name = format!("server-{suffix}.crt");
        let certificate = read_or_make(&self.folder.join(&name), || self.issue(&key, address))?;
        let chain =
            CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| TlsError::Damaged(name))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| TlsError::Damaged("server.key".to_owned()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn issue(&self, key: &str, address: IpAddr) -> Result<String, TlsError> {
        let ca_key = read_or_make(&self.folder.join("ca.key"), || Ok(KeyPair::generate()?.serialize_pem()))?;
        let issuer = Issuer::new(ca_params()?, KeyPair::from_pem(&ca_key)?);
        let mut names = ["localhost", "127.0.0.1", "::1", "kubernetes", "kubernetes.default.svc"]
            .map(str::to_owned)
            .to_vec();
        if !names.contains(&address.to_string()) {
            names.push(address.to_string());
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "carrel");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&KeyPair::from_pem(key)?, &issuer)?.pem())
    }
}

fn ca_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, "carrel-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn random_token() -> Result<String, TlsError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(TlsError::Random)?;
    Ok(hex::encode(bytes))
}

fn read_or_make(path: &Path, make: impl FnOnce() -> Result<String, TlsError>) -> Result<String, TlsError> {
    match fs::read_to_string(path) {
        Ok(text) if !text.is_empty() => return Ok(text),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(TlsError::File(path.to_owned(), error)),
    }
    let text = make()?;
    private_file::write(path, text.as_bytes()).map_err(|error| TlsError::File(path.to_owned(), error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_private_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        let first = Credentials::open(&pki).unwrap();
        first.server_config("127.0.0.1".parse().unwrap()).unwrap();
        let again = Credentials::open(&pki).unwrap();
        assert!(again.accepts(first.token()) && again.ca == first.ca);
        assert!(!again.accepts("guess") && !again.accepts(""));
        for file in fs::read_dir(&pki).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
