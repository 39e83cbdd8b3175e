//! Describe calls about the instance, dry runs, and clock skew.

use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource};
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::failure::CloudKind;
use firecamp_core::ids::InstanceId;
use firecamp_core::ports::Cloud;
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::{Clock, Permission, Reading, Right};

use crate::server::{Reply, Server};
use crate::setup::{ADDRESS, NOWHERE, config, ec2, subnet};
use crate::two_nodes::TwoNodes;

const HEAD: &str = r#"<DescribeNetworkInterfacesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><networkInterfaceSet>"#;
const TAIL: &str = "</networkInterfaceSet></DescribeNetworkInterfacesResponse>";

const SECOND: &str = "<item><networkInterfaceId>eni-0123456789abcdef0</networkInterfaceId><subnetId>subnet-0123456789abcdef0</subnetId><requesterManaged>false</requesterManaged><groupSet><item><groupId>sg-1</groupId><groupName>a</groupName></item></groupSet><attachment><deviceIndex>2</deviceIndex><networkCardIndex>1</networkCardIndex><status>attached</status></attachment><privateIpAddress>10.0.1.200</privateIpAddress><privateIpAddressesSet><item><privateIpAddress>10.0.1.200</privateIpAddress><primary>true</primary></item><item><privateIpAddress>10.0.1.9</privateIpAddress><primary>false</primary></item></privateIpAddressesSet><ipv4PrefixSet><item><ipv4Prefix>10.0.1.16/28</ipv4Prefix></item></ipv4PrefixSet><tagSet><item><key>firecamp.io/cluster</key><value>blue</value></item><item><key>node.k8s.amazonaws.com/no_manage</key><value>true</value></item></tagSet></item>";

fn instance() -> InstanceId {
    InstanceId::new("i-0123456789abcdef0").unwrap()
}

fn listing(items: &str) -> Reply {
    Reply::text(200, &format!("{HEAD}{items}{TAIL}"))
}

#[tokio::test]
async fn one_filtered_request_returns_all_interfaces_of_the_instance() {
    let server = Server::always(listing(SECOND)).await;
    let found = ec2(&server.url).interfaces(&instance()).await.unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.device_index, one.network_card, one.prefixes), (2, 1, 1));
    assert_eq!(one.addresses, [ADDRESS].into());
    assert_eq!(one.groups, ["sg-1".to_owned()].into());
    assert_eq!(one.cluster.as_deref(), Some("blue"));
    assert_eq!(one.no_manage.as_deref(), Some("true"));
    assert_eq!((one.is_primary(), &one.operator), (false, &None));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let field = |name: &str| requests[0].field(name).unwrap_or_default();
    assert_eq!(field("Filter.1.Name"), "attachment.instance-id");
    assert_eq!(field("Filter.1.Value.1"), "i-0123456789abcdef0");
    assert_eq!((field("MaxResults"), field("DryRun")), ("100".to_owned(), String::new()));
}

#[tokio::test]
async fn f055_delete_on_termination_of_an_interface_is_reported() {
    let goes = |text: &str| {
        let status = "<status>attached</status>";
        let with = format!("{status}<deleteOnTermination>{text}</deleteOnTermination>");
        SECOND.replace(status, &with)
    };
    for (item, expected) in [(goes("true"), true), (goes("false"), false), (SECOND.into(), false)] {
        let server = Server::always(listing(&item)).await;
        let found = ec2(&server.url).interfaces(&instance()).await.unwrap();
        assert_eq!(found[0].delete_on_termination, expected, "{item}");
    }
}

#[tokio::test]
async fn the_service_that_manages_an_interface_is_reported() {
    let by_operator = "<operator><managed>true</managed><principal>eks.amazonaws.com</principal></operator></item>";
    let by_requester = "<requesterId>amazon-elb</requesterId></item>";
    for (end, operator) in [(by_operator, "eks.amazonaws.com"), (by_requester, "amazon-elb")] {
        let item = format!("{}{end}", SECOND.strip_suffix("</item>").unwrap());
        let managed = "<requesterManaged>true</requesterManaged>";
        let item = item.replace("<requesterManaged>false</requesterManaged>", managed);
        let server = Server::always(listing(&item)).await;
        let found = ec2(&server.url).interfaces(&instance()).await.unwrap();
        assert_eq!(found[0].operator.as_deref(), Some(operator));
    }
    let trunk = "<interfaceType>trunk</interfaceType></item>";
    let trunk = format!("{}{trunk}", SECOND.strip_suffix("</item>").unwrap());
    let server = Server::always(listing(&trunk)).await;
    let found = ec2(&server.url).interfaces(&instance()).await.unwrap();
    assert!(found[0].operator.as_ref().is_some_and(|own| own.contains("VPC resource controller")));
}

#[tokio::test]
async fn f060_an_unparsable_interface_fails_the_whole_listing() {
    for (good, bad) in [
        ("eni-0123456789abcdef0", "enigma"),
        ("subnet-0123456789abcdef0", ""),
        ("10.0.1.9", "10.0.1.900"),
        ("10.0.1.200", ""),
    ] {
        let items = format!("{SECOND}{}", SECOND.replace(good, bad));
        let server = Server::always(listing(&items)).await;
        let failure = ec2(&server.url).interfaces(&instance()).await.unwrap_err();
        assert_eq!(failure.kind, CloudKind::Transient, "{failure}");
        assert!(failure.detail.contains("failed to parse"), "{failure}");
    }
}

#[tokio::test]
async fn an_interface_without_an_ipv4_address_is_left_out() {
    let address = "<privateIpAddress>10.0.1.200</privateIpAddress>";
    let (before, _) = SECOND.split_once(address).unwrap();
    let (_, after) = SECOND.split_once("</privateIpAddressesSet>").unwrap();
    for set in ["<privateIpAddressesSet/>", ""] {
        let efa = format!("{before}{set}{after}").replace("eni-0123456789abcdef0", "eni-0000000e");
        let server = Server::always(listing(&format!("{efa}{SECOND}"))).await;
        let found = ec2(&server.url).interfaces(&instance()).await.unwrap();
        let [one] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(one.id.as_str(), "eni-0123456789abcdef0");
    }
}

#[tokio::test]
async fn peers_are_filtered_by_subnet_and_cluster_tag() {
    let server = Server::always(listing(SECOND)).await;
    let cluster = "blue".parse().unwrap();
    assert_eq!(ec2(&server.url).peers(&subnet(), &cluster).await.unwrap().len(), 1);
    let request = &server.requests()[0];
    let field = |name: &str| request.field(name).unwrap_or_default();
    assert_eq!(field("Filter.1.Name"), "subnet-id");
    assert_eq!(field("Filter.2.Name"), "tag:firecamp.io/cluster");
    assert_eq!(field("Filter.2.Value.1"), "blue");
}

async fn dry_run(right: Right, reply: Reply) -> (Result<Permission, CloudKind>, usize) {
    let server = Server::always(reply).await;
    let answer = ec2(&server.url).permission(right).await.map_err(|failure| failure.kind);
    let requests = server.requests();
    assert!(requests.iter().all(|one| one.field("DryRun").as_deref() == Some("true")));
    (answer, requests.len())
}

#[tokio::test]
async fn f053_a_dry_run_reports_allowed_and_denied_permissions() {
    for right in Right::ALL.into_iter().filter(|right| right.has_dry_run()) {
        let would = "Request would have succeeded, but DryRun flag is set.";
        let allowed = Reply::error(412, "DryRunOperation", would);
        assert_eq!(dry_run(right, allowed).await, (Ok(Permission::Allowed), 1));
        let denied = Reply::error(403, "UnauthorizedOperation", "You are not authorized.");
        let (Ok(Permission::Denied(message)), 1) = dry_run(right, denied).await else { panic!() };
        assert!(message.contains("You are not authorized."), "{message}");
        let busy = Reply::error(503, "RequestLimitExceeded", "Request limit exceeded.");
        assert_eq!(dry_run(right, busy).await, (Err(CloudKind::Throttled), 1));
    }
}

#[tokio::test]
async fn rights_without_a_dry_run_are_never_sent() {
    for right in [Right::AssignPrivateIpAddresses, Right::UnassignPrivateIpAddresses] {
        let reply = Reply::text(200, "");
        assert_eq!(dry_run(right, reply).await, (Err(CloudKind::Unknown), 0));
    }
}

/// A client whose clock shows 01:10 on the day of the responses.
fn at_ten_past_one(ec2: &str, imds: &str) -> AwsCloud {
    let now = UNIX_EPOCH + Duration::from_mins(29_455_270);
    let clock = Some(SharedTimeSource::new(StaticTimeSource::new(now)));
    AwsCloud::connect(CloudConfig { clock, ..config(ec2, imds) }).unwrap()
}

pub(crate) fn dated(reply: Reply, date: &str) -> Reply {
    let Reply::Http { status, mut headers, body } = reply else { panic!("the reply is not HTTP") };
    headers.push(("date", date.to_owned()));
    Reply::Http { status, headers, body }
}

#[tokio::test]
async fn f094_clock_skew_is_read_from_responses_without_extra_requests() {
    let server = Server::always(dated(listing(""), "Fri, 02 Jan 2026 00:50:00 GMT")).await;
    let cloud = at_ten_past_one(&server.url, NOWHERE);
    assert_eq!(cloud.clocks(), []);
    cloud.interfaces(&instance()).await.unwrap();
    assert_eq!(cloud.clocks(), [Reading { clock: Clock::Ec2, ahead: 20 * 60 }]);
    assert_eq!(server.requests().len(), 1);
    let refused = Reply::error(401, "AuthFailure", "no");
    let server = Server::always(dated(refused, "Fri, 02 Jan 2026 01:10:01 GMT")).await;
    let cloud = at_ten_past_one(&server.url, NOWHERE);
    cloud.interfaces(&instance()).await.unwrap_err();
    assert_eq!(
        cloud.clocks(),
        [Reading { clock: Clock::Ec2, ahead: -1 }],
        "the date of a refusal counts too"
    );
}

#[tokio::test]
async fn a_missing_or_invalid_date_header_is_ignored() {
    for reply in [listing(""), dated(listing(""), "yesterday")] {
        let server = Server::always(reply).await;
        let cloud = at_ten_past_one(&server.url, NOWHERE);
        cloud.interfaces(&instance()).await.unwrap();
        assert_eq!(cloud.clocks(), []);
    }
}

#[tokio::test]
async fn the_skew_of_the_metadata_services_clock_is_measured() {
    let date = "Fri, 02 Jan 2026 01:09:00 GMT";
    let server = Server::start(move |request| {
        let (ttl, body) = ("x-aws-ec2-metadata-token-ttl-seconds", "token");
        let reply = dated(Reply::text(200, body), date);
        let Reply::Http { status, mut headers, body } = reply else {
            panic!("the reply is not HTTP")
        };
        if request.method == "PUT" {
            headers.push((ttl, "21600".to_owned()));
        }
        Reply::Http { status, headers, body }
    })
    .await;
    let cloud = at_ten_past_one(NOWHERE, &server.url);
    cloud.identity().await.unwrap_err();
    assert_eq!(cloud.clocks(), [Reading { clock: Clock::Metadata, ahead: 60 }]);
}

#[tokio::test]
async fn the_interfaces_of_simulated_nodes_are_reported_with_their_addresses() {
    let two = TwoNodes::start().await;
    let cloud = &two.clouds[1];
    let own = cloud.instance().await.unwrap();
    let address = "10.0.1.77".parse().unwrap();
    cloud.assign(&two.enis[1], &[address], false, Duration::from_secs(30)).await.unwrap();
    let interfaces = async || cloud.interfaces(&own.instance).await.unwrap();
    while !interfaces().await.iter().any(|one| one.addresses.contains(&address)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = interfaces().await;
    let ids: Vec<_> = found.iter().map(|one| &one.id).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(ids, own.enis.iter().map(|eni| &eni.id).collect::<Vec<_>>());
    assert!(found.iter().all(|one| one.cluster.as_deref() == Some("demo")));
    let peers = cloud.peers(&two.subnet, &"demo".parse().unwrap()).await.unwrap();
    assert_eq!(peers.len(), 2, "the primary interfaces of both nodes");
    assert_eq!(cloud.permission(Right::DescribeVolumes).await, Ok(Permission::Allowed));
}
