//! The endpoint for pods: real sockets, the real client, the real Kubernetes client.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::contract::exit::Exit;
use firecamp_core::ids::Epoch;
use firecamp_core::record::State;
use firecamp_run::endpoint::EndpointClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::asking::{TOKEN, WITHIN, asking, asking_with, raw, served};
use super::harness::{ADDRESS, NODE, Node, OTHER_POD, POD, SimEnvironment};
use super::look_ahead::released_elsewhere;
use crate::endpoint::Endpoint;
use crate::publish::SharedStatus;
use crate::status::Status;

#[tokio::test]
async fn a_pod_with_a_token_attaches_its_address_and_reads_it() {
    asking(async |asking| {
        let report = asking.attach(TOKEN).await;
        assert_eq!((report.exit, report.address), (Exit::Success, Some(ADDRESS)), "{report:?}");
        let again = asking.attach(TOKEN).await;
        assert_eq!(again.path, Some("same-node"), "{again:?}");
        let epochs = (report.epoch, again.epoch);
        assert_eq!(epochs, (Some(Epoch(6)), Some(Epoch(7))), "every attach takes a new epoch");
        let record = asking.node.record().await;
        let held = record.attachment.unwrap();
        assert_eq!((held.pod.as_str(), held.state), (POD, State::Attached));
        let shown = asking.get(TOKEN).await;
        assert_eq!(shown["address"], ADDRESS.to_string());
        assert_eq!(shown["epoch"], 7);
        let line = r#"firecamp_agent_endpoint_requests_total{request="attach",reason="Success"}"#;
        assert_eq!(asking.metric(line), 2);
    })
    .await;
}

/// The init container of a pod's new sandbox may start while that of the one before still runs.
#[tokio::test]
async fn f005_of_two_inits_of_one_pod_at_once_the_later_one_attaches_the_address() {
    asking(async |asking| {
        released_elsewhere(&asking).await;
        let node = asking.node;
        let last = node.record().await.epoch.next().next();
        // Neither can end before both have an epoch.
        node.cloud.account().faults.assigns_hang = true;
        let both_have_an_epoch = async {
            while node.record().await.epoch < last {
                sleep(Duration::from_millis(10)).await;
            }
            node.cloud.account().faults.assigns_hang = false;
        };
        let attach = || Box::pin(asking.attach(TOKEN));
        let begun = Box::pin(timeout(WITHIN, both_have_an_epoch));
        let (one, two, begun) = tokio::join!(attach(), attach(), begun);
        begun.expect("each attach takes an epoch");
        let mut reports = [one, two];
        reports.sort_by_key(|report| report.exit.code());
        let exits = reports.each_ref().map(|report| report.exit);
        assert_eq!(exits, [Exit::Success, Exit::Superseded], "{reports:?}");
        let record = node.record().await;
        assert_eq!((record.epoch, reports[0].epoch), (last, Some(last)));
        let held = record.attachment.unwrap();
        assert_eq!((held.pod.as_str(), held.state), (POD, State::Attached));
        assert!(node.holds());
        let sent = node.cloud.mutations();
        assert!((1..=2).contains(&sent), "{sent} Assigns in two epochs");
    })
    .await;
}

/// Which interfaces members may get is not known before.
#[tokio::test]
async fn f057_an_agent_that_does_not_know_its_node_yet_lets_the_pod_ask_again() {
    let shared = SharedStatus::default();
    asking_with(false, shared.clone(), async |asking| {
        let early = timeout(Duration::from_millis(500), asking.attach(TOKEN)).await;
        assert_eq!(asking.node.record().await.epoch, Epoch(5), "nothing has begun");
        assert!(early.is_err(), "it asks again until it gives up: {early:?}");
        shared.set_node_read();
        let report = asking.attach(TOKEN).await;
        assert_eq!((report.exit, report.address), (Exit::Success, Some(ADDRESS)), "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn an_attach_writes_an_event_in_the_name_of_the_init_container() {
    asking(async |asking| {
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
        let event = asking.event("AddressAttached").await;
        assert_eq!(event["reportingController"], "firecamp.io/initcontainer");
        assert_eq!(event["regarding"]["uid"], POD);
    })
    .await;
}

#[tokio::test]
async fn a_terminating_pod_releases_its_address_and_a_running_one_does_not() {
    asking(async |asking| {
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
        let report = asking.release(TOKEN).await;
        assert_eq!((report.exit, report.path), (Exit::Success, Some("not-ending")), "{report:?}");
        asking.end_pod();
        let report = asking.release(TOKEN).await;
        assert_eq!((report.exit, report.path), (Exit::Success, Some("parked")), "{report:?}");
        assert!(!asking.node.holds());
        assert_eq!(asking.get(TOKEN).await["address"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn f142_a_stop_container_of_a_dead_sandbox_does_not_release_what_its_pod_attached_since() {
    asking(async |asking| {
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
        let before = asking.client(TOKEN).epoch().await.unwrap();
        assert_eq!(before, Some(6));
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success, "in the pod's next sandbox");
        asking.end_pod();
        let late = asking.release_of(TOKEN, before).await;
        assert_eq!((late.exit, late.path), (Exit::Success, Some("not-holder")), "{late:?}");
        assert!(asking.node.holds());
        let own = asking.release_of(TOKEN, Some(7)).await;
        assert_eq!((own.exit, own.path), (Exit::Success, Some("parked")), "{own:?}");
    })
    .await;
}

#[tokio::test]
async fn f122_nothing_but_a_valid_token_of_a_pod_of_this_node_is_served() {
    asking(async |asking| {
        let issue = |token, audience, uid, node| {
            asking.node.server.issue_token(token, audience, ("prod", "redis-0", uid), node);
        };
        issue("another-audience", "https://kubernetes.default.svc", POD, NODE);
        issue("another-node", "firecamp.io", POD, "node-2");
        issue("another-pod", "firecamp.io", OTHER_POD, NODE);
        let before = asking.node.record().await;
        for (token, exit, why) in [
            ("never-issued", Exit::TokenRefused, "invalid bearer token"),
            ("another-audience", Exit::TokenRefused, "invalid bearer token"),
            ("another-node", Exit::TokenRefused, "is on node-2"),
            ("another-pod", Exit::Superseded, "is gone"),
        ] {
            let report = asking.attach(token).await;
            assert_eq!(report.exit, exit, "{token}: {report:?}");
            assert!(report.message.contains(why), "{token}: {report:?}");
        }
        let missing = EndpointClient { token_file: "/nonexistent".into(), ..asking.client(TOKEN) };
        let report = missing.attach(WITHIN).await;
        assert_eq!(report.exit, Exit::TokenRefused);
        assert!(report.message.contains("/nonexistent"), "{report:?}");
        assert_eq!(asking.node.record().await, before);
    })
    .await;
}

/// The client asks again until the API server reviews its token.
#[tokio::test]
async fn f122_a_token_that_could_not_be_reviewed_is_not_refused_for_good() {
    asking(async |asking| {
        let server = &asking.node.server;
        for fault in [
            Fault::Silence,
            Fault::LostAnswer,
            Fault::Code(429, "TooManyRequests"),
            Fault::Code(503, "ServiceUnavailable"),
        ] {
            server.fail_next("POST", "tokenreviews", fault);
            let report = asking.attach(TOKEN).await;
            assert_eq!(report.exit, Exit::Success, "{fault:?}: {report:?}");
        }
        // Not the member's fault: the agent may not review tokens.
        server.fail_next("POST", "tokenreviews", Fault::Code(403, "Forbidden"));
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::RegistryRefused, "{report:?}");
        assert!(report.message.contains("deploy/rbac"), "{report:?}");
        assert_eq!(server.unmet_faults(), 0);
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
    })
    .await;
}

#[tokio::test]
async fn f122_a_token_of_a_replaced_pod_neither_reads_nor_releases_its_successors_address() {
    asking(async |asking| {
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
        let old = ("prod", "redis-0", OTHER_POD);
        asking.node.server.issue_token("old", "firecamp.io", old, NODE);
        assert_eq!(asking.get("old").await["address"], Value::Null);
        let report = asking.release("old").await;
        assert_eq!((report.exit, report.path), (Exit::Success, Some("not-holder")), "{report:?}");
        assert!(asking.node.holds());
    })
    .await;
}

#[tokio::test]
async fn f151_a_new_member_needs_a_pool_that_allows_its_namespace() {
    asking(async |asking| {
        let server = &asking.node.server;
        let metadata = json!({ "uid": OTHER_POD, "labels": { "firecamp.io/pool": "a" } });
        let spec = json!({ "nodeName": NODE, "hostNetwork": true });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Running" } });
        server.set_pod("prod", "redis-1", pod);
        server.issue_token("new", "firecamp.io", ("prod", "redis-1", OTHER_POD), NODE);
        let allow = |value: Value| {
            let set = |pool: &mut Value| pool["spec"]["allowedNamespaces"] = value;
            assert!(server.change("staticippools", None, "a", set));
        };
        let labels = json!({ "team": "data" });
        server.set("namespaces", (None, "prod"), json!({ "metadata": { "labels": labels } }));
        let other = json!({ "from": "Selector", "selector": { "matchLabels": { "team": "web" } } });
        for value in [Value::Null, other] {
            if !value.is_null() {
                allow(value);
            }
            let report = asking.attach("new").await;
            assert_eq!(report.exit, Exit::NamespaceNotAllowed, "{report:?}");
            assert!(report.message.contains("pool a does not allow namespace prod"), "{report:?}");
        }
        assert_eq!(server.all("staticipclaims").len(), 1, "no claim was created");
        let event = asking.event("AddressAttachFailed").await;
        assert_eq!(event["regarding"]["uid"], OTHER_POD);
        let note = event["note"].as_str().unwrap();
        assert!(note.starts_with("NamespaceNotAllowed (27): pool a does not allow"), "{note}");
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success, "who has an address keeps it");
        // A person's claim that names the address of another member.
        let copy = server.object("staticipclaims", Some("prod"), "redis-0").unwrap();
        server.set("staticipclaims", (Some("prod"), "redis-1"), copy);
        assert_eq!(asking.attach("new").await.exit, Exit::NamespaceNotAllowed);
        assert!(server.remove("staticipclaims", Some("prod"), "redis-1"));
        let own = json!({ "from": "Selector", "selector": { "matchLabels": { "team": "data" } } });
        allow(own);
        let report = asking.attach("new").await;
        assert_ne!(report.exit, Exit::NamespaceNotAllowed, "{report:?}");
        assert_eq!(server.all("staticipclaims").len(), 2, "{report:?}");
    })
    .await;
}

#[tokio::test]
async fn a_failed_attach_ends_with_the_reason_of_direct_mode() {
    asking(async |asking| {
        asking.node.hand_to("node-2", OTHER_POD, 9).await;
        asking.node.moves_away(ADDRESS);
        asking.node.other_is_foreign();
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::AddressUnavailable, "{report:?}");
        assert!(report.message.contains("eni-0000000b"), "{report:?}");
        assert_eq!(report.address, Some(ADDRESS));
    })
    .await;
}

#[tokio::test]
async fn f121_a_client_waits_for_an_agent_that_is_not_there_yet_and_then_names_what_may_block_it() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = closed.local_addr().unwrap();
    drop(closed);
    let begun = Instant::now();
    let client = EndpointClient { endpoint, token_file, node: Some(NODE.parse().unwrap()) };
    let report = client.attach(Duration::from_secs(1)).await;
    assert_eq!(report.exit, Exit::AgentUnavailable, "{report:?}");
    assert!(begun.elapsed() >= Duration::from_millis(300), "it tried again");
    assert!(report.message.starts_with(&format!("the agent of node {NODE} did")), "{report:?}");
    for text in ["NetworkPolicy", "service mesh", "Connection refused"] {
        assert!(report.message.contains(text), "{report:?}");
    }
}

#[tokio::test]
async fn f123_garbage_and_stalled_clients_are_answered_or_closed_and_disturb_nobody() {
    asking(async |asking| {
        let long = "x".repeat(20_000);
        let token = format!("authorization: Bearer {TOKEN}\r\n");
        let post = |head: &str, body: &str| {
            format!("POST /v1/attach HTTP/1.1\r\nhost: a\r\n{head}\r\n{body}")
        };
        for (request, code) in [
            ("\0\0\0\r\n\r\n".to_owned(), "400"),
            (post("", ""), "401"),
            (post(&format!("authorization: Bearer {}\r\n", "y".repeat(9_000)), ""), "401"),
            (post(&token, ""), "400"),
            (post(&format!("{token}content-length: 9\r\n"), "{\"a\": [1]"), "400"),
            (post(&format!("{token}content-length: 20000\r\n"), &long), "400"),
            (post(&format!("x: {long}\r\n"), ""), "431"),
            (format!("GET / HTTP/1.1\r\nhost: a\r\n{token}\r\n"), "404"),
            (format!("DELETE /v1/attach HTTP/1.1\r\nhost: a\r\n{token}\r\n"), "404"),
        ] {
            let response = raw(asking.at, request.clone().into_bytes()).await;
            let start = format!("HTTP/1.1 {code}");
            assert!(response.starts_with(&start), "{code}: {request:.60} -> {response:.200}");
        }
        let mut stalled = Vec::new();
        for _ in 0..100 {
            let mut stream = TcpStream::connect(asking.at).await.unwrap();
            stream.write_all(b"POST /v1/attach HTTP/1.1\r\n").await.unwrap();
            stalled.push(stream);
        }
        assert_eq!(asking.attach(TOKEN).await.exit, Exit::Success);
        let closed = async {
            for stream in &mut stalled {
                stream.read_to_end(&mut Vec::new()).await.ok();
            }
        };
        timeout(WITHIN, closed).await.expect("the endpoint closes connections without a request");
    })
    .await;
}

#[tokio::test]
async fn f123_a_flood_of_wrong_tokens_does_not_reach_the_api_server() {
    asking(async |asking| {
        let client = asking.client("wrong");
        let one = client.attach(Duration::from_millis(50));
        assert_eq!(one.await.exit, Exit::TokenRefused);
        let body = "POST /v1/attach HTTP/1.1\r\nhost: a\r\nauthorization: Bearer wrong\r\n\
                    content-length: 16\r\n\r\n{\"timeoutMs\":10}";
        let mut flood = JoinSet::new();
        for _ in 0..120 {
            flood.spawn_local(raw(asking.at, body.as_bytes().to_vec()));
        }
        let answers = flood.join_all().await;
        let busy = answers.iter().filter(|text| text.starts_with("HTTP/1.1 429")).count();
        assert!(busy > 0, "requests beyond the limit are refused");
        let reviews = asking.node.server.requests();
        let reviews = reviews.iter().filter(|line| line.contains("tokenreviews")).count();
        assert_eq!(reviews + busy, 121);
    })
    .await;
}

#[tokio::test]
async fn f121_a_client_that_goes_away_ends_its_attach() {
    asking(async |asking| {
        // The record is of another node, so that the attach has to wait for its calls.
        asking.node.hand_to("node-2", OTHER_POD, 9).await;
        let client = Rc::new(asking.client(TOKEN));
        let asked = timeout(Duration::from_millis(300), client.attach(WITHIN)).await;
        assert!(asked.is_err(), "it waits for the barrier: {asked:?}");
        let closed = async {
            while asking.metric("firecamp_agent_endpoint_connections") > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(2), closed).await.expect("the run ends with its connection");
        let report = asking.attach(TOKEN).await;
        assert_eq!(report.exit, Exit::Success, "another attach takes over: {report:?}");
    })
    .await;
}

/// Another program has the port on all addresses, and then leaves it.
#[tokio::test]
async fn an_endpoint_that_cannot_listen_says_why_until_it_can() {
    let (node, status) = (Box::pin(Node::new()).await, Status::default());
    let (shared, end) = (SharedStatus::default(), CancellationToken::new());
    let other = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, other.local_addr().unwrap().port());
    let (metrics, set, served) = (status.endpoint.clone(), shared.clone(), served(false));
    let (systems, bound) = (node.systems(&status), mpsc::channel(1).1);
    let serve = Endpoint::<SimEnvironment>::serve(at, served, systems, metrics, set, bound, &end);
    let said = async || {
        let said = async {
            loop {
                if let Some(listens) = shared.take_endpoint() {
                    return listens;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(WITHIN, said).await.unwrap()
    };
    let body = async {
        let why = said().await.unwrap_err();
        assert!(why.starts_with(&format!("the agent does not listen at {at}: ")), "{why}");
        drop(other);
        assert_eq!(said().await, Ok(true));
        end.cancel();
    };
    let both = async { tokio::join!(Box::pin(serve), Box::pin(body)) };
    LocalSet::new().run_until(both).await;
}
