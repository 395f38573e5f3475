//! Sends one delivery: resolves the host, looks at the address, connects to that very address, posts,
//! and reads the status. Follows nothing, reads no more than the head of the answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::network;

/// The longest that an attempt takes.
pub(super) const ATTEMPT_MAX: Duration = Duration::from_secs(15);
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Posts deliveries.
pub(super) struct Sender {
    tls: TlsConnector,
    private_networks: bool,
}

/// Why nothing was answered. What is shown of it tells a tenant nothing about this network.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the URL cannot be used")]
    Url,
    #[error("the host name is not known")]
    UnknownHost,
    #[error("the host is on a private network, which this installation does not deliver to")]
    Private,
    #[error("no connection: {0}")]
    Connect(io::ErrorKind),
    #[error("no TLS session: the certificate or the protocol is not accepted")]
    Tls,
    #[error("the connection broke off before an answer came")]
    Broken,
    #[error("no answer within {} s", ATTEMPT_MAX.as_secs())]
    TimedOut,
}

impl Sender {
    pub(super) fn new(private_networks: bool) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a root certificate of the system cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { tls: TlsConnector::from(Arc::new(config)), private_networks }
    }

    /// Posts `body` with `headers`; the status of the answer.
    pub(super) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<u16, SendError> {
        match tokio::time::timeout(ATTEMPT_MAX, self.attempt(url, headers, body)).await {
            Ok(answered) => answered,
            Err(_) => Err(SendError::TimedOut),
        }
    }

    async fn attempt(&self, url: &str, headers: HeaderMap, body: String) -> Result<u16, SendError> {
        let url: Uri = url.parse().map_err(|_| SendError::Url)?;
        let is_secure = url.scheme_str() == Some("https");
        let host = url.host().ok_or(SendError::Url)?.trim_matches(['[', ']']);
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let stream = self.connect(host, port).await?;
        let request = request(&url, headers, body).ok_or(SendError::Url)?;
        if is_secure {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| SendError::Url)?;
            let stream = self.tls.connect(name, stream).await.map_err(|_| SendError::Tls)?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }

    /// Connects to an address that was looked at: who resolves twice may be told two things.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, SendError> {
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((host, port))
                .await
                .map_err(|_| SendError::UnknownHost)?
                .collect(),
        };
        let may_reach =
            |address: &SocketAddr| self.private_networks || network::is_public(address.ip());
        let mut failure =
            if addresses.is_empty() { SendError::UnknownHost } else { SendError::Private };
        for address in addresses.iter().filter(|address| may_reach(address)) {
            failure = match tokio::time::timeout(CONNECT_MAX, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => SendError::Connect(error.kind()),
                Err(_) => SendError::Connect(io::ErrorKind::TimedOut),
            };
        }
        Err(failure)
    }
}

fn request(url: &Uri, headers: HeaderMap, body: String) -> Option<Request<Body>> {
    let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::post(path).body(Body::from(body)).ok()?;
    *request.headers_mut() = headers;
    let host = HeaderValue::from_str(url.authority()?.as_str()).ok()?;
    for (name, value) in [
        (header::HOST, host),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            header::USER_AGENT,
            HeaderValue::from_static(concat!("ringfence/", env!("CARGO_PKG_VERSION"))),
        ),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ] {
        request.headers_mut().insert(name, value);
    }
    Some(request)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Body>,
) -> Result<u16, SendError> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| SendError::Broken)?;
    let (mut answer, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let mut is_open = true;
    loop {
        tokio::select! {
            answer = &mut answer => {
                let answer = answer.map_err(|_| SendError::Broken)?;
                return Ok(answer.status().as_u16());
            }
            // The answer may have come with the end.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}
