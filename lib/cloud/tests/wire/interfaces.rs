//! Responses about interfaces that FireCamp makes, byte by byte. `tests/sim` sends the same calls
//! to the simulator.

use firecamp_core::failure::CloudKind::Transient;
use firecamp_core::failure::{CloudFailure, Effect};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceAttachment, InterfaceFilter,
};
use firecamp_core::ports::CloudInterfaces;

use crate::server::{Reply, Server};
use crate::setup::{
    ADDRESS, ATTACHMENT, ENI, INSTANCE, PATIENT, SUBNET, ec2, eni, instance, new_interface,
};

fn response(action: &str, inside: &str) -> Reply {
    let xmlns = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let body = format!(
        r#"<{action}Response xmlns="{xmlns}"><requestId>r</requestId>{inside}</{action}Response>"#
    );
    Reply::text(200, &body)
}

fn created(eni: &str, subnet: &str) -> Reply {
    let inside = format!(
        "<networkInterface><networkInterfaceId>{eni}</networkInterfaceId>\
         <subnetId>{subnet}</subnetId></networkInterface>"
    );
    response("CreateNetworkInterface", &inside)
}

#[tokio::test]
async fn a_creation_sends_groups_tags_and_token_in_one_request() {
    let server = Server::always(created(ENI, SUBNET)).await;
    let made = ec2(&server.url).create_interface(&new_interface(), PATIENT).await.unwrap();
    assert_eq!(made, eni());
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    for (name, value) in [
        ("Action", "CreateNetworkInterface"),
        ("SubnetId", SUBNET),
        ("SecurityGroupId.1", "sg-00000001"),
        ("SecurityGroupId.2", "sg-00000002"),
        ("Description", "FireCamp"),
        ("TagSpecification.1.ResourceType", "network-interface"),
        ("TagSpecification.1.Tag.1.Key", "firecamp.io/cluster"),
        ("TagSpecification.1.Tag.1.Value", "demo"),
        ("ClientToken", "uid-1"),
    ] {
        assert_eq!(requests[0].field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_creation_without_a_usable_id_may_have_taken_effect() {
    let other = "subnet-0fedcba9876543210";
    for reply in [created("", SUBNET), created("eni-x", SUBNET), created(ENI, other)] {
        let server = Server::always(reply).await;
        let answer = ec2(&server.url).create_interface(&new_interface(), PATIENT).await;
        let failure = answer.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::Unknown), "{failure}");
    }
}

#[tokio::test]
async fn an_attachment_is_sent_for_the_first_network_card() {
    let inside = format!("<attachmentId>{ATTACHMENT}</attachmentId>");
    let server = Server::always(response("AttachNetworkInterface", &inside)).await;
    ec2(&server.url).attach_interface(&eni(), &instance(), 2, PATIENT).await.unwrap();
    let requests = server.requests();
    for (name, value) in [
        ("NetworkInterfaceId", ENI),
        ("InstanceId", INSTANCE),
        ("DeviceIndex", "2"),
        ("NetworkCardIndex", "0"),
    ] {
        assert_eq!(requests[0].field(name).as_deref(), Some(value), "{name}");
    }
}

fn item(eni: &str, inside: &str) -> String {
    format!("<item><networkInterfaceId>{eni}</networkInterfaceId>{inside}</item>")
}

async fn describe(
    filter: InterfaceFilter,
    items: &str,
) -> Result<Vec<DescribedInterface>, CloudFailure> {
    let set = format!("<networkInterfaceSet>{items}</networkInterfaceSet>");
    let server = Server::always(response("DescribeNetworkInterfaces", &set)).await;
    let answer = ec2(&server.url).describe_interfaces(&filter).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].field("MaxResults").is_some());
    assert_eq!(requests[0].field("NetworkInterfaceId.1"), None, "an unknown ID would be an error");
    answer
}

fn attachment(inside: &str) -> String {
    format!("<attachment>{inside}</attachment>")
}

const ATTACHED: &str = "<attachmentId>eni-attach-0123456789abcdef0</attachmentId>\
                        <instanceId>i-0123456789abcdef0</instanceId>\
                        <deviceIndex>2</deviceIndex>";

fn bare() -> DescribedInterface {
    DescribedInterface {
        id: eni(),
        addresses: [].into(),
        prefixes: 0,
        attachment: None,
        record: None,
        cluster_uid: None,
    }
}

#[tokio::test]
async fn a_described_interface_has_its_secondary_addresses_attachment_and_tags() {
    let address = |text: &str, primary: bool| {
        format!(
            "<item><privateIpAddress>{text}</privateIpAddress><primary>{primary}</primary></item>"
        )
    };
    let addresses = address("10.0.1.5", true) + &address("10.0.1.9", false);
    let tag =
        |key: &str, value: &str| format!("<item><key>{key}</key><value>{value}</value></item>");
    let tags = tag("firecamp.io/interface", "uid-7") + &tag("firecamp.io/cluster-uid", "uid-0");
    let attached = attachment(&format!("{ATTACHED}<status>attached</status>"));
    let inside = format!(
        "<privateIpAddress>10.0.1.5</privateIpAddress>\
         <privateIpAddressesSet>{addresses}</privateIpAddressesSet>\
         <ipv4PrefixSet><item><ipv4Prefix>10.0.1.64/28</ipv4Prefix></item></ipv4PrefixSet>\
         {attached}<tagSet>{tags}</tagSet>"
    );
    let expected = DescribedInterface {
        addresses: [ADDRESS].into(),
        prefixes: 1,
        attachment: Some(InterfaceAttachment {
            id: ATTACHMENT.to_owned(),
            instance: instance(),
            device_index: 2,
            attached: true,
        }),
        record: Some("uid-7".to_owned()),
        cluster_uid: Some("uid-0".to_owned()),
        ..bare()
    };
    let by_id = InterfaceFilter::Id(eni());
    let found = describe(by_id.clone(), &item(ENI, &inside)).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&expected));
    let twice = item(ENI, &inside).repeat(2);
    assert_eq!(describe(by_id, &twice).await.unwrap(), std::slice::from_ref(&expected));
    let record = InterfaceFilter::Record("uid-7".to_owned());
    assert_eq!(describe(record, &item(ENI, &inside)).await.unwrap(), [expected]);
    let other = InterfaceFilter::Record("uid-8".to_owned());
    assert_eq!(describe(other, &item(ENI, &inside)).await.unwrap(), []);
}

#[tokio::test]
async fn an_interface_without_ipv4_or_without_an_attachment_is_in_the_answer() {
    let by_id = InterfaceFilter::Id(eni());
    assert_eq!(describe(by_id.clone(), &item(ENI, "")).await.unwrap(), [bare()]);
    assert_eq!(describe(by_id.clone(), "").await.unwrap(), []);
    let detached = attachment("<status>detached</status>");
    assert_eq!(describe(by_id.clone(), &item(ENI, &detached)).await.unwrap(), [bare()]);
    for status in ["attaching", "detaching", "busy"] {
        let inside = attachment(&format!("{ATTACHED}<status>{status}</status>"));
        let found = describe(by_id.clone(), &item(ENI, &inside)).await.unwrap();
        assert!(!found[0].attachment.as_ref().unwrap().attached, "{status}");
    }
}

#[tokio::test]
async fn a_listing_that_cannot_be_parsed_is_a_failure() {
    let without = |part: &str| {
        let whole = format!("{ATTACHED}<status>attached</status>");
        let start = whole.find(&format!("<{part}>")).unwrap();
        let close = format!("</{part}>");
        let end = whole.find(&close).unwrap() + close.len();
        attachment(&(whole[..start].to_owned() + &whole[end..]))
    };
    let set = |entry: &str| {
        format!("<privateIpAddressesSet><item>{entry}</item></privateIpAddressesSet>")
    };
    for items in [
        item("", ""),
        item("eni-x", ""),
        item(ENI, &set("<privateIpAddress>10.0.1</privateIpAddress>")),
        item(ENI, &set("<primary>false</primary>")),
        item(ENI, &without("attachmentId")),
        item(ENI, &without("instanceId")),
        item(ENI, &without("deviceIndex")),
    ] {
        let failure = describe(InterfaceFilter::Id(eni()), &items).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{items}");
        assert!(failure.detail.contains("failed to parse"), "{failure}");
    }
}

#[tokio::test]
async fn interfaces_of_a_cluster_are_listed_in_long_pages_without_those_that_cannot_be_parsed() {
    let tagged = |eni: &str, cluster: &str, inside: &str| {
        let tag = format!("<item><key>firecamp.io/cluster</key><value>{cluster}</value></item>");
        item(eni, &format!("{inside}<tagSet>{tag}</tagSet>"))
    };
    let addresses = "<privateIpAddress>10.0.1.5</privateIpAddress><privateIpAddressesSet><item>\
                     <privateIpAddress>10.0.1.9</privateIpAddress></item></privateIpAddressesSet>";
    let service = attachment("<attachmentId>eni-attach-1</attachmentId><status>attached</status>");
    let items = tagged(ENI, "demo", addresses)
        + &tagged("eni-0000000b", "other", addresses)
        + &tagged("eni-0000000c", "demo", &service)
        + &tagged("", "demo", "");
    let set = format!("<networkInterfaceSet>{items}</networkInterfaceSet>");
    let server = Server::always(response("DescribeNetworkInterfaces", &set)).await;
    let filter = InterfaceFilter::Cluster("demo".parse().unwrap());
    let found = ec2(&server.url).describe_interfaces(&filter).await.unwrap();
    assert_eq!(found, [DescribedInterface { addresses: [ADDRESS].into(), ..bare() }]);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    for (name, value) in [
        ("MaxResults", "500"),
        ("Filter.1.Name", "tag:firecamp.io/cluster"),
        ("Filter.1.Value.1", "demo"),
    ] {
        assert_eq!(requests[0].field(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn an_instance_is_gone_only_if_ec2_says_so() {
    let state = async |id: &str, state: &str| {
        let inside = format!(
            "<reservationSet><item><instancesSet><item><instanceId>{id}</instanceId>\
             <instanceState><name>{state}</name></instanceState></item></instancesSet></item>\
             </reservationSet>"
        );
        let server = Server::always(response("DescribeInstances", &inside)).await;
        let answer = ec2(&server.url).instance_state(&instance()).await;
        assert_eq!(server.requests()[0].field("InstanceId.1").as_deref(), Some(INSTANCE));
        answer
    };
    for name in ["pending", "running", "stopping", "stopped", "shutting-down"] {
        assert_eq!(state(INSTANCE, name).await.unwrap(), InstanceState::Exists, "{name}");
    }
    assert_eq!(state(INSTANCE, "terminated").await.unwrap(), InstanceState::Gone);
    for (id, name) in [(INSTANCE, "resting"), (INSTANCE, ""), ("i-00000002", "terminated")] {
        let failure = state(id, name).await.unwrap_err();
        assert_eq!((failure.kind, failure.effect), (Transient, Effect::None), "{failure}");
    }
    let unknown = Reply::error(400, "InvalidInstanceID.NotFound", "does not exist");
    let server = Server::always(unknown).await;
    let answer = ec2(&server.url).instance_state(&instance()).await;
    assert_eq!(answer.unwrap(), InstanceState::Gone);
    let server = Server::always(Reply::error(403, "UnauthorizedOperation", "no")).await;
    assert!(ec2(&server.url).instance_state(&instance()).await.is_err());
}
