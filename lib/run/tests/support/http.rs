//! An HTTP server on loopback for the processes under test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The method and the path, separated by a space.
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// The status, the value of one header, and the body; the connection is closed after it.
pub(crate) struct Response {
    pub(crate) status: &'static str,
    pub(crate) header: &'static str,
    pub(crate) body: String,
}

/// A server that answers one connection after the other, as long as the test runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                // Clients that close the connection are ignored.
                connection.and_then(|it| serve(it, &answer, &seen)).ok();
            }
        });
        Self { address, requests }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut connection: TcpStream,
    answer: &impl Fn(&Request) -> Response,
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let request = read(&connection)?;
    seen.lock().unwrap().push(request.clone());
    let Response { status, header, body } = answer(&request);
    write!(connection, "HTTP/1.1 {status}\r\n{header}\r\nconnection: close\r\n\r\n{body}")
}

fn read(connection: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.rsplit_once(' ').map(|(line, _version)| line.to_owned()).unwrap_or_default();
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Request { line, authorization, body })
}
