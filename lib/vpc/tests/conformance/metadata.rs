//! The instance metadata service: section 6.

use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials as _;
use firecamp_vpc::{Act, Fault, Selector, WireRequest, WireResponse};

use crate::harness::{NODE_2, SUBNET_A, TestVpc};

const MACS: &str = "/latest/meta-data/network/interfaces/macs/";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

fn raw(vpc: &TestVpc, request: &WireRequest) -> Option<WireResponse> {
    vpc.run(vpc.raw_imds("node-2", request))
}

fn status(vpc: &TestVpc, request: &WireRequest) -> u16 {
    raw(vpc, request).expect("an answer").status
}

fn put(ttl: &str) -> WireRequest {
    WireRequest::new("PUT", "/latest/api/token").with_header(TTL, ttl)
}

fn token(vpc: &TestVpc) -> String {
    String::from_utf8(raw(vpc, &put("60")).unwrap().body).unwrap()
}

async fn get(vpc: &TestVpc, path: &str) -> Result<String, u16> {
    let answer = vpc.imds("node-2").get(path.to_owned()).await;
    answer.map(String::from).map_err(|error| {
        let ImdsError::ErrorResponse(context) = error else { panic!("{path}: {error:?}") };
        context.response().status().as_u16()
    })
}

fn read(vpc: &TestVpc, path: &str) -> Result<String, u16> {
    vpc.run(get(vpc, path))
}

/// The path of the ENI with this device index.
fn mac_of(vpc: &TestVpc, index: u32) -> String {
    let nodes = vpc.simulator().nodes();
    let enis = &nodes[1].enis;
    enis.iter().find(|eni| eni.device_index == index).unwrap().mac.clone()
}

#[test]
fn a_token_is_needed_and_its_ttl_is_repeated() {
    let vpc = TestVpc::new();
    let answer = raw(&vpc, &put("21600")).unwrap();
    assert_eq!((answer.status, answer.header(TTL)), (200, Some("21600")));
    assert_eq!(read(&vpc, "/latest/meta-data/instance-id").unwrap(), "i-00000000000000002");
}

#[test]
fn an_invalid_or_missing_ttl_is_400() {
    let vpc = TestVpc::new();
    for ttl in ["0", "21601", "x", "-1"] {
        assert_eq!(status(&vpc, &put(ttl)), 400, "{ttl}");
    }
    assert_eq!(status(&vpc, &WireRequest::new("PUT", "/latest/api/token")), 400);
}

#[test]
fn a_put_to_a_dated_path_or_through_a_proxy_is_403() {
    let vpc = TestVpc::new();
    let dated = WireRequest::new("PUT", "/2021-03-23/api/token").with_header(TTL, "60");
    assert_eq!(status(&vpc, &dated), 403);
    assert_eq!(status(&vpc, &put("60").with_header("X-Forwarded-For", "10.0.0.1")), 403);
}

#[test]
fn a_missing_invalid_expired_or_foreign_token_is_401() {
    let vpc = TestVpc::new();
    let id = || WireRequest::new("GET", "/latest/meta-data/instance-id");
    let answer = raw(&vpc, &id()).unwrap();
    let page = String::from_utf8(answer.body.clone()).unwrap();
    assert!(answer.status == 401 && page.contains("<h1>401 - Unauthorized</h1>"), "{page}");
    assert_eq!(status(&vpc, &id().with_header(TOKEN, "x")), 401);
    let good = token(&vpc);
    assert_eq!(status(&vpc, &id().with_header(TOKEN, &good)), 200);
    let foreign = vpc.run(vpc.raw_imds("node-1", &id().with_header(TOKEN, &good))).unwrap();
    assert_eq!(foreign.status, 401);
    vpc.run(vpc.clock.pass(Duration::from_secs(61)));
    assert_eq!(status(&vpc, &id().with_header(TOKEN, &good)), 401);
}

#[test]
fn an_unknown_item_is_404_and_an_unsupported_method_is_405() {
    let vpc = TestVpc::new();
    for path in ["/latest/meta-data/no-such", "/latest/meta-data/spot/instance-action", "/x/y"] {
        assert_eq!(read(&vpc, path), Err(404), "{path}");
    }
    assert_eq!(status(&vpc, &WireRequest::new("POST", "/latest/meta-data/")), 405);
}

#[test]
fn the_paths_of_an_instance_exist() {
    let vpc = TestVpc::new();
    let mac = mac_of(&vpc, 0);
    for (path, value) in [
        ("instance-id", "i-00000000000000002"),
        ("instance-type", "m5.large"),
        ("mac", mac.as_str()),
        ("local-ipv4", "10.0.1.21"),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/availability-zone-id", "use1-az1"),
        ("placement/region", "us-east-1"),
    ] {
        assert_eq!(read(&vpc, &format!("/latest/meta-data/{path}")).as_deref(), Ok(value));
        assert_eq!(read(&vpc, &format!("/2021-03-23/meta-data/{path}")).as_deref(), Ok(value));
    }
    let document = read(&vpc, "/latest/dynamic/instance-identity/document").unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    for (key, value) in [
        ("accountId", "123456789012"),
        ("region", "us-east-1"),
        ("instanceId", "i-00000000000000002"),
        ("instanceType", "m5.large"),
        ("privateIp", "10.0.1.21"),
    ] {
        assert_eq!(document[key], value);
    }
}

#[test]
fn the_paths_of_an_eni_exist() {
    let vpc = TestVpc::new();
    let (first, second) = (mac_of(&vpc, 0), mac_of(&vpc, 2));
    let mut macs = [format!("{first}/"), format!("{second}/")];
    macs.sort();
    assert_eq!(read(&vpc, MACS).unwrap(), macs.join("\n"));
    for (key, value) in [
        ("interface-id", NODE_2),
        ("device-number", "2"),
        ("subnet-id", SUBNET_A),
        ("vpc-id", "vpc-0000000000000000a"),
        ("subnet-ipv4-cidr-block", "10.0.1.0/24"),
        ("vpc-ipv4-cidr-blocks", "10.0.0.0/16"),
        ("local-ipv4s", "10.0.1.22\n10.0.1.101\n10.0.1.102"),
        ("owner-id", "123456789012"),
    ] {
        assert_eq!(read(&vpc, &format!("{MACS}{second}/{key}")).as_deref(), Ok(value));
    }
    assert!(read(&vpc, &format!("{MACS}{second}/security-group-ids")).unwrap().starts_with("sg-"));
    for key in ["network-card", "ipv4-prefix", "ipv4-associations"] {
        assert_eq!(read(&vpc, &format!("{MACS}{second}/{key}")), Err(404), "{key}");
    }
    let act = Act::AddPrefixes { eni: NODE_2.to_owned(), count: 1 };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    vpc.run(vpc.settle());
    assert!(read(&vpc, &format!("{MACS}{second}/ipv4-prefix")).unwrap().ends_with("/28"));
}

#[test]
fn the_default_credential_chain_finds_the_role_and_ec2_accepts_it() {
    let vpc = TestVpc::new();
    let provider = ImdsCredentialsProvider::builder();
    let provider = provider.configure(&vpc.provider("node-2")).build();
    let own = vpc.run(provider.provide_credentials()).unwrap();
    assert!(own.session_token().is_some() && own.expiry().is_some());
    let retry = aws_sdk_ec2::config::retry::RetryConfig::disabled();
    vpc.run(vpc.ec2_as(own, retry).describe_subnets().send()).unwrap();
    assert_eq!(vpc.last_call().caller, "node-2");
    let info = read(&vpc, "/latest/meta-data/iam/info").unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["Code"], "Success");
}

#[test]
fn requests_above_the_packet_limit_are_dropped() {
    let vpc = TestVpc::new();
    let dropped = |n: usize| (0..n).filter(|_| raw(&vpc, &put("60")).is_none()).count();
    let fault = vpc.fault(Fault::ImdsPpsDrop { per_second: 5 });
    assert!(dropped(30) > 20);
    assert!(vpc.fired(fault) > 20);
    vpc.simulator().fault_clear(Duration::ZERO, None).unwrap();
    vpc.run(vpc.clock.pass(Duration::from_secs(5)));
    let silent = vpc.run(async {
        let calls = (0..300).map(|_| async { vpc.raw_imds("node-2", &put("60")).await.is_none() });
        let silent = futures_util::future::join_all(calls).await;
        silent.into_iter().filter(|silent| *silent).count()
    });
    assert_eq!(silent, 96, "1024 packets a second are 204 requests");
}

#[test]
fn a_hop_limit_that_is_too_low_looks_like_a_timeout() {
    let vpc = TestVpc::new();
    let fault = vpc.fault(Fault::ImdsHopTimeout {});
    assert!(raw(&vpc, &put("60")).is_none());
    assert_eq!(vpc.fired(fault), 1);
    let error = vpc.run(vpc.imds("node-2").get("/latest/meta-data/mac")).unwrap_err();
    assert!(matches!(error, ImdsError::FailedToLoadToken(_)), "{error:?}");
}

#[test]
fn revoked_tokens_stay_refused_and_new_ones_work() {
    let vpc = TestVpc::new();
    let client = vpc.imds("node-2");
    vpc.run(client.get("/latest/meta-data/mac")).unwrap();
    let fault = vpc.fault(Fault::ImdsToken401 {});
    vpc.run(vpc.clock.pass(Duration::from_secs(1)));
    vpc.run(client.get("/latest/meta-data/mac")).unwrap_err();
    assert_eq!(vpc.fired(fault), 1);
    read(&vpc, "/latest/meta-data/mac").unwrap();
}

#[test]
fn faults_make_the_service_fail_stay_silent_or_return_nothing() {
    let vpc = TestVpc::new();
    let clear = || vpc.simulator().fault_clear(Duration::ZERO, None).unwrap();
    vpc.fault(Fault::ImdsError { status: 503 });
    assert_eq!(status(&vpc, &put("60")), 503);
    clear();
    vpc.fault(Fault::ImdsDown {});
    assert_eq!(raw(&vpc, &put("60")), None);
    clear();
    let op = Some("meta-data/*".to_owned());
    vpc.fault_when(Fault::ImdsEmpty {}, Selector { op, ..Selector::default() });
    assert_eq!(read(&vpc, MACS).as_deref(), Ok(""));
}

#[test]
fn the_service_of_a_stopped_instance_is_silent() {
    let vpc = TestVpc::new();
    vpc.simulator().act(Duration::ZERO, &Act::Stop { node: "node-2".to_owned() }).unwrap();
    assert_eq!(raw(&vpc, &put("60")), None);
}

#[test]
fn a_frozen_service_keeps_showing_one_state() {
    let vpc = TestVpc::new();
    let path = format!("{MACS}{}/local-ipv4s", mac_of(&vpc, 2));
    let before = read(&vpc, &path).unwrap();
    let fault = vpc.fault(Fault::ImdsFrozen {});
    vpc.run(vpc.unassign("node-2", NODE_2, &["10.0.1.101"])).unwrap();
    let act = Act::DeleteEni { eni: NODE_2.to_owned() };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    vpc.run(vpc.clock.pass(Duration::from_hours(1)));
    assert_eq!(read(&vpc, &path).unwrap(), before);
    assert!(vpc.fired(fault) > 0);
    vpc.simulator().fault_clear(Duration::ZERO, None).unwrap();
    assert_eq!(read(&vpc, &path), Err(404));
}

#[test]
fn faults_add_a_ghost_omit_an_eni_and_break_its_keys() {
    let vpc = TestVpc::new();
    let clear = || vpc.simulator().fault_clear(Duration::ZERO, None).unwrap();
    let macs = read(&vpc, MACS).unwrap();
    vpc.fault(Fault::ImdsGhost {});
    assert_eq!(read(&vpc, MACS).unwrap().lines().count(), 3);
    let ghost = read(&vpc, &format!("{MACS}0a:ff:ff:ff:ff:fe/interface-id")).unwrap();
    assert_eq!(vpc.run(vpc.ids(&[("network-interface-id", &[&ghost])])), [""; 0]);
    clear();
    vpc.fault(Fault::ImdsMissing { device_index: 2 });
    assert_eq!(read(&vpc, MACS).unwrap().lines().count(), 1);
    clear();
    vpc.fault(Fault::ImdsPartial { keys: vec!["local-ipv4s".to_owned()] });
    let second = mac_of(&vpc, 2);
    assert_eq!(read(&vpc, &format!("{MACS}{second}/local-ipv4s")), Err(404));
    assert!(read(&vpc, &format!("{MACS}{second}/interface-id")).is_ok());
    clear();
    vpc.fault(Fault::ImdsDeviceNumberZero {});
    assert_eq!(read(&vpc, &format!("{MACS}{second}/device-number")).as_deref(), Ok("0"));
    clear();
    assert_eq!(read(&vpc, MACS).unwrap(), macs);
}
