//! A certificate chain and its private key, read from PEM files and refused when no client would
//! accept them or they do not belong together. Must never show the key.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::settings::{TlsFiles, source};

/// Spoken after the handshake, and offered as nothing else.
const PROTOCOL: &[u8] = b"http/1.1";

/// A pair that can be served.
pub struct Pair {
    pub config: ServerConfig,
    /// Since 1970.
    pub expires_s: u64,
    /// Whom it is for.
    pub hosts: Vec<Host>,
}

/// A name or address of the server, as its certificate has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}

/// Why a pair is refused, and which file is to blame.
#[derive(Debug)]
pub struct Unusable {
    pub part: Part,
    pub path: PathBuf,
    pub why: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.why)
    }
}

/// Reads and checks both files.
pub fn load(files: &TlsFiles, now_us: i64) -> Result<Pair, Unusable> {
    let refused = |part: Part, why: String| {
        let path = match part {
            Part::Certificate => &files.certificate,
            Part::Key => &files.key,
        };
        Unusable { part, path: path.clone(), why }
    };
    let of_certificate = |why: String| refused(Part::Certificate, why);
    let of_key = |why: String| refused(Part::Key, why);

    let chain = chain(&files.certificate).map_err(of_certificate)?;
    let leaf = Certificate::from_der(chain.first().expect("a chain is not empty"));
    let leaf = leaf.map_err(|error| of_certificate(malformed(&error)))?;
    let expires_s = valid_until(&leaf, now_us).map_err(of_certificate)?;

    let provider = Arc::new(ring::default_provider());
    let key = key(&files.key).map_err(of_key)?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| {
        of_key(format!("expected a private key of RSA, ECDSA or Ed25519, unencrypted: {error}"))
    })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(Error::InconsistentKeys(_)) => {
            let certificate = files.certificate.display();
            return Err(of_key(format!(
                "it does not belong to {certificate}: expected the key of the first certificate there"
            )));
        }
        Err(error) => return Err(of_certificate(malformed(&error))),
    }
    let config = config(provider, certified).map_err(|error| of_key(error.to_string()))?;
    Ok(Pair { config, expires_s, hosts: hosts(&leaf) })
}

fn config(
    provider: Arc<CryptoProvider>,
    certified: CertifiedKey,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = source::read(path).map_err(|why| format!("it cannot be read: {why}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let expected = "expected a PEM file with the certificate chain, the server's own first";
    match chain {
        Ok(chain) if chain.is_empty() => Err(format!("no certificate stands in it: {expected}")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("{expected}: {error}")),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = source::read(path).map_err(|why| format!("it cannot be read: {why}"))?;
    let expected = "expected a PEM file with an unencrypted private key";
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("no private key stands in it: {expected}"),
        // Other errors may quote the line.
        _ => format!("it is malformed: {expected}"),
    })
}

fn malformed(error: &dyn fmt::Display) -> String {
    format!("its first certificate is malformed: expected an X.509 certificate: {error}")
}

/// The end of its validity, if that has begun and is not over.
fn valid_until(leaf: &Certificate, now_us: i64) -> Result<u64, String> {
    let validity = &leaf.tbs_certificate.validity;
    let now = Duration::from_micros(u64::try_from(now_us).unwrap_or(0));
    let expires = validity.not_after.to_unix_duration();
    if now >= expires {
        let at = validity.not_after;
        return Err(format!("it expired at {at}: expected a certificate that is valid now"));
    }
    if now < validity.not_before.to_unix_duration() {
        let from = validity.not_before;
        return Err(format!("it is valid from {from}: expected a certificate that is valid now"));
    }
    Ok(expires.as_secs())
}

fn hosts(leaf: &Certificate) -> Vec<Host> {
    let Ok(Some((_, SubjectAltName(names)))) = leaf.tbs_certificate.get() else {
        return Vec::new();
    };
    names.iter().filter_map(host).collect()
}

fn host(name: &GeneralName) -> Option<Host> {
    match name {
        GeneralName::DnsName(name) => Some(Host::Name(name.to_string())),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let short = <[u8; 4]>::try_from(octets).map(IpAddr::from).ok();
            let address = short.or_else(|| <[u8; 16]>::try_from(octets).map(IpAddr::from).ok());
            address.map(Host::Address)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use support::tls::{Files, Issued};

    use super::*;

    const SECOND_US: i64 = 1_000_000;

    #[test]
    fn a_pair_says_whom_it_is_for_and_until_when_and_is_refused_outside_of_that() {
        let directory = tempfile::tempdir().expect("a directory");
        let (files, issued) = (Files::within(directory.path()), Issued::valid());
        issued.install(&files);
        let files = TlsFiles { certificate: files.certificate, key: files.key };
        let expires_us = i64::try_from(issued.expires_s()).expect("a time") * SECOND_US;
        let pair = load(&files, expires_us - 1).expect("valid to the last");
        assert_eq!(pair.expires_s, issued.expires_s());
        let hosts = [Host::Address([127, 0, 0, 1].into()), Host::Name("localhost".to_owned())];
        assert_eq!(pair.hosts, hosts);
        for (now_us, why) in
            [(expires_us, "it expired at 2100-01-01"), (0, "it is valid from 2019")]
        {
            let unusable = load(&files, now_us).err().expect("refused");
            assert_eq!((unusable.part, &unusable.path), (Part::Certificate, &files.certificate));
            assert!(unusable.why.starts_with(why), "{unusable}");
        }
    }
}
