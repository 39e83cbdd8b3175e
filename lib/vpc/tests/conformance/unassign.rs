//! UnassignPrivateIpAddresses: section 2.2.

use crate::harness::{MANAGED, NODE_1, NODE_2, OTHER, TestVpc, refused};
use crate::verbs::{Outcome, is};

fn unassign(vpc: &TestVpc, eni: &str, addresses: &[&str]) -> Outcome {
    vpc.run(vpc.unassign("node-1", eni, addresses))
}

#[test]
fn an_address_of_the_eni_is_unassigned() {
    let vpc = TestVpc::new();
    unassign(&vpc, NODE_2, &["10.0.1.101"]).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").owner, None);
    assert_eq!(vpc.truth_of("10.0.1.102").owner.as_deref(), Some(NODE_2));
}

#[test]
fn an_address_that_is_not_on_the_eni_is_refused_and_nothing_is_removed() {
    let vpc = TestVpc::new();
    let text = format!("Some of the specified addresses are not assigned to interface {NODE_2}");
    for address in ["10.0.1.61", "10.0.1.200", "10.0.2.9"] {
        let outcome = unassign(&vpc, NODE_2, &["10.0.1.101", address]);
        is(&outcome, 400, "InvalidParameterValue", &text);
    }
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    assert_eq!(vpc.truth_of("10.0.1.61").owner.as_deref(), Some(OTHER));
}

#[test]
fn the_primary_cannot_be_unassigned() {
    let vpc = TestVpc::new();
    let text = "The primary private IP address of an interface cannot be unassigned";
    let outcome = unassign(&vpc, NODE_2, &["10.0.1.101", "10.0.1.22"]);
    is(&outcome, 400, "InvalidParameterValue", text);
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
}

#[test]
fn an_empty_list_is_a_missing_parameter() {
    let vpc = TestVpc::new();
    let text = "The request must contain the privateIpAddressSet parameter";
    is(&unassign(&vpc, NODE_2, &[]), 400, "MissingParameter", text);
}

#[test]
fn an_unknown_or_malformed_or_managed_eni_is_refused() {
    let vpc = TestVpc::new();
    let id = "eni-0123456789abcdef0";
    let text = format!("The networkInterface ID '{id}' does not exist");
    let outcome = unassign(&vpc, id, &["10.0.1.101"]);
    is(&outcome, 400, "InvalidNetworkInterfaceID.NotFound", &text);
    let text = "Invalid id: \"x\" (expecting \"eni-...\")";
    let outcome = unassign(&vpc, "x", &["10.0.1.101"]);
    is(&outcome, 400, "InvalidNetworkInterfaceId.Malformed", text);
    assert_eq!(unassign(&vpc, MANAGED, &["10.0.1.70"]).unwrap_err().code, "OperationNotPermitted");
}

#[test]
fn unassign_is_a_compare_and_swap_on_the_owner() {
    let vpc = TestVpc::new();
    vpc.run(vpc.assign("node-1", NODE_1, &["10.0.1.101"], true)).unwrap();
    let text = format!("Some of the specified addresses are not assigned to interface {NODE_2}");
    is(&unassign(&vpc, NODE_2, &["10.0.1.101"]), 400, "InvalidParameterValue", &text);
    unassign(&vpc, NODE_1, &["10.0.1.101"]).unwrap();
}

#[test]
fn a_prefix_is_unassigned_as_a_whole() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("admin").unassign_private_ip_addresses().network_interface_id(OTHER);
    let outcome = vpc.run(call.ipv4_prefixes("10.0.1.128/28").send());
    outcome.map_err(|error| refused(&error)).unwrap();
    let commit = vpc.simulator().commits(0).pop().unwrap();
    assert_eq!(commit.moves.len(), 16);
}
