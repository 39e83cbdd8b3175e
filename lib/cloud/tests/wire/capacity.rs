//! Limits of instance types, and the volumes of an instance.

use std::time::{Duration, UNIX_EPOCH};

use aws_smithy_async::time::{SharedTimeSource, StaticTimeSource};
use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::failure::CloudKind;
use firecamp_core::ids::InstanceId;
use firecamp_core::node_identity::VolumeLimit;
use firecamp_node::preflight::CloudChecks;
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::AttachmentState;

use crate::describe_node::dated;
use crate::server::{Reply, Server};
use crate::setup::{NOWHERE, config, ec2};
use crate::two_nodes::TwoNodes;

const TYPE: &str = "<item><instanceType>m5.large</instanceType><networkInfo><maximumNetworkInterfaces>3</maximumNetworkInterfaces><ipv4AddressesPerInterface>10</ipv4AddressesPerInterface></networkInfo><ebsInfo><maximumEbsAttachments>28</maximumEbsAttachments><attachmentLimitType>shared</attachmentLimitType></ebsInfo></item>";

const VOLUME: &str = "<item><volumeId>vol-0123456789abcdef0</volumeId><size>8</size><availabilityZone>us-east-1a</availabilityZone><attachmentSet><item><volumeId>vol-0123456789abcdef0</volumeId><instanceId>i-0123456789abcdef0</instanceId><device>/dev/sdf</device><status>attaching</status><attachTime>2026-01-02T01:00:00.000Z</attachTime><deleteOnTermination>true</deleteOnTermination></item></attachmentSet></item>";

fn instance() -> InstanceId {
    InstanceId::new("i-0123456789abcdef0").unwrap()
}

fn types(items: &str) -> Reply {
    let action = "DescribeInstanceTypesResponse";
    Reply::text(200, &format!("<{action}><instanceTypeSet>{items}</instanceTypeSet></{action}>"))
}

fn volumes(items: &str, token: &str) -> Reply {
    let action = "DescribeVolumesResponse";
    let all = format!("<volumeSet>{items}</volumeSet><nextToken>{token}</nextToken>");
    Reply::text(200, &format!("<{action}>{all}</{action}>"))
}

#[tokio::test]
async fn one_request_returns_the_limits_of_a_type() {
    let server = Server::always(types(TYPE)).await;
    let found = ec2(&server.url).type_limits("m5.large").await.unwrap();
    assert_eq!((found.name.as_str(), found.enis, found.addresses), ("m5.large", 3, 10));
    assert_eq!(found.volumes, Some(VolumeLimit { count: 28, shared: true }));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].field("InstanceType.1").as_deref(), Some("m5.large"));
}

#[tokio::test]
async fn a_type_without_limits_is_a_failure() {
    for (good, bad) in [
        ("m5.large", "m5.xlarge"),
        ("<ipv4AddressesPerInterface>10</ipv4AddressesPerInterface>", ""),
        (">10<", ">0<"),
        (">10<", ">-1<"),
    ] {
        let server = Server::always(types(&TYPE.replace(good, bad))).await;
        let failure = ec2(&server.url).type_limits("m5.large").await.unwrap_err();
        assert_eq!(failure.kind, CloudKind::Unknown, "{failure}");
    }
    for (how, shared) in [("dedicated", Some(false)), ("rented", None), ("", None)] {
        let server = Server::always(types(&TYPE.replace("shared", how))).await;
        let found = ec2(&server.url).type_limits("m5.large").await.unwrap();
        assert_eq!(found.volumes.map(|limit| limit.shared), shared, "{how}");
    }
}

const TEN_PAST_ONE: &str = "Fri, 02 Jan 2026 01:10:00 GMT";

/// A client whose clock shows 01:10 on the day of the attachment.
fn at_ten_past_one(ec2: &str) -> AwsCloud {
    let now = UNIX_EPOCH + Duration::from_mins(29_455_270);
    let clock = Some(SharedTimeSource::new(StaticTimeSource::new(now)));
    AwsCloud::connect(CloudConfig { clock, ..config(ec2, NOWHERE) }).unwrap()
}

#[tokio::test]
async fn all_volumes_of_an_instance_are_reported_with_their_states() {
    let elsewhere = VOLUME.replace("i-0123456789abcdef0", "i-0123456789abcdef1");
    let detached = VOLUME.replace("attaching", "detached");
    let other = VOLUME.replace("vol-0123456789abcdef0", "vol-0123456789abcdef1");
    let second = other.replace("attaching", "busy");
    let server = Server::start(move |request| match request.field("NextToken").as_deref() {
        Some("more") => dated(volumes(&format!("{elsewhere}{detached}{second}"), ""), TEN_PAST_ONE),
        _ => volumes(VOLUME, "more"),
    });
    let server = server.await;
    let found = at_ten_past_one(&server.url).attachments(&instance()).await.unwrap();
    let [one, two] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.state, one.label.as_str()), (AttachmentState::Attaching, "/dev/sdf"));
    assert_eq!((one.bytes, one.delete_on_termination), (8 << 30, true));
    assert_eq!(one.age, Some(Duration::from_mins(10)));
    assert_eq!(one.zone.as_str(), "us-east-1a");
    assert_eq!((two.volume.as_str(), two.state), ("vol-0123456789abcdef1", AttachmentState::Busy));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let filter = ["Filter.1.Name", "Filter.1.Value.1"].map(|name| requests[0].field(name).unwrap());
    assert_eq!(filter, ["attachment.instance-id", "i-0123456789abcdef0"]);
}

/// An attachment's age follows EC2's own clock, however far this node's clock is off.
#[tokio::test]
async fn f094_the_age_of_an_attachment_follows_ec2s_clock() {
    for (date, minutes) in [
        (TEN_PAST_ONE, 10),
        ("Fri, 02 Jan 2026 01:00:00 GMT", 0),
        ("Fri, 02 Jan 2026 00:59:00 GMT", 0),
        ("Fri, 02 Jan 2026 01:20:00 GMT", 20),
    ] {
        let server = Server::always(dated(volumes(VOLUME, ""), date)).await;
        let found = at_ten_past_one(&server.url).attachments(&instance()).await.unwrap();
        assert_eq!(found[0].age, Some(Duration::from_mins(minutes)), "{date}");
    }
    let server = Server::always(volumes(VOLUME, "")).await;
    let found = at_ten_past_one(&server.url).attachments(&instance()).await.unwrap();
    assert_eq!(found[0].age, None, "the response has no date");
}

/// One volume is detaching from another instance, one is not attached, and one is attached here.
#[tokio::test]
async fn f081_the_other_attachments_of_a_volume_are_reported_with_their_state() {
    let [wanted, here] = ["vol-0123456789abcdef0", "vol-0123456789abcdef1"];
    let detaching = VOLUME
        .replace("i-0123456789abcdef0", "i-0123456789abcdef1")
        .replace("attaching", "detaching");
    let items = format!("{detaching}{}", VOLUME.replace(wanted, here));
    let server = Server::always(volumes(&items, "")).await;
    let missing = [wanted, here].map(|id| id.parse().unwrap()).into();
    let found = ec2(&server.url).elsewhere(&instance(), &missing).await.unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.volume.as_str(), one.instance.as_str()), (wanted, "i-0123456789abcdef1"));
    assert_eq!(one.state, AttachmentState::Detaching);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let names = ["Filter.1.Name", "Filter.1.Value.1", "Filter.1.Value.2"];
    let fields = names.map(|name| requests[0].field(name).unwrap());
    assert_eq!(fields, ["volume-id", wanted, here]);
    for (good, bad) in [("detaching", "teleporting"), ("i-0123456789abcdef1", "somewhere")] {
        let server = Server::always(volumes(&detaching.replace(good, bad), "")).await;
        let failure = ec2(&server.url).elsewhere(&instance(), &missing).await.unwrap_err();
        assert!(failure.detail.contains("failed to parse"), "{failure}");
    }
}

#[tokio::test]
async fn f060_an_unparsable_volume_fails_the_whole_listing() {
    for (good, bad) in [
        ("<volumeId>vol-0123456789abcdef0</volumeId><size>", "<volumeId>volume</volumeId><size>"),
        ("attaching", "teleporting"),
        ("us-east-1a", ""),
    ] {
        let items = format!("{VOLUME}{}", VOLUME.replace(good, bad));
        let server = Server::always(volumes(&items, "")).await;
        let failure = ec2(&server.url).attachments(&instance()).await.unwrap_err();
        assert_eq!(failure.kind, CloudKind::Transient, "{failure}");
        assert!(failure.detail.contains("failed to parse"), "{failure}");
    }
}

#[tokio::test]
async fn a_simulated_node_has_type_limits_and_a_root_volume() {
    let two = TwoNodes::start().await;
    let cloud = &two.clouds[0];
    let own = cloud.instance().await.unwrap();
    let limits = cloud.type_limits(&own.instance_type).await.unwrap();
    assert_eq!((limits.enis, limits.addresses), (3, 6));
    let failure = cloud.type_limits("x9.huge").await.unwrap_err();
    assert!(failure.detail.contains("InvalidInstanceType"), "{failure}");
    let found = cloud.attachments(&own.instance).await.unwrap();
    let [root] = found.as_slice() else { panic!("{found:?}") };
    // The other node has no such attachment, and the second volume does not exist.
    let unknown = "vol-0123456789abcdef9".parse().unwrap();
    let missing = [root.volume.clone(), unknown].into();
    let other = two.clouds[1].instance().await.unwrap().instance;
    let found = two.clouds[1].elsewhere(&other, &missing).await.unwrap();
    let [on_first] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&on_first.volume, &on_first.instance), (&root.volume, &own.instance));
    assert_eq!(cloud.elsewhere(&own.instance, &missing).await.unwrap(), []);
    assert_eq!((root.state, root.zone.as_str()), (AttachmentState::Attached, "us-east-1a"));
}
