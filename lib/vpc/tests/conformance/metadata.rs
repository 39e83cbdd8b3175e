//! The instance metadata service: section 6.

use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_credential_types::provider::ProvideCredentials as _;
use firecamp_vpc::{Act, Fault, Selector, WireRequest, WireResponse};

use crate::harness::{Lab, NODE_2, SUBNET_A};

const MACS: &str = "/latest/meta-data/network/interfaces/macs/";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

fn raw(lab: &Lab, request: &WireRequest) -> Option<WireResponse> {
    lab.run(lab.raw_imds("node-2", request))
}

fn status(lab: &Lab, request: &WireRequest) -> u16 {
    raw(lab, request).expect("an answer").status
}

fn put(ttl: &str) -> WireRequest {
    WireRequest::new("PUT", "/latest/api/token").with_header(TTL, ttl)
}

fn token(lab: &Lab) -> String {
    String::from_utf8(raw(lab, &put("60")).unwrap().body).unwrap()
}

async fn get(lab: &Lab, path: &str) -> Result<String, u16> {
    let answer = lab.imds("node-2").get(path.to_owned()).await;
    answer.map(String::from).map_err(|error| {
        let ImdsError::ErrorResponse(context) = error else { panic!("{path}: {error:?}") };
        context.response().status().as_u16()
    })
}

fn read(lab: &Lab, path: &str) -> Result<String, u16> {
    lab.run(get(lab, path))
}

/// The path of the ENI with this device index.
fn mac_of(lab: &Lab, index: u32) -> String {
    let nodes = lab.world().nodes();
    let enis = &nodes[1].enis;
    enis.iter().find(|eni| eni.device_index == index).unwrap().mac.clone()
}

#[test]
fn a_token_is_needed_and_its_ttl_is_repeated() {
    let lab = Lab::new();
    let answer = raw(&lab, &put("21600")).unwrap();
    assert_eq!((answer.status, answer.header(TTL)), (200, Some("21600")));
    assert_eq!(read(&lab, "/latest/meta-data/instance-id").unwrap(), "i-00000000000000002");
}

#[test]
fn a_bad_or_missing_ttl_is_400() {
    let lab = Lab::new();
    for ttl in ["0", "21601", "x", "-1"] {
        assert_eq!(status(&lab, &put(ttl)), 400, "{ttl}");
    }
    assert_eq!(status(&lab, &WireRequest::new("PUT", "/latest/api/token")), 400);
}

#[test]
fn a_put_to_a_dated_path_or_through_a_proxy_is_403() {
    let lab = Lab::new();
    let dated = WireRequest::new("PUT", "/2021-03-23/api/token").with_header(TTL, "60");
    assert_eq!(status(&lab, &dated), 403);
    assert_eq!(status(&lab, &put("60").with_header("X-Forwarded-For", "10.0.0.1")), 403);
}

#[test]
fn no_token_or_a_bad_or_expired_or_foreign_one_is_401() {
    let lab = Lab::new();
    let id = || WireRequest::new("GET", "/latest/meta-data/instance-id");
    let answer = raw(&lab, &id()).unwrap();
    let page = String::from_utf8(answer.body.clone()).unwrap();
    assert!(answer.status == 401 && page.contains("<h1>401 - Unauthorized</h1>"), "{page}");
    assert_eq!(status(&lab, &id().with_header(TOKEN, "x")), 401);
    let good = token(&lab);
    assert_eq!(status(&lab, &id().with_header(TOKEN, &good)), 200);
    let foreign = lab.run(lab.raw_imds("node-1", &id().with_header(TOKEN, &good))).unwrap();
    assert_eq!(foreign.status, 401);
    lab.run(lab.clock.pass(Duration::from_secs(61)));
    assert_eq!(status(&lab, &id().with_header(TOKEN, &good)), 401);
}

#[test]
fn an_unknown_item_is_404_and_another_method_405() {
    let lab = Lab::new();
    for path in ["/latest/meta-data/no-such", "/latest/meta-data/spot/instance-action", "/x/y"] {
        assert_eq!(read(&lab, path), Err(404), "{path}");
    }
    assert_eq!(status(&lab, &WireRequest::new("POST", "/latest/meta-data/")), 405);
}

#[test]
fn the_paths_of_an_instance_are_there() {
    let lab = Lab::new();
    let mac = mac_of(&lab, 0);
    for (path, value) in [
        ("instance-id", "i-00000000000000002"),
        ("instance-type", "m5.large"),
        ("mac", mac.as_str()),
        ("local-ipv4", "10.0.1.21"),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/availability-zone-id", "use1-az1"),
        ("placement/region", "us-east-1"),
    ] {
        assert_eq!(read(&lab, &format!("/latest/meta-data/{path}")).as_deref(), Ok(value));
        assert_eq!(read(&lab, &format!("/2021-03-23/meta-data/{path}")).as_deref(), Ok(value));
    }
    let document = read(&lab, "/latest/dynamic/instance-identity/document").unwrap();
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
fn the_paths_of_an_eni_are_there() {
    let lab = Lab::new();
    let (first, second) = (mac_of(&lab, 0), mac_of(&lab, 2));
    let mut macs = [format!("{first}/"), format!("{second}/")];
    macs.sort();
    assert_eq!(read(&lab, MACS).unwrap(), macs.join("\n"));
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
        assert_eq!(read(&lab, &format!("{MACS}{second}/{key}")).as_deref(), Ok(value));
    }
    assert!(read(&lab, &format!("{MACS}{second}/security-group-ids")).unwrap().starts_with("sg-"));
    for key in ["network-card", "ipv4-prefix", "ipv4-associations"] {
        assert_eq!(read(&lab, &format!("{MACS}{second}/{key}")), Err(404), "{key}");
    }
    let act = Act::AddPrefixes { eni: NODE_2.to_owned(), count: 1 };
    lab.world().act(Duration::ZERO, &act).unwrap();
    lab.run(lab.settle());
    assert!(read(&lab, &format!("{MACS}{second}/ipv4-prefix")).unwrap().ends_with("/28"));
}

#[test]
fn the_default_credential_chain_finds_the_role_and_ec2_accepts_it() {
    let lab = Lab::new();
    let provider = ImdsCredentialsProvider::builder();
    let provider = provider.configure(&lab.provider("node-2")).build();
    let own = lab.run(provider.provide_credentials()).unwrap();
    assert!(own.session_token().is_some() && own.expiry().is_some());
    let retry = aws_sdk_ec2::config::retry::RetryConfig::disabled();
    lab.run(lab.ec2_as(own, retry).describe_subnets().send()).unwrap();
    assert_eq!(lab.last_call().caller, "node-2");
    let info = read(&lab, "/latest/meta-data/iam/info").unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["Code"], "Success");
}

#[test]
fn above_its_rate_the_service_is_silent() {
    let lab = Lab::new();
    let asked = |n: usize| (0..n).filter(|_| raw(&lab, &put("60")).is_none()).count();
    let fault = lab.fault(Fault::ImdsPpsDrop { per_second: 5 });
    assert!(asked(30) > 20);
    assert!(lab.fired(fault) > 20);
    lab.world().fault_clear(Duration::ZERO, None).unwrap();
    lab.run(lab.clock.pass(Duration::from_secs(5)));
    let silent = lab.run(async {
        let calls = (0..300).map(|_| async { lab.raw_imds("node-2", &put("60")).await.is_none() });
        let silent = futures_util::future::join_all(calls).await;
        silent.into_iter().filter(|silent| *silent).count()
    });
    assert_eq!(silent, 96, "1024 packets a second are 204 requests");
}

#[test]
fn a_hop_limit_that_is_too_low_looks_like_a_timeout() {
    let lab = Lab::new();
    let fault = lab.fault(Fault::ImdsHopTimeout {});
    assert!(raw(&lab, &put("60")).is_none());
    assert_eq!(lab.fired(fault), 1);
    let error = lab.run(lab.imds("node-2").get("/latest/meta-data/mac")).unwrap_err();
    assert!(matches!(error, ImdsError::FailedToLoadToken(_)), "{error:?}");
}

#[test]
fn revoked_tokens_stay_refused_and_new_ones_work() {
    let lab = Lab::new();
    let client = lab.imds("node-2");
    lab.run(client.get("/latest/meta-data/mac")).unwrap();
    let fault = lab.fault(Fault::ImdsToken401 {});
    lab.run(lab.clock.pass(Duration::from_secs(1)));
    lab.run(client.get("/latest/meta-data/mac")).unwrap_err();
    assert_eq!(lab.fired(fault), 1);
    read(&lab, "/latest/meta-data/mac").unwrap();
}

#[test]
fn the_service_can_fail_be_silent_and_be_empty() {
    let lab = Lab::new();
    let clear = || lab.world().fault_clear(Duration::ZERO, None).unwrap();
    lab.fault(Fault::ImdsError { status: 503 });
    assert_eq!(status(&lab, &put("60")), 503);
    clear();
    lab.fault(Fault::ImdsDown {});
    assert_eq!(raw(&lab, &put("60")), None);
    clear();
    let op = Some("meta-data/*".to_owned());
    lab.fault_when(Fault::ImdsEmpty {}, Selector { op, ..Selector::default() });
    assert_eq!(read(&lab, MACS).as_deref(), Ok(""));
}

#[test]
fn the_service_of_a_stopped_instance_is_silent() {
    let lab = Lab::new();
    lab.world().act(Duration::ZERO, &Act::Stop { node: "node-2".to_owned() }).unwrap();
    assert_eq!(raw(&lab, &put("60")), None);
}

#[test]
fn a_frozen_service_stands_still() {
    let lab = Lab::new();
    let path = format!("{MACS}{}/local-ipv4s", mac_of(&lab, 2));
    let before = read(&lab, &path).unwrap();
    let fault = lab.fault(Fault::ImdsFrozen {});
    lab.run(lab.unassign("node-2", NODE_2, &["10.0.1.101"])).unwrap();
    let act = Act::DeleteEni { eni: NODE_2.to_owned() };
    lab.world().act(Duration::ZERO, &act).unwrap();
    lab.run(lab.clock.pass(Duration::from_hours(1)));
    assert_eq!(read(&lab, &path).unwrap(), before);
    assert!(lab.fired(fault) > 0);
    lab.world().fault_clear(Duration::ZERO, None).unwrap();
    assert_eq!(read(&lab, &path), Err(404));
}

#[test]
fn a_ghost_a_missing_eni_missing_keys_and_a_wrong_index_can_be_had() {
    let lab = Lab::new();
    let clear = || lab.world().fault_clear(Duration::ZERO, None).unwrap();
    let macs = read(&lab, MACS).unwrap();
    lab.fault(Fault::ImdsGhost {});
    assert_eq!(read(&lab, MACS).unwrap().lines().count(), 3);
    let ghost = read(&lab, &format!("{MACS}0a:ff:ff:ff:ff:fe/interface-id")).unwrap();
    assert_eq!(lab.run(lab.ids(&[("network-interface-id", &[&ghost])])), [""; 0]);
    clear();
    lab.fault(Fault::ImdsMissing { device_index: 2 });
    assert_eq!(read(&lab, MACS).unwrap().lines().count(), 1);
    clear();
    lab.fault(Fault::ImdsPartial { keys: vec!["local-ipv4s".to_owned()] });
    let second = mac_of(&lab, 2);
    assert_eq!(read(&lab, &format!("{MACS}{second}/local-ipv4s")), Err(404));
    assert!(read(&lab, &format!("{MACS}{second}/interface-id")).is_ok());
    clear();
    lab.fault(Fault::ImdsDeviceNumberZero {});
    assert_eq!(read(&lab, &format!("{MACS}{second}/device-number")).as_deref(), Ok("0"));
    clear();
    assert_eq!(read(&lab, MACS).unwrap(), macs);
}
