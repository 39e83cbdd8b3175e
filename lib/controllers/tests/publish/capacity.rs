//! The extended resource.

use std::net::Ipv4Addr;

use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::EniFact;
use firecamp_core::agent::ResourceList;
use firecamp_core::ids::ResourceName;
use firecamp_core::record::State;
use firecamp_registry::api::{EniManager, Slots};

use super::support::{ADDRESS, MINUTE, Node, eni, healthy_facts, record};

const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);

/// Another interface, with nothing on it yet.
fn second() -> EniFact {
    let mut second = eni(&[]);
    second.eni.id = "eni-0000000b".parse().unwrap();
    second.eni.device_index = 2;
    second
}

/// What the pods of the node request of the default resource.
fn requested(amount: u32) -> Option<ResourceList> {
    Some(ResourceList::from([(ResourceName::default(), amount)]))
}

fn capacity(node: &Node) -> String {
    node.api.capacity().unwrap()
}

/// What is published of a node with these interfaces.
fn with(enis: Vec<EniFact>) -> Node {
    let mut node = Node::new(Facts { enis: Some(enis), ..healthy_facts() });
    node.run(10);
    node
}

#[test]
fn f021_the_capacity_counts_free_and_held_addresses() {
    let node = with(vec![eni(&[ADDRESS])]);
    assert_eq!(capacity(&node), "9", "ten, less the primary one");
    assert_eq!(node.published().slots, Some(Slots { total: 9, free: 8 }));
    let mut prefixed = eni(&[ADDRESS, OTHER]);
    prefixed.eni.prefixes = 2;
    assert_eq!(capacity(&with(vec![prefixed])), "6", "less two prefixes and a foreign address");
}

#[test]
fn f021_an_address_counts_as_held_before_the_metadata_service_lists_it() {
    assert_eq!(capacity(&with(vec![eni(&[])])), "9");
}

#[test]
fn f021_only_usable_interfaces_that_members_get_are_counted() {
    for (carries, managed_by) in [
        (Some(false), EniManager::FireCamp),
        (Some(true), EniManager::VpcCni),
        (Some(true), EniManager::Other),
        (Some(false), EniManager::Unknown),
    ] {
        let node = with(vec![eni(&[ADDRESS]), EniFact { carries, managed_by, ..second() }]);
        assert_eq!(capacity(&node), "9", "{carries:?} {managed_by:?}");
        assert_eq!(node.published().slots, Some(Slots { total: 9, free: 8 }));
        assert_eq!(node.published().enis.len(), 2);
    }
}

#[test]
fn f021_the_capacity_follows_attached_and_detached_enis() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    node.facts.enis = Some(vec![eni(&[ADDRESS]), second()]);
    node.run(10);
    assert_eq!(capacity(&node), "18");
    node.facts.enis = Some(Vec::new());
    node.run(10);
    assert_eq!((capacity(&node).as_str(), node.api.posted().capacity), ("0", 3));
}

#[test]
fn f021_an_unknown_capacity_is_not_written() {
    let unknown: [fn(&mut Facts); 6] = [
        |facts| facts.requested = None,
        |facts| facts.enis = None,
        |facts| facts.addresses = None,
        |facts| facts.enis.as_mut().unwrap()[0].limit = None,
        |facts| facts.enis.as_mut().unwrap()[0].carries = None,
        |facts| facts.enis.as_mut().unwrap()[0].managed_by = EniManager::Unknown,
    ];
    for (which, forget) in unknown.into_iter().enumerate() {
        let mut node = with(vec![eni(&[ADDRESS])]);
        let before = node.published();
        node.restart();
        forget(&mut node.facts);
        node.run(3 * MINUTE);
        assert_eq!((capacity(&node).as_str(), node.api.posted().capacity), ("9", 1), "{which}");
        assert_eq!(node.published(), before, "{which}");
    }
}

#[test]
fn f021_a_capacity_reset_by_others_is_restored_within_five_minutes() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    // The kubelet does so if the Node was created again.
    node.api.change_capacity(&ResourceName::default(), "0");
    node.run(5 * MINUTE + 10);
    assert_eq!(capacity(&node), "9");
}

#[test]
fn f021_a_slot_stays_reserved_only_for_a_member_that_restarts() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    node.set_record(record(1, State::Parked));
    node.run(4 * MINUTE);
    node.set_record(record(2, State::Attached));
    node.run(MINUTE);
    assert_eq!((capacity(&node).as_str(), node.api.posted().capacity), ("9", 1));
    node.set_record(record(2, State::Parked));
    node.run(5 * MINUTE + 10);
    assert_eq!(capacity(&node), "8", "parked for long: its slot is not reserved");
    node.restart();
    node.run(10);
    assert_eq!(node.api.posted().capacity, 2, "a new process knows no recent holders");
}

#[test]
fn the_slot_of_a_parked_address_that_can_be_evicted_is_offered() {
    let mut node = with(vec![eni(&[ADDRESS, OTHER])]);
    assert_eq!(capacity(&node), "8", "one that is held, seven that are free");
    node.set_record(record(1, State::Parked));
    node.address().evictable = true;
    node.run(5 * MINUTE + 10);
    assert_eq!((capacity(&node).as_str(), node.api.posted().capacity), ("8", 1));
    assert_eq!(node.published().slots, Some(Slots { total: 9, free: 7 }), "EC2 has it yet");
    node.address().evictable = false;
    node.run(10);
    assert_eq!(capacity(&node), "7");
    node.address().evictable = true;
    node.facts.enis = Some(vec![EniFact { managed_by: EniManager::VpcCni, ..eni(&[ADDRESS]) }]);
    node.run(10);
    assert_eq!(capacity(&node), "0", "nothing is evicted there");
}

#[test]
fn f021_the_slot_of_an_address_that_moved_away_is_free_at_once() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    let mut moved = record(2, State::Attached);
    moved.attachment.as_mut().unwrap().node = "node-2".parse().unwrap();
    node.set_record(moved);
    node.facts.enis = Some(vec![eni(&[])]);
    node.run(10);
    assert_eq!(capacity(&node), "9", "nine that are free");
    assert_eq!(node.published().slots, Some(Slots { total: 9, free: 9 }));
}

#[test]
fn the_capacity_is_never_below_what_the_pods_of_the_node_request() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    node.facts.requested = requested(7);
    // The VPC CNI adopts the interface, or it is detached.
    for enis in [vec![EniFact { managed_by: EniManager::VpcCni, ..eni(&[ADDRESS]) }], vec![]] {
        node.facts.enis = Some(enis);
        node.run(MINUTE);
        assert_eq!(capacity(&node), "7");
    }
    node.facts.requested = requested(12);
    node.run(2);
    assert_eq!(capacity(&node), "12", "at once: the kubelet may restart at any moment");
    node.facts.requested = requested(1);
    node.run(10);
    assert_eq!(capacity(&node), "1");
}

#[test]
fn an_agent_that_has_not_listed_the_pods_does_not_lower_the_capacity() {
    let mut node = with(vec![eni(&[ADDRESS])]);
    node.restart();
    (node.facts.enis, node.facts.requested) = (Some(Vec::new()), None);
    node.run(3 * MINUTE);
    assert_eq!(capacity(&node), "9");
}
