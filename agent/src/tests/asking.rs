//! The endpoint of a node, with a client that has a token.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use firecamp_core::choose_interface::EniRule;
use firecamp_run::endpoint::{DrainScope, EndpointClient, ReleaseRequest};
use firecamp_run::report::Report;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::harness::{NODE, Node, POD, SimEnvironment};
use crate::endpoint::{Endpoint, Served};
use crate::publish::SharedStatus;
use crate::source::BoundPod;
use crate::status::Status;

pub(crate) const TOKEN: &str = "token-of-redis-0";
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// The endpoint of the node, and what its pods have.
pub(super) struct Asking<'a> {
    pub(super) node: &'a Node,
    status: &'a Status,
    pub(super) at: SocketAddr,
    dir: tempfile::TempDir,
    /// Reports pods that were bound to the node to the endpoint.
    pub(super) report_bound: mpsc::Sender<BoundPod>,
}

impl Asking<'_> {
    pub(super) fn client(&self, token: &str) -> EndpointClient {
        let token_file = self.dir.path().join(token);
        std::fs::write(&token_file, format!("{token}\n")).unwrap();
        EndpointClient { endpoint: self.at, token_file, node: None }
    }

    pub(super) async fn attach(&self, token: &str) -> Report {
        self.client(token).attach(WITHIN).await
    }

    pub(super) async fn release(&self, token: &str) -> Report {
        self.release_of(token, None).await
    }

    pub(super) async fn release_of(&self, token: &str, epoch: Option<u64>) -> Report {
        let (scope, drain_ms) = (DrainScope::Connections, Some(1_000));
        let request = ReleaseRequest { scope, drain_ms, grace_ms: 5_000, epoch };
        self.client(token).release(&request, WITHIN).await
    }

    pub(super) async fn get(&self, token: &str) -> Value {
        let head = "GET /v1/address HTTP/1.1\r\nhost: a\r\n";
        let request = format!("{head}authorization: Bearer {token}\r\n\r\n");
        let text = raw(self.at, request.into_bytes()).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        serde_json::from_str(body).unwrap()
    }

    pub(super) fn set_pod(&self, uid: &str, more: &Value) {
        self.set_pod_with(uid, more, &json!({ "phase": "Running" }));
    }

    pub(super) fn set_pod_with(&self, uid: &str, more: &Value, status: &Value) {
        let metadata = json!({ "uid": uid, "labels": { "firecamp.io/pool": "a" } });
        let mut spec = json!({ "nodeName": NODE, "hostNetwork": true });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pod = json!({ "metadata": metadata, "spec": spec, "status": status });
        self.node.server.set_pod("prod", "redis-0", pod);
    }

    pub(super) fn end_pod(&self) {
        let pod = json!({ "metadata": { "uid": POD, "deletionTimestamp": "2036-11-20T15:00:30Z" },
            "spec": { "nodeName": NODE, "hostNetwork": true }, "status": { "phase": "Running" } });
        self.node.server.set_pod("prod", "redis-0", pod);
    }

    /// Waits for an Event with this reason.
    pub(super) async fn event(&self, reason: &str) -> Value {
        let written = async {
            loop {
                let mut events = self.node.server.all("events").into_iter();
                if let Some(found) = events.find(|event| event["reason"] == reason) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(WITHIN, written).await.unwrap()
    }

    pub(super) fn metric(&self, line: &str) -> u64 {
        let text = self.status.metrics().unwrap();
        let found = text.lines().find_map(|have| have.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |number| number.parse().unwrap())
    }
}

/// Sends bytes, and reads the response until the endpoint closes the connection.
pub(super) async fn raw(at: SocketAddr, bytes: Vec<u8>) -> String {
    raw_from(Ipv4Addr::UNSPECIFIED, at, bytes).await
}

/// The same from this source address.
pub(super) async fn raw_from(source: Ipv4Addr, at: SocketAddr, bytes: Vec<u8>) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    // The endpoint may close it before everything is sent.
    stream.write_all(&bytes).await.ok();
    let mut response = Vec::new();
    timeout(WITHIN, stream.read_to_end(&mut response)).await.unwrap().ok();
    String::from_utf8_lossy(&response).into_owned()
}

pub(crate) fn served(pod_networks: bool) -> Served {
    Served {
        node: NODE.parse().unwrap(),
        cluster: "prod".parse().unwrap(),
        rule: EniRule::Auto,
        run_dir: PathBuf::from("/nonexistent"),
        pod_networks,
    }
}

/// Runs the endpoint of the node, and meanwhile `body`. The member's pod runs there and has a
/// token.
pub(super) async fn asking(body: impl AsyncFnOnce(Asking<'_>)) {
    asking_of(false, body).await;
}

/// The same, whether the agent serves pods with a network of their own or not.
pub(super) async fn asking_of(pod_networks: bool, body: impl AsyncFnOnce(Asking<'_>)) {
    let shared = SharedStatus::default();
    shared.set_node_read();
    asking_with(pod_networks, shared, body).await;
}

/// The same with this status of the agent.
pub(super) async fn asking_with(
    pod_networks: bool,
    shared: SharedStatus,
    body: impl AsyncFnOnce(Asking<'_>),
) {
    let node = Box::pin(Node::new()).await;
    let status = Status::default();
    let port = {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    let (systems, end) = (node.systems(&status), CancellationToken::new());
    let (served, metrics) = (served(pod_networks), status.endpoint.clone());
    let (report_bound, bound) = mpsc::channel(8);
    let serve =
        Endpoint::<SimEnvironment>::serve(at, served, systems, metrics, shared, bound, &end);
    let serve = Box::pin(serve);
    let body = Box::pin(async {
        let dir = tempfile::tempdir().unwrap();
        let asking = Asking { node: &node, status: &status, at: at.into(), dir, report_bound };
        asking.set_pod(POD, &json!({}));
        node.server.issue_token(TOKEN, "firecamp.io", ("prod", "redis-0", POD), NODE);
        body(asking).await;
        end.cancel();
    });
    let both = async { tokio::join!(serve, body) };
    tokio::task::LocalSet::new().run_until(both).await;
}
