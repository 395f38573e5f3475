//! `bare`: the least that a hyper server can be while it gives a gateway's answers. It reads the body,
//! looks at the path and answers the same bytes each time: what remains is what HTTP itself costs.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use benches::request::Operation;
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BACKLOG: i32 = 1024;
const HEADER_TIMEOUT: Duration = Duration::from_mins(1);

/// A bare hyper server with a gateway's answers.
#[derive(Debug, Parser)]
#[command(name = "bare", version)]
struct Arguments {
    /// Where to listen; loopback only
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads, each with a listener of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// A file with the body of the answer to an admit
    #[arg(long)]
    admit_answer: Option<PathBuf>,
    /// A file with the body of the answer to a release
    #[arg(long)]
    release_answer: Option<PathBuf>,
}

/// The bodies of the two answers.
#[derive(Clone)]
struct Answers {
    admit: Bytes,
    release: Bytes,
}

const ADMIT: &str = r#"{"admitted":true,"call_id":"01234567-89ab-4cde-8f01-000000000001","account":"sa_01h9xyzabcdefghjkmnpqrstvw","duplicate":false,"granted_s":300,"granted_until":"2026-01-01T00:05:00.000000Z","final":false,"renew_every_s":30,"expires_in_s":90,"token":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","in_use":7,"limit":10}"#;
const RELEASE: &str = r#"{"call_id":"01234567-89ab-4cde-8f01-000000000001","account":"sa_01h9xyzabcdefghjkmnpqrstvw","state":"ended","admitted_at":"2026-01-01T00:00:00.000000Z","answered_at":null,"granted_until":"2026-01-01T00:05:00.000000Z","expires_at":"2026-01-01T00:01:30.000000Z","direction":"outbound","from":"+912250001000","to":"+919800012345","agent_id":null,"source":"load","ended_at":"2026-01-01T00:00:01.000000Z","outcome":"completed","cause":"release","billable_s":30,"cost":"1.20","currency":"INR"}"#;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    if !arguments.listen.ip().is_loopback() {
        return Err(io::Error::other("--listen: expected a loopback address"));
    }
    let body = |file: &Option<PathBuf>, text: &'static str| {
        file.as_deref().map_or(Ok(Bytes::from_static(text.as_bytes())), read)
    };
    let answers = Answers {
        admit: body(&arguments.admit_answer, ADMIT)?,
        release: body(&arguments.release_answer, RELEASE)?,
    };
    let first = listen(arguments.listen)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..arguments.threads {
        listeners.push(listen(address)?);
    }
    writeln!(io::stdout(), "bare listens on {address}")?;
    thread::scope(|scope| {
        for listener in listeners {
            let answers = answers.clone();
            scope.spawn(move || serve(listener, &answers));
        }
    });
    Ok(())
}

fn read(path: &Path) -> io::Result<Bytes> {
    fs::read(path).map(Bytes::from)
}

/// The kernel spreads connections over the listeners of one port.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until the process ends.
fn serve(listener: std::net::TcpListener, answers: &Answers) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        let mut http = http1::Builder::new();
        http.pipeline_flush(true).timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answers = answers.clone();
            let service = service_fn(move |request| answer(request, answers.clone()));
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::task::spawn_local(async move {
                // A client that goes away is no failure of this server.
                let _closed = connection.await;
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    answers: Answers,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let release = request.uri().path() == Operation::Release.path();
    // A body cut short ends its connection anyway.
    let _read = request.into_body().collect().await;
    let body = if release { answers.release } else { answers.admit };
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
