//! A scripted HTTP/1.1 server that records its requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A complete response; the connection stays open.
    Http { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// These bytes as a complete response; the connection stays open.
    Whole(Vec<u8>),
    /// These bytes, then the connection is closed.
    Cut(Vec<u8>),
    /// These bytes, maybe none, then silence.
    Silence(Vec<u8>),
    /// This reply after a delay.
    After(Duration, Arc<dyn Fn() -> Reply + Send + Sync>),
}

impl Reply {
    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::bytes(status, body.as_bytes())
    }

    pub(crate) fn bytes(status: u16, body: &[u8]) -> Self {
        Self::Http { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// An error in EC2's format, with the request ID where the SDK reads it.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>in-the-body</RequestID></Response>"#
        );
        let headers = vec![("x-amzn-requestid", "req-0123".to_owned())];
        Self::Http { status, headers, body: body.into_bytes() }
    }
}

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// A field of the form in the body of an EC2 request.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&requests), Arc::clone(&connections));
        let handler: Arc<Handler> = Arc::new(handler);
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _peer) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, Arc::clone(&handler), Arc::clone(&log)));
            }
        });
        Self { url, requests, connections, task }
    }

    /// A server with one fixed reply.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, handler: Arc<Handler>, log: Arc<Mutex<Vec<Request>>>) {
    let mut rest = Vec::new();
    while let Some(request) = next(&mut stream, &mut rest).await {
        log.lock().unwrap().push(request.clone());
        let mut reply = handler(&request);
        if let Reply::After(wait, then) = reply {
            tokio::time::sleep(wait).await;
            reply = then();
        }
        match reply {
            Reply::After(..) => panic!("nested delays are not supported"),
            Reply::Http { status, headers, body } => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head = format!("{head}{name}: {value}\r\n");
                }
                let whole = [head.as_bytes(), b"\r\n", &body].concat();
                if stream.write_all(&whole).await.is_err() {
                    return;
                }
            }
            Reply::Whole(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Cut(bytes) => {
                stream.write_all(&bytes).await.ok();
                return;
            }
            Reply::Silence(bytes) => {
                stream.write_all(&bytes).await.ok();
                // Until the client closes the connection.
                let mut sink = Vec::new();
                stream.read_to_end(&mut sink).await.ok();
                return;
            }
        }
    }
}

/// The next complete request, or `None` if the client closed the connection.
async fn next(stream: &mut TcpStream, rest: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(request) = parse(rest) {
            return Some(request);
        }
        let mut chunk = [0_u8; 4096];
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        rest.extend_from_slice(&chunk[..count]);
    }
}

fn parse(bytes: &mut Vec<u8>) -> Option<Request> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut request =
        Request { method: String::new(), path: String::new(), head, body: String::new() };
    let length: usize = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    let body = bytes.get(end..end + length)?.to_vec();
    bytes.drain(..end + length);
    let mut first = request.head.split(' ');
    request.method = first.next().unwrap().to_owned();
    request.path = first.next().unwrap().to_owned();
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
