//! Every outcome of an EC2 request: its class and effect, exactly one request, and a result before
//! the deadline.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::failure::CloudKind::{Auth, HeldElsewhere, Throttled, Transient, Unknown};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ports::Cloud;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::server::{Reply, Server};
use crate::setup::{
    ADDRESS, ATTACHMENT, ENI, Ec2Call, NOWHERE, PATIENT, SHORT, SOON, call, call_with_deadline,
    config, ec2, eni,
};

const WRITES: [Ec2Call; 6] = [
    Ec2Call::Assign,
    Ec2Call::Unassign,
    Ec2Call::Create,
    Ec2Call::Attach,
    Ec2Call::Detach,
    Ec2Call::Delete,
];
const READS: [Ec2Call; 3] = [Ec2Call::Owner, Ec2Call::Describe, Ec2Call::Instance];

fn all_calls() -> impl Iterator<Item = Ec2Call> {
    READS.into_iter().chain(WRITES)
}

/// The failure of one call, after checking that it took one request and ended in time.
async fn failure(which: Ec2Call, reply: Reply) -> CloudFailure {
    let within = if matches!(reply, Reply::Silence(_)) { SHORT } else { PATIENT };
    let server = Server::always(reply).await;
    let config = CloudConfig { answer_within: within, ..config(&server.url, NOWHERE) };
    let cloud = AwsCloud::connect(config).unwrap();
    let started = Instant::now();
    let failure = call_with_deadline(&cloud, which, within).await.unwrap_err();
    assert!(started.elapsed() < SOON, "{which:?} took {:?}", started.elapsed());
    assert_eq!(server.requests().len(), 1, "{which:?} was sent more than once");
    assert_eq!(server.connections(), 1, "{which:?} connected more than once");
    failure
}

/// Checks all calls; a read never has an effect.
async fn all(reply: Reply, kind: CloudKind, effect: Effect) {
    for which in all_calls() {
        let failure = failure(which, reply.clone()).await;
        let effect = if which.is_read() { Effect::None } else { effect };
        assert_eq!((failure.kind, failure.effect), (kind, effect), "{which:?}: {failure}");
        assert!(failure.detail.contains(&which.object()), "{failure}");
    }
}

#[tokio::test]
async fn f045_an_ec2_error_names_operation_object_code_message_and_request_id() {
    let text = "[10.0.1.9] assigned, but move is not allowed.";
    let failure = failure(Ec2Call::Assign, Reply::error(400, "InvalidParameterValue", text)).await;
    assert_eq!((failure.kind, failure.effect), (HeldElsewhere, Effect::None));
    let wanted = [
        "AssignPrivateIpAddresses",
        "10.0.1.9",
        ENI,
        "InvalidParameterValue",
        text,
        "HTTP 400",
        "req-0123",
    ];
    for part in wanted {
        assert!(failure.detail.contains(part), "{part} is missing in: {failure}");
    }
}

#[tokio::test]
async fn an_error_document_is_classified_by_its_code_and_sent_once() {
    all(Reply::error(400, "Throttling", "Rate exceeded"), Throttled, Effect::None).await;
    all(Reply::error(503, "RequestLimitExceeded", "slow"), Throttled, Effect::None).await;
    all(Reply::error(400, "NewCode", "new text"), Unknown, Effect::None).await;
    all(Reply::error(401, "AuthFailure", "no"), Auth, Effect::None).await;
    all(Reply::error(403, "UnauthorizedOperation", "no"), Auth, Effect::None).await;
}

#[tokio::test]
async fn a_refusal_without_a_document_is_classified_by_its_status() {
    all(Reply::text(429, ""), Throttled, Effect::None).await;
    for status in [400, 408] {
        all(Reply::text(status, "<html>no</html>"), Unknown, Effect::None).await;
    }
    all(Reply::text(501, "no"), Unknown, Effect::Unknown).await;
}

#[tokio::test]
async fn a_server_error_may_have_taken_effect_with_any_body() {
    for status in [500, 502, 503, 504] {
        all(Reply::error(status, "InternalError", "oops"), Transient, Effect::Unknown).await;
        all(Reply::text(status, "<html>oops</html>"), Transient, Effect::Unknown).await;
        all(Reply::text(status, ""), Transient, Effect::Unknown).await;
    }
}

#[tokio::test]
async fn f052_an_undecodable_success_may_have_taken_effect() {
    for body in ["", "<Other/>", "\u{0}not xml"] {
        for which in [Ec2Call::Assign, Ec2Call::Create, Ec2Call::Attach] {
            let lost = failure(which, Reply::text(200, body)).await;
            assert_eq!((lost.kind, lost.effect), (Transient, Effect::Unknown), "{lost}");
        }
        for which in READS {
            let unread = failure(which, Reply::text(200, body)).await;
            assert_eq!((unread.kind, unread.effect), (Transient, Effect::None), "{unread}");
        }
    }
}

#[tokio::test]
async fn f052_a_truncated_response_may_have_taken_effect() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<Assign".to_vec();
    all(Reply::Cut(cut), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn f052_a_connection_closed_before_any_header_may_have_taken_effect() {
    all(Reply::Cut(Vec::new()), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn f052_bytes_that_are_not_http_may_have_taken_effect() {
    all(Reply::Cut(b"\xff\xfe\x00 garbage\r\n\r\n".to_vec()), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn f051_silence_after_the_headers_times_out_with_an_unknown_effect() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n".to_vec();
    all(Reply::Silence(head), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn f051_a_call_without_a_response_times_out_with_an_unknown_effect() {
    all(Reply::Silence(Vec::new()), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn a_refused_connection_has_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for which in all_calls() {
        let failure = call(&ec2(&url), which).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
    }
}

#[tokio::test]
async fn an_endless_response_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99000000\r\n\r\n".to_vec();
    let endless = [head, vec![b' '; 17 * 1024 * 1024]].concat();
    let server = Server::always(Reply::Silence(endless)).await;
    let cloud = ec2(&server.url);
    let failure = cloud.assign(&eni(), &[ADDRESS], true, PATIENT).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Transient, Effect::Unknown), "{failure}");
    assert!(!failure.detail.contains("no response within"), "{failure}");
}

#[tokio::test]
async fn a_detach_and_a_delete_succeed_without_a_body() {
    for (which, action, name, id) in [
        (Ec2Call::Detach, "DetachNetworkInterface", "AttachmentId", ATTACHMENT),
        (Ec2Call::Delete, "DeleteNetworkInterface", "NetworkInterfaceId", ENI),
    ] {
        let server = Server::always(Reply::text(200, "")).await;
        call(&ec2(&server.url), which).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].field("Action").as_deref(), Some(action));
        assert_eq!(requests[0].field(name).as_deref(), Some(id));
        assert_eq!(requests[0].field("Force"), None);
    }
}

#[tokio::test]
async fn an_unassign_succeeds_without_a_body() {
    let server = Server::always(Reply::text(200, "")).await;
    call(&ec2(&server.url), Ec2Call::Unassign).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].field("Action").as_deref(), Some("UnassignPrivateIpAddresses"));
    assert_eq!(requests[0].field("NetworkInterfaceId").as_deref(), Some(ENI));
    assert_eq!(requests[0].field("PrivateIpAddress.1").as_deref(), Some("10.0.1.9"));
}

/// A successful Assign response with this content.
fn assigned(inside: &str) -> Reply {
    let xmlns = "http://ec2.amazonaws.com/doc/2016-11-15/";
    Reply::text(
        200,
        &format!(
            r#"<AssignPrivateIpAddressesResponse xmlns="{xmlns}"><requestId>r</requestId>{inside}</AssignPrivateIpAddressesResponse>"#
        ),
    )
}

fn set(address: &str) -> String {
    format!(
        "<assignedPrivateIpAddressesSet><item><privateIpAddress>{address}</privateIpAddress></item></assignedPrivateIpAddressesSet>"
    )
}

#[tokio::test]
async fn an_assign_succeeds_with_or_without_the_address_in_the_response() {
    for inside in [String::new(), "<return>true</return>".to_owned(), set("10.0.1.9")] {
        let server = Server::always(assigned(&inside)).await;
        call(&ec2(&server.url), Ec2Call::Assign).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        let field = |name: &str| requests[0].field(name);
        assert_eq!(field("Action").as_deref(), Some("AssignPrivateIpAddresses"));
        assert_eq!(field("Version").as_deref(), Some("2016-11-15"));
        assert_eq!(field("AllowReassignment").as_deref(), Some("true"));
        assert_eq!(field("PrivateIpAddress.1").as_deref(), Some("10.0.1.9"));
        assert_eq!(field("PrivateIpAddress.2"), None);
    }
}

#[tokio::test]
async fn an_assign_without_force_sets_allow_reassignment_to_false() {
    let server = Server::always(assigned("")).await;
    ec2(&server.url).assign(&eni(), &[ADDRESS], false, PATIENT).await.unwrap();
    let field = server.requests()[0].field("AllowReassignment");
    assert_eq!(field.as_deref(), Some("false"));
}

#[tokio::test]
async fn an_assign_response_that_lacks_one_of_several_addresses_is_unknown() {
    let server = Server::always(assigned(&set("10.0.1.9"))).await;
    let both = [ADDRESS, Ipv4Addr::new(10, 0, 1, 10)];
    let answer = ec2(&server.url).assign(&eni(), &both, true, PATIENT).await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Unknown, Effect::Unknown), "{failure}");
    let field = |name: &str| server.requests()[0].field(name);
    assert_eq!(field("PrivateIpAddress.1").as_deref(), Some("10.0.1.9"));
    assert_eq!(field("PrivateIpAddress.2").as_deref(), Some("10.0.1.10"));
}

#[tokio::test]
async fn an_assign_response_with_another_address_or_eni_is_unknown() {
    let other = "<networkInterfaceId>eni-0fedcba9876543210</networkInterfaceId>".to_owned();
    for inside in [set("10.0.1.90"), other] {
        let failure = failure(Ec2Call::Assign, assigned(&inside)).await;
        assert_eq!((failure.kind, failure.effect), (Unknown, Effect::Unknown), "{failure}");
    }
}

/// Two seconds of each bound are for connecting.
#[tokio::test]
async fn a_read_gets_more_time_after_each_silence_until_ec2_answers_in_usual_time() {
    let silent = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&silent);
    let server = Server::start(move |_| {
        if state.load(Ordering::SeqCst) { Reply::Silence(Vec::new()) } else { Reply::text(200, "") }
    })
    .await;
    let usual = Duration::from_millis(200);
    let config = CloudConfig { answer_within: usual, ..config(&server.url, NOWHERE) };
    let cloud = AwsCloud::connect(config).unwrap();
    let silence = async |bound: &str| {
        let failure = call(&cloud, Ec2Call::Instance).await.unwrap_err();
        assert!(failure.detail.ends_with(&format!("no response within {bound}")), "{failure}");
    };
    for bound in ["2.2s", "2.4s", "2.8s", "2.8s"] {
        silence(bound).await;
    }
    let within = Duration::from_millis(300);
    let write = call_with_deadline(&cloud, Ec2Call::Assign, within).await.unwrap_err();
    assert_eq!(write.effect, Effect::Unknown, "{write}");
    assert!(write.detail.ends_with("ms"), "it gets no more than what authorised it: {write}");
    silent.store(false, Ordering::SeqCst);
    // On a busy machine, some take longer than usual.
    for _ in 0..20 {
        call(&cloud, Ec2Call::Unassign).await.unwrap();
    }
    silent.store(true, Ordering::SeqCst);
    silence("2.2s").await;
}

#[tokio::test]
async fn f052_a_write_times_out_at_its_deadline_and_no_earlier() {
    let server = Server::always(Reply::Silence(Vec::new())).await;
    let cloud = ec2(&server.url);
    for which in WRITES {
        let started = Instant::now();
        let failure = call_with_deadline(&cloud, which, SHORT).await.unwrap_err();
        assert!(started.elapsed() >= SHORT, "{which:?} took {:?}", started.elapsed());
        assert!(failure.detail.contains("no response within"), "{failure}");
    }
}

#[tokio::test]
async fn f052_a_closed_idle_connection_never_causes_a_second_write() {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::always(Reply::Cut(whole)).await;
    let cloud = ec2(&server.url);
    let mut done = 0;
    for attempt in 1..=20 {
        match call(&cloud, Ec2Call::Unassign).await {
            Ok(()) => done += 1,
            Err(lost) => assert_eq!((lost.kind, lost.effect), (Transient, Effect::Unknown)),
        }
        assert!(server.requests().len() <= attempt, "attempt {attempt} was sent twice");
    }
    assert!(done > 0 && server.requests().len() >= done);
}

/// A listener with a full queue: the kernel drops new connections, as a missing VPC endpoint does.
async fn full() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut open = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
        open.push(stream.unwrap());
        assert!(open.len() < 64, "the queue never fills");
    }
    (listener, open)
}

#[tokio::test]
async fn f053_an_unreachable_endpoint_fails_after_the_connect_timeout() {
    let (listener, _open) = full().await;
    let cloud = ec2(&format!("http://{}", listener.local_addr().unwrap()));
    for which in all_calls() {
        let started = Instant::now();
        let failure = call(&cloud, which).await.unwrap_err();
        assert!(started.elapsed() < SOON, "{which:?} took {:?}", started.elapsed());
        assert_eq!(failure.kind, Transient, "{failure}");
        assert!(failure.detail.contains("connect"), "{failure}");
    }
}
