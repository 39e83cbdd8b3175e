//! Connections to the endpoint of an agent, from the network of a pod.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use firecamp_core::contract::endpoint::{ADDRESS, ATTACH, DEFAULT, RELEASE, REQUEST_WITHIN};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;
use tokio::time::Instant;

use super::super::test_cluster::ensure;
use crate::{Outcome, failed};

/// A head, a body, and what a busy machine needs: after this long the endpoint has closed every
/// connection.
const LIMIT: Duration = Duration::from_secs(REQUEST_WITHIN.as_secs() * 2 + 5);
/// Clients of a flood: each opens one connection after the other.
pub(super) const CLIENTS: usize = 40;
/// Pause of a client whose connection was closed.
const PAUSE: Duration = Duration::from_millis(200);
/// What they send: nothing, half of a head, half of a body, another protocol, and a whole request.
const FRAMES: [&[u8]; 5] = [
    b"",
    b"POST /v1/attach HTTP/1.1\r\nHost: a\r\n",
    b"POST /v1/attach HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\
      Content-Length: 15\r\n\r\n{",
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    b"POST /v1/attach HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\
      Content-Length: 15\r\n\r\n{\"timeoutMs\":9}",
];

/// A request to the endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    method: &'static str,
    pub(super) path: &'static str,
    body: &'static str,
}

pub(super) const READ: Request = Request { method: "GET", path: ADDRESS, body: "" };
pub(super) const REQUESTS: [Request; 3] = [
    Request { method: "POST", path: ATTACH, body: r#"{"timeoutMs":5000}"# },
    Request { method: "POST", path: RELEASE, body: r#"{"scope":"all","graceMs":1000}"# },
    READ,
];

impl Request {
    /// Sends it with this token from the network of a process. Returns the status code and the
    /// text of the response.
    pub(super) fn send(self, process: Pid, token: Option<&str>) -> Outcome<(u16, String)> {
        let bytes = self.with(token);
        let answer = joined(in_network(process, move || exchange(bytes.as_bytes())))?;
        let status = answer.split_whitespace().nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("no status: {answer:?}"))?;
        Ok((status, answer))
    }

    fn with(self, token: Option<&str>) -> String {
        let Self { method, path, body } = self;
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
        let (token, length) = (token.unwrap_or_default(), body.len());
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {DEFAULT}\r\n{token}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }
}

/// Runs this in a thread in the network of a process.
fn in_network<T: Send + 'static>(
    process: Pid,
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> JoinHandle<Outcome<T>> {
    thread::spawn(move || {
        let file = format!("/proc/{process}/ns/net");
        let network = File::open(&file).map_err(failed(&file))?;
        setns(network, CloneFlags::CLONE_NEWNET).map_err(failed("enter a pod's network"))?;
        work()
    })
}

fn joined<T>(thread: JoinHandle<Outcome<T>>) -> Outcome<T> {
    thread.join().map_err(|_panic| "a client of the endpoint panicked".to_owned())?
}

/// Sends this to the endpoint, and reads until the endpoint closes the connection.
fn exchange(bytes: &[u8]) -> Outcome<String> {
    let begun = Instant::now();
    let at: SocketAddr = DEFAULT.parse().map_err(failed(DEFAULT))?;
    let connected = TcpStream::connect_timeout(&at, LIMIT);
    let mut stream = connected.map_err(failed("connect to the endpoint"))?;
    stream.set_read_timeout(Some(LIMIT)).map_err(failed("limit a read"))?;
    // The endpoint may close the connection before it has read anything.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let is_closed = match &read {
        Ok(_length) => true,
        // The endpoint closed it before it had read everything.
        Err(why) => why.kind() == ErrorKind::ConnectionReset,
    };
    let took = begun.elapsed();
    ensure(is_closed && took < LIMIT, || format!("a connection is open after {took:?}: {read:?}"))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Clients that connect again and again, until this is dropped.
pub(super) struct Flood {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Outcome<u64>>>,
}

impl Flood {
    pub(super) fn start(process: Pid) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let start = |frame: &'static [u8]| {
            let over = Arc::clone(&over);
            in_network(process, move || repeat(frame, &over))
        };
        let clients = FRAMES.into_iter().cycle().take(CLIENTS).map(start).collect();
        Self { over, clients }
    }

    /// Ends it: how many connections were closed without a response. Fails if one was served, or
    /// was open for too long.
    pub(super) fn end(mut self) -> Outcome<u64> {
        self.over.store(true, Relaxed);
        std::mem::take(&mut self.clients).into_iter().map(joined).sum()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
    }
}

fn repeat(frame: &[u8], over: &AtomicBool) -> Outcome<u64> {
    let mut unanswered = 0;
    while !over.load(Relaxed) {
        let answer = exchange(frame)?;
        ensure(!answer.contains(" 200 OK"), || format!("{frame:?} was served: {answer:?}"))?;
        unanswered += u64::from(answer.is_empty());
        thread::sleep(PAUSE);
    }
    Ok(unanswered)
}
