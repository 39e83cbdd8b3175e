//! A proxy in front of the API server that shows an agent wrong lists and watches of the StaticIPs
//! and pods of its node: earlier lists, late events, and not all events. Everything else passes
//! unchanged, reads of one object included.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use firecamp_testkit::kubernetes::{Api, Watch};
use futures_util::stream;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::samples::GROUP;

pub(crate) const IPS: &str = "staticips";
pub(crate) const PODS: &str = "pods";

/// The event of kube-apiserver after which a client has to list again.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"#,
    r#""status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","#,
    r#""code":410}}"#,
    "\n"
);

type Body = UnsyncBoxBody<Bytes, String>;

/// A proxy that runs until this is dropped.
pub(crate) struct FaultyProxy {
    /// Where it listens, without TLS.
    pub(crate) at: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    server: Api,
    node: &'static str,
    faults: watch::Sender<Faults>,
}

#[derive(Default)]
struct Faults {
    /// The responses to lists, by plural.
    lists: BTreeMap<&'static str, String>,
    /// The watches report nothing.
    withheld: bool,
    /// The kind whose next event gets lost.
    loses: Option<&'static str>,
    /// How often watches have expired.
    expired: u64,
    /// The same at the last list, by plural.
    listed: BTreeMap<&'static str, u64>,
}

impl FaultyProxy {
    /// Sends the requests of this node's agent to the server.
    pub(crate) async fn start(server: Api, node: &'static str) -> Result<Self, String> {
        let wrong = |wrong: std::io::Error| format!("proxy: {wrong}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(wrong)?;
        let at = listener.local_addr().map_err(wrong)?;
        let faults = watch::Sender::new(Faults::default());
        let shared = Arc::new(Shared { server, node, faults });
        let behind = Arc::clone(&shared);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((agent, _peer)) = listener.accept().await {
                connections.spawn(connection(Arc::clone(&behind), agent));
            }
        });
        Ok(Self { at, shared, _accepting: accepting })
    }

    /// What the server lists now.
    pub(crate) async fn list(&self, plural: &str) -> Result<Value, String> {
        let (all, field) = match plural {
            PODS => ("/api/v1", "spec.nodeName"),
            _ => (GROUP, "spec.attachment.nodeName"),
        };
        let path = format!("{all}/{plural}?fieldSelector={field}={}", self.shared.node);
        let answer = self.shared.server.get(&path).await?;
        if answer.code == 200 { Ok(answer.json()) } else { Err(answer.text) }
    }

    /// From now on lists of this kind show this.
    pub(crate) fn show(&self, plural: &'static str, list: &Value) {
        self.shared.faults.send_modify(|faults| {
            faults.lists.insert(plural, list.to_string());
        });
    }

    /// From now on lists of this kind are empty, at the version of now.
    pub(crate) async fn show_nothing(&self, plural: &'static str) -> Result<(), String> {
        let mut list = self.list(plural).await?;
        list["items"] = json!([]);
        self.show(plural, &list);
        Ok(())
    }

    /// From now on the watches report nothing.
    pub(crate) fn withhold(&self) {
        self.shared.faults.send_modify(|faults| faults.withheld = true);
    }

    /// The next event of this kind gets lost.
    pub(crate) fn lose_next(&self, plural: &'static str) {
        self.shared.faults.send_modify(|faults| faults.loses = Some(plural));
    }

    /// Ends all watches that follow a list of before, so that the agent lists again.
    pub(crate) fn expire(&self) {
        self.shared.faults.send_modify(|faults| faults.expired += 1);
    }

    /// Shows what the server shows. Watches continue with the events that were withheld.
    pub(crate) fn catch_up(&self) {
        self.shared.faults.send_modify(|faults| {
            faults.lists.clear();
            faults.withheld = false;
        });
    }
}

async fn connection(shared: Arc<Shared>, agent: TcpStream) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // An error means that the agent disconnected, or that the server did not respond.
    http1::Builder::new().serve_connection(TokioIo::new(agent), service).await.ok();
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, String> {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    let body = body.collect().await.map_err(|wrong| wrong.to_string())?.to_bytes().to_vec();
    let kind = shared.kind(&parts.uri);
    let is_watch = parts.uri.query().is_some_and(|query| query.contains("watch=true"));
    let list = kind.filter(|_plural| !is_watch).and_then(|plural| shared.begin_list(plural));
    if let Some(list) = list {
        return Ok(listed(list));
    }
    let response = shared.server.forward(Request::from_parts(parts, body)).await?;
    match kind {
        Some(plural) if is_watch && response.status().is_success() => Ok(response.map(|body| {
            let faults = shared.faults.subscribe();
            let begun = faults.borrow().listed.get(plural).copied().unwrap_or_default();
            let watch = Watch::new(body);
            lines(Opened { watch, plural, shared, faults, begun, ended: false })
        })),
        Some(_) | None => {
            Ok(response.map(|body| body.map_err(|wrong| wrong.to_string()).boxed_unsync()))
        }
    }
}

fn listed(list: String) -> Response<Body> {
    let body = Full::from(list).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn lines(opened: Opened) -> Body {
    let lines = stream::unfold(opened, |mut opened| async move {
        let line = opened.next().await?;
        Some((Ok::<_, String>(Frame::data(Bytes::from(line))), opened))
    });
    StreamBody::new(lines).boxed_unsync()
}

impl Shared {
    /// The kind whose objects of the node are listed or watched here.
    fn kind(&self, uri: &Uri) -> Option<&'static str> {
        let query = uri.query()?.replace("%3D", "=");
        let of_node = query.contains(&format!("odeName={}", self.node));
        [IPS, PODS].into_iter().find(|plural| of_node && uri.path().ends_with(*plural))
    }

    /// Notes a list of this kind. Returns it if it does not come from the server.
    fn begin_list(&self, plural: &'static str) -> Option<String> {
        let mut list = None;
        self.faults.send_if_modified(|faults| {
            faults.listed.insert(plural, faults.expired);
            list = faults.lists.get(plural).cloned();
            false
        });
        list
    }

    /// Whether this event gets lost. Bookmarks do not.
    fn loses(&self, plural: &'static str, line: &[u8]) -> bool {
        let is_bookmark = line.starts_with(br#"{"type":"BOOKMARK""#);
        self.faults.send_if_modified(|faults| {
            let loses = !is_bookmark && faults.loses == Some(plural);
            if loses {
                faults.loses = None;
            }
            loses
        })
    }
}

/// A watch that the server has opened.
struct Opened {
    watch: Watch,
    plural: &'static str,
    shared: Arc<Shared>,
    faults: watch::Receiver<Faults>,
    /// How often watches had expired at the list that it follows.
    begun: u64,
    ended: bool,
}

impl Opened {
    /// The next line for the agent; none at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let begun = self.begun;
        while !self.ended {
            let line = tokio::select! {
                biased;
                () = until(&mut self.faults, |faults| faults.expired > begun) => None,
                line = self.watch.line() => Some(line.ok()??),
            };
            let Some(line) = line else {
                self.ended = true;
                return Some(EXPIRED.as_bytes().to_vec());
            };
            until(&mut self.faults, |faults| !faults.withheld || faults.expired > begun).await;
            // An event that was withheld until the watch expired is not reported any more.
            let has_expired = self.faults.borrow().expired > begun;
            if !has_expired && !self.shared.loses(self.plural, &line) {
                return Some(line);
            }
        }
        None
    }
}

/// Waits until the faults are like this.
async fn until(faults: &mut watch::Receiver<Faults>, holds: impl FnMut(&Faults) -> bool) {
    faults.wait_for(holds).await.ok();
}
