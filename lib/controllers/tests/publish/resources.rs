//! The extended resources of pools that have names of their own.

use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::{AddressFact, EniFact};
use firecamp_core::agent::ResourceList;
use firecamp_core::ids::ResourceName;
use firecamp_core::record::{OrphanPolicy, Pool, PoolSubnet, ReleasePolicy, State};

use super::support::{ADDRESS, MINUTE, Node, eni, fact, healthy_facts, record};

pub(crate) fn default() -> ResourceName {
    ResourceName::default()
}

pub(crate) fn named(suffix: &str) -> ResourceName {
    format!("{}-{suffix}", default()).parse().unwrap()
}

/// A pool in `subnet-0000000a` or another one.
pub(crate) fn pool(name: &str, resource: &ResourceName, letter: char) -> Pool {
    let subnet = PoolSubnet {
        subnet: format!("subnet-0000000{letter}").parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: Vec::new(),
    };
    Pool {
        name: name.parse().unwrap(),
        release_policy: ReleasePolicy::Keep,
        orphaned: OrphanPolicy::Report,
        resource: resource.clone(),
        subnets: vec![subnet],
    }
}

/// The interface in the subnet of pool b, which has a resource of its own, with nothing on it.
fn of_pool_b() -> EniFact {
    let mut other = EniFact { resource: named("b"), ..eni(&[]) };
    other.eni.id = "eni-0000000b".parse().unwrap();
    other.eni.subnet = "subnet-0000000b".parse().unwrap();
    other.eni.device_index = 2;
    other
}

/// An address of pool b that a member on this node has.
fn address_of_pool_b(last: u8) -> AddressFact {
    let mut record = record(1, State::Attached);
    (record.address, record.pool) = ([10, 0, 1, last].into(), "b".parse().unwrap());
    record.subnet = "subnet-0000000b".parse().unwrap();
    record.attachment.as_mut().unwrap().eni = Some(of_pool_b().eni.id);
    fact(record)
}

/// A node with an interface in the subnet of each of two pools. One address of pool a is attached.
fn two_pools() -> Node {
    Node::new(Facts {
        enis: Some(vec![eni(&[ADDRESS]), of_pool_b()]),
        pools: Some(vec![pool("a", &default(), 'a'), pool("b", &named("b"), 'b')]),
        ..healthy_facts()
    })
}

pub(crate) fn requests(all: &[(ResourceName, u32)]) -> Option<ResourceList> {
    Some(all.iter().cloned().collect())
}

/// The capacity of the default resource and of the resource of pool b.
fn capacity(node: &Node) -> (Option<String>, Option<String>) {
    let mut all = node.api.capacities();
    (all.remove(&default()), all.remove(&named("b")))
}

fn is(default: &str, of_b: &str) -> (Option<String>, Option<String>) {
    (Some(default.to_owned()), Some(of_b.to_owned()))
}

#[test]
fn the_slots_of_each_set_of_subnets_are_offered_under_their_own_resource() {
    let mut node = two_pools();
    node.run(10);
    assert_eq!(capacity(&node), is("9", "9"));
    assert_eq!(node.api.posted().capacity, 1, "in one request");
    let slots = node.published().slots.unwrap();
    assert_eq!((slots.total, slots.free), (18, 17), "the status has the sum");
}

#[test]
fn a_member_of_a_pool_is_not_offered_the_slots_of_another_pool() {
    let mut node = two_pools();
    node.facts.enis = Some(vec![eni(&[ADDRESS])]);
    node.run(10);
    assert_eq!(capacity(&node), (Some("9".to_owned()), None));
    node.facts.enis = Some(vec![of_pool_b()]);
    node.facts.addresses = Some(Vec::new());
    node.run(10);
    assert_eq!(capacity(&node), is("0", "9"));
}

#[test]
fn each_resource_is_at_least_what_pods_request_of_it() {
    let mut node = two_pools();
    node.run(10);
    node.facts.requested = requests(&[(default(), 1), (named("b"), 3)]);
    node.facts.enis = Some(vec![eni(&[ADDRESS])]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "3"), "the interface of pool b is gone");
    node.facts.requested = requests(&[(default(), 1), (named("b"), 4)]);
    node.run(2);
    assert_eq!(capacity(&node), is("9", "4"), "at once");
    node.facts.requested = requests(&[(default(), 1)]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "0"));
}

#[test]
fn a_resource_that_no_pool_has_any_more_is_zero_once_no_pod_requests_it() {
    let mut node = two_pools();
    node.facts.addresses.as_mut().unwrap().extend([51, 52].map(address_of_pool_b));
    node.facts.requested = requests(&[(default(), 1), (named("b"), 2)]);
    node.run(10);
    node.facts.pools.as_mut().unwrap().pop();
    node.facts.enis = Some(vec![eni(&[ADDRESS])]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "2"));
    // The next process learns the resource from the Node alone.
    node.restart();
    node.facts.requested = None;
    node.run(3 * MINUTE);
    assert_eq!(capacity(&node), is("9", "2"), "the pods are not listed yet");
    node.facts.requested = requests(&[(default(), 1)]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "0"));
    assert_eq!(node.api.posted().capacity, 3);
    node.run(6 * MINUTE);
    assert_eq!(node.api.posted().capacity, 3, "written once");
}

#[test]
fn a_changed_resource_moves_the_slots_except_those_of_pods_with_the_former_one() {
    let mut node = two_pools();
    node.facts.requested = requests(&[(default(), 1)]);
    node.run(10);
    let before = node.api.posted().capacity;
    let changed = named("a");
    node.facts.pools.as_mut().unwrap()[0].resource = changed.clone();
    node.facts.enis.as_mut().unwrap()[0].resource = changed.clone();
    node.run(10);
    let all = |node: &Node| {
        let capacities = node.api.capacities();
        [default(), changed.clone(), named("b")].map(|name| capacities[&name].clone())
    };
    assert_eq!(all(&node), ["1", "8", "9"], "the pod of the attached address still requests it");
    assert_eq!(node.api.posted().capacity, before + 1, "in one request");
    node.facts.requested = requests(&[(changed.clone(), 1)]);
    node.run(10);
    assert_eq!(all(&node), ["0", "9", "9"]);
}

#[test]
fn a_capacity_reset_by_others_is_restored_for_each_resource() {
    let mut node = two_pools();
    node.run(10);
    node.api.change_capacity(&named("b"), "0");
    node.run(5 * MINUTE + 10);
    assert_eq!(capacity(&node), is("9", "9"));
}

#[test]
fn a_resource_that_another_pool_keeps_hides_the_slots_of_pods_with_the_former_one() {
    let mut node = two_pools();
    // Both pools had the default resource, and the three members of pool b still request it.
    node.facts.addresses.as_mut().unwrap().extend([51, 52, 53].map(address_of_pool_b));
    node.facts.requested = requests(&[(default(), 4)]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "6"));
    node.facts.requested = requests(&[(default(), 3), (named("b"), 1)]);
    node.run(10);
    assert_eq!(capacity(&node), is("9", "7"), "one of them has been replaced");
}
