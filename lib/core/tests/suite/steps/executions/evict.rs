//! An eviction: a parked address leaves its interface, and its member keeps it.

use firecamp_core::action::Action;
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Outcome, Release};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Mutation, State, StaticIp, Write};

use super::super::fixture::{ADDRESS, Fixture, eni, member, parsed};
use super::super::rig::{Rig, is_write, unwritten};
use super::{attached, execution, is_over};

fn evict() -> Operation {
    Operation::Evict { address: ADDRESS, member: member(), pod: parsed("mine") }
}

/// Pod `mine` has released the address on node-a, and it is gone.
fn parked() -> Fixture {
    let mut fixture = Fixture { pod: PodView::Absent, ..attached() };
    fixture.change(|ip| ip.attachment.as_mut().expect("attached").state = State::Parked);
    fixture
}

fn pod(uid: &str, node: Option<&str>, lifecycle: PodLifecycle) -> PodView {
    PodView::Present { pod: parsed(uid), node: node.map(parsed), lifecycle, controller: None }
}

fn ended(mut rig: Rig<Execution>) -> (Release, Vec<Write>) {
    let outcome = rig.end();
    let Outcome::Released { release, .. } = outcome else { unreachable!("{outcome:?}") };
    (release, rig.fixture.writes)
}

fn records(writes: &[Write]) -> Vec<StaticIp> {
    let record = |write: &Write| {
        let Write::UpdateStaticIp(stored) = write else { unreachable!("{write:?}") };
        stored.object.clone()
    };
    writes.iter().map(record).collect()
}

#[test]
fn the_unassign_is_recorded_under_its_own_epoch_before_it_is_sent() {
    let mut rig = execution(&evict(), parked());
    rig.until(|action| matches!(action, Action::Unassign { .. }));
    let record = rig.fixture.record();
    let attachment = record.attachment.clone().expect("one");
    assert_eq!(
        (record.epoch, attachment.state, attachment.eni),
        (Epoch(6), State::Releasing, None)
    );
    let pending: Vec<_> =
        record.pending_mutations.iter().map(|it| (it.mutation, it.eni.clone())).collect();
    assert_eq!(pending, [(Mutation::Unassign, eni('a'))]);
}

#[test]
fn an_eviction_unassigns_once_touches_no_kernel_and_keeps_the_member() {
    let (mut rig, mut calls) = (execution(&evict(), parked()), 0);
    while !is_over(&rig) {
        let action = rig.action();
        if let Action::Unassign { eni: from, address, .. } = &action {
            assert_eq!((from, *address), (&eni('a'), ADDRESS));
            calls += 1;
        }
        let others = matches!(
            action,
            Action::ReadSockets(_)
                | Action::RemoveAddress(..)
                | Action::RemoveRouting(..)
                | Action::Assign { .. }
        );
        assert!(!others, "{action:?}");
        rig.step();
    }
    assert_eq!(calls, 1);
    let (release, writes) = ended(rig);
    assert_eq!((release, writes.len()), (Release::Unassigned, 2));
    let last = records(&writes).pop().expect("two");
    assert_eq!((&last.member, last.epoch), (&member(), Epoch(6)));
    assert_eq!(last.attachment.expect("one").state, State::Released);
    assert!(last.reserved_on.is_none() && last.pending_mutations.is_empty());
}

#[test]
fn a_member_with_a_pod_on_the_node_keeps_its_parked_address() {
    for uid in ["mine", "other"] {
        for lifecycle in [PodLifecycle::Running, PodLifecycle::Terminating(None)] {
            let pod = pod(uid, Some("node-a"), lifecycle);
            let ended = ended(execution(&evict(), Fixture { pod, ..parked() }));
            assert_eq!(ended, (Release::NotEnding, Vec::new()), "{uid} {lifecycle:?}");
        }
    }
}

/// Two nodes whose parked addresses belong to members that wait on the other one.
#[test]
fn a_pod_elsewhere_and_one_that_has_ended_do_not_protect_the_address() {
    for pod in [
        pod("other", Some("node-b"), PodLifecycle::Running),
        pod("other", None, PodLifecycle::Running),
        pod("mine", Some("node-a"), PodLifecycle::Terminal),
    ] {
        let ended = ended(execution(&evict(), Fixture { pod, ..parked() }));
        assert_eq!(ended.0, Release::Unassigned);
    }
}

#[test]
fn an_address_that_is_not_parked_by_this_pod_any_more_is_left_alone() {
    let changes: [fn(&mut StaticIp); 4] = [
        |ip| ip.attachment.as_mut().expect("parked").state = State::Attached,
        |ip| ip.attachment.as_mut().expect("parked").state = State::Attaching,
        |ip| ip.attachment.as_mut().expect("parked").state = State::Released,
        |ip| ip.attachment.as_mut().expect("parked").pod = parsed("other"),
    ];
    for change in changes {
        let mut before = parked();
        before.change(change);
        assert_eq!(ended(execution(&evict(), before)), (Release::NotHolder, Vec::new()));
        // After the first read.
        let mut rig = execution(&evict(), parked());
        rig.until(|action| *action == Action::ReadPod);
        rig.fixture.change(change);
        assert_eq!(ended(rig), (Release::NotHolder, Vec::new()));
    }
}

#[test]
fn a_claimant_that_is_faster_keeps_the_address() {
    let mut rig = execution(&evict(), parked());
    rig.until(is_write);
    rig.fixture.supersede();
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.until(|action| *action == Action::Done || matches!(action, Action::Unassign { .. }));
    assert_eq!(ended(rig), (Release::NotHolder, Vec::new()));
}
