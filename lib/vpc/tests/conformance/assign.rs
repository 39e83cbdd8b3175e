//! AssignPrivateIpAddresses: section 2.1.

use std::time::Duration;

use firecamp_vpc::{Act, Fault, FullForm, OwnAnswer, Profile, Selector};

use crate::harness::{MANAGED, NODE_1, NODE_2, OTHER, Refused, TestVpc, refused};
use crate::verbs::{Outcome, is};

const VALUE: &str = "InvalidParameterValue";

fn assign(vpc: &TestVpc, eni: &str, addresses: &[&str], force: bool) -> Outcome<Vec<String>> {
    vpc.run(vpc.assign("node-1", eni, addresses, force))
}

fn count(vpc: &TestVpc, eni: &str, count: i32) -> Outcome<Vec<String>> {
    let call = vpc.ec2("node-1").assign_private_ip_addresses().network_interface_id(eni);
    let answer = vpc.run(call.secondary_private_ip_address_count(count).send());
    let answer = answer.map_err(|error| refused(&error))?;
    let assigned = answer.assigned_private_ip_addresses();
    Ok(assigned.iter().filter_map(|a| a.private_ip_address()).map(str::to_owned).collect())
}

fn prefixes(vpc: &TestVpc, eni: &str, count: i32) -> Outcome<Vec<String>> {
    let call = vpc.ec2("node-1").assign_private_ip_addresses().network_interface_id(eni);
    let answer = vpc.run(call.ipv4_prefix_count(count).send()).map_err(|error| refused(&error))?;
    let assigned = answer.assigned_ipv4_prefixes();
    Ok(assigned.iter().filter_map(|p| p.ipv4_prefix()).map(str::to_owned).collect())
}

fn raw(vpc: &TestVpc, parameters: &[(&str, &str)]) -> Refused {
    vpc.run(vpc.query("node-1", "AssignPrivateIpAddresses", parameters)).unwrap_err()
}

#[test]
fn a_free_address_is_assigned() {
    let vpc = TestVpc::new();
    assert_eq!(assign(&vpc, NODE_1, &["10.0.1.200"], false).unwrap(), ["10.0.1.200"]);
    assert_eq!(vpc.truth_of("10.0.1.200").owner.as_deref(), Some(NODE_1));
    let call = vpc.last_call();
    assert!(call.mutating && call.committed && call.caller == "node-1");
}

#[test]
fn an_address_on_another_eni_needs_allow_reassignment() {
    let vpc = TestVpc::new();
    let text = "[10.0.1.101] assigned, but move is not allowed.";
    is(&assign(&vpc, NODE_1, &["10.0.1.101"], false), 400, VALUE, text);
    let text = "[10.0.1.101, 10.0.1.61] assigned, but move is not allowed.";
    is(&assign(&vpc, NODE_1, &["10.0.1.101", "10.0.1.61"], false), 400, VALUE, text);
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
    assert!(!vpc.last_call().committed);
    assign(&vpc, NODE_1, &["10.0.1.101"], true).unwrap();
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_1));
}

#[test]
fn a_move_is_one_commit_without_a_gap() {
    let vpc = TestVpc::new();
    assign(&vpc, NODE_1, &["10.0.1.101"], true).unwrap();
    let commits = vpc.simulator().commits(0);
    assert_eq!(commits.len(), 1);
    let moves = &commits[0].moves;
    assert_eq!(moves.len(), 1);
    assert_eq!(moves[0].before.as_deref(), Some(NODE_2));
    assert_eq!(moves[0].after.as_deref(), Some(NODE_1));
}

#[test]
fn a_fault_sets_the_code_resource_already_assigned() {
    let vpc = TestVpc::new();
    let fault = vpc.fault(Fault::ResourceAlreadyAssignedCode {});
    let text = "The address is already assigned to a resource";
    let outcome = assign(&vpc, NODE_1, &["10.0.1.101"], false);
    is(&outcome, 400, "Resource.AlreadyAssigned", text);
    assert_eq!(vpc.fired(fault), 1);
}

#[test]
fn the_primary_address_of_another_eni_cannot_be_reassigned() {
    let vpc = TestVpc::new();
    is(&assign(&vpc, NODE_1, &["10.0.1.22"], true), 400, VALUE, "secondary-addresses");
    let text = "[10.0.1.22] assigned, but move is not allowed.";
    is(&assign(&vpc, NODE_1, &["10.0.1.22"], false), 400, VALUE, text);
}

#[test]
fn an_enis_own_primary_address_cannot_be_assigned() {
    let vpc = TestVpc::new();
    let text = "10.0.1.12 is the primary address of the network interface";
    is(&assign(&vpc, NODE_1, &["10.0.1.12"], true), 400, VALUE, text);
}

#[test]
fn an_address_outside_the_subnet_is_refused() {
    let vpc = TestVpc::new();
    let text = "Address does not fall within the subnet's address range";
    for address in ["10.0.2.9", "192.168.0.1"] {
        is(&assign(&vpc, NODE_1, &[address], true), 400, VALUE, text);
    }
}

#[test]
fn a_reserved_address_is_refused() {
    let vpc = TestVpc::new();
    let text = "Address is in subnet's reserved address range";
    for last in [0, 1, 2, 3, 255] {
        let address = format!("10.0.1.{last}");
        is(&assign(&vpc, NODE_1, &[&address], true), 400, VALUE, text);
    }
    assign(&vpc, NODE_1, &["10.0.1.4", "10.0.1.254"], false).unwrap();
}

#[test]
fn a_malformed_address_is_refused() {
    let vpc = TestVpc::new();
    for text in ["10.0.1", "10.0.1.256", "10.0.1.9/32", "fe80::1", "<a&b>"] {
        let message = format!("invalid value for parameter address: {text}");
        is(&assign(&vpc, NODE_1, &[text], false), 400, VALUE, &message);
    }
}

#[test]
fn a_duplicate_address_is_refused() {
    let vpc = TestVpc::new();
    let text = "10.0.1.200 is specified more than once";
    is(&assign(&vpc, NODE_1, &["10.0.1.200", "10.0.1.200"], false), 400, VALUE, text);
}

#[test]
fn the_address_limit_of_the_instance_type_is_enforced() {
    let vpc = TestVpc::new();
    let five = ["10.0.1.201", "10.0.1.202", "10.0.1.203", "10.0.1.204", "10.0.1.205"];
    assign(&vpc, NODE_1, &five, false).unwrap();
    let (code, text) =
        ("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.");
    is(&assign(&vpc, NODE_1, &["10.0.1.206"], false), 400, code, text);
    is(&assign(&vpc, NODE_1, &["10.0.1.101"], true), 400, code, text);
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2), "nothing was moved");
    is(&count(&vpc, NODE_1, 1), 400, code, text);
}

#[test]
fn an_unattached_eni_has_50_slots() {
    let vpc = TestVpc::new();
    // The ENI already has a primary and a secondary address and a prefix.
    assert_eq!(count(&vpc, OTHER, 47).unwrap().len(), 47);
    let text = "Number of private addresses will exceed limit.";
    is(&count(&vpc, OTHER, 1), 400, "PrivateIpAddressLimitExceeded", text);
}

#[test]
fn prefixes_count_towards_the_limit() {
    let vpc = TestVpc::new();
    let act = Act::AddPrefixes { eni: NODE_1.to_owned(), count: 5 };
    vpc.simulator().act(Duration::ZERO, &act).unwrap();
    let text = "Number of private addresses will exceed limit.";
    let outcome = assign(&vpc, NODE_1, &["10.0.1.200"], false);
    is(&outcome, 400, "PrivateIpAddressLimitExceeded", text);
}

#[test]
fn a_fault_changes_the_limit_of_an_instance_type() {
    let vpc = TestVpc::new();
    let fault = vpc.fault(Fault::Limit { instance_type: "t3.medium".to_owned(), ips: 1 });
    let text = "Number of private addresses will exceed limit.";
    let outcome = assign(&vpc, NODE_1, &["10.0.1.200"], false);
    is(&outcome, 400, "PrivateIpAddressLimitExceeded", text);
    assert_eq!(vpc.fired(fault), 1);
}

#[test]
fn several_addresses_are_assigned_all_or_none() {
    let vpc = TestVpc::new();
    let outcome = assign(&vpc, NODE_1, &["10.0.1.200", "10.0.1.101"], false);
    is(&outcome, 400, VALUE, "[10.0.1.101] assigned, but move is not allowed.");
    assert!(vpc.simulator().commits(0).is_empty());
}

#[test]
fn a_count_is_assigned_from_free_addresses_outside_reservations() {
    let vpc = TestVpc::new();
    let given = count(&vpc, OTHER, 40).unwrap();
    let last = |address: &String| address.rsplit('.').next().unwrap().parse::<u8>().unwrap();
    assert!(given.iter().all(|address| (4..224).contains(&last(address))), "{given:?}");
    let unique: std::collections::BTreeSet<&String> = given.iter().collect();
    assert_eq!(unique.len(), 40);
}

#[test]
fn a_full_subnet_has_two_errors() {
    let vpc = TestVpc::new();
    let full = |form| Fault::SubnetFull { subnet: "a".to_owned(), form };
    let id = vpc.fault(full(FullForm::Code));
    let text = "The specified subnet does not have enough free addresses to satisfy the request.";
    is(&count(&vpc, NODE_1, 1), 400, "InsufficientFreeAddressesInSubnet", text);
    vpc.simulator().fault_clear(Duration::ZERO, Some(id)).unwrap();
    vpc.fault(full(FullForm::Value));
    let text = "There aren't sufficient free Ipv4 addresses or prefixes";
    is(&count(&vpc, NODE_1, 1), 400, VALUE, text);
    is(&prefixes(&vpc, NODE_1, 1), 400, VALUE, text);
    assign(&vpc, NODE_1, &["10.0.1.200"], false).unwrap();
}

#[test]
fn assign_by_count_fails_in_a_full_subnet() {
    let vpc = TestVpc::new();
    let subnet = "subnet-0000000000000000b";
    let eni = vpc.run(vpc.ids(&[("subnet-id", &[subnet])])).pop().unwrap();
    let text = "The specified subnet does not have enough free addresses to satisfy the request.";
    // A /28 has 11 assignable addresses; the type has 9 free slots.
    let given = count(&vpc, &eni, 9).unwrap();
    vpc.run(vpc.unassign("node-1", &eni, &[&given[0]])).unwrap();
    let pressure = Fault::AutoAssignPressure { subnet: "b".to_owned(), every_ms: 5_000 };
    vpc.fault(pressure);
    vpc.run(vpc.settle());
    is(&count(&vpc, &eni, 1), 400, "InsufficientFreeAddressesInSubnet", text);
}

#[test]
fn prefixes_are_whole_free_blocks() {
    let vpc = TestVpc::new();
    let given = prefixes(&vpc, NODE_2, 1).unwrap();
    assert!(given[0].ends_with("/28"), "{given:?}");
    let eni = vpc.run(vpc.ids(&[("subnet-id", &["subnet-0000000000000000b"])])).pop().unwrap();
    let text = "The specified subnet does not have enough free cidr blocks to satisfy the request.";
    is(&prefixes(&vpc, &eni, 1), 400, "InsufficientCidrBlocks", text);
}

#[test]
fn an_explicit_prefix_must_be_free_and_in_the_subnet() {
    let vpc = TestVpc::new();
    let named = |net: &str| {
        let call = vpc.ec2("node-2").assign_private_ip_addresses().network_interface_id(NODE_2);
        vpc.run(call.ipv4_prefixes(net).send()).map_err(|error| refused(&error))
    };
    named("10.0.1.144/28").unwrap();
    let text = "The specified subnet does not have enough free cidr blocks to satisfy the request.";
    is(&named("10.0.1.128/28"), 400, "InsufficientCidrBlocks", text);
    let text = "invalid value for parameter ipv4Prefix: 10.0.1.0/28";
    is(&named("10.0.1.0/28"), 400, VALUE, text);
}

#[test]
fn a_single_address_of_a_prefix_cannot_be_reassigned() {
    let vpc = TestVpc::new();
    let text = "[10.0.1.130] assigned, but move is not allowed.";
    is(&assign(&vpc, NODE_1, &["10.0.1.130"], true), 400, VALUE, text);
}

#[test]
fn an_unknown_eni_is_refused() {
    let vpc = TestVpc::new();
    let id = "eni-0123456789abcdef0";
    let text = format!("The networkInterface ID '{id}' does not exist");
    let outcome = assign(&vpc, id, &["10.0.1.200"], false);
    is(&outcome, 400, "InvalidNetworkInterfaceID.NotFound", &text);
}

#[test]
fn a_malformed_eni_id_is_refused() {
    let vpc = TestVpc::new();
    let text = "Invalid id: \"eni-1\" (expecting \"eni-...\")";
    let outcome = assign(&vpc, "eni-1", &["10.0.1.200"], false);
    is(&outcome, 400, "InvalidNetworkInterfaceId.Malformed", text);
}

#[test]
fn an_assign_without_addresses_is_a_missing_parameter() {
    let vpc = TestVpc::new();
    let refused = raw(&vpc, &[("NetworkInterfaceId", NODE_1)]);
    assert_eq!((refused.status, refused.code.as_str()), (400, "MissingParameter"));
    let refused = raw(&vpc, &[("PrivateIpAddress.1", "10.0.1.200")]);
    assert_eq!((refused.status, refused.code.as_str()), (400, "MissingParameter"));
}

#[test]
fn conflicting_assign_parameters_are_refused() {
    let vpc = TestVpc::new();
    let call = vpc.ec2("node-1").assign_private_ip_addresses().network_interface_id(NODE_1);
    let call = call.private_ip_addresses("10.0.1.200").secondary_private_ip_address_count(1);
    let error = vpc.run(call.send()).unwrap_err();
    assert_eq!(refused(&error).code, "InvalidParameterCombination");
}

#[test]
fn a_managed_eni_cannot_be_changed() {
    let vpc = TestVpc::new();
    let text = format!("The network interface '{MANAGED}' is managed by a service operator");
    let outcome = assign(&vpc, MANAGED, &["10.0.1.200"], false);
    is(&outcome, 400, "OperationNotPermitted", &text);
}

#[test]
fn assigning_an_address_already_held_succeeds_unless_a_fault_is_set() {
    let vpc = TestVpc::new();
    assign(&vpc, NODE_2, &["10.0.1.101"], false).unwrap();
    assert!(vpc.simulator().commits(0).is_empty() && !vpc.last_call().committed);
    let fault = vpc.fault(Fault::AssignOwn { answer: OwnAnswer::Error });
    let text = "[10.0.1.101] assigned, but move is not allowed.";
    for force in [false, true] {
        is(&assign(&vpc, NODE_2, &["10.0.1.101"], force), 400, VALUE, text);
    }
    assert_eq!(vpc.fired(fault), 2);
}

#[test]
fn there_is_no_dry_run_and_no_client_token() {
    let vpc = TestVpc::new();
    for name in ["DryRun", "ClientToken"] {
        let address = ("PrivateIpAddress.1", "10.0.1.200");
        let refused = raw(&vpc, &[("NetworkInterfaceId", NODE_1), address, (name, "true")]);
        assert_eq!((refused.status, refused.code.as_str()), (400, "UnknownParameter"));
    }
}

#[test]
fn secondary_addresses_may_be_added_to_unattached_enis_and_on_stopped_instances() {
    let vpc = TestVpc::new();
    vpc.simulator().act(Duration::ZERO, &Act::Stop { node: "node-1".to_owned() }).unwrap();
    assign(&vpc, NODE_1, &["10.0.1.200"], false).unwrap();
    assign(&vpc, OTHER, &["10.0.1.201"], false).unwrap();
}

#[test]
fn a_call_takes_effect_within_t_of_its_arrival() {
    let vpc = TestVpc::with(&Profile::realistic(), 3);
    for n in 0..90 {
        let address = format!("10.0.1.{}", 200 + n % 3);
        let eni = [NODE_1, NODE_2][n % 2];
        // Far apart, so that the token bucket is never empty.
        vpc.run(vpc.clock.pass(Duration::from_secs(30)));
        assign(&vpc, eni, &[&address], true).unwrap();
        let call = vpc.last_call();
        let took = call.landed_at_us.unwrap() - call.at_us;
        assert!(took > 0 && took <= 4_500_000, "landed after {took} us");
        assert!(call.landed_at_us <= call.answered_at_us);
    }
}

#[test]
fn a_late_call_reassigns_the_address() {
    let vpc = TestVpc::new();
    let when = Selector {
        op: Some("AssignPrivateIpAddresses".to_owned()),
        caller: Some("node-1".to_owned()),
        nth: Some(1),
        ..Selector::default()
    };
    let fault = vpc.fault_when(Fault::LateLanding { after_ms: 8_000, silent: true }, when);
    vpc.run(async {
        let late = std::pin::pin!(vpc.assign("node-1", NODE_1, &["10.0.1.101"], true));
        let give_up = std::pin::pin!(vpc.clock.pass(Duration::from_secs(2)));
        let first = futures_util::future::select(late, give_up).await;
        assert!(matches!(first, futures_util::future::Either::Right(_)));
        vpc.assign("node-2", NODE_2, &["10.0.1.101"], false).await.unwrap();
        assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2));
        vpc.clock.pass(Duration::from_secs(7)).await;
    });
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_1));
    assert_eq!(vpc.fired(fault), 1);
    let first = vpc.simulator().calls(0).into_iter().next().unwrap();
    assert_eq!((first.landed_at_us, first.delivery), (Some(8_000_000), "silence"));
}
