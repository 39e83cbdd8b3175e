//! Every way in which a request to EC2 can end: its class, its effect, exactly one request, and
//! an end in time.

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::failure::CloudKind::{Auth, HeldElsewhere, Throttled, Transient, Unknown};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::outside::Cloud;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::server::{Reply, Server};
use crate::setup::{
    ADDRESS, Ask, ENI, NOWHERE, PATIENT, SHORT, SOON, ask, ask_within, config, ec2, eni,
};

const WRITES: [Ask; 2] = [Ask::Assign, Ask::Unassign];
const ALL: [Ask; 3] = [Ask::Owner, Ask::Assign, Ask::Unassign];

/// The failure of one call, after checking that it took one request and not for ever.
async fn failure(which: Ask, reply: Reply) -> CloudFailure {
    let within = if matches!(reply, Reply::Silence(_)) { SHORT } else { PATIENT };
    let server = Server::always(reply).await;
    let config = CloudConfig { describe_within: within, ..config(&server.url, NOWHERE) };
    let cloud = AwsCloud::connect(config).unwrap();
    let started = Instant::now();
    let failure = ask_within(&cloud, which, within).await.unwrap_err();
    assert!(started.elapsed() < SOON, "{which:?} took {:?}", started.elapsed());
    assert_eq!(server.requests().len(), 1, "{which:?} was sent more than once");
    assert_eq!(server.connections(), 1, "{which:?} connected more than once");
    failure
}

/// Checks all calls; a read has no effect whatever happened to it.
async fn all(reply: Reply, kind: CloudKind, effect: Effect) {
    for which in ALL {
        let failure = failure(which, reply.clone()).await;
        let effect = if which == Ask::Owner { Effect::None } else { effect };
        assert_eq!((failure.kind, failure.effect), (kind, effect), "{which:?}: {failure}");
        assert!(failure.detail.contains(&ADDRESS.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn f045_an_error_of_ec2_names_operation_object_code_message_and_request_id() {
    let text = "[10.0.1.9] assigned, but move is not allowed.";
    let failure = failure(Ask::Assign, Reply::error(400, "InvalidParameterValue", text)).await;
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
async fn a_server_error_may_have_taken_effect_whatever_its_body_is() {
    for status in [500, 502, 503, 504] {
        all(Reply::error(status, "InternalError", "oops"), Transient, Effect::Unknown).await;
        all(Reply::text(status, "<html>oops</html>"), Transient, Effect::Unknown).await;
        all(Reply::text(status, ""), Transient, Effect::Unknown).await;
    }
}

#[tokio::test]
async fn f052_a_success_that_cannot_be_decoded_may_have_taken_effect() {
    for body in ["", "<Other/>", "\u{0}not xml"] {
        let lost = failure(Ask::Assign, Reply::text(200, body)).await;
        assert_eq!((lost.kind, lost.effect), (Transient, Effect::Unknown), "{lost}");
        let unread = failure(Ask::Owner, Reply::text(200, body)).await;
        assert_eq!((unread.kind, unread.effect), (Transient, Effect::None), "{unread}");
    }
}

#[tokio::test]
async fn f052_an_answer_that_is_cut_short_may_have_taken_effect() {
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
async fn f051_silence_after_the_headers_ends_in_time_with_an_unknown_effect() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n".to_vec();
    all(Reply::Silence(head), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn f051_a_black_hole_ends_in_time_with_an_unknown_effect() {
    all(Reply::Silence(Vec::new()), Transient, Effect::Unknown).await;
}

#[tokio::test]
async fn a_refused_connection_has_no_effect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for which in ALL {
        let failure = ask(&ec2(&url), which).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99000000\r\n\r\n".to_vec();
    let endless = [head, vec![b' '; 17 * 1024 * 1024]].concat();
    let server = Server::always(Reply::Silence(endless)).await;
    let cloud = ec2(&server.url);
    let failure = cloud.assign(&eni(), ADDRESS, true, PATIENT).await.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (Transient, Effect::Unknown), "{failure}");
    assert!(!failure.detail.contains("no answer within"), "{failure}");
}

#[tokio::test]
async fn an_unassign_needs_no_body_to_succeed() {
    let server = Server::always(Reply::text(200, "")).await;
    ask(&ec2(&server.url), Ask::Unassign).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].field("Action").as_deref(), Some("UnassignPrivateIpAddresses"));
    assert_eq!(requests[0].field("NetworkInterfaceId").as_deref(), Some(ENI));
    assert_eq!(requests[0].field("PrivateIpAddress.1").as_deref(), Some("10.0.1.9"));
}

/// A success of Assign with this inside.
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
async fn an_assign_succeeds_whether_or_not_the_answer_lists_the_address() {
    for inside in [String::new(), "<return>true</return>".to_owned(), set("10.0.1.9")] {
        let server = Server::always(assigned(&inside)).await;
        ask(&ec2(&server.url), Ask::Assign).await.unwrap();
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
async fn an_assign_without_force_says_so() {
    let server = Server::always(assigned("")).await;
    ec2(&server.url).assign(&eni(), ADDRESS, false, PATIENT).await.unwrap();
    let field = server.requests()[0].field("AllowReassignment");
    assert_eq!(field.as_deref(), Some("false"));
}

#[tokio::test]
async fn an_assign_whose_answer_names_another_address_or_eni_is_unknown() {
    let other = "<networkInterfaceId>eni-0fedcba9876543210</networkInterfaceId>".to_owned();
    for inside in [set("10.0.1.90"), other] {
        let failure = failure(Ask::Assign, assigned(&inside)).await;
        assert_eq!((failure.kind, failure.effect), (Unknown, Effect::Unknown), "{failure}");
    }
}

#[tokio::test]
async fn f052_a_write_is_given_up_after_what_it_was_given_and_no_earlier() {
    let server = Server::always(Reply::Silence(Vec::new())).await;
    let cloud = ec2(&server.url);
    for which in WRITES {
        let started = Instant::now();
        let failure = ask_within(&cloud, which, SHORT).await.unwrap_err();
        assert!(started.elapsed() >= SHORT, "{which:?} took {:?}", started.elapsed());
        assert!(failure.detail.contains("no answer within"), "{failure}");
    }
}

#[tokio::test]
async fn f052_a_connection_that_closed_while_idle_never_makes_a_write_be_sent_twice() {
    let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::always(Reply::Cut(whole)).await;
    let cloud = ec2(&server.url);
    let mut done = 0;
    for call in 1..=20 {
        match ask(&cloud, Ask::Unassign).await {
            Ok(()) => done += 1,
            Err(lost) => assert_eq!((lost.kind, lost.effect), (Transient, Effect::Unknown)),
        }
        assert!(server.requests().len() <= call, "call {call} was sent twice");
    }
    assert!(done > 0 && server.requests().len() >= done);
}

/// A listener whose queue is full: the kernel drops whoever wants to connect, as a missing VPC
/// endpoint does.
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
async fn f053_an_endpoint_that_cannot_be_reached_is_told_after_the_connect_timeout() {
    let (listener, _open) = full().await;
    let cloud = ec2(&format!("http://{}", listener.local_addr().unwrap()));
    for which in ALL {
        let started = Instant::now();
        let failure = ask(&cloud, which).await.unwrap_err();
        assert!(started.elapsed() < SOON, "{which:?} took {:?}", started.elapsed());
        assert_eq!(failure.kind, Transient, "{failure}");
        assert!(failure.detail.contains("connect"), "{failure}");
    }
}
