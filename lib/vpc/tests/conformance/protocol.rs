//! The wire protocol and throttling: sections 2.0 and 5.

use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::retry::RetryConfig;
use firecamp_vpc::{Fault, Selector, ThrottleForm, WireRequest};

use crate::harness::{NODE_1, TestVpc, refused};
use crate::verbs::{filter, is, signed};

#[test]
fn the_sdk_and_the_simulator_understand_each_other() {
    let vpc = TestVpc::new();
    vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.200", "10.0.1.201"], true)).unwrap();
    let call = vpc.last_call();
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
    let vpc = TestVpc::new();
    let body = "Action=DescribeSubnets&Version=2016-11-15".to_owned();
    let response = vpc.run(vpc.raw_ec2(&signed(&vpc, "admin", &body)));
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
    let vpc = TestVpc::new();
    let body = "Action=NoSuchThing&Version=2016-11-15".to_owned();
    let response = vpc.run(vpc.raw_ec2(&signed(&vpc, "admin", &body)));
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
    let vpc = TestVpc::new();
    let code = |body: &str| vpc.run(vpc.body("admin", body.to_owned())).unwrap_err().code;
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
    assert_eq!(vpc.run(vpc.raw_ec2(&get)).status, 400);
}

#[test]
fn too_many_filter_values_are_refused() {
    let vpc = TestVpc::new();
    let values: Vec<String> = (0..201).map(|n| format!("10.0.1.{n}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let call = vpc.ec2("admin").describe_network_interfaces();
    let call = call.filters(filter("addresses.private-ip-address", &values));
    assert_eq!(refused(&vpc.run(call.send()).unwrap_err()).code, "FilterLimitExceeded");
}

#[test]
fn an_unknown_key_is_an_auth_failure_and_a_wrong_secret_does_not_match() {
    let vpc = TestVpc::new();
    let call = |own: Credentials| {
        let ec2 = vpc.ec2_as(own, RetryConfig::disabled());
        refused(&vpc.run(ec2.describe_subnets().send()).unwrap_err())
    };
    let unknown = call(Credentials::new("AKIA0000000000000000", "x", None, None, "test"));
    assert_eq!((unknown.status, unknown.code.as_str()), (401, "AuthFailure"));
    let text = "AWS was not able to validate the provided access credentials";
    assert_eq!(unknown.message, text);
    let admin = vpc.simulator().credentials("admin").unwrap();
    let wrong = call(Credentials::new(admin.access_key, "x", None, None, "test"));
    assert_eq!((wrong.status, wrong.code.as_str()), (403, "SignatureDoesNotMatch"));
    assert_eq!(vpc.last_call().caller, "unknown");
}

#[test]
fn no_signature_at_all_is_refused() {
    let vpc = TestVpc::new();
    let kind = "application/x-www-form-urlencoded";
    let request = WireRequest::new("POST", "/").with_header("content-type", kind);
    let request = request.with_body("Action=DescribeSubnets&Version=2016-11-15");
    assert_eq!(vpc.run(vpc.raw_ec2(&request)).status, 401);
    let request = request.with_header("authorization", "AWS4-HMAC-SHA256 Credential=x/y");
    let response = vpc.run(vpc.raw_ec2(&request));
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert!(response.status == 400 && text.contains("IncompleteSignature"), "{text}");
}

#[test]
fn a_skewed_clock_and_expired_credentials_are_expired_requests() {
    let vpc = TestVpc::new();
    let describe = || vpc.run(vpc.enis("node-1", &[("subnet-id", &["*"])])).map(|_| ());
    let skew = vpc.fault(Fault::ClockSkew { ms: 16 * 60 * 1_000 });
    is(&describe(), 400, "RequestExpired", "Request has expired.");
    vpc.simulator().fault_clear(std::time::Duration::ZERO, Some(skew)).unwrap();
    describe().unwrap();
    vpc.fault(Fault::CredentialsExpire {});
    is(&describe(), 400, "RequestExpired", "Request has expired.");
}

#[test]
fn iam_denies_by_action_and_resource() {
    let vpc = TestVpc::new();
    let when = Selector {
        op: Some("AssignPrivateIpAddresses".to_owned()),
        resource: Some(NODE_1.to_owned()),
        ..Selector::default()
    };
    vpc.fault_when(Fault::IamDeny {}, when);
    let refused = vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.200"], false)).unwrap_err();
    assert_eq!((refused.status, refused.code.as_str()), (403, "UnauthorizedOperation"));
    let start = "You are not authorized to perform this operation. \
                 Encoded authorization failure message: ";
    assert!(refused.message.starts_with(start));
    vpc.run(vpc.enis("node-1", &[("subnet-id", &["*"])])).unwrap();
}

#[test]
fn a_fault_can_return_any_documented_error() {
    let vpc = TestVpc::new();
    for (status, code) in [
        (401, "OptInRequired"),
        (400, "Blocked"),
        (500, "InternalError"),
        (503, "Unavailable"),
        (400, "InvalidIPAddress.InUse"),
    ] {
        let message = "10.0.1.200 is already assigned.".to_owned();
        let fault = Fault::Error { code: code.to_owned(), message: message.clone(), status };
        let id = vpc.once("AssignPrivateIpAddresses", fault);
        let outcome = vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.200"], false));
        is(&outcome, status, code, &message);
        assert_eq!(vpc.fired(id), 1);
        vpc.simulator().fault_clear(std::time::Duration::ZERO, None).unwrap();
    }
    assert!(vpc.simulator().commits(0).is_empty());
}

#[test]
fn the_bucket_of_assign_holds_100_and_refills_5_a_second() {
    let vpc = TestVpc::new();
    let ok = |calls: usize| {
        vpc.run(async {
            let calls = (0..calls).map(|_| vpc.assign("node-1", NODE_1, &["10.0.1.200"], true));
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
    vpc.run(vpc.clock.pass(std::time::Duration::from_secs(2)));
    assert_eq!(ok(15), 10);
}

#[test]
fn reads_without_filter_and_page_size_have_a_smaller_bucket() {
    let vpc = TestVpc::new();
    let ok = |calls: usize, max: Option<i32>| {
        vpc.run(async {
            let ec2 = vpc.ec2("admin");
            let call = || ec2.describe_network_interfaces().set_max_results(max).send();
            let outcomes = futures_util::future::join_all((0..calls).map(|_| call())).await;
            outcomes.iter().filter(|outcome| outcome.is_ok()).count()
        })
    };
    assert_eq!((ok(60, None), ok(110, Some(5))), (50, 100));
}

#[test]
fn a_throttle_storm_has_two_forms_and_an_optional_retry_after() {
    let vpc = TestVpc::new();
    let describe = || vpc.run(vpc.enis("node-1", &[("subnet-id", &["*"])])).map(|_| ());
    let form = ThrottleForm::New;
    let storm = Fault::ThrottleStorm { form, retry_after_ms: Some(4_000) };
    let fault = vpc.once("DescribeNetworkInterfaces", storm);
    let text = "Request limit exceeded. Account 123456789012 has been throttled on \
                ec2:DescribeNetworkInterfaces because it exceeded its request rate limit.";
    is(&describe(), 503, "RequestLimitExceeded", text);
    assert_eq!(vpc.fired(fault), 1);
    vpc.simulator().fault_clear(std::time::Duration::ZERO, None).unwrap();
    // The SDK waits for the time in the header.
    let storm = Fault::ThrottleStorm { form: ThrottleForm::Old, retry_after_ms: Some(4_000) };
    vpc.once("DescribeSubnets", storm);
    let before = vpc.clock.now();
    vpc.run(vpc.retrying("node-1").describe_subnets().send()).unwrap();
    let waited = vpc.clock.now().saturating_sub(before);
    assert!(waited >= std::time::Duration::from_secs(4), "{waited:?}");
}

#[test]
fn a_fault_changes_the_token_bucket() {
    let vpc = TestVpc::new();
    let op = Some("DescribeSubnets".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = vpc.fault_when(Fault::Bucket { capacity: 1, refill: 0.0 }, when);
    let served = || vpc.run(vpc.ec2("admin").describe_subnets().send()).is_ok();
    assert!(served() && !served());
    assert_eq!(vpc.fired(fault), 1);
}
