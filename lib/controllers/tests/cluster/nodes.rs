//! Lost nodes.

use firecamp_controllers::leader::{NodeReadiness, Operation, ReleaseReason};
use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::record::State;
use firecamp_core::release::Releaser;

use super::support::{ClusterFixture, MINUTE, gone, live, parsed};

/// The pod is gone without a stop, and its node is in this state.
fn fixture(node: Option<NodeReadiness>, held: bool) -> ClusterFixture {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    match node {
        Some(lifecycle) => drop(fixture.view.nodes.insert(parsed("n1"), Some(lifecycle.into()))),
        None => drop(fixture.view.nodes.remove(&parsed("n1"))),
    }
    fixture.pod("redis-0", gone());
    fixture.ec2(held);
    fixture
}

fn released(operations: &[Operation]) -> Option<ReleaseReason> {
    operations.iter().find_map(|operation| {
        let Operation::Release { node_operation, why, .. } = operation else { return None };
        let NodeOperation::Release { by, .. } = node_operation else {
            panic!("{node_operation:?}")
        };
        assert_eq!(*by, Releaser::AgentElsewhere);
        Some(*why)
    })
}

#[test]
fn f077_a_stale_node_object_does_not_block_the_release_for_a_lost_instance() {
    let mut fixture = fixture(Some(NodeReadiness::NotReady), false);
    assert_eq!(released(&fixture.after(MINUTE)), None, "one pass proves nothing");
    assert_eq!(released(&fixture.after(MINUTE)), None, "nor does a minute");
    assert_eq!(released(&fixture.after(MINUTE)), Some(ReleaseReason::NoInstance));
}

#[test]
fn f077_a_missing_node_object_proves_nothing_while_an_instance_has_the_address() {
    let mut fixture = fixture(None, true);
    assert_eq!(released(&fixture.during(MINUTE * 9)), None);
    assert_eq!(released(&fixture.during(MINUTE * 2)), Some(ReleaseReason::Unresponsive));
}

#[test]
fn f077_addresses_of_a_missing_node_without_instance_are_released() {
    let mut fixture = fixture(None, false);
    assert_eq!(released(&fixture.during(MINUTE * 3)), Some(ReleaseReason::NoInstance));
}

#[test]
fn f077_addresses_of_an_out_of_service_node_are_released_though_its_instance_exists() {
    let mut fixture = fixture(Some(NodeReadiness::OutOfService), true);
    assert_eq!(released(&fixture.during(MINUTE * 3)), Some(ReleaseReason::OutOfService));
}

#[test]
fn a_ready_node_is_left_to_its_own_agent() {
    let mut fixture = fixture(Some(NodeReadiness::Ready), false);
    let asked = fixture.planner.ask(&fixture.view, &fixture.site);
    assert!(asked.owners.is_empty(), "{asked:?}");
    assert_eq!(released(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn the_leaders_own_node_counts_as_ready_whatever_its_node_object() {
    let mut fixture = fixture(Some(NodeReadiness::Ready), false);
    fixture.site.node = parsed("n1");
    fixture.view.nodes.insert(parsed("n1"), Some(NodeReadiness::NotReady.into()));
    assert_eq!(released(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn the_address_of_a_live_pod_is_never_released_whatever_its_node_state() {
    for node in [None, Some(NodeReadiness::NotReady), Some(NodeReadiness::OutOfService)] {
        let mut fixture = fixture(node, false);
        fixture.pod("redis-0", live("pod-1", None));
        assert_eq!(released(&fixture.during(MINUTE * 30)), None, "{node:?}");
    }
}

#[test]
fn a_pod_or_an_owner_that_could_not_be_read_releases_nothing() {
    let mut unread = fixture(None, false);
    unread.answers.pods.clear();
    assert_eq!(released(&unread.during(MINUTE * 30)), None);
    let mut unasked = fixture(None, false);
    unasked.answers.held.clear();
    assert_eq!(released(&unasked.during(MINUTE * 30)), None);
}

#[test]
fn a_failed_read_between_two_passes_resets_no_grace_period() {
    let mut fixture = fixture(None, false);
    assert_eq!(released(&fixture.after(MINUTE)), None);
    let answers = std::mem::take(&mut fixture.answers);
    assert_eq!(released(&fixture.after(MINUTE)), None);
    fixture.answers = answers;
    assert_eq!(released(&fixture.after(MINUTE)), Some(ReleaseReason::NoInstance));
}

#[test]
fn a_node_that_recovers_resets_the_grace_period() {
    let mut fixture = fixture(Some(NodeReadiness::NotReady), false);
    assert_eq!(released(&fixture.during(MINUTE)), None);
    fixture.view.nodes.insert(parsed("n1"), Some(NodeReadiness::Ready.into()));
    assert_eq!(released(&fixture.after(MINUTE)), None);
    fixture.view.nodes.insert(parsed("n1"), Some(NodeReadiness::NotReady.into()));
    assert_eq!(released(&fixture.during(MINUTE)), None, "its grace period starts over");
    assert_eq!(released(&fixture.after(MINUTE)), Some(ReleaseReason::NoInstance));
}

#[test]
fn f093_a_node_list_without_the_own_node_is_ignored() {
    let mut fixture = fixture(None, false);
    fixture.view.nodes.clear();
    assert_eq!(fixture.pass(), Vec::new());
    assert_eq!(released(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn released_addresses_are_left_alone() {
    for state in [State::Parked, State::Released] {
        let mut fixture = ClusterFixture::with_member(state);
        fixture.view.nodes.remove(&parsed("n1"));
        fixture.pod("redis-0", gone());
        fixture.ec2(false);
        assert_eq!(released(&fixture.during(MINUTE * 30)), None, "{state:?}");
    }
}

#[test]
fn an_unreadable_node_object_proves_nothing() {
    let mut fixture = fixture(Some(NodeReadiness::NotReady), false);
    fixture.view.nodes.insert(parsed("n1"), None);
    assert_eq!(released(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn an_address_without_claim_and_pod_is_released_though_its_node_is_ready() {
    let mut fixture = fixture(Some(NodeReadiness::Ready), true);
    fixture.unclaim("redis-0");
    assert_eq!(released(&fixture.during(MINUTE)), None);
    assert_eq!(released(&fixture.during(MINUTE * 2)), Some(ReleaseReason::NoClaim));
    fixture.pod("redis-0", live("pod-1", None));
    assert_eq!(released(&fixture.during(MINUTE * 30)), None, "not under a live pod");
}

#[test]
fn without_claim_the_leader_leaves_the_kernel_of_its_own_node_alone_too() {
    let mut fixture = fixture(Some(NodeReadiness::Ready), true);
    fixture.site.node = parsed("n1");
    fixture.unclaim("redis-0");
    assert_eq!(released(&fixture.during(MINUTE * 3)), Some(ReleaseReason::NoClaim));
}
