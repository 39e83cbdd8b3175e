//! FireCamp's client against moto's server, an independent implementation of EC2 that checks
//! FireCamp's own test doubles. `scripts/test-moto.sh` runs it.
//!
//! moto is lax: a reassigned address stays on both ENIs, and its address filter finds only primary
//! addresses. The strict simulator covers what moto cannot.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{BehaviorVersion, Region};
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use aws_smithy_http_client::Builder;
use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::{Cloud, Owner};

const WITHIN: Duration = Duration::from_secs(10);

fn endpoint() -> String {
    std::env::var("MOTO_ENDPOINT")
        .expect("MOTO_ENDPOINT is not set: run scripts/test-moto.sh, which starts moto's server")
}

fn cloud() -> AwsCloud {
    let config = CloudConfig {
        region: Some("us-east-1".to_owned()),
        ec2_endpoint: Some(endpoint()),
        imds_endpoint: Some(endpoint()),
        credentials: Credentials::Fixed { key_id: "AKIDTEST".to_owned(), secret: "s".to_owned() },
        answer_within: WITHIN,
        ..CloudConfig::default()
    };
    AwsCloud::connect(config).unwrap()
}

/// The plain SDK, for requests that FireCamp's client never sends.
fn sdk() -> Client {
    let keys = aws_credential_types::Credentials::new("AKIDTEST", "s", None, None, "test");
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(keys)
        .endpoint_url(endpoint())
        .http_client(Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// A subnet and one tagged ENI in it, with 10.9.0.4 as its primary address.
async fn eni() -> (SubnetId, EniId) {
    let sdk = sdk();
    let vpc = sdk.create_vpc().cidr_block("10.9.0.0/16").send().await.unwrap();
    let vpc = vpc.vpc.unwrap().vpc_id.unwrap();
    let subnet = sdk.create_subnet().vpc_id(vpc).cidr_block("10.9.0.0/24").send().await.unwrap();
    let subnet = subnet.subnet.unwrap().subnet_id.unwrap();
    let cluster = Tag::builder().key(tag::CLUSTER).value("blue").build();
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::NetworkInterface)
        .tags(cluster)
        .build();
    let eni = sdk
        .create_network_interface()
        .subnet_id(&subnet)
        .private_ip_address("10.9.0.4")
        .description("of FireCamp")
        .tag_specifications(tags)
        .send()
        .await
        .unwrap();
    let eni = eni.network_interface.unwrap().network_interface_id.unwrap();
    (SubnetId::new(&subnet).unwrap(), EniId::new(&eni).unwrap())
}

async fn addresses(eni: &EniId) -> Vec<String> {
    let answer = sdk().describe_network_interfaces().network_interface_ids(eni.as_str());
    let enis = answer.send().await.unwrap().network_interfaces.unwrap();
    let entries = enis.into_iter().flat_map(|eni| eni.private_ip_addresses.unwrap_or_default());
    entries.filter_map(|entry| entry.private_ip_address).collect()
}

#[tokio::test]
async fn an_assigned_address_is_on_the_eni_until_it_is_unassigned() {
    let (_subnet, eni) = eni().await;
    let address = Ipv4Addr::new(10, 9, 0, 9);
    let cloud = cloud();
    cloud.assign(&eni, &[address], false, WITHIN).await.unwrap();
    assert!(addresses(&eni).await.contains(&address.to_string()));
    cloud.unassign(&eni, address, WITHIN).await.unwrap();
    assert!(!addresses(&eni).await.contains(&address.to_string()));
}

#[tokio::test]
async fn the_owner_of_a_primary_address_is_reported_with_its_tag() {
    let (subnet, eni) = eni().await;
    let owner = cloud().owner(Ipv4Addr::new(10, 9, 0, 4), &subnet).await.unwrap();
    let Owner::Eni(owner) = owner else { unreachable!("the ENI's own address has no owner") };
    assert_eq!((owner.id, owner.primary), (eni, true));
    assert_eq!(owner.cluster.as_deref(), Some("blue"));
    assert_eq!(owner.description, "of FireCamp");
}

#[tokio::test]
async fn an_address_without_an_eni_has_no_owner() {
    let (subnet, _eni) = eni().await;
    let owner = cloud().owner(Ipv4Addr::new(10, 9, 0, 77), &subnet).await.unwrap();
    assert_eq!(owner, Owner::Unassigned);
}

#[tokio::test]
async fn a_missing_eni_is_classified_as_not_found() {
    let eni = EniId::new("eni-0aaaaaaaaaaaaaaaa").unwrap();
    let answer = cloud().assign(&eni, &[Ipv4Addr::new(10, 9, 0, 9)], true, WITHIN).await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.kind, failure.effect), (CloudKind::NotFound, Effect::None), "{failure}");
    assert!(failure.detail.contains("InvalidNetworkInterfaceID.NotFound"), "{failure}");
}

#[tokio::test]
async fn a_metadata_service_without_the_required_keys_is_a_failure_not_an_empty_node() {
    let failure = cloud().identity().await.unwrap_err();
    assert_eq!(failure.effect, Effect::None, "{failure}");
}
