//! A release by an agent, for a pod whose stop container did not release.

use firecamp_core::action::Action;
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::machine::Outcome;
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::State;
use firecamp_core::release::Releaser;

use super::super::fixture::{Fixture, member, parsed};
use super::super::rig::{Rig, is_write};
use super::{attached, execution, is_over};

fn operation(by: Releaser) -> Operation {
    Operation::Release { member: member(), pod: parsed("mine"), by }
}

/// The pod is gone and its address is not released.
fn left(by: Releaser) -> Rig<Execution> {
    execution(&operation(by), Fixture { pod: PodView::Absent, ..attached() })
}

#[test]
fn an_agent_drains_removes_from_the_kernel_and_parks() {
    let mut rig = left(Releaser::Agent);
    rig.until(|action| matches!(action, Action::ReadSockets(_)));
    rig.until(|action| matches!(action, Action::RemoveAddress(..)));
    rig.until(is_write);
    let outcome = rig.end();
    assert!(matches!(outcome, Outcome::Released { .. }), "{outcome:?}");
    assert_eq!(rig.fixture.record().attachment.expect("one").state, State::Parked);
}

#[test]
fn for_a_lost_node_only_the_record_is_changed() {
    let mut rig = left(Releaser::AgentElsewhere);
    let kernel = |action: &Action| {
        matches!(
            action,
            Action::ReadSockets(_) | Action::RemoveAddress(..) | Action::RemoveRouting(..)
        )
    };
    while !is_over(&rig) {
        assert!(!kernel(&rig.action()), "its kernel is gone with it");
        rig.step();
    }
    assert_eq!(rig.fixture.record().attachment.expect("one").state, State::Parked);
}

#[test]
fn a_release_operation_leaves_a_live_pod_its_address() {
    let mut rig = left(Releaser::Agent);
    let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
    rig.fixture.pod =
        PodView::Present { pod, node, lifecycle: PodLifecycle::Running, controller: None };
    rig.end();
    assert!(rig.fixture.writes.is_empty());
}
