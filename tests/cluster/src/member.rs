//! A member's service and its clients. The service sends its name, then echoes its input.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use firecamp_kube::{Source, Timeouts};
use firecamp_testkit::kubernetes::Api;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::cli::print_line;
use crate::{Outcome, failed};

/// The service's default port.
pub(crate) const PORT: u16 = 6379;
/// Timeout of one request; clients retry.
const PATIENCE: Duration = Duration::from_secs(2);
/// Timeout of clients whose connections must not break, even on a busy machine.
const SILENCE: Duration = Duration::from_secs(20);
/// Pause between two requests of a client.
const EVERY: Duration = Duration::from_millis(20);

/// Where and how a service listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct Service {
    /// An address, or a file that contains it
    place: String,
    /// Ignore SIGTERM, except that the socket of --also is closed
    #[arg(long)]
    ignore_sigterm: bool,
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Answer with the address of the client instead of the name
    #[arg(long)]
    show_client: bool,
    /// Listen here, too, without answering
    #[arg(long)]
    also: Option<SocketAddr>,
}

/// Serves until SIGTERM, or until SIGKILL with `--ignore-sigterm`.
pub(crate) async fn serve(service: Service) -> Outcome {
    let Service { place, ignore_sigterm, port, show_client, also } = service;
    let mut also = match also {
        Some(at) => Some(listen(at).await?),
        None => None,
    };
    let address: Ipv4Addr = if let Ok(address) = place.parse() {
        address
    } else {
        let text = std::fs::read_to_string(&place).map_err(failed(&place))?;
        text.trim().parse().map_err(failed(format!("{text:?}")))?
    };
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let name = ["POD_NAME", "POD_UID", "NODE_NAME"].map(variable).join(" ");
    let mut terminate = signal(SignalKind::terminate()).map_err(failed("SIGTERM"))?;
    let listener = listen(SocketAddr::from((address, port))).await?;
    loop {
        tokio::select! {
            Some(()) = terminate.recv() => {
                if !ignore_sigterm {
                    return Ok(());
                }
                // Readiness probes at this socket fail from now on.
                drop(also.take());
            }
            accepted = listener.accept() => {
                let (mut stream, client) = accepted.map_err(failed("accept"))?;
                let name = if show_client { client.ip().to_string() } else { name.clone() };
                tokio::spawn(async move {
                    stream.write_all(format!("{name}\n").as_bytes()).await?;
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        }
    }
}

async fn listen(at: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(at).await.map_err(failed(format!("listen on {at}")))
}

/// Listens until it is killed, without answering.
pub(crate) async fn occupy(at: SocketAddr) -> Outcome {
    let _listener = listen(at).await?;
    std::future::pending().await
}

/// Connects and reads the service's name.
async fn ask(
    at: impl ToSocketAddrs,
    patience: Duration,
) -> std::io::Result<(BufReader<TcpStream>, String)> {
    let mut stream = BufReader::new(timeout(patience, TcpStream::connect(at)).await??);
    let mut line = String::new();
    timeout(patience, stream.read_line(&mut line)).await??;
    Ok((stream, line.trim().to_owned()))
}

/// Sends one request to an address or a name, and prints the answer.
pub(crate) async fn dial(host: &str, port: u16) -> Outcome {
    let what = format!("dial {host}:{port}");
    let answer = ask((host, port), PATIENCE).await;
    let (_stream, line) = answer.map_err(failed(what))?;
    print_line(&line)
}

/// Sends requests until it is killed, and prints each answer that differs from the previous one.
pub(crate) async fn poll_answers(address: Ipv4Addr) -> Outcome {
    let at = SocketAddr::from((address, PORT));
    let mut last = String::new();
    loop {
        if let Ok((_stream, line)) = ask(at, PATIENCE).await
            && !line.is_empty()
            && line != last
        {
            print_line(&line)?;
            last = line;
        }
        sleep(EVERY).await;
    }
}

/// Prints the body of an HTTP response.
pub(crate) async fn fetch(at: SocketAddr, page: &str) -> Outcome {
    let read = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(format!("GET {page} HTTP/1.0\r\nHost: {at}\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_bytes| text)
    };
    let what = format!("{page} of {at}");
    let text = timeout(SILENCE, read).await.map_err(failed(&what))?.map_err(failed(&what))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("{what}: {text}"))?;
    let ok = head.lines().next().is_some_and(|line| line.contains(" 200 "));
    if ok { print_line(body) } else { Err(format!("{what}: {text}")) }
}

/// Prints what the API server answers to a request with the pod's service account.
pub(crate) async fn get_api(path: &str) -> Outcome {
    let client = Source::InCluster.client(Timeouts::default()).await;
    let api = client.map(Api::new).map_err(|error| format!("{error:?}"))?;
    let answer = api.get(path).await?;
    if answer.code == 200 { print_line(&answer.text) } else { Err(answer.text) }
}

/// Results of client connections.
#[derive(Debug, Default)]
struct Counts {
    /// New connections that were answered.
    answered: AtomicU64,
    /// New connections that were not.
    failed: AtomicU64,
    /// Echoes received over long-lived connections.
    echoes: AtomicU64,
    /// Long-lived connections that broke.
    lost: AtomicU64,
}

/// Uses one long-lived connection to each address and opens further ones until standard input
/// ends; then prints the results.
pub(crate) async fn traffic(addresses: Vec<Ipv4Addr>) -> Outcome {
    let counts = Arc::new(Counts::default());
    for address in addresses {
        let at = SocketAddr::from((address, PORT));
        tokio::spawn(keep_connected(at, Arc::clone(&counts)));
        tokio::spawn(keep_dialing(at, Arc::clone(&counts)));
    }
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest).await.map_err(failed("standard input"))?;
    let read = |count: &AtomicU64| count.load(Relaxed);
    let (answered, failed) = (read(&counts.answered), read(&counts.failed));
    let (echoes, lost) = (read(&counts.echoes), read(&counts.lost));
    let all = json!({ "answered": answered, "failed": failed, "echoes": echoes, "lost": lost });
    print_line(&all.to_string())
}

async fn keep_dialing(at: SocketAddr, counts: Arc<Counts>) {
    loop {
        let count = if ask(at, SILENCE).await.is_ok() { &counts.answered } else { &counts.failed };
        count.fetch_add(1, Relaxed);
        sleep(EVERY).await;
    }
}

async fn keep_connected(at: SocketAddr, counts: Arc<Counts>) {
    loop {
        if let Ok((mut stream, _name)) = ask(at, SILENCE).await {
            while echo(&mut stream).await.is_ok() {
                counts.echoes.fetch_add(1, Relaxed);
                sleep(EVERY).await;
            }
            counts.lost.fetch_add(1, Relaxed);
        }
        sleep(EVERY).await;
    }
}

async fn echo(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    stream.write_all(b"again\n").await?;
    let mut line = String::new();
    timeout(SILENCE, stream.read_line(&mut line)).await??;
    if line == "again\n" { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
}
