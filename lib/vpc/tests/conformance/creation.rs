//! CreateNetworkInterface with a type or with prefixes, as the VPC CNI and its resource controller
//! call it: section 2.7.

use std::net::Ipv4Addr;

use aws_sdk_ec2::operation::create_network_interface::builders as call;
use aws_sdk_ec2::types::{NetworkInterface, NetworkInterfaceCreationType, NetworkInterfaceType};
use ipnet::Ipv4Net;

use crate::harness::{SUBNET_A, TestVpc, refused};
use crate::verbs::Outcome;

type Create = call::CreateNetworkInterfaceFluentBuilder;

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
