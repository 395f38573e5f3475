//! TLS to servers: their certificates are always verified, by the machine's authorities or by those of
//! one file. Knows no way to leave that out.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Why no server could be verified.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("no certificate of an authority can be read from {0}")]
    File(PathBuf),
    #[error("this machine has no certificates of authorities: name a file of them")]
    Machine,
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] tokio_rustls::rustls::Error),
}

#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, CertificateError> {
        let known = match authorities {
            Some(file) => of_file(file).ok_or_else(|| CertificateError::File(file.to_owned()))?,
            None => of_machine().ok_or(CertificateError::Machine)?,
        };
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(known)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn over(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.0.connect(name, stream).await
    }
}

fn of_file(file: &Path) -> Option<RootCertStore> {
    let mut known = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).ok()? {
        known.add(certificate.ok()?).ok()?;
    }
    Some(known).filter(|known| !known.is_empty())
}

fn of_machine() -> Option<RootCertStore> {
    let mut known = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _unusable) = known.add_parsable_certificates(found.certs);
    Some(known).filter(|_| added > 0)
}
