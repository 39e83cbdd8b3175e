//! The extended resource.

use firecamp_core::agent::Slots;

use super::support::{MINUTE, Node, well};

#[test]
fn f021_the_capacity_is_what_is_free_and_what_members_hold() {
    let mut node = Node::new(well());
    node.run(10);
    assert_eq!(node.api.capacity().as_deref(), Some("9"));
}

#[test]
fn f021_the_capacity_follows_an_eni_that_is_attached_and_one_that_is_detached() {
    let mut node = Node::new(well());
    node.run(10);
    node.facts.slots = Some(Slots { free: 17, held: 1 });
    node.run(10);
    assert_eq!(node.api.capacity().as_deref(), Some("18"));
    node.facts.slots = Some(Slots { free: 0, held: 0 });
    node.run(10);
    assert_eq!(node.api.capacity().as_deref(), Some("0"));
    assert_eq!(node.api.posted().capacity, 3);
}

#[test]
fn f021_a_capacity_that_is_not_known_is_left_as_it_stands() {
    let mut node = Node::new(well());
    node.run(10);
    node.facts.slots = None;
    node.run(10 * MINUTE);
    assert_eq!((node.api.capacity().as_deref(), node.api.posted().capacity), (Some("9"), 1));
}

#[test]
fn f021_a_capacity_that_somebody_reset_is_set_again_within_five_minutes() {
    let mut node = Node::new(well());
    node.run(10);
    // A kubelet does so if the Node was created anew.
    node.api.change_capacity(Some("0"));
    node.run(5 * MINUTE + 10);
    assert_eq!(node.api.capacity().as_deref(), Some("9"));
}

#[test]
fn f021_a_count_that_passes_by_is_not_published() {
    let mut node = Node::new(well());
    node.run(10);
    for _ in 0..30 {
        node.facts.slots = Some(Slots { free: 8, held: 0 });
        node.run(1);
        node.facts.slots = Some(Slots { free: 8, held: 1 });
        node.run(3);
    }
    assert_eq!(node.api.posted().capacity, 1);
}
