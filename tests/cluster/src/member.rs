//! A member's service, and its clients. The service says who it is and then repeats what it hears.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::cli::say;
use crate::{Outcome, failed};

/// Where the service listens unless it is told otherwise.
pub(crate) const PORT: u16 = 6379;
/// Of one question: what nobody answers yet is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of clients whose connections must not break: longer than a busy machine needs for an answer.
const SILENCE: Duration = Duration::from_secs(20);
/// Between two questions of a client.
const EVERY: Duration = Duration::from_millis(20);

/// How a service listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct Service {
    /// An address, or a file that has it.
    place: String,
    /// It goes on after SIGTERM, but for where it also listens.
    #[arg(long)]
    deaf: bool,
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// It listens here, too, and answers nobody.
    #[arg(long)]
    also: Option<SocketAddr>,
}

/// Serves until SIGTERM; a deaf service until it is killed.
pub(crate) async fn serve(Service { place, deaf, port, also }: Service) -> Outcome {
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
    let mut asked = signal(SignalKind::terminate()).map_err(failed("SIGTERM"))?;
    let listener = listen(SocketAddr::from((address, port))).await?;
    loop {
        tokio::select! {
            Some(()) = asked.recv() => {
                if !deaf {
                    return Ok(());
                }
                // Whoever asks there whether it is ready is told that it is not.
                drop(also.take());
            }
            taken = listener.accept() => {
                let (mut stream, _peer) = taken.map_err(failed("accept"))?;
                let name = name.clone();
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

/// Listens there until it is killed, and answers nobody.
pub(crate) async fn occupy(at: SocketAddr) -> Outcome {
    let _listener = listen(at).await?;
    std::future::pending().await
}

/// Who answers there.
async fn ask(
    at: SocketAddr,
    patience: Duration,
) -> std::io::Result<(BufReader<TcpStream>, String)> {
    let mut stream = BufReader::new(timeout(patience, TcpStream::connect(at)).await??);
    let mut line = String::new();
    timeout(patience, stream.read_line(&mut line)).await??;
    Ok((stream, line.trim().to_owned()))
}

/// Asks once, and prints the answer.
pub(crate) async fn dial(address: Ipv4Addr, port: u16) -> Outcome {
    let at = SocketAddr::from((address, port));
    let (_stream, line) = ask(at, PATIENCE).await.map_err(failed(format!("dial {at}")))?;
    say(&line)
}

/// Asks until it is killed, and prints each answer that is another one than the last.
pub(crate) async fn ask_on(address: Ipv4Addr) -> Outcome {
    let at = SocketAddr::from((address, PORT));
    let mut last = String::new();
    loop {
        if let Ok((_stream, line)) = ask(at, PATIENCE).await
            && !line.is_empty()
            && line != last
        {
            say(&line)?;
            last = line;
        }
        sleep(EVERY).await;
    }
}

/// Prints a page that is served there.
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
    let good = head.lines().next().is_some_and(|line| line.contains(" 200 "));
    if good { say(body) } else { Err(format!("{what}: {text}")) }
}

/// What became of connections.
#[derive(Debug, Default)]
struct Counts {
    /// New ones that were answered.
    answered: AtomicU64,
    /// New ones that were not.
    failed: AtomicU64,
    /// Repetitions that came back over the ones that are kept.
    echoes: AtomicU64,
    /// Kept ones that broke.
    lost: AtomicU64,
}

/// Keeps a connection to each address in use, and opens further ones, until standard input ends;
/// then prints how all of that went.
pub(crate) async fn traffic(addresses: Vec<Ipv4Addr>) -> Outcome {
    let counts = Arc::new(Counts::default());
    for address in addresses {
        let at = SocketAddr::from((address, PORT));
        tokio::spawn(hold(at, Arc::clone(&counts)));
        tokio::spawn(dials(at, Arc::clone(&counts)));
    }
    let mut rest = Vec::new();
    stdin().read_to_end(&mut rest).await.map_err(failed("standard input"))?;
    let read = |count: &AtomicU64| count.load(Relaxed);
    let (answered, failed) = (read(&counts.answered), read(&counts.failed));
    let (echoes, lost) = (read(&counts.echoes), read(&counts.lost));
    let all = json!({ "answered": answered, "failed": failed, "echoes": echoes, "lost": lost });
    say(&all.to_string())
}

async fn dials(at: SocketAddr, counts: Arc<Counts>) {
    loop {
        let count = if ask(at, SILENCE).await.is_ok() { &counts.answered } else { &counts.failed };
        count.fetch_add(1, Relaxed);
        sleep(EVERY).await;
    }
}

async fn hold(at: SocketAddr, counts: Arc<Counts>) {
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
