//! UnassignPrivateIpAddresses: section 2.2.

use crate::harness::{Lab, MANAGED, NODE_1, NODE_2, OTHER, refused};
use crate::verbs::{Outcome, is};

fn unassign(lab: &Lab, eni: &str, addresses: &[&str]) -> Outcome {
    lab.run(lab.unassign("node-1", eni, addresses))
}

#[test]
fn an_address_of_the_eni_is_unassigned() {
    let lab = Lab::new();
    unassign(&lab, NODE_2, &["10.0.1.101"]).unwrap();
    assert_eq!(lab.truth_of("10.0.1.101").owner, None);
    assert_eq!(lab.truth_of("10.0.1.102").owner.as_deref(), Some(NODE_2));
}

#[test]
fn an_address_that_is_not_on_the_eni_is_refused_and_nothing_is_removed() {
    let lab = Lab::new();
    let text = format!("Some of the specified addresses are not assigned to interface {NODE_2}");
    for address in ["10.0.1.61", "10.0.1.200", "10.0.2.9"] {
        let outcome = unassign(&lab, NODE_2, &["10.0.1.101", address]);
        is(&outcome, 400, "InvalidParameterValue", &text);
    }
    assert_eq!(lab.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    assert_eq!(lab.truth_of("10.0.1.61").owner.as_deref(), Some(OTHER));
}

#[test]
fn the_primary_cannot_be_unassigned() {
    let lab = Lab::new();
    let text = "The primary private IP address of an interface cannot be unassigned";
    let outcome = unassign(&lab, NODE_2, &["10.0.1.101", "10.0.1.22"]);
    is(&outcome, 400, "InvalidParameterValue", text);
    assert_eq!(lab.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
}

#[test]
fn an_empty_list_is_a_missing_parameter() {
    let lab = Lab::new();
    let text = "The request must contain the privateIpAddressSet parameter";
    is(&unassign(&lab, NODE_2, &[]), 400, "MissingParameter", text);
}

#[test]
fn an_unknown_or_malformed_or_managed_eni_is_refused() {
    let lab = Lab::new();
    let id = "eni-0123456789abcdef0";
    let text = format!("The networkInterface ID '{id}' does not exist");
    let outcome = unassign(&lab, id, &["10.0.1.101"]);
    is(&outcome, 400, "InvalidNetworkInterfaceID.NotFound", &text);
    let text = "Invalid id: \"x\" (expecting \"eni-...\")";
    let outcome = unassign(&lab, "x", &["10.0.1.101"]);
    is(&outcome, 400, "InvalidNetworkInterfaceId.Malformed", text);
    assert_eq!(unassign(&lab, MANAGED, &["10.0.1.70"]).unwrap_err().code, "OperationNotPermitted");
}

#[test]
fn unassign_is_a_comparison_with_the_owner() {
    let lab = Lab::new();
    lab.run(lab.assign("node-1", NODE_1, &["10.0.1.101"], true)).unwrap();
    let text = format!("Some of the specified addresses are not assigned to interface {NODE_2}");
    is(&unassign(&lab, NODE_2, &["10.0.1.101"]), 400, "InvalidParameterValue", &text);
    unassign(&lab, NODE_1, &["10.0.1.101"]).unwrap();
}

#[test]
fn a_prefix_is_unassigned_as_a_whole() {
    let lab = Lab::new();
    let call = lab.ec2("admin").unassign_private_ip_addresses().network_interface_id(OTHER);
    let outcome = lab.run(call.ipv4_prefixes("10.0.1.128/28").send());
    outcome.map_err(|error| refused(&error)).unwrap();
    let commit = lab.world().commits(0).pop().unwrap();
    assert_eq!(commit.moves.len(), 16);
}
