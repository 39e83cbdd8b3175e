//! Malformed and hostile requests.

use std::time::Duration;

use firecamp_vpc::{Profile, Spec, WireRequest};
use proptest::prelude::*;

use crate::client::{send, signed, simulator};

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_ec2(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut simulator = simulator(&Profile::fast(), 1);
        let text = String::from_utf8_lossy(&body).into_owned();
        let request = signed(&simulator, "admin", Duration::ZERO, &text);
        let exchange = simulator.ec2(Duration::ZERO, None, &request);
        let answer = simulator.answer(exchange.respond_at.unwrap(), exchange.call).unwrap();
        assert_eq!(answer.response().status, 400);
        let request = WireRequest::new("POST", "/").with_body(body);
        simulator.ec2(Duration::ZERO, None, &request);
    }

    #[test]
    fn no_value_of_a_parameter_breaks_ec2(value in "\\PC{0,40}", name in "[A-Za-z.0-9]{0,20}") {
        let mut simulator = simulator(&Profile::fast(), 1);
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for body in [
            format!("Action=AssignPrivateIpAddresses&NetworkInterfaceId={value}&PrivateIpAddress.1=x"),
            format!("Action=AssignPrivateIpAddresses&NetworkInterfaceId=eni-00000000000000001&PrivateIpAddress.1={value}"),
            format!("Action=DescribeNetworkInterfaces&NextToken={value}"),
            format!("Action=DescribeInstances&Filter.1.Name={value}&Filter.1.Value.1={value}"),
            format!("Action=DescribeSubnets&X{name}={value}"),
        ] {
            let exchange = send(&mut simulator, "admin", Duration::ZERO, &body);
            let answer = simulator.answer(exchange.respond_at.unwrap(), exchange.call).unwrap();
            let status = answer.response().status;
            assert!(status == 400, "{body}: {status}");
            let text = String::from_utf8(answer.response().body.clone()).unwrap();
            assert!(text.starts_with("<?xml") && text.ends_with("</Response>"), "{text}");
        }
    }

    #[test]
    fn no_request_breaks_the_metadata_service(
        method in "[A-Z]{1,7}",
        path in "/\\PC{0,60}",
        token in "\\PC{0,60}",
    ) {
        let mut simulator = simulator(&Profile::fast(), 1);
        let request = WireRequest::new(&method, &path)
            .with_header("x-aws-ec2-metadata-token", &token)
            .with_header("x-aws-ec2-metadata-token-ttl-seconds", &token);
        let exchange = simulator.imds(Duration::ZERO, "node-1", &request);
        let answer = simulator.answer(Duration::from_secs(1), exchange.call).unwrap();
        assert!((400..500).contains(&answer.response().status));
    }

    #[test]
    fn no_authorization_header_breaks_ec2(header in "(AWS4-HMAC-SHA256 )?\\PC{0,80}", date in "\\PC{0,20}") {
        let mut simulator = simulator(&Profile::fast(), 1);
        let request = WireRequest::new("POST", "/")
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_header("authorization", &header)
            .with_header("x-amz-date", &date)
            .with_body("Action=DescribeSubnets");
        let exchange = simulator.ec2(Duration::ZERO, None, &request);
        let answer = simulator.answer(Duration::from_secs(9), exchange.call).unwrap();
        assert!(matches!(answer.response().status, 400 | 401 | 403));
    }

    #[test]
    fn no_text_breaks_the_spec(text in "\\PC{0,200}") {
        assert!(Spec::from_toml(&text).is_err());
    }
}

#[test]
fn a_huge_body_is_refused() {
    let mut simulator = simulator(&Profile::fast(), 1);
    let request = WireRequest::new("POST", "/")
        .with_header("content-type", "application/x-www-form-urlencoded")
        .with_body(vec![b'a'; 2 * 1024 * 1024]);
    let exchange = simulator.ec2(Duration::ZERO, None, &request);
    let answer = simulator.answer(Duration::from_secs(9), exchange.call).unwrap();
    assert_eq!(answer.response().status, 413);
}

#[test]
fn an_unknown_node_has_no_metadata_service() {
    let mut simulator = simulator(&Profile::fast(), 1);
    let request = WireRequest::new("PUT", "/latest/api/token");
    let exchange = simulator.imds(Duration::ZERO, "no-such", &request);
    assert_eq!(exchange.respond_at, None);
}
