//! The permissions in EC2 are exactly those that the code needs.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_checks::deploy::iam::{AuthorizationRequest, Place, Policy};
use firecamp_checks::deploy::text;
use firecamp_core::contract::tag;
use firecamp_node::preflight::facts::Right;

const PLACE: Place<'_> =
    Place { region: "us-east-1", account: "111122223333", vpc: "vpc-0a1b", cluster: "prod" };
const OTHER: Place<'_> =
    Place { region: "eu-west-1", account: "444455556666", vpc: "vpc-0c1d", cluster: "test" };

fn policy() -> Policy {
    PLACE.policy().unwrap()
}

fn look(action: &str, region: &str) -> AuthorizationRequest {
    let context = BTreeMap::from([("aws:RequestedRegion".to_owned(), region.to_owned())]);
    AuthorizationRequest { action: format!("ec2:{action}"), resource: "*".to_owned(), context }
}

/// To do something with an interface that is in this VPC of this place and has this tag.
fn act(action: &str, place: Place<'_>, cluster: Option<&str>) -> AuthorizationRequest {
    let mut context = BTreeMap::from([
        ("ec2:Vpc".to_owned(), place.arn("vpc", place.vpc)),
        ("aws:RequestedRegion".to_owned(), place.region.to_owned()),
    ]);
    if let Some(cluster) = cluster {
        context.insert(format!("aws:ResourceTag/{}", tag::CLUSTER), cluster.to_owned());
    }
    let resource = place.arn("network-interface", "eni-0123456789abcdef0");
    AuthorizationRequest { action: format!("ec2:{action}"), resource, context }
}

#[test]
fn the_policy_has_the_actions_that_the_code_asks_for_and_no_other() {
    let named: BTreeSet<String> = Right::ALL.iter().map(ToString::to_string).collect();
    let policy = policy();
    let allowed: BTreeSet<String> = policy.actions().into_iter().map(str::to_owned).collect();
    assert_eq!(allowed, named);
    explained(&policy);
}

/// The page explains each action.
fn explained(policy: &Policy) {
    let page = text("docs/iam.md").unwrap();
    for action in policy.actions() {
        let row = format!("| `{action}` |");
        assert!(page.lines().any(|line| line.starts_with(&row)), "docs/iam.md: why {action}?");
    }
}

#[test]
fn the_actions_that_make_interfaces_are_in_a_policy_of_their_own() {
    let all = PLACE.policy_with_interfaces().unwrap();
    let policy = policy();
    let known = policy.actions();
    let added: BTreeSet<&str> = all.actions().difference(&known).copied().collect();
    let expected = [
        "ec2:AttachNetworkInterface",
        "ec2:CreateNetworkInterface",
        "ec2:CreateTags",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeInstances",
        "ec2:DetachNetworkInterface",
    ];
    assert_eq!(added, BTreeSet::from(expected));
    explained(&all);
}

#[test]
fn looking_is_allowed_in_the_own_region() {
    for action in [
        "DescribeNetworkInterfaces",
        "DescribeVolumes",
        "DescribeInstanceTypes",
        "GetSubnetCidrReservations",
    ] {
        assert!(policy().allows(&look(action, PLACE.region)), "{action}");
        assert!(!policy().allows(&look(action, OTHER.region)), "{action}");
    }
    assert!(!policy().allows(&look("DescribeInstances", PLACE.region)));
    let with_interfaces = PLACE.policy_with_interfaces().unwrap();
    assert!(with_interfaces.allows(&look("DescribeInstances", PLACE.region)));
    assert!(!with_interfaces.allows(&look("DescribeInstances", OTHER.region)));
}

#[test]
fn f104_addresses_move_between_tagged_interfaces_of_the_own_vpc_alone() {
    let policy = policy();
    for action in ["AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"] {
        assert!(policy.allows(&act(action, PLACE, Some("prod"))), "{action}");
        let elsewhere = [
            ("another cluster's", act(action, PLACE, Some("test"))),
            ("no cluster's", act(action, PLACE, None)),
            ("another VPC's", act(action, Place { vpc: OTHER.vpc, ..PLACE }, Some("prod"))),
            (
                "another region's",
                act(action, Place { region: OTHER.region, ..PLACE }, Some("prod")),
            ),
            (
                "another account's",
                act(action, Place { account: OTHER.account, ..PLACE }, Some("prod")),
            ),
        ];
        for (whose, ask) in elsewhere {
            assert!(!policy.allows(&ask), "{action} of {whose} interface");
        }
    }
}

#[test]
fn what_makes_or_destroys_interfaces_and_volumes_is_denied() {
    let actions = [
        "CreateNetworkInterface",
        "DeleteNetworkInterface",
        "AttachNetworkInterface",
        "DetachNetworkInterface",
        "ModifyNetworkInterfaceAttribute",
        "CreateTags",
        "AttachVolume",
        "DetachVolume",
    ];
    for action in actions {
        assert!(!policy().allows(&act(action, PLACE, Some("prod"))), "{action}");
    }
}
