//! Subnet CIDR reservations, in EC2's format.

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::Reservation;

use crate::server::{Reply, Server};
use crate::setup::{ec2, subnet};

fn answer(action: &str, body: &str) -> Reply {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    let text = format!(
        "<{action}Response xmlns=\"{space}\"><requestId>r</requestId>{body}</{action}Response>"
    );
    Reply::text(200, &text)
}

/// The second page is returned for the token.
async fn two_pages(first: Reply, second: Reply) -> Server {
    Server::start(
        move |request| {
            if request.field("NextToken").is_some() { second.clone() } else { first.clone() }
        },
    )
    .await
}

fn reserved(items: &str, rest: &str) -> Reply {
    let set = "subnetIpv4CidrReservationSet";
    answer("GetSubnetCidrReservations", &format!("<{set}>{items}</{set}>{rest}"))
}

fn item(cidr: &str, kind: &str) -> String {
    format!("<item><cidr>{cidr}</cidr><reservationType>{kind}</reservationType></item>")
}

#[tokio::test]
async fn f055_reservations_are_read_from_all_pages_with_their_kind() {
    let first = reserved(&item("10.0.1.96/27", "explicit"), "<nextToken>t</nextToken>");
    let second = reserved(&item("10.0.1.128/28", "prefix"), "");
    let server = two_pages(first, second).await;
    let found = ec2(&server.url).reservations(&subnet()).await.unwrap();
    let one = |block: &str, explicit| Reservation { block: block.parse().unwrap(), explicit };
    assert_eq!(found, [one("10.0.1.96/27", true), one("10.0.1.128/28", false)]);
    let requests = server.requests();
    let field = |at: usize, name: &str| requests[at].field(name).unwrap_or_default();
    assert_eq!(field(0, "Action"), "GetSubnetCidrReservations");
    assert_eq!((field(0, "SubnetId"), field(1, "NextToken")), (subnet().to_string(), "t".into()));
}

#[tokio::test]
async fn an_unparsable_reservation_fails_the_listing() {
    let server = Server::always(reserved(&item("10.0.1.96/270", "explicit"), "")).await;
    let failure = ec2(&server.url).reservations(&subnet()).await.unwrap_err();
    assert_eq!(failure.kind, CloudKind::Transient, "{failure}");
    assert!(failure.detail.contains("10.0.1.96/270"), "{failure}");
}

#[tokio::test]
async fn a_repeated_token_fails_the_listing() {
    let server = Server::always(reserved("", "<nextToken>t</nextToken>")).await;
    let failure = ec2(&server.url).reservations(&subnet()).await.unwrap_err();
    assert!(failure.detail.contains("token was repeated"), "{failure}");
}
