//! Reads of the metadata service: values, incomplete ENIs and failures.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::choose_interface::{EniRule, Preference};
use firecamp_core::failure::CloudKind::{Auth, Throttled, Transient, Unknown};
use firecamp_core::failure::{CloudFailure, Effect};
use firecamp_core::ids::SubnetId;
use firecamp_core::node_identity::{Eni, NodeIdentity};
use firecamp_core::ports::Cloud;
use tokio::time::Instant;

use crate::imds::{Imds, PRIMARY, SECOND, THIRD, mac};
use crate::server::{Reply, Server};
use crate::setup::{NOWHERE, SOON, config, imds};

const ALL: [&str; 3] = [PRIMARY, SECOND, THIRD];

async fn identity(imds_server: &Imds) -> NodeIdentity {
    imds(&imds_server.server.url).identity().await.unwrap()
}

async fn failure(imds_server: &Imds) -> CloudFailure {
    let failure = imds(&imds_server.server.url).identity().await.unwrap_err();
    assert_eq!(failure.effect, Effect::None);
    failure
}

fn macs(node: &NodeIdentity) -> Vec<String> {
    let mut macs: Vec<String> = node.enis.iter().map(|eni| eni.mac.to_string()).collect();
    macs.sort();
    macs
}

#[tokio::test]
async fn an_identity_has_the_values_of_the_metadata_service() {
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    server.eni(SECOND, "network-card", Reply::text(200, "1"));
    server.eni(SECOND, "ipv4-prefix", Reply::text(200, "10.0.1.16/28\n10.0.1.32/28"));
    let node = identity(&server).await;
    assert_eq!(node.instance.as_str(), "i-0123456789abcdef0");
    assert_eq!((node.instance_type.as_str(), node.zone.as_str()), ("m5.large", "us-east-1-bos-1a"));
    assert_eq!(node.enis.len(), 2);
    let second = node.enis.iter().find(|eni| eni.mac == mac(SECOND)).unwrap();
    assert_eq!(second.id.as_str(), "eni-0123456789abcdef1");
    assert_eq!((second.device_index, second.network_card, second.prefixes), (1, 1, 2));
    assert_eq!(second.subnet.as_str(), "subnet-0123456789abcdef1");
    assert_eq!(second.cidr.to_string(), "10.0.1.0/24");
    assert_eq!(second.primary_address, Ipv4Addr::new(10, 0, 1, 4));
    let listed = [Ipv4Addr::new(10, 0, 1, 8), Ipv4Addr::new(10, 0, 1, 9)];
    assert_eq!(second.listed, listed.into());
    let first = node.enis.iter().find(|eni| eni.mac == mac(PRIMARY)).unwrap();
    assert_eq!((first.device_index, first.network_card, first.prefixes), (0, 0, 0));
}

#[tokio::test]
async fn f048_the_region_comes_from_its_own_key_even_in_a_local_zone() {
    let server = Imds::start(&[PRIMARY]).await;
    assert_eq!(identity(&server).await.region, "us-east-1");
}

#[tokio::test]
async fn f049_all_reads_share_a_token_and_constants_are_read_once() {
    let server = Imds::start(&ALL).await;
    let cloud = imds(&server.server.url);
    cloud.identity().await.unwrap();
    // Five constants, the list, and seven keys of each ENI.
    assert_eq!(server.reads().len(), 5 + 1 + 7 * 3);
    cloud.identity().await.unwrap();
    cloud.listed(mac(SECOND)).await.unwrap();
    assert_eq!(server.reads().len(), (5 + 1 + 7 * 3) + (1 + 7 * 3) + 1);
    assert_eq!(server.token_requests(), 1);
    assert!(server.server.connections() <= 8, "{} connections", server.server.connections());
}

#[tokio::test]
async fn f049_a_revoked_token_is_renewed_once_without_a_failure() {
    let server = Imds::start(&ALL).await;
    let cloud = imds(&server.server.url);
    cloud.identity().await.unwrap();
    server.revoke();
    cloud.identity().await.unwrap();
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn f049_concurrent_reads_with_a_refused_token_renew_it_once() {
    let server = Imds::start(&[PRIMARY]).await;
    let cloud = imds(&server.server.url);
    cloud.listed(mac(PRIMARY)).await.unwrap();
    server.revoke();
    let mut reads = tokio::task::JoinSet::new();
    let cloud = std::sync::Arc::new(cloud);
    for _ in 0..8 {
        let cloud = std::sync::Arc::clone(&cloud);
        reads.spawn(async move { cloud.listed(mac(PRIMARY)).await });
    }
    for listed in reads.join_all().await {
        assert_eq!(listed.unwrap().len(), 3);
    }
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn f049_a_service_that_refuses_every_token_gets_two_reads() {
    let server = Imds::start(&[PRIMARY]).await;
    server.refuse();
    let failure = imds(&server.server.url).listed(mac(PRIMARY)).await.unwrap_err();
    assert_eq!(failure.kind, Auth, "{failure}");
    assert_eq!((server.reads().len(), server.token_requests()), (2, 2));
}

#[tokio::test]
async fn f048_an_error_status_is_a_failure_without_a_retry() {
    let path = "network/interfaces/macs/02:00:00:00:00:01/local-ipv4s";
    let rows = [(400, Unknown), (403, Auth), (404, Transient), (429, Throttled), (503, Transient)];
    for (status, kind) in rows {
        let server = Imds::start(&[PRIMARY]).await;
        server.reply(path, Reply::text(status, "<h1>no</h1>"));
        let failure = imds(&server.server.url).listed(mac(PRIMARY)).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (kind, Effect::None), "{failure}");
        assert!(failure.detail.contains(path), "{failure}");
        assert_eq!(server.reads().len(), 1);
    }
}

#[tokio::test]
async fn f048_an_empty_or_malformed_response_is_a_failure_never_an_empty_set() {
    let long = "10.0.0.4\n".repeat(10_000);
    let hostile: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\n".to_vec(),
        b"  ".to_vec(),
        b"10.0.0.4\n\n10.0.0.5".to_vec(),
        b"10.0.0.4 10.0.0.5".to_vec(),
        b"10.0.0.4\r\n10.0.0.x".to_vec(),
        b"10.0.0.256".to_vec(),
        b"::1".to_vec(),
        b"<html>welcome</html>".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        long.into_bytes(),
    ];
    for body in hostile {
        let server = Imds::start(&[PRIMARY]).await;
        server.eni(PRIMARY, "local-ipv4s", Reply::bytes(200, &body));
        let cloud = imds(&server.server.url);
        for failure in
            [cloud.listed(mac(PRIMARY)).await.unwrap_err(), cloud.identity().await.unwrap_err()]
        {
            let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
            assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{start:?}");
            assert!(failure.detail.len() < 2000 && !failure.detail.contains('\n'), "{failure}");
        }
    }
}

#[tokio::test]
async fn f048_every_constant_and_every_key_of_an_eni_is_checked() {
    let paths = [
        "instance-id",
        "instance-type",
        "placement/availability-zone",
        "placement/region",
        "mac",
        "network/interfaces/macs/",
    ];
    for path in paths {
        let server = Imds::start(&[PRIMARY, SECOND]).await;
        server.set(path, "../../etc/passwd\u{7f}");
        assert_eq!(failure(&server).await.kind, Transient, "{path}");
        server.reply(path, Reply::text(404, "no"));
        assert_eq!(failure(&server).await.kind, Transient, "{path}");
    }
    let names = [
        "interface-id",
        "device-number",
        "network-card",
        "subnet-id",
        "subnet-ipv4-cidr-block",
        "local-ipv4s",
        "ipv4-prefix",
    ];
    for name in names {
        let server = Imds::start(&[PRIMARY, SECOND]).await;
        server.eni(SECOND, name, Reply::text(200, "-1/x"));
        assert_eq!(failure(&server).await.kind, Transient, "{name}");
        server.eni(SECOND, name, Reply::text(200, ""));
        assert_eq!(failure(&server).await.kind, Transient, "{name}");
        server.eni(SECOND, name, Reply::text(503, "busy"));
        assert_eq!(failure(&server).await.kind, Transient, "{name}");
    }
}

#[tokio::test]
async fn f047_a_ghost_or_incomplete_eni_is_skipped() {
    let required =
        ["interface-id", "device-number", "subnet-id", "subnet-ipv4-cidr-block", "local-ipv4s"];
    for name in required {
        let server = Imds::start(&ALL).await;
        server.eni(SECOND, name, Reply::text(404, "no"));
        assert_eq!(macs(&identity(&server).await), [PRIMARY, THIRD], "{name}");
    }
    let server = Imds::start(&[PRIMARY]).await;
    server.list(&[PRIMARY, SECOND]);
    assert_eq!(macs(&identity(&server).await), [PRIMARY]);
}

/// Each ENI has seven keys.
#[tokio::test]
async fn keys_of_known_enis_are_read_beside_the_list_which_decides() {
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    let cloud = imds(&server.server.url);
    assert_eq!(macs(&cloud.identity().await.unwrap()), [PRIMARY, SECOND]);
    server.list(&[PRIMARY]);
    for (reads, what) in [(1 + 14, "known, not listed"), (1 + 7, "forgotten")] {
        let before = server.reads().len();
        assert_eq!(macs(&cloud.identity().await.unwrap()), [PRIMARY], "{what}");
        assert_eq!(server.reads().len() - before, reads, "{what}");
    }
    server.list(&[PRIMARY, SECOND]);
    cloud.identity().await.unwrap();
    server.eni(SECOND, "device-number", Reply::text(503, "busy"));
    assert!(cloud.identity().await.is_err());
    server.list(&[PRIMARY]);
    let listed = cloud.identity().await.unwrap();
    assert_eq!(macs(&listed), [PRIMARY], "an ENI that is not listed any more fails nothing");
}

/// How many reads a poll makes, and what it returns; only the second interface is in use.
async fn poll(cloud: &AwsCloud, server: &Imds) -> (usize, NodeIdentity) {
    let before = server.reads().len();
    let node = cloud.poll_identity(&[mac(PRIMARY), mac(THIRD)].into()).await.unwrap();
    (server.reads().len() - before, node)
}

fn second(node: &NodeIdentity) -> &Eni {
    node.enis.iter().find(|eni| eni.mac == mac(SECOND)).unwrap()
}

#[tokio::test]
async fn a_poll_reads_the_list_and_the_addresses_of_the_interfaces_in_use() {
    let server = Imds::start(&ALL).await;
    let cloud = imds(&server.server.url);
    // The first one reads everything: five constants, the list, and seven keys of each ENI.
    assert_eq!(poll(&cloud, &server).await.0, 5 + 1 + 7 * 3);
    let before = server.reads().len();
    let whole = cloud.identity().await.unwrap();
    assert_eq!(server.reads().len() - before, 1 + 7 * 3);
    assert_eq!(poll(&cloud, &server).await, (1 + 1, whole.clone()));
    server.eni(SECOND, "local-ipv4s", Reply::text(200, "10.0.1.4\n10.0.1.77"));
    server.eni(THIRD, "local-ipv4s", Reply::text(503, "not asked"));
    let (reads, polled) = poll(&cloud, &server).await;
    assert_eq!((reads, macs(&polled)), (1 + 1, macs(&whole)));
    assert_eq!(second(&polled).listed, [Ipv4Addr::new(10, 0, 1, 77)].into());
    assert!(cloud.identity().await.is_err(), "it reads everything");
}

#[tokio::test]
async fn a_poll_reads_all_keys_of_an_interface_that_is_new_or_has_changed() {
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    let cloud = imds(&server.server.url);
    cloud.identity().await.unwrap();
    server.list(&[PRIMARY]);
    assert_eq!(poll(&cloud, &server).await.0, 1 + 1, "it is known until the list lacks it");
    server.eni(SECOND, "device-number", Reply::text(200, "3"));
    server.list(&[PRIMARY, SECOND]);
    let (reads, node) = poll(&cloud, &server).await;
    assert_eq!((reads, second(&node).device_index), (1 + 7, 3), "it was attached again");
    server.eni(SECOND, "local-ipv4s", Reply::text(200, "10.0.1.5"));
    let (reads, node) = poll(&cloud, &server).await;
    assert_eq!((reads, second(&node).primary_address), (1 + 1 + 7, [10, 0, 1, 5].into()));
    server.eni(SECOND, "local-ipv4s", Reply::text(404, "no"));
    for (reads, what) in [(1 + 1 + 7, "it has no addresses"), (1 + 7, "it is not known")] {
        let (made, node) = poll(&cloud, &server).await;
        assert_eq!((made, macs(&node)), (reads, vec![PRIMARY.to_owned()]), "{what}");
    }
}

#[tokio::test]
async fn a_failed_poll_forgets_the_interfaces_that_are_not_listed() {
    let server = Imds::start(&ALL).await;
    let cloud = imds(&server.server.url);
    cloud.identity().await.unwrap();
    server.eni(SECOND, "local-ipv4s", Reply::text(503, "busy"));
    server.list(&[PRIMARY, SECOND]);
    let unused = [mac(PRIMARY), mac(THIRD)].into();
    assert!(cloud.poll_identity(&unused).await.is_err());
    server.eni(SECOND, "local-ipv4s", Reply::text(200, "10.0.1.4"));
    server.list(&ALL);
    assert_eq!(poll(&cloud, &server).await.0, 1 + 1 + 7, "the third is read wholly");
}

#[tokio::test]
async fn f047_an_incomplete_primary_interface_is_a_failure() {
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    server.eni(PRIMARY, "subnet-id", Reply::text(404, "no"));
    assert!(failure(&server).await.detail.contains(PRIMARY));
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    server.list(&[SECOND]);
    assert!(failure(&server).await.detail.contains(PRIMARY));
    let server = Imds::start(&[PRIMARY, SECOND]).await;
    server.eni(PRIMARY, "device-number", Reply::text(200, "3"));
    assert!(failure(&server).await.detail.contains(PRIMARY));
}

#[tokio::test]
async fn a_hot_plugged_eni_with_device_number_zero_is_skipped() {
    let server = Imds::start(&ALL).await;
    server.eni(SECOND, "device-number", Reply::text(200, "0"));
    assert_eq!(macs(&identity(&server).await), [PRIMARY, THIRD]);
    server.eni(SECOND, "network-card", Reply::text(200, "1"));
    assert_eq!(macs(&identity(&server).await), [PRIMARY, THIRD]);
}

#[tokio::test]
async fn f016_two_enis_with_the_same_position_are_both_skipped() {
    let server = Imds::start(&ALL).await;
    server.eni(THIRD, "device-number", Reply::text(200, "1"));
    assert_eq!(macs(&identity(&server).await), [PRIMARY]);
}

#[tokio::test]
async fn f016_the_order_of_the_list_never_changes_the_choice() {
    let orders = [[PRIMARY, SECOND, THIRD], [THIRD, PRIMARY, SECOND], [SECOND, THIRD, PRIMARY]];
    for order in orders {
        let server = Imds::start(&ALL).await;
        server.list(&order);
        let node = identity(&server).await;
        let other = |subnet: &SubnetId| subnet.as_str() != "subnet-0123456789abcdef0";
        let chosen = node.choose(EniRule::Auto, other, &Preference::default());
        assert_eq!(chosen.unwrap().mac, mac(SECOND), "{order:?}");
        let first = node.choose(EniRule::Auto, |_| true, &Preference::default());
        assert_eq!(first.unwrap().mac, mac(PRIMARY));
    }
}

#[tokio::test]
async fn upper_case_macs_are_accepted_and_requested_in_lower_case() {
    let server = Imds::start(&["02:00:00:00:00:0a"]).await;
    server.set("mac", "02:00:00:00:00:0A");
    server.list(&["02:00:00:00:00:0A"]);
    let node = identity(&server).await;
    assert_eq!(macs(&node), ["02:00:00:00:00:0a"]);
    assert!(server.reads().iter().all(|path| !path.contains("0A")));
}

#[tokio::test]
async fn a_list_of_more_interfaces_than_any_type_has_is_refused() {
    let many: Vec<String> = (0..200_u8).map(|n| format!("02:00:00:00:00:{n:02x}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let server = Imds::start(&[PRIMARY]).await;
    server.list(&many);
    assert_eq!(failure(&server).await.kind, Transient);
    assert!(server.reads().len() <= 6);
}

#[tokio::test]
async fn f051_reads_of_a_silent_metadata_service_time_out() {
    let server = Server::always(Reply::Silence(Vec::new())).await;
    let timeout = Duration::from_millis(300);
    let config = CloudConfig { imds_within: timeout, ..config(NOWHERE, &server.url) };
    let cloud = AwsCloud::connect(config).unwrap();
    let started = Instant::now();
    let listed = cloud.listed(mac(PRIMARY)).await.unwrap_err();
    assert_eq!(listed.kind, Transient, "{listed}");
    let identity = cloud.identity().await.unwrap_err();
    assert_eq!(identity.kind, Transient, "{identity}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(server.requests().len() <= 2, "each call requests the token once");
}

#[tokio::test]
async fn f048_a_missing_token_is_a_failure() {
    let rows = [(403, Auth), (503, Transient), (404, Transient), (200, Transient)];
    for (status, kind) in rows {
        let server = Server::always(Reply::text(status, "no token")).await;
        let failure = imds(&server.url).listed(mac(PRIMARY)).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (kind, Effect::None), "{status}: {failure}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn f048_a_token_that_is_not_text_is_a_failure_without_a_panic() {
    let tokens = [b"a\xfd".as_slice(), b"a\nb", b"\0"];
    for (token, status) in tokens.into_iter().flat_map(|token| [(token, 200), (token, 503)]) {
        let headers = vec![("x-aws-ec2-metadata-token-ttl-seconds", "60".to_owned())];
        let reply = Reply::Http { status, headers, body: token.to_vec() };
        let server = Server::always(reply).await;
        let failure = imds(&server.url).listed(mac(PRIMARY)).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
        assert!(failure.detail.contains("not text"), "{failure}");
    }
}
