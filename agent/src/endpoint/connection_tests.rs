//! Clients that are slow or do not read, over streams that buffer less than any response, with a
//! clock that jumps: here the limits of time are reached, and the next look at the endpoint's link.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::contract::endpoint::{REQUEST_WITHIN, REQUESTS_OF_POD, RESPONSE_WITHIN};
use firecamp_core::ids::Epoch;
use firecamp_core::ports::SocketUse;
use firecamp_core::record::{Mutation, PendingMutation, State};
use firecamp_engine::{Queues, Rng};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};

use crate::endpoint::limits::Source;
use crate::endpoint::look_ahead::EarlyLookUps;
use crate::endpoint::{EVENTS, Endpoint, LINK_PAUSE, Peer};
use crate::publish::SharedStatus;
use crate::status::Status;
use crate::tests::asking::{TOKEN, served};
use crate::tests::harness::{ADDRESS, NODE, Node, POD, SimEnvironment, until};

/// What a connection buffers in each direction.
const BUFFER: usize = 64;
/// No connection lasts longer, whatever its client does.
const DEADLINE: Duration = Duration::from_hours(2);
const AT: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The member's pod uses the network of this node, and has a token.
async fn node() -> Node {
    let node = Box::pin(Node::new()).await;
    set_pod(&node, &json!({ "uid": POD }));
    node.server.issue_token(TOKEN, "firecamp.io", ("prod", "redis-0", POD), NODE);
    node
}

fn set_pod(node: &Node, metadata: &Value) {
    let spec = json!({ "nodeName": NODE, "hostNetwork": true });
    let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Running" } });
    node.server.set_pod("prod", "redis-0", pod);
}

fn endpoint(node: &Node, queues: Queues) -> Rc<Endpoint<SimEnvironment>> {
    let (status, shared_status) = (Status::default(), SharedStatus::default());
    shared_status.set_node_read();
    Rc::new(Endpoint {
        systems: node.systems(&status),
        queues,
        served: served(false),
        at: AT,
        metrics: status.endpoint,
        shared_status,
        limits: RefCell::default(),
        origin: Instant::now(),
        events: mpsc::channel(EVENTS).0,
        early: EarlyLookUps::default(),
    })
}

/// Connects a client to an endpoint of the node. Returns how long the connection lasted, after
/// which nothing of it is in use, and the result of the client, which exists until then.
async fn connect<T>(node: &Node, client: impl AsyncFnOnce(DuplexStream) -> T) -> (Duration, T) {
    let (queues, calls) = Queues::new(Rng::default());
    let endpoint = endpoint(node, queues);
    let systems = Arc::clone(&endpoint.systems);
    let exchange = Box::pin(async {
        let (client_end, server_end) = tokio::io::duplex(BUFFER);
        let (mut open, begun) = (JoinSet::new(), Instant::now());
        let end = |port| SocketAddrV4::new(AT, port);
        let peer = Peer { source: Source::Node, ends: (end(40_000), end(9_814)) };
        endpoint.connected(server_end, peer, &mut open);
        let closed = async {
            let closed = timeout(DEADLINE, open.join_next()).await.expect("it is closed");
            endpoint.closed(closed.unwrap());
            begun.elapsed()
        };
        let ended = tokio::join!(closed, client(client_end));
        let (mut limits, pod) = (endpoint.limits.borrow_mut(), POD.parse().unwrap());
        let free = (0..=REQUESTS_OF_POD).filter(|_| limits.begin(&pod)).count();
        assert_eq!((limits.open(), free), (0, REQUESTS_OF_POD), "all is given back");
        ended
    });
    let sent = Box::pin(calls.send(&systems.cloud));
    let all = async {
        tokio::select! {
            ended = exchange => ended,
            () = sent => unreachable!("the endpoint has its queues"),
        }
    };
    LocalSet::new().run_until(all).await
}

fn request(start: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("authorization: Bearer {TOKEN}\r\ncontent-length: {length}");
    format!("{start} HTTP/1.1\r\n{head}\r\n\r\n{body}")
}

fn attach() -> String {
    request("POST /v1/attach", r#"{"timeoutMs":60000}"#)
}

/// Connects a client that sends this and reads nothing. Returns how long it was connected.
async fn connect_silent(node: &Node, request: &str) -> Duration {
    let silent = async |mut stream: DuplexStream| {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    connect(node, silent).await.0
}

#[tokio::test(start_paused = true)]
async fn f123_a_response_that_is_not_read_is_cut_at_its_deadline() {
    let node = node().await;
    for request in [attach(), request("GET /v1/address", ""), request("GET /", "")] {
        let took = connect_silent(&node, &request).await;
        assert!((RESPONSE_WITHIN..RESPONSE_WITHIN * 2).contains(&took), "{request}: {took:?}");
    }
    let record = node.record().await;
    let state = record.attachment.map(|held| held.state);
    assert_eq!((record.epoch, state), (Epoch(6), Some(State::Attached)), "it ended before");
}

#[tokio::test(start_paused = true)]
async fn f123_a_client_that_leaves_no_room_for_a_line_ends_its_release() {
    let node = node().await;
    set_pod(&node, &json!({ "uid": POD, "deletionTimestamp": "2036-11-20T15:00:30Z" }));
    node.host.use_sockets(ADDRESS, SocketUse { connections: 1, ..SocketUse::default() });
    let release = request("POST /v1/release", r#"{"scope":"connections","graceMs":9000}"#);
    let took = connect_silent(&node, &release).await;
    // It drains for an hour, with a line every two seconds. Buffers take the first ones.
    assert!((Duration::from_mins(1)..Duration::from_mins(10)).contains(&took), "{took:?}");
    assert!(node.holds());
    let held = node.record().await.attachment.unwrap();
    assert_eq!((held.pod.as_str(), held.state), (POD, State::Attached));
}

#[tokio::test(start_paused = true)]
async fn f123_an_attach_ends_with_a_client_that_vanishes_without_reading() {
    let node = node().await;
    // Another process may still assign the address elsewhere, so the attach waits for its call.
    let (mutation, eni) = (Mutation::Assign, "eni-0000000b".parse().unwrap());
    let pending = PendingMutation { mutation, eni, run: "init-2".parse().unwrap() };
    node.write(|record| record.pending_mutations = [pending].into()).await;
    let vanishes = async |mut stream: DuplexStream| {
        stream.write_all(attach().as_bytes()).await.unwrap();
        sleep(Duration::from_millis(300)).await;
    };
    let (took, ()) = connect(&node, vanishes).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let held = node.record().await.attachment.unwrap();
    assert_eq!((held.pod.as_str(), held.state), (POD, State::Attaching), "it was under way");
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f123_a_request_that_arrives_byte_by_byte_is_cut_at_its_deadline() {
    let (node, whole) = (node().await, attach());
    let head = whole.find("\r\n\r\n").unwrap() + 4;
    for (at_once, answer) in [(0, ""), (head, "HTTP/1.1 400 Bad Request\r\n")] {
        let slow = async |stream: DuplexStream| {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let (start, rest) = whole.as_bytes().split_at(at_once);
            let sent = async {
                writer.write_all(start).await.unwrap();
                for byte in rest {
                    sleep(Duration::from_secs(1)).await;
                    if writer.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            };
            let mut response = String::new();
            let (read, ()) = tokio::join!(reader.read_to_string(&mut response), sent);
            read.unwrap();
            response
        };
        let (took, response) = connect(&node, slow).await;
        assert_eq!(took.as_secs(), REQUEST_WITHIN.as_secs(), "{answer}: {took:?}");
        assert!(response.starts_with(answer), "{response}");
        assert_eq!(response.is_empty(), answer.is_empty(), "{response}");
    }
    assert_eq!(node.record().await.epoch, Epoch(5), "nothing was attached");
}

#[tokio::test(start_paused = true)]
async fn f155_address_of_the_endpoint_is_restored_and_lasting_failures_are_reported() {
    let node = node().await;
    let endpoint = endpoint(&node, Queues::new(Rng::default()).0);
    let at = SocketAddrV4::new(Ipv4Addr::new(169, 254, 196, 96), 9_814);
    let is_there = || node.host.addresses().contains_key(at.ip());
    let reported = || endpoint.shared_status.take_endpoint();
    let others = async {
        for _ in 0..2 {
            let took = until("the address is there", is_there).await;
            assert!(took <= LINK_PAUSE + Duration::from_secs(1), "{took:?}");
            node.host.strip(*at.ip());
        }
        let links = node.host.kernel().links;
        node.host.change(|kernel| kernel.links.clear());
        let begun = Instant::now();
        until("the failure is reported", || reported().is_some_and(|it| it.is_err())).await;
        assert!(begun.elapsed() > LINK_PAUSE * 2, "one failure may be a busy kernel's");
        node.host.change(|kernel| kernel.links = links);
        until("it listens again", || reported() == Some(Ok(true))).await;
    };
    tokio::select! {
        () = endpoint.keep_link(at) => unreachable!("it never ends"),
        () = others => {}
    }
    assert!(is_there());
}
