//! Requests to CloudWatch Logs as a client signs them.

use super::*;
use crate::auth::tests::signed_for;
use crate::profile::Profile;
use crate::spec::Spec;
use crate::wire::Answer;
use serde_json::json;

const EPOCH: Duration = Duration::from_secs(1_790_000_000);
const NOW: u64 = 1_790_000_000_000;

fn simulator() -> Simulator {
    let spec = Spec::from_toml(
        "[vpc]\ncidr = \"10.0.0.0/16\"\n\
         [[subnets]]\nname = \"a\"\ncidr = \"10.0.1.0/24\"\nzone = \"us-east-1a\"\n\
         [[nodes]]\nname = \"node-1\"\nsubnet = \"a\"\ninstance_type = \"m5.large\"\n",
    );
    Simulator::new(&spec.unwrap(), Profile::fast(), 7, EPOCH).unwrap()
}

/// The status and the body of an answer, a second after the last one.
fn ask(simulator: &mut Simulator, action: &str, body: &Value) -> (u16, Value) {
    let now = simulator.now + Duration::from_secs(1);
    ask_at(simulator, now, action, body)
}

fn ask_at(simulator: &mut Simulator, now: Duration, action: &str, body: &Value) -> (u16, Value) {
    let credentials = simulator.credentials("node-1").unwrap();
    let request = request(action, body);
    let request = signed_for(("us-east-1", "logs"), request, &credentials, EPOCH + now);
    send(simulator, now, &request)
}

fn request(action: &str, body: &Value) -> WireRequest {
    WireRequest::new("POST", "/")
        .with_header("x-amz-target", &format!("{TARGET}{action}"))
        .with_body(body.to_string())
}

fn send(simulator: &mut Simulator, now: Duration, request: &WireRequest) -> (u16, Value) {
    let exchange = simulator.logs(now, None, request);
    let answer = simulator.answer(exchange.respond_at.unwrap(), exchange.call).unwrap();
    let Answer::Respond(response) = answer else { panic!("{answer:?}") };
    let body = serde_json::from_slice(&response.body).unwrap_or_default();
    (response.status, body)
}

fn kind(answer: (u16, Value)) -> String {
    let (status, body) = answer;
    assert_eq!(status, 400, "{body}");
    body["__type"].as_str().unwrap().to_owned()
}

/// A simulator with the stream `s` in the group `g`.
fn with_stream() -> Simulator {
    let mut simulator = simulator();
    assert_eq!(ask(&mut simulator, "CreateLogGroup", &json!({ "logGroupName": "g" })).0, 200);
    let stream = json!({ "logGroupName": "g", "logStreamName": "s" });
    assert_eq!(ask(&mut simulator, "CreateLogStream", &stream).0, 200);
    simulator
}

fn put(simulator: &mut Simulator, events: &[(u64, &str)]) -> (u16, Value) {
    let events: Vec<Value> = events
        .iter()
        .map(|(timestamp, message)| json!({ "timestamp": timestamp, "message": message }))
        .collect();
    let body = json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events });
    ask(simulator, "PutLogEvents", &body)
}

fn messages_of(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|it| it["message"].as_str().unwrap()).collect()
}

#[test]
fn a_stream_needs_its_group_and_an_event_its_stream() {
    let mut simulator = simulator();
    let stream = json!({ "logGroupName": "g", "logStreamName": "s" });
    let missing = "ResourceNotFoundException";
    assert_eq!(kind(ask(&mut simulator, "CreateLogStream", &stream)), missing);
    assert_eq!(ask(&mut simulator, "CreateLogGroup", &json!({ "logGroupName": "g" })).0, 200);
    assert_eq!(kind(put(&mut simulator, &[(NOW, "a")])), missing);
    assert_eq!(ask(&mut simulator, "CreateLogStream", &stream).0, 200);
    let again = "ResourceAlreadyExistsException";
    assert_eq!(kind(ask(&mut simulator, "CreateLogStream", &stream)), again);
    assert_eq!(put(&mut simulator, &[(NOW, "a")]).0, 200);
    assert_eq!(ask(&mut simulator, "DeleteLogGroup", &json!({ "logGroupName": "g" })).0, 200);
    assert_eq!(kind(put(&mut simulator, &[(NOW, "a")])), missing);
}

#[test]
fn events_are_read_in_the_order_of_their_times_page_by_page() {
    let mut simulator = with_stream();
    assert_eq!(put(&mut simulator, &[(NOW + 2, "c"), (NOW + 3, "d")]).0, 200);
    assert_eq!(put(&mut simulator, &[(NOW, "a"), (NOW + 1, "b")]).0, 200);
    let mut get = json!({
        "logGroupName": "g", "logStreamName": "s", "startFromHead": true, "limit": 3,
    });
    let (_, first) = ask(&mut simulator, "GetLogEvents", &get);
    assert_eq!(messages_of(&first), ["a", "b", "c"]);
    get["nextToken"] = first["nextForwardToken"].clone();
    let (_, second) = ask(&mut simulator, "GetLogEvents", &get);
    assert_eq!(messages_of(&second), ["d"]);
    get["nextToken"] = second["nextForwardToken"].clone();
    let (_, end) = ask(&mut simulator, "GetLogEvents", &get);
    assert_eq!(end["nextForwardToken"], get["nextToken"], "the end has its own token");
    let latest = json!({ "logGroupName": "g", "logStreamName": "s", "limit": 1 });
    let (_, latest) = ask(&mut simulator, "GetLogEvents", &latest);
    assert_eq!(messages_of(&latest), ["d"]);
}

#[test]
fn a_batch_out_of_order_too_long_or_too_large_is_refused_whole() {
    let mut simulator = with_stream();
    let day = 86_400_000;
    let half = "x".repeat(600_000);
    let many = vec![(NOW, "a"); 10_001];
    let bad: [&[(u64, &str)]; 6] = [
        &[],
        &[(NOW, "")],
        &[(NOW + 1, "b"), (NOW, "a")],
        &[(NOW - day - 1, "a"), (NOW, "b")],
        &[(NOW, &half), (NOW, &half)],
        &many,
    ];
    for batch in bad {
        assert_eq!(kind(put(&mut simulator, batch)), "InvalidParameterException");
    }
    let get = json!({ "logGroupName": "g", "logStreamName": "s" });
    assert!(messages_of(&ask(&mut simulator, "GetLogEvents", &get).1).is_empty());
}

#[test]
fn events_too_old_or_from_the_future_are_rejected_alone() {
    let mut simulator = with_stream();
    let days = |days: u64| days * 86_400_000;
    let (_, new) = put(&mut simulator, &[(NOW, "a"), (NOW + days(1), "tomorrow")]);
    assert_eq!(new["rejectedLogEventsInfo"], json!({ "tooNewLogEventStartIndex": 1 }));
    let (_, old) = put(&mut simulator, &[(NOW - days(15), "old")]);
    assert_eq!(old["rejectedLogEventsInfo"], json!({ "tooOldLogEventEndIndex": 1 }));
    let short = json!({ "logGroupName": "g", "retentionInDays": 3 });
    assert_eq!(ask(&mut simulator, "PutRetentionPolicy", &short).0, 200);
    let (_, old) = put(&mut simulator, &[(NOW - days(4), "old")]);
    assert_eq!(old["rejectedLogEventsInfo"], json!({ "tooOldLogEventEndIndex": 1 }));
    let get = json!({ "logGroupName": "g", "logStreamName": "s" });
    assert_eq!(messages_of(&ask(&mut simulator, "GetLogEvents", &get).1), ["a"]);
}

#[test]
fn groups_and_streams_are_listed_by_prefix_and_page() {
    let mut simulator = with_stream();
    for number in 0..3 {
        let stream = json!({ "logGroupName": "g", "logStreamName": format!("redis-{number}/a") });
        assert_eq!(ask(&mut simulator, "CreateLogStream", &stream).0, 200);
    }
    let mut list = json!({ "logGroupName": "g", "logStreamNamePrefix": "redis-", "limit": 2 });
    let (_, first) = ask(&mut simulator, "DescribeLogStreams", &list);
    assert_eq!(first["logStreams"].as_array().unwrap().len(), 2);
    list["nextToken"] = first["nextToken"].clone();
    let (_, second) = ask(&mut simulator, "DescribeLogStreams", &list);
    assert_eq!(second["logStreams"][0]["logStreamName"], "redis-2/a");
    assert!(second.get("nextToken").is_none(), "{second}");
    let bad = json!({ "logGroupName": "g", "retentionInDays": 121 });
    assert_eq!(kind(ask(&mut simulator, "PutRetentionPolicy", &bad)), "InvalidParameterException");
    let good = json!({ "logGroupName": "g", "retentionInDays": 120 });
    assert_eq!(ask(&mut simulator, "PutRetentionPolicy", &good).0, 200);
    let (_, groups) = ask(&mut simulator, "DescribeLogGroups", &json!({}));
    assert_eq!(groups["logGroups"][0]["retentionInDays"], 120);
}

#[test]
fn names_and_fields_that_the_service_refuses_are_refused() {
    let mut simulator = with_stream();
    let (group, stream) = ("InvalidParameterException", json!("a:b"));
    for bad in [json!({ "logGroupName": "a b" }), json!({ "logGroupName": "" }), json!({})] {
        assert_eq!(kind(ask(&mut simulator, "CreateLogGroup", &bad)), group);
    }
    let bad = json!({ "logGroupName": "g", "logStreamName": stream });
    assert_eq!(kind(ask(&mut simulator, "CreateLogStream", &bad)), group);
    assert_eq!(
        kind(ask(&mut simulator, "FilterLogEvents", &json!({}))),
        "UnknownOperationException"
    );
}

#[test]
fn a_throttle_storm_and_a_denial_concern_this_service_as_well() {
    let mut simulator = with_stream();
    for (fault, action, code) in [
        ("throttle_storm", "PutLogEvents", "ThrottlingException"),
        ("iam_deny", "DeleteLogGroup", "AccessDeniedException"),
    ] {
        let fault = json!({ "fault": { "kind": fault }, "when": { "op": action } });
        simulator.fault_set(simulator.now, serde_json::from_value(fault).unwrap()).unwrap();
        assert_eq!(kind(ask(&mut simulator, action, &json!({ "logGroupName": "g" }))), code);
    }
    let (_, groups) = ask(&mut simulator, "DescribeLogGroups", &json!({}));
    assert_eq!(groups["logGroups"][0]["logGroupName"], "g", "a denied request changes nothing");
}

#[test]
fn a_request_without_a_signature_or_with_an_unknown_key_is_refused() {
    let mut simulator = simulator();
    let body = json!({ "logGroupName": "g" });
    let now = simulator.now;
    let unsigned = send(&mut simulator, now, &request("CreateLogGroup", &body));
    assert_eq!(kind(unsigned), "MissingAuthenticationTokenException");
    let mut with = simulator.credentials("node-1").unwrap();
    with.access_key = "ASIA0000000000000000".to_owned();
    let asked = request("CreateLogGroup", &body);
    let asked = signed_for(("us-east-1", "logs"), asked, &with, EPOCH + now);
    assert_eq!(kind(send(&mut simulator, now, &asked)), "UnrecognizedClientException");
    let (_, groups) = ask(&mut simulator, "DescribeLogGroups", &json!({}));
    assert_eq!(groups["logGroups"], json!([]));
}

#[test]
fn each_action_of_the_account_has_a_rate_of_its_own() {
    let mut simulator = with_stream();
    let now = simulator.now + Duration::from_mins(1);
    let list = json!({});
    for _ in 0..10 {
        assert_eq!(ask_at(&mut simulator, now, "DescribeLogGroups", &list).0, 200);
    }
    let over = ask_at(&mut simulator, now, "DescribeLogGroups", &list);
    assert_eq!(kind(over), "ThrottlingException");
    let retention = json!({ "logGroupName": "g", "retentionInDays": 3 });
    assert_eq!(ask_at(&mut simulator, now, "PutRetentionPolicy", &retention).0, 200);
    assert_eq!(ask(&mut simulator, "DescribeLogGroups", &list).0, 200, "a second later");
}

#[test]
fn a_denial_names_the_action_and_the_group() {
    let mut simulator = with_stream();
    let deny = r#"{"fault": {"kind": "iam_deny"}, "when": {"op": "DeleteLogGroup"}}"#;
    simulator.fault_set(simulator.now, serde_json::from_str(deny).unwrap()).unwrap();
    let group = json!({ "logGroupName": "g" });
    let (status, body) = ask(&mut simulator, "DeleteLogGroup", &group);
    assert_eq!((status, &body["__type"]), (400, &json!("AccessDeniedException")));
    let message = body["message"].as_str().unwrap();
    for part in ["logs:DeleteLogGroup", "arn:aws:logs:us-east-1:123456789012:log-group:g"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(put(&mut simulator, &[(NOW, "a")]).0, 200, "the group is still there");
}
