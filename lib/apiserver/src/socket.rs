//! The API on a Unix socket, for clients in other processes and network namespaces.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener as Bound, UnixStream as Far};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::{ApiServer, Reset, Sent};

/// Like a real server, this one sends a bookmark to every watch each minute.
const BOOKMARKS: Duration = Duration::from_mins(1);

/// Serves requests until it is dropped.
#[derive(Debug)]
pub struct Listening {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ApiServer {
    /// Serves requests on this socket, which must not exist yet.
    pub fn listen(&self, socket: &Path) -> io::Result<Listening> {
        let bound = Bound::bind(socket)?;
        bound.set_nonblocking(true)?;
        let (api, (end, ended)) = (self.clone(), oneshot::channel());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = accept(&api, bound) => served,
                    _over = ended => Ok(()),
                }
            })
        });
        Ok(Listening { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(matches!(ended, Ok(Ok(()))) || thread::panicking(), "the API: {ended:?}");
        }
    }
}

async fn accept(api: &ApiServer, bound: Bound) -> io::Result<()> {
    let listener = UnixListener::from_std(bound)?;
    let mut connections = JoinSet::new();
    let mut bookmarks = interval(BOOKMARKS);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(connection(api.clone(), accepted?.0));
            }
            // Removes finished connections.
            Some(_ended) = connections.join_next() => {}
            _at = bookmarks.tick() => api.bookmark(),
        }
    }
}

async fn connection(api: ApiServer, stream: UnixStream) {
    let service = service_fn(|request| answer(&api, request));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error means that the client disconnected.
    connection.await.ok();
}

async fn answer(api: &ApiServer, request: Request<Incoming>) -> Result<Response<Sent>, Reset> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_broken| Reset)?.to_bytes().to_vec();
    api.serve(Request::from_parts(parts, body)).await
}

/// A kubeconfig for the API at a port of the loopback interface.
pub fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: box\n\
         clusters: [{{name: box, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         contexts: [{{name: box, context: {{cluster: box, user: member}}}}]\n\
         users: [{{name: member, user: {{}}}}]\n"
    )
}

/// What [`forward`] prints once clients can connect.
pub const FORWARDING: &str = "forwarding";

/// Forwards a loopback port of this process's network namespace to the socket until the process is
/// killed. A Unix socket is reachable from every network namespace through the file system.
pub fn forward(port: u16, socket: &Path) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut out = io::stdout();
    out.write_all(format!("{FORWARDING}\n").as_bytes())?;
    out.flush()?;
    thread::scope(|scope| {
        for stream in listener.incoming() {
            // Closes the connection if the socket is unreachable.
            scope.spawn(|| stream.and_then(|stream| both_ways(&stream, socket)).ok());
        }
    });
    Ok(())
}

fn both_ways(near: &TcpStream, socket: &Path) -> io::Result<()> {
    let far = Far::connect(socket)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            io::copy(&mut &*near, &mut &far).and_then(|_| far.shutdown(Shutdown::Write)).ok()
        });
        io::copy(&mut &far, &mut &*near).and_then(|_| near.shutdown(Shutdown::Write))
    })
}
