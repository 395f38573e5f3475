//! Certificates made for a test, and TLS connections that trust them and nothing else.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
    SupportedProtocolVersion,
};

/// 2100-01-01
const VALID_UNTIL_S: u64 = 4_102_444_800;
const PATIENCE: Duration = Duration::from_secs(30);

/// A self-signed certificate for 127.0.0.1 and localhost, with its key.
pub struct Issued {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// A connection after its handshake.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl Issued {
    pub fn valid() -> Self {
        Self::new(|_| {})
    }

    pub fn expired() -> Self {
        Self::new(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1))
    }

    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names = ["127.0.0.1", "localhost"].map(str::to_owned);
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, key }
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub fn certificate_pem(&self) -> String {
        self.certificate.pem()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Puts both where a server reads them, each in one instant.
    pub fn install(&self, files: &Files) {
        files.write(&self.certificate_pem(), &self.key_pem());
    }

    /// When it expires, in seconds since 1970; not for an expired one.
    pub const fn expires_s(&self) -> u64 {
        VALID_UNTIL_S
    }

    /// A client that trusts this one only.
    pub fn trusted(&self) -> Arc<ClientConfig> {
        self.trusted_over(ALL_VERSIONS)
    }

    /// The same, which asks for one of these protocols.
    pub fn trusted_for(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut client = Arc::unwrap_or_clone(self.trusted());
        client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(client)
    }

    /// The same, in these versions only.
    pub fn trusted_over(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    /// A server that shows it.
    pub fn shown(&self) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let versions = builder.with_safe_default_protocol_versions().expect("versions");
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key");
        let chain = vec![self.der()];
        versions.with_no_client_auth().with_single_cert(chain, key).expect("a pair")
    }
}

/// Where a server reads its pair.
#[derive(Clone, Debug)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// Two names in a directory; nothing is there yet.
    pub fn within(directory: &Path) -> Self {
        Self { certificate: directory.join("tls.pem"), key: directory.join("tls-key.pem") }
    }

    pub fn write(&self, certificate: &str, key: &str) {
        for (path, text) in [(&self.certificate, certificate), (&self.key, key)] {
            let new = path.with_extension("new");
            fs::write(&new, text).expect("written");
            fs::rename(&new, path).expect("renamed");
        }
    }
}

/// Connects and shakes hands.
pub fn connect(address: SocketAddr, client: &Arc<ClientConfig>) -> io::Result<TlsStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let name = address.ip().into();
    let mut connection =
        ClientConnection::new(Arc::clone(client), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}
