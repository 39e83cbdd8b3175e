//! An idle node writes nothing.

use firecamp_controllers::publish::AddressReason;
use firecamp_core::record::State;

use super::support::{MINUTE, Node, healthy_facts, record};

#[test]
fn an_idle_node_writes_nothing_for_hours() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let (before, written) = (node.api.posted(), node.published());
    node.run(4 * 60 * MINUTE);
    let after = node.api.posted();
    assert_eq!(after.writes(), before.writes());
    assert_eq!(node.published(), written);
    // Two reads in five minutes, to see what others have changed.
    assert!(after.reads - before.reads <= 2 * 4 * 12 + 2, "{after:?}");
}

#[test]
fn an_idle_node_evaluates_unchanged_facts_every_five_seconds_and_pending_ones_every_second() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let before = node.takes;
    node.run(MINUTE);
    assert_eq!(node.takes - before, 12);
    // A pending cause is reported as soon as it has lasted.
    node.address().in_kernel = Some(false);
    let before = node.takes;
    let patience = AddressReason::MissingInKernel.patience().as_secs();
    node.run(patience + 1);
    assert_eq!(u64::from(node.takes - before), patience + 1);
    assert_eq!(node.reasons(), ["AddressMissingInKernel"]);
}

#[test]
fn the_first_minute_of_a_node_writes_each_object_once() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let posted = node.api.posted();
    // Created, and then its status.
    assert_eq!((posted.attachments, posted.conditions, posted.capacity), (2, 1, 1));
    assert_eq!(posted.events, 0);
    let owner = &node.api.attachments().unwrap().metadata.owner_references[0];
    assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Node", "uid-1"));
    assert_eq!(node.node_condition("Ready"), "True AllHealthy");
}

#[test]
fn a_restart_writes_nothing() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let before = node.api.posted();
    for known in [false, true] {
        node.restart();
        let facts = node.facts.clone();
        if !known {
            // Nothing is observed in the first seconds.
            node.facts = firecamp_controllers::publish::Facts::new(super::support::name());
            node.run(20);
        }
        node.facts = facts;
        node.run(5 * MINUTE);
    }
    assert_eq!(node.api.posted().writes(), before.writes());
}

#[test]
fn a_restart_during_a_problem_writes_nothing_and_emits_no_event() {
    let mut node = Node::new(healthy_facts());
    node.address().in_ec2 = Some(false);
    node.run(2 * MINUTE);
    assert_eq!(node.reasons(), ["AddressMisplaced"]);
    let before = node.api.posted();
    node.restart();
    node.run(5 * MINUTE);
    assert_eq!(node.api.posted().writes(), before.writes());
}

#[test]
fn a_pod_restart_within_two_seconds_is_published_once() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let before = node.api.posted();
    node.set_record(record(1, State::Parked));
    node.run(1);
    node.set_record(record(2, State::Attaching));
    node.run(4);
    node.set_record(record(2, State::Attached));
    node.run(MINUTE);
    let after = node.api.posted();
    assert_eq!(after.attachments - before.attachments, 1);
    assert_eq!(after.conditions - before.conditions, 1);
    assert_eq!((node.row().epoch, after.events), (2, 0));
}

#[test]
fn an_address_stripped_and_restored_repeatedly_is_never_reported() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let before = node.api.posted();
    for second in 0..600 {
        node.address().in_kernel = Some(second % 3 != 0);
        node.run(1);
    }
    assert_eq!(node.api.posted().writes(), before.writes());
}

#[test]
fn unknown_parts_stay_as_published() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let (before, published) = (node.api.posted(), node.published());
    node.facts.enis = None;
    node.facts.instance = None;
    node.address().in_kernel = None;
    node.address().in_ec2 = None;
    node.run(30);
    assert_eq!(node.published().enis, published.enis);
    assert_eq!(node.row(), published.addresses[0]);
    let after = node.api.posted();
    assert_eq!(after.conditions, before.conditions);
}
