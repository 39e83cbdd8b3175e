//! Listings of a subnet's interfaces page by page, and the subnet.

use firecamp_cloud::{InterfacesBy, ListedInterface, ListedSubnet};
use firecamp_core::failure::CloudKind;

use crate::server::{Reply, Server};
use crate::setup::{ADDRESS, ENI, SUBNET, ec2, eni, subnet};

fn response(action: &str, inside: &str) -> Reply {
    let body = format!("<{action}Response>{inside}</{action}Response>");
    Reply::text(200, &body)
}

fn page(item: &str, token: &str) -> Reply {
    let inside = format!(
        "<networkInterfaceSet><item>{item}</item></networkInterfaceSet>\
         <nextToken>{token}</nextToken>"
    );
    response("DescribeNetworkInterfaces", &inside)
}

#[tokio::test]
async fn pages_are_kept_apart_and_have_addresses_prefixes_and_tags() {
    let server = Server::start(|request| {
        if request.field("NextToken").is_some() {
            return page("<networkInterfaceId>eni-0000000b</networkInterfaceId>", "");
        }
        let item = format!(
            "<networkInterfaceId>{ENI}</networkInterfaceId>\
             <privateIpAddress>10.0.1.5</privateIpAddress><privateIpAddressesSet>\
             <item><privateIpAddress>10.0.1.5</privateIpAddress></item>\
             <item><privateIpAddress>{ADDRESS}</privateIpAddress></item></privateIpAddressesSet>\
             <ipv4PrefixSet><item><ipv4Prefix>10.0.1.64/28</ipv4Prefix></item></ipv4PrefixSet>\
             <tagSet><item><key>team</key><value>a</value></item></tagSet>"
        );
        page(&item, "more")
    })
    .await;
    let by = InterfacesBy::TagKey("team".to_owned());
    let pages = ec2(&server.url).interface_pages(&subnet(), &by, 7).await.unwrap();
    let first = ListedInterface {
        id: eni(),
        primary: Some([10, 0, 1, 5].into()),
        secondary: [ADDRESS].into(),
        prefixes: vec!["10.0.1.64/28".parse().unwrap()],
        tags: [("team".to_owned(), "a".to_owned())].into(),
    };
    assert!(first.has(ADDRESS) && first.has([10, 0, 1, 5].into()));
    assert_eq!((pages.len(), &pages[0][..]), (2, &[first][..]));
    assert_eq!((pages[1][0].id.as_str(), pages[1][0].primary), ("eni-0000000b", None));
    let requests = server.requests();
    for (name, value) in [
        ("Filter.1.Name", "subnet-id"),
        ("Filter.1.Value.1", SUBNET),
        ("Filter.2.Name", "tag-key"),
        ("Filter.2.Value.1", "team"),
        ("MaxResults", "7"),
    ] {
        assert!(requests.iter().all(|it| it.field(name).as_deref() == Some(value)), "{name}");
    }
}

#[tokio::test]
async fn a_list_by_tag_is_not_limited_to_a_subnet() {
    let item = "<networkInterfaceId>eni-0000000b</networkInterfaceId>";
    let server = Server::always(page(item, "")).await;
    let by = InterfacesBy::Tag { key: "team".to_owned(), value: "a".to_owned() };
    let pages = ec2(&server.url).interface_pages(&subnet(), &by, 5).await.unwrap();
    assert_eq!(pages[0][0].id.as_str(), "eni-0000000b");
    let requests = server.requests();
    let field = |name: &str| requests[0].field(name);
    assert_eq!(field("Filter.1.Name").as_deref(), Some("tag:team"));
    assert_eq!(field("Filter.1.Value.1").as_deref(), Some("a"));
    assert_eq!(field("Filter.2.Name"), None);
}

#[tokio::test]
async fn a_subnet_has_its_block_and_its_reservations_and_an_unknown_one_is_not_found() {
    let subnet_of = |id: &str| {
        let item = format!(
            "<subnetSet><item><subnetId>{id}</subnetId><cidrBlock>10.0.1.0/24</cidrBlock>\
             <availableIpAddressCount>9</availableIpAddressCount></item></subnetSet>"
        );
        response("DescribeSubnets", &item)
    };
    let server = Server::start(move |request| {
        if request.field("Action").as_deref() == Some("DescribeSubnets") {
            return subnet_of(SUBNET);
        }
        let item = "<subnetIpv4CidrReservationSet><item><cidr>10.0.1.32/27</cidr>\
                    <reservationType>prefix</reservationType></item>\
                    </subnetIpv4CidrReservationSet>";
        response("GetSubnetCidrReservations", item)
    })
    .await;
    let found = ec2(&server.url).subnet(&subnet()).await.unwrap();
    let expected = ListedSubnet {
        cidr: "10.0.1.0/24".parse().unwrap(),
        available: 9,
        reservations: vec!["10.0.1.32/27".parse().unwrap()],
    };
    assert_eq!(found, expected);
    let other = Server::always(subnet_of("subnet-0000000b")).await;
    let failure = ec2(&other.url).subnet(&subnet()).await.unwrap_err();
    assert_eq!(failure.kind, CloudKind::NotFound, "{failure}");
}
