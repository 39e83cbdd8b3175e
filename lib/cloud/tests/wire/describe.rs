//! Owner lookups over several pages, and malformed listings.

use std::sync::Arc;

use firecamp_cloud::{AwsCloud, CloudConfig};
use firecamp_core::contract::path;
use firecamp_core::failure::CloudKind::Transient;
use firecamp_core::ports::{Cloud, Owner};

use crate::server::{Reply, Request, Server};
use crate::setup::{ADDRESS, ENI, NOWHERE, SUBNET, config, subnet};

/// A page with these items and this token.
fn page(items: &[String], token: Option<&str>) -> Reply {
    let xmlns = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let token = token.map_or(String::new(), |token| format!("<nextToken>{token}</nextToken>"));
    let items = items.concat();
    Reply::text(
        200,
        &format!(
            r#"<DescribeNetworkInterfacesResponse xmlns="{xmlns}"><requestId>r</requestId><networkInterfaceSet>{items}</networkInterfaceSet>{token}</DescribeNetworkInterfacesResponse>"#
        ),
    )
}

fn eni(id: &str, address: &str) -> String {
    format!(
        "<item><networkInterfaceId>{id}</networkInterfaceId><subnetId>{SUBNET}</subnetId><privateIpAddress>10.0.1.200</privateIpAddress><privateIpAddressesSet><item><privateIpAddress>10.0.1.200</privateIpAddress><primary>true</primary></item><item><privateIpAddress>{address}</privateIpAddress><primary>false</primary></item></privateIpAddressesSet><tagSet><item><key>firecamp.io/cluster</key><value>blue</value></item></tagSet></item>"
    )
}

/// An ENI of a terminated instance: no subnet, no addresses.
const BARE: &str = "<item><status>available</status></item>";

/// Returns pages of the requested size, with numbered tokens.
fn paged(items: Vec<String>) -> impl Fn(&Request) -> Reply + Send + Sync {
    let items = Arc::new(items);
    move |request| {
        let number = |name: &str| request.field(name).map(|text| text.parse::<usize>().unwrap());
        let start = number("NextToken").unwrap_or(0);
        let end = items.len().min(start + number("MaxResults").unwrap());
        let token = (end < items.len()).then(|| end.to_string());
        page(&items[start..end], token.as_deref())
    }
}

async fn owner_of(server: &Server, page_size: i32) -> Result<Owner, String> {
    let config = CloudConfig { page_size, ..config(&server.url, NOWHERE) };
    let cloud = AwsCloud::connect(config).unwrap();
    let answer = cloud.owner(ADDRESS, &subnet()).await;
    answer.map_err(|failure| {
        assert_eq!(failure.kind, Transient, "{failure}");
        failure.detail
    })
}

fn id(owner: Owner) -> Option<String> {
    match owner {
        Owner::Unassigned => None,
        Owner::Eni(eni) => Some(eni.id.to_string()),
    }
}

#[tokio::test]
async fn f060_pages_of_five_give_the_same_owner_as_pages_of_a_thousand() {
    let mut items: Vec<String> =
        (0..30).map(|n| eni(&format!("eni-0000000000000{n:04}"), "10.0.1.77")).collect();
    items.insert(3, BARE.to_owned());
    items.insert(22, eni(ENI, "10.0.1.9"));
    let server = Server::start(paged(items)).await;
    let small = owner_of(&server, 5).await.unwrap();
    assert_eq!(server.requests().len(), 7);
    assert_eq!(owner_of(&server, 1000).await.unwrap(), small);
    assert_eq!(id(small).as_deref(), Some(ENI));
    assert_eq!(server.requests().len(), 8);
}

#[tokio::test]
async fn a_lookup_filters_by_address_and_subnet_with_a_page_size() {
    let server = Server::always(page(&[], None)).await;
    assert_eq!(owner_of(&server, 100).await.unwrap(), Owner::Unassigned);
    let requests = server.requests();
    let field = |name: &str| requests[0].field(name).unwrap_or_default();
    assert_eq!(field("Action"), "DescribeNetworkInterfaces");
    assert_eq!(field("Filter.1.Name"), "addresses.private-ip-address");
    assert_eq!(field("Filter.1.Value.1"), "10.0.1.9");
    assert_eq!(
        (field("Filter.2.Name"), field("Filter.2.Value.1")),
        ("subnet-id".into(), SUBNET.into())
    );
    assert_eq!(field("MaxResults"), "100");
    assert_eq!(requests.len(), 1);
}

#[tokio::test]
async fn whose_a_made_interface_is_follows_from_the_file_with_the_clusters_uid() {
    let uid = "<item><key>firecamp.io/cluster-uid</key><value>uid-1</value></item></tagSet>";
    let made = eni(ENI, "10.0.1.9").replace("</tagSet>", uid);
    let server = Server::always(page(&[made], None)).await;
    let dir = tempfile::tempdir().unwrap();
    let on_node = AwsCloud::connect(config(&server.url, NOWHERE).on_node(dir.path())).unwrap();
    let cluster = async |cloud: &AwsCloud| match cloud.owner(ADDRESS, &subnet()).await.unwrap() {
        Owner::Eni(eni) => eni.cluster,
        Owner::Unassigned => panic!("no owner"),
    };
    assert_eq!(cluster(&on_node).await, None, "there is no file yet");
    for (written, expected) in [("uid-1\n", Some("blue")), ("uid-2", None), ("", None)] {
        std::fs::write(dir.path().join(path::CLUSTER_UID), written).unwrap();
        assert_eq!(cluster(&on_node).await.as_deref(), expected, "{written:?}");
    }
    let anywhere = AwsCloud::connect(config(&server.url, NOWHERE)).unwrap();
    assert_eq!(cluster(&anywhere).await.as_deref(), Some("blue"));
}

#[tokio::test]
async fn an_empty_page_with_a_token_does_not_end_the_listing() {
    let server = Server::start(|request| match request.field("NextToken") {
        None => page(&[], Some("more")),
        Some(_) => page(&[eni(ENI, "10.0.1.9")], Some("")),
    })
    .await;
    assert_eq!(id(owner_of(&server, 100).await.unwrap()).as_deref(), Some(ENI));
}

#[tokio::test]
async fn a_repeated_token_is_a_failure_not_the_end_of_the_listing() {
    let server = Server::always(page(&[], Some("again"))).await;
    let detail = owner_of(&server, 100).await.unwrap_err();
    assert!(detail.contains("token was repeated"), "{detail}");
    assert_eq!(server.requests().len(), 2);
    let server = Server::start(|request| match request.field("NextToken").as_deref() {
        Some("a") => page(&[], Some("b")),
        _ => page(&[], Some("a")),
    })
    .await;
    let detail = owner_of(&server, 100).await.unwrap_err();
    assert!(detail.contains("token was repeated"), "{detail}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn an_endless_listing_is_a_failure() {
    let server = Server::start(|request| {
        let last: u32 = request.field("NextToken").map_or(0, |text| text.parse().unwrap());
        page(&[], Some(&(last + 1).to_string()))
    })
    .await;
    assert!(owner_of(&server, 100).await.unwrap_err().contains("too many pages"));
    assert_eq!(server.requests().len(), 20);
}

#[tokio::test]
async fn a_failure_on_a_later_page_fails_the_lookup() {
    let server = Server::start(|request| match request.field("NextToken") {
        None => page(&[eni(ENI, "10.0.1.9")], Some("more")),
        Some(_) => Reply::error(400, "InvalidNextToken", "The token is not valid"),
    })
    .await;
    assert!(owner_of(&server, 100).await.unwrap_err().contains("InvalidNextToken"));
}

#[tokio::test]
async fn an_eni_without_the_address_is_not_an_owner() {
    let server = Server::always(page(&[eni(ENI, "10.0.1.90")], None)).await;
    assert_eq!(owner_of(&server, 100).await.unwrap(), Owner::Unassigned);
}
