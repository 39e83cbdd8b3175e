//! The wire protocol and throttling: sections 2.0 and 5.

use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::retry::RetryConfig;
use firecamp_vpc::{Fault, Selector, ThrottleForm, WireRequest};

use crate::harness::{Lab, NODE_1, refused};
use crate::verbs::{filter, is, signed};

#[test]
fn the_sdk_is_understood_and_understands() {
    let lab = Lab::new();
    lab.run(lab.assign("node-1", NODE_1, &["10.0.1.200", "10.0.1.201"], true)).unwrap();
    let call = lab.last_call();
    let parameters: Vec<(&str, &str)> =
        call.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        parameters,
        [
            ("AllowReassignment", "true"),
            ("NetworkInterfaceId", NODE_1),
            ("PrivateIpAddress.1", "10.0.1.200"),
            ("PrivateIpAddress.2", "10.0.1.201"),
        ]
    );
    assert_eq!((call.status, call.code, call.delivery), (Some(200), None, "answered"));
}

#[test]
fn answers_are_ec2_xml_with_request_ids_in_two_headers() {
    let lab = Lab::new();
    let body = "Action=DescribeSubnets&Version=2016-11-15".to_owned();
    let response = lab.run(lab.raw_ec2(&signed(&lab, "admin", &body)));
    let id = response.header("x-amzn-requestid").unwrap();
    assert_eq!(response.header("x-amz-request-id"), Some(id));
    let text = String::from_utf8(response.body.clone()).unwrap();
    let start = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeSubnetsResponse \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{id}</requestId>\
         <subnetSet><item><subnetId>"
    );
    assert!(text.starts_with(&start) && text.ends_with("</DescribeSubnetsResponse>"), "{text}");
}

#[test]
fn errors_are_ec2_xml() {
    let lab = Lab::new();
    let body = "Action=NoSuchThing&Version=2016-11-15".to_owned();
    let response = lab.run(lab.raw_ec2(&signed(&lab, "admin", &body)));
    let id = response.header("x-amzn-requestid").unwrap();
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>\
         <Code>InvalidAction</Code><Message>The action NoSuchThing is not valid for this web \
         service.</Message></Error></Errors><RequestID>{id}</RequestID></Response>"
    );
    assert_eq!((response.status, String::from_utf8_lossy(&response.body)), (400, expected.into()));
}

#[test]
fn unknown_actions_versions_parameters_and_requests_are_refused() {
    let lab = Lab::new();
    let code = |body: &str| lab.run(lab.body("admin", body.to_owned())).unwrap_err().code;
    assert_eq!(code("Action=RunInstances&Version=2016-11-15"), "InvalidAction");
    assert_eq!(code("Version=2016-11-15"), "InvalidAction");
    assert_eq!(code("Action=DescribeSubnets&Version=2014-01-01"), "NoSuchVersion");
    assert_eq!(code("Action=DescribeSubnets&Version=2016-11-15&Foo=1"), "UnknownParameter");
    assert_eq!(
        code("Action=DescribeSubnets&Version=2016-11-15&MaxResults=x"),
        "InvalidParameterValue"
    );
    assert_eq!(code("Action=DescribeSubnets&Action=x&Version=2016-11-15"), "MalformedQueryString");
    let get = WireRequest::new("GET", "/?Action=DescribeSubnets&Version=2016-11-15");
    assert_eq!(lab.run(lab.raw_ec2(&get)).status, 400);
}

#[test]
fn too_many_filter_values_are_refused() {
    let lab = Lab::new();
    let values: Vec<String> = (0..201).map(|n| format!("10.0.1.{n}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let call = lab.ec2("admin").describe_network_interfaces();
    let call = call.filters(filter("addresses.private-ip-address", &values));
    assert_eq!(refused(&lab.run(call.send()).unwrap_err()).code, "FilterLimitExceeded");
}

#[test]
fn an_unknown_key_is_an_auth_failure_and_a_wrong_secret_does_not_match() {
    let lab = Lab::new();
    let call = |own: Credentials| {
        let ec2 = lab.ec2_as(own, RetryConfig::disabled());
        refused(&lab.run(ec2.describe_subnets().send()).unwrap_err())
    };
    let unknown = call(Credentials::new("AKIA0000000000000000", "x", None, None, "test"));
    assert_eq!((unknown.status, unknown.code.as_str()), (401, "AuthFailure"));
    let text = "AWS was not able to validate the provided access credentials";
    assert_eq!(unknown.message, text);
    let admin = lab.world().credentials("admin").unwrap();
    let wrong = call(Credentials::new(admin.access_key, "x", None, None, "test"));
    assert_eq!((wrong.status, wrong.code.as_str()), (403, "SignatureDoesNotMatch"));
    assert_eq!(lab.last_call().caller, "unknown");
}

#[test]
fn no_signature_at_all_is_refused() {
    let lab = Lab::new();
    let kind = "application/x-www-form-urlencoded";
    let request = WireRequest::new("POST", "/").with_header("content-type", kind);
    let request = request.with_body("Action=DescribeSubnets&Version=2016-11-15");
    assert_eq!(lab.run(lab.raw_ec2(&request)).status, 401);
    let request = request.with_header("authorization", "AWS4-HMAC-SHA256 Credential=x/y");
    let response = lab.run(lab.raw_ec2(&request));
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert!(response.status == 400 && text.contains("IncompleteSignature"), "{text}");
}

#[test]
fn a_skewed_clock_and_expired_credentials_are_expired_requests() {
    let lab = Lab::new();
    let describe = || lab.run(lab.enis("node-1", &[("subnet-id", &["*"])])).map(|_| ());
    let skew = lab.fault(Fault::ClockSkew { ms: 16 * 60 * 1_000 });
    is(&describe(), 400, "RequestExpired", "Request has expired.");
    lab.world().fault_clear(std::time::Duration::ZERO, Some(skew)).unwrap();
    describe().unwrap();
    lab.fault(Fault::CredentialsExpire {});
    is(&describe(), 400, "RequestExpired", "Request has expired.");
}

#[test]
fn iam_denies_by_action_and_resource() {
    let lab = Lab::new();
    let when = Selector {
        op: Some("AssignPrivateIpAddresses".to_owned()),
        resource: Some(NODE_1.to_owned()),
        ..Selector::default()
    };
    lab.fault_when(Fault::IamDeny {}, when);
    let refused = lab.run(lab.assign("node-1", NODE_1, &["10.0.1.200"], false)).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "UnauthorizedOperation"));
    let start = "You are not authorized to perform this operation. \
                 Encoded authorization failure message: ";
    assert!(refused.message.starts_with(start));
    lab.run(lab.enis("node-1", &[("subnet-id", &["*"])])).unwrap();
}

#[test]
fn any_documented_error_can_be_had_by_a_fault() {
    let lab = Lab::new();
    for (status, code) in [
        (401, "OptInRequired"),
        (400, "Blocked"),
        (500, "InternalError"),
        (503, "Unavailable"),
        (400, "InvalidIPAddress.InUse"),
    ] {
        let message = "10.0.1.200 is already assigned.".to_owned();
        let fault = Fault::Error { code: code.to_owned(), message: message.clone(), status };
        let id = lab.once("AssignPrivateIpAddresses", fault);
        let outcome = lab.run(lab.assign("node-1", NODE_1, &["10.0.1.200"], false));
        is(&outcome, status, code, &message);
        assert_eq!(lab.fired(id), 1);
        lab.world().fault_clear(std::time::Duration::ZERO, None).unwrap();
    }
    assert!(lab.world().commits(0).is_empty());
}

#[test]
fn the_bucket_of_assign_holds_100_and_refills_5_a_second() {
    let lab = Lab::new();
    let ok = |calls: usize| {
        lab.run(async {
            let calls = (0..calls).map(|_| lab.assign("node-1", NODE_1, &["10.0.1.200"], true));
            let outcomes = futures_util::future::join_all(calls).await;
            let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            for error in refused {
                assert_eq!((error.status, error.code.as_str()), (503, "RequestLimitExceeded"));
                assert_eq!(error.message, "Request limit exceeded.");
            }
            outcomes.iter().filter(|outcome| outcome.is_ok()).count()
        })
    };
    assert_eq!(ok(110), 100);
    lab.run(lab.clock.pass(std::time::Duration::from_secs(2)));
    assert_eq!(ok(15), 10);
}

#[test]
fn reads_without_filter_and_page_size_have_a_smaller_bucket() {
    let lab = Lab::new();
    let ok = |calls: usize, max: Option<i32>| {
        lab.run(async {
            let ec2 = lab.ec2("admin");
            let call = || ec2.describe_network_interfaces().set_max_results(max).send();
            let outcomes = futures_util::future::join_all((0..calls).map(|_| call())).await;
            outcomes.iter().filter(|outcome| outcome.is_ok()).count()
        })
    };
    assert_eq!((ok(60, None), ok(110, Some(5))), (50, 100));
}

#[test]
fn a_throttle_storm_has_two_forms_and_may_say_when_to_come_again() {
    let lab = Lab::new();
    let describe = || lab.run(lab.enis("node-1", &[("subnet-id", &["*"])])).map(|_| ());
    let form = ThrottleForm::New;
    let storm = Fault::ThrottleStorm { form, retry_after_ms: Some(4_000) };
    let fault = lab.once("DescribeNetworkInterfaces", storm);
    let text = "Request limit exceeded. Account 123456789012 has been throttled on \
                ec2:DescribeNetworkInterfaces because it exceeded its request rate limit.";
    is(&describe(), 503, "RequestLimitExceeded", text);
    assert_eq!(lab.fired(fault), 1);
    lab.world().fault_clear(std::time::Duration::ZERO, None).unwrap();
    // The SDK waits for as long as it is told.
    let storm = Fault::ThrottleStorm { form: ThrottleForm::Old, retry_after_ms: Some(4_000) };
    lab.once("DescribeSubnets", storm);
    let before = lab.clock.now();
    lab.run(lab.retrying("node-1").describe_subnets().send()).unwrap();
    let waited = lab.clock.now().saturating_sub(before);
    assert!(waited >= std::time::Duration::from_secs(4), "{waited:?}");
}

#[test]
fn another_bucket_is_a_knob() {
    let lab = Lab::new();
    let op = Some("DescribeSubnets".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = lab.fault_when(Fault::Bucket { capacity: 1, refill: 0.0 }, when);
    let served = || lab.run(lab.ec2("admin").describe_subnets().send()).is_ok();
    assert!(served() && !served());
    assert_eq!(lab.fired(fault), 1);
}
