//! CreateNetworkInterface with a type or with prefixes, as the VPC CNI and its resource controller
//! call it: section 2.7. CreateSubnetCidrReservation and DeleteSubnetCidrReservation, as
//! docs/install.md calls them: section 2.12.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws_sdk_ec2::operation::create_network_interface::builders as call;
use aws_sdk_ec2::operation::create_subnet_cidr_reservation::builders as reservation;
use aws_sdk_ec2::types::SubnetCidrReservationType::{Explicit, Prefix};
use aws_sdk_ec2::types::{NetworkInterface, NetworkInterfaceCreationType, NetworkInterfaceType};
use ipnet::Ipv4Net;

use crate::harness::{SUBNET_A, TestVpc, refused};
use crate::verbs::Outcome;

type Create = call::CreateNetworkInterfaceFluentBuilder;
type Reserve = reservation::CreateSubnetCidrReservationFluentBuilder;

fn create(vpc: &TestVpc, more: impl FnOnce(Create) -> Create) -> Outcome<NetworkInterface> {
    let call = more(vpc.ec2("node-1").create_network_interface().subnet_id(SUBNET_A));
    let created = vpc.run(call.send()).map_err(|error| refused(&error))?;
    Ok(created.network_interface.unwrap())
}

fn code(outcome: Outcome<NetworkInterface>) -> String {
    outcome.unwrap_err().code
}

#[test]
fn a_trunk_is_created_and_described_as_one() {
    let vpc = TestVpc::new();
    let made = create(&vpc, |call| call.interface_type(NetworkInterfaceCreationType::Trunk));
    let made = made.unwrap();
    assert_eq!(made.interface_type, Some(NetworkInterfaceType::Trunk));
    let trunks = vpc.run(async {
        vpc.settle().await;
        vpc.ids(&[("interface-type", &["trunk"])]).await
    });
    assert_eq!(trunks, [made.network_interface_id.unwrap()]);
}

#[test]
fn an_interface_is_created_with_prefixes_beside_its_address() {
    let vpc = TestVpc::new();
    let made = create(&vpc, |call| call.ipv4_prefix_count(2)).unwrap();
    let primary: Ipv4Addr = made.private_ip_address().unwrap().parse().unwrap();
    let prefix = |text: &str| text.parse::<Ipv4Net>().unwrap();
    let prefixes = made.ipv4_prefixes().iter().map(|one| prefix(one.ipv4_prefix().unwrap()));
    let prefixes: Vec<Ipv4Net> = prefixes.collect();
    assert_eq!((prefixes.len(), made.private_ip_addresses().len()), (2, 1));
    assert!(!prefixes.iter().any(|net| net.contains(&primary)), "{primary} {prefixes:?}");
    let both = create(&vpc, |call| call.ipv4_prefix_count(1).secondary_private_ip_address_count(1));
    assert_eq!(code(both), "InvalidParameterCombination");
    assert_eq!(code(create(&vpc, |call| call.ipv4_prefix_count(20))), "InsufficientCidrBlocks");
}

fn reserve(vpc: &TestVpc, subnet: &str, block: &str) -> Reserve {
    let call = vpc.ec2("admin").create_subnet_cidr_reservation();
    call.subnet_id(subnet).cidr(block).reservation_type(Explicit)
}

fn reserved(vpc: &TestVpc) -> BTreeSet<(String, String)> {
    let call = vpc.ec2("admin").get_subnet_cidr_reservations().subnet_id(SUBNET_A);
    let answer = vpc.run(async {
        vpc.settle().await;
        call.send().await
    });
    let answer = answer.unwrap();
    let all = answer.subnet_ipv4_cidr_reservations().iter();
    all.map(|one| (one.subnet_cidr_reservation_id().unwrap(), one.cidr().unwrap()))
        .map(|(id, block)| (id.to_owned(), block.to_owned()))
        .collect()
}

#[test]
fn a_created_reservation_is_listed_and_keeps_its_addresses_from_automatic_assignment() {
    let vpc = TestVpc::new();
    let before = reserved(&vpc);
    // All of the subnet but one block, which has 16 addresses.
    let blocks = ["10.0.1.0/25", "10.0.1.128/26", "10.0.1.208/28"];
    for block in blocks {
        let made = vpc.run(reserve(&vpc, SUBNET_A, block).send()).unwrap();
        let made = made.subnet_cidr_reservation().unwrap();
        assert_eq!((made.cidr(), made.subnet_id()), (Some(block), Some(SUBNET_A)));
        let id = made.subnet_cidr_reservation_id().unwrap().to_owned();
        assert!(reserved(&vpc).contains(&(id, block.to_owned())), "{block}");
    }
    assert_eq!(reserved(&vpc).len(), before.len() + blocks.len());
    let made = create(&vpc, |call| call.secondary_private_ip_address_count(9)).unwrap();
    let rest: Ipv4Net = "10.0.1.192/28".parse().unwrap();
    let given = made.private_ip_addresses().iter();
    let given: Vec<Ipv4Addr> =
        given.map(|one| one.private_ip_address().unwrap().parse().unwrap()).collect();
    assert_eq!(given.len(), 10);
    assert!(given.iter().all(|address| rest.contains(address)), "{given:?}");
}

#[test]
fn a_deleted_reservation_frees_its_addresses() {
    let vpc = TestVpc::new();
    // With those that the VPC has from the start.
    vpc.run(reserve(&vpc, SUBNET_A, "10.0.1.208/28").send()).unwrap();
    for (id, block) in reserved(&vpc) {
        let call = vpc.ec2("admin").delete_subnet_cidr_reservation();
        let call = call.subnet_cidr_reservation_id(&id);
        let dry = vpc.run(call.clone().dry_run(true).send());
        assert_eq!(refused(&dry.unwrap_err()).code, "DryRunOperation");
        let gone = vpc.run(call.clone().send()).unwrap();
        let gone = gone.deleted_subnet_cidr_reservation().unwrap();
        assert_eq!((gone.subnet_cidr_reservation_id(), gone.cidr()), (Some(&*id), Some(&*block)));
        let again = vpc.run(async {
            vpc.settle().await;
            call.send().await
        });
        assert_eq!(refused(&again.unwrap_err()).code, "InvalidSubnetCidrReservationID.NotFound");
    }
    assert_eq!(reserved(&vpc), BTreeSet::new());
    // A reservation of the same block is another one, and without it the block is free again.
    let mut ids = BTreeSet::new();
    for _ in 0..2 {
        let made = vpc.run(async {
            vpc.settle().await;
            reserve(&vpc, SUBNET_A, "10.0.1.128/25").send().await
        });
        let made = made.unwrap().subnet_cidr_reservation().cloned().unwrap();
        let id = made.subnet_cidr_reservation_id().unwrap().to_owned();
        let delete = vpc.ec2("admin").delete_subnet_cidr_reservation();
        vpc.run(delete.subnet_cidr_reservation_id(&id).send()).unwrap();
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2);
    vpc.run(reserve(&vpc, SUBNET_A, "10.0.1.0/25").send()).unwrap();
    let made = create(&vpc, |call| call).unwrap();
    let freed: Ipv4Net = "10.0.1.128/25".parse().unwrap();
    let primary: Ipv4Addr = made.private_ip_address().unwrap().parse().unwrap();
    assert!(freed.contains(&primary), "{primary}");
}

#[test]
fn an_invalid_reservation_is_refused() {
    let vpc = TestVpc::new();
    let before = reserved(&vpc);
    let value = "InvalidParameterValue";
    for (call, code) in [
        (reserve(&vpc, "subnet-0000000000000dead", "10.0.1.0/28"), "InvalidSubnetID.NotFound"),
        (reserve(&vpc, SUBNET_A, "10.0.2.0/28"), value),
        (reserve(&vpc, SUBNET_A, "10.0.1.4/28"), value),
        (reserve(&vpc, SUBNET_A, "10.0.1.224/28"), value),
        (reserve(&vpc, SUBNET_A, "10.0.1.0/24"), value),
        (reserve(&vpc, SUBNET_A, "all"), value),
        (reserve(&vpc, SUBNET_A, "10.0.1.0/28").reservation_type(Prefix), value),
        (reserve(&vpc, SUBNET_A, "10.0.1.0/28").description("x"), "UnknownParameter"),
        (reserve(&vpc, SUBNET_A, "10.0.1.0/28").dry_run(true), "DryRunOperation"),
    ] {
        let answer = vpc.run(async {
            // The bucket has five tokens.
            vpc.settle().await;
            call.send().await
        });
        assert_eq!(refused(&answer.unwrap_err()).code, code);
    }
    assert_eq!(reserved(&vpc), before);
}
