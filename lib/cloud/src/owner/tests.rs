//! EC2's responses, real and conceivable.

use aws_sdk_ec2::types::{
    NetworkInterfaceAttachment, NetworkInterfacePrivateIpAddress as Entry, Tag,
};

use super::*;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 9);
const ENI: &str = "eni-0123456789abcdef0";
const OTHER: &str = "eni-0fedcba9876543210";

fn subnet() -> SubnetId {
    SubnetId::new("subnet-0123456789abcdef0").unwrap()
}

fn eni(id: &str, primary: &str, secondary: &[&str]) -> NetworkInterface {
    let entry =
        |ip: &str, primary| Entry::builder().private_ip_address(ip).primary(primary).build();
    let mut entries = vec![entry(primary, true)];
    entries.extend(secondary.iter().map(|ip| entry(ip, false)));
    NetworkInterface::builder()
        .network_interface_id(id)
        .subnet_id(subnet().as_str())
        .private_ip_address(primary)
        .set_private_ip_addresses(Some(entries))
        .build()
}

fn owner(made_for: &MadeFor, enis: &[NetworkInterface]) -> Result<Owner, CloudFailure> {
    let mut owners = owners("lookup", (&[ADDRESS], &subnet()), made_for, enis)?;
    Ok(owners.remove(&ADDRESS).unwrap())
}

fn owner_in(enis: &[NetworkInterface]) -> Result<Owner, CloudFailure> {
    owner(&MadeFor::AnyOfTheName, enis)
}

#[test]
fn an_interface_made_for_another_cluster_of_the_same_name_is_not_this_clusters() {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let mut made = eni(ENI, "10.0.1.4", &["10.0.1.9"]);
    made.tag_set =
        Some(vec![tag("firecamp.io/cluster", "prod"), tag("firecamp.io/cluster-uid", "uid-1")]);
    let mut by_hand = made.clone();
    by_hand.tag_set = Some(vec![tag("firecamp.io/cluster", "prod")]);
    let uid = |uid: &str| MadeFor::Uid(Some(uid.to_owned()));
    let cluster = |eni: &NetworkInterface, made_for: &MadeFor| {
        let found = owner(made_for, std::slice::from_ref(eni));
        let Owner::Eni(found) = found.unwrap() else { panic!("no owner") };
        found.cluster
    };
    let own = Some("prod".to_owned());
    assert_eq!(cluster(&made, &uid("uid-1")), own);
    assert_eq!(cluster(&made, &uid("uid-2")), None);
    assert_eq!(cluster(&made, &MadeFor::Uid(None)), None, "its own UID is not known");
    assert_eq!(cluster(&made, &MadeFor::AnyOfTheName), own);
    for made_for in [uid("uid-2"), MadeFor::Uid(None), MadeFor::AnyOfTheName] {
        assert_eq!(cluster(&by_hand, &made_for), own);
    }
}

fn found(enis: &[NetworkInterface]) -> OwnerEni {
    match owner_in(enis).unwrap() {
        Owner::Eni(eni) => eni,
        Owner::Unassigned => panic!("no owner"),
    }
}

#[test]
fn a_secondary_address_has_its_eni_as_owner_with_tag_and_instance() {
    let mut answer = eni(ENI, "10.0.1.4", &["10.0.1.8", "10.0.1.9"]);
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    answer.tag_set = Some(vec![tag("Name", "x"), tag("firecamp.io/cluster", "blue")]);
    let attachment = NetworkInterfaceAttachment::builder()
        .instance_id("i-0123456789abcdef0")
        .status(AttachmentStatus::Attached);
    answer.attachment = Some(attachment.build());
    answer.description = Some("for\nFireCamp".to_owned());
    let owner = found(&[answer]);
    assert_eq!(owner.id.as_str(), ENI);
    assert!(!owner.primary);
    assert_eq!(owner.cluster.as_deref(), Some("blue"));
    assert_eq!(owner.instance.unwrap().as_str(), "i-0123456789abcdef0");
    assert_eq!(owner.description, "for FireCamp");
}

#[test]
fn f054_a_primary_address_is_recognized_by_the_short_field_alone() {
    assert!(found(&[eni(ENI, "10.0.1.9", &[])]).primary);
    let mut short = eni(ENI, "10.0.1.9", &[]);
    short.private_ip_addresses = None;
    assert!(found(&[short]).primary);
}

#[test]
fn an_eni_that_does_not_list_the_address_is_not_its_owner() {
    assert_eq!(owner_in(&[eni(ENI, "10.0.1.4", &["10.0.1.90"])]).unwrap(), Owner::Unassigned);
    assert_eq!(owner_in(&[]).unwrap(), Owner::Unassigned);
}

#[test]
fn the_same_address_in_another_subnet_is_another_address() {
    let mut foreign = eni(ENI, "10.0.1.4", &["10.0.1.9"]);
    foreign.subnet_id = Some("subnet-0aaaaaaaaaaaaaaaa".to_owned());
    assert_eq!(owner_in(&[foreign]).unwrap(), Owner::Unassigned);
}

#[test]
fn f046_two_owners_at_once_are_a_lagging_response_that_names_both() {
    let both = [eni(ENI, "10.0.1.4", &["10.0.1.9"]), eni(OTHER, "10.0.1.5", &["10.0.1.9"])];
    let failure = owner_in(&both).unwrap_err();
    assert_eq!(failure.kind, CloudKind::Transient);
    assert!(failure.detail.contains(ENI) && failure.detail.contains(OTHER), "{failure}");
}

#[test]
fn each_of_several_addresses_has_its_own_owner() {
    let address = |last| Ipv4Addr::new(10, 0, 1, last);
    let tag = Tag::builder().key("firecamp.io/cluster").value("prod").build();
    let mut own = eni(ENI, "10.0.1.4", &["10.0.1.8", "10.0.1.9", "10.0.1.12"]);
    own.tag_set = Some(vec![tag]);
    let foreign = eni(OTHER, "10.0.1.5", &["10.0.1.10", "10.0.1.12"]);
    let asked = [8, 9, 10, 11, 5, 12].map(address);
    let all = [foreign, own];
    let owners = owners("lookup", (&asked, &subnet()), &MadeFor::AnyOfTheName, &all).unwrap();
    let of = |last| match owners.get(&address(last)) {
        Some(Owner::Eni(eni)) => Some((eni.id.as_str(), eni.primary, eni.cluster.as_deref())),
        Some(Owner::Unassigned) => None,
        None => panic!("no entry for {last}"),
    };
    assert_eq!((of(8), of(9)), (Some((ENI, false, Some("prod"))), of(8)));
    assert_eq!((of(10), of(5)), (Some((OTHER, false, None)), Some((OTHER, true, None))));
    assert_eq!(of(11), None);
    assert!(!owners.contains_key(&address(12)), "two ENIs list it: its owner is not certain");
}

#[test]
fn one_eni_on_two_pages_is_one_owner() {
    let twice = eni(ENI, "10.0.1.4", &["10.0.1.9"]);
    assert_eq!(found(&[twice.clone(), twice]).id.as_str(), ENI);
}

#[test]
fn f060_missing_fields_are_tolerated_except_the_owners_id() {
    let bare = NetworkInterface::builder().build();
    assert_eq!(owner_in(std::slice::from_ref(&bare)).unwrap(), Owner::Unassigned);
    let owner = found(&[bare, eni(ENI, "10.0.1.4", &["10.0.1.9"])]);
    assert_eq!((owner.cluster, owner.instance), (None, None));
    let mut nameless = eni(ENI, "10.0.1.4", &["10.0.1.9"]);
    nameless.network_interface_id = None;
    assert_eq!(owner_in(&[nameless]).unwrap_err().kind, CloudKind::Transient);
}

#[test]
fn a_detached_eni_has_no_instance() {
    let mut answer = eni(ENI, "10.0.1.4", &["10.0.1.9"]);
    let attachment = NetworkInterfaceAttachment::builder()
        .instance_id("i-0123456789abcdef0")
        .status(AttachmentStatus::Detached);
    answer.attachment = Some(attachment.build());
    assert_eq!(found(&[answer]).instance, None);
}
