//! What no stop container released.

use firecamp_core::action::Action;
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::machine::Outcome;
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::State;
use firecamp_core::release::Releaser;

use super::super::rig::{Rig, is_write};
use super::super::world::{World, member, parsed};
use super::{attached, errand, is_over};

fn duty(by: Releaser) -> Duty {
    Duty::Release { member: member(), pod: parsed("mine"), by }
}

/// The pod is gone and nobody released for it.
fn left(by: Releaser) -> Rig<Errand> {
    errand(&duty(by), World { pod: PodView::Absent, ..attached() })
}

#[test]
fn an_agent_drains_empties_its_kernel_and_parks() {
    let mut rig = left(Releaser::Agent);
    rig.until(|action| matches!(action, Action::ReadSockets(_)));
    rig.until(|action| matches!(action, Action::RemoveAddress(..)));
    rig.until(is_write);
    let outcome = rig.end();
    assert!(matches!(outcome, Outcome::Released { .. }), "{outcome:?}");
    assert_eq!(rig.world.record().attachment.expect("one").state, State::Parked);
}

#[test]
fn from_elsewhere_only_the_record_is_changed() {
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
    assert_eq!(rig.world.record().attachment.expect("one").state, State::Parked);
}

#[test]
fn an_errand_leaves_a_live_pod_its_address() {
    let mut rig = left(Releaser::Agent);
    let (pod, node) = (parsed("mine"), Some(parsed("node-a")));
    rig.world.pod = PodView::Present { pod, node, life: Life::Running, controller: None };
    rig.end();
    assert!(rig.world.writes.is_empty());
}
