//! A re-assert: a pending mutation, a look-up, and one Assign.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Execution, Operation};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, HostKind, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Maintenance};
use firecamp_core::ports::{Owner, OwnerEni};
use firecamp_core::record::{Mutation, PendingMutation, State, StaticIp};
use firecamp_core::step::{ReassertStep, Step};

use super::super::fixture::{ADDRESS, eni, on, parsed};
use super::super::rig::{
    Rig, TICK, cloud, host, is_assign, is_fresh, is_owner, is_write, lost, refused, registry,
    unwritten,
};
use super::{attached, execution, is_over, maintained};

fn operation() -> Operation {
    Operation::Reassert { address: ADDRESS, epoch: Epoch(5), eni: eni('a') }
}

/// EC2 has it on ENI `b` of the cluster.
fn misplaced() -> Rig<Execution> {
    execution(&operation(), attached())
}

fn marking() -> Rig<Execution> {
    let mut rig = misplaced();
    rig.until(is_write);
    rig
}

fn assigning() -> Rig<Execution> {
    let mut rig = marking();
    rig.until(is_assign);
    rig
}

fn pending() -> PendingMutation {
    PendingMutation { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-now") }
}

#[test]
fn a_re_assert_records_looks_up_forces_and_clears() {
    let mut rig = misplaced();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert!(is_owner(&rig.action()));
    rig.step();
    let asked = rig.now;
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(ReassertStep::AssignPending)));
    assert_eq!(rig.fixture.record().pending_mutations, [pending()].into());
    rig.step();
    let Action::Assign { eni: to, force, not_after, .. } = rig.action() else { unreachable!() };
    assert_eq!((to, force, not_after), (eni('a'), true, asked.plus(timing::CALL_BOUND)));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(ReassertStep::AssignAnswered)));
    assert_eq!(maintained(&mut rig), Maintenance::Reasserted);
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(ReassertStep::ReassertEnded)));
    assert!(rig.fixture.record().pending_mutations.is_empty());
}

#[test]
fn an_unowned_address_is_assigned_without_force() {
    let mut rig = misplaced();
    rig.fixture.owner = Owner::Unassigned;
    rig.until(is_assign);
    assert!(matches!(rig.action(), Action::Assign { force: false, .. }));
}

#[test]
fn an_address_of_another_epoch_or_place_is_left_alone() {
    let changes: [fn(&mut StaticIp); 5] = [
        |ip| ip.epoch = Epoch(6),
        |ip| ip.epoch = Epoch(4),
        |ip| ip.attachment.as_mut().expect("attached").state = State::Attaching,
        |ip| ip.attachment.as_mut().expect("attached").eni = Some(eni('b')),
        |ip| ip.attachment = None,
    ];
    for change in changes {
        let mut rig = misplaced();
        rig.fixture.change(change);
        rig.step();
        assert!(is_over(&rig));
        assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    }
    let mut rig = misplaced();
    rig.report(Reply::Record(Ok(None)));
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
}

#[test]
fn an_address_already_here_or_on_a_foreign_interface_is_left_alone() {
    let mut rig = misplaced();
    rig.fixture.owner = on('a');
    rig.until(is_owner).step();
    assert!(is_over(&rig), "{:?}", rig.action());
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    let Owner::Eni(ours) = on('c') else { unreachable!() };
    let stranger = OwnerEni { cluster: None, ..ours.clone() };
    let here = OwnerEni { id: eni('a'), primary: true, ..ours };
    for owner in [stranger, here] {
        let mut rig = misplaced();
        rig.fixture.owner = Owner::Eni(owner);
        rig.until(is_owner).step();
        assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    }
}

#[test]
fn a_failed_pending_mutation_is_retried_and_a_refused_one_ends_it() {
    for kind in [RegistryKind::Conflict, RegistryKind::Unavailable] {
        let mut rig = marking();
        rig.report(unwritten(kind, Effect::None));
        assert!(is_fresh(&rig.after_pause()), "{kind:?}");
        assert_eq!(maintained(&mut rig), Maintenance::Reasserted);
    }
    let mut rig = marking();
    rig.report(unwritten(RegistryKind::Invalid, Effect::None));
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}

#[test]
fn an_unanswered_pending_mutation_is_cleared_if_nothing_is_left_to_do() {
    let mut rig = marking();
    let action = rig.action();
    rig.fixture.answer(&action);
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.fixture.change(|ip| ip.epoch = Epoch(6));
    rig.step();
    assert!(is_write(&rig.action()), "its pending mutation took effect");
    assert_eq!(maintained(&mut rig), Maintenance::NothingToDo);
    assert!(rig.fixture.record().pending_mutations.is_empty());
}

#[test]
fn a_pending_mutation_that_leaves_too_little_time_ends_it_before_the_call() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    let mut rig = marking();
    rig.fixture.owner = Owner::Unassigned;
    rig.step_after(enough);
    assert!(matches!(rig.action(), Action::NoteAssign(_)));
    let mut rig = marking();
    rig.step_after(enough + TICK);
    assert!(is_write(&rig.action()), "the pending mutation is cleared");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

/// The action after the pending mutation, this long after the look-up was requested.
fn after_look(owner: Owner, age: Duration) -> Action {
    let mut rig = misplaced();
    rig.fixture.owner = owner;
    rig.until(is_owner);
    let asked = rig.now;
    rig.step_after(Duration::from_secs(3));
    let spent = rig.now.since(asked);
    rig.step_after(age.saturating_sub(spent));
    rig.action()
}

#[test]
fn force_needs_a_look_up_within_the_call_bound_and_a_free_address_needs_none() {
    let young = timing::CALL_BOUND.saturating_sub(TICK);
    assert!(matches!(after_look(on('b'), young), Action::NoteAssign(_)));
    assert!(is_write(&after_look(on('b'), timing::CALL_BOUND)));
    let old = after_look(Owner::Unassigned, timing::CALL_BOUND);
    assert!(matches!(old, Action::NoteAssign(_)));
}

#[test]
fn a_node_that_cannot_note_the_call_sends_none() {
    let mut rig = marking();
    rig.step();
    rig.report(Reply::Host(Err(host(HostKind::Refused))));
    assert!(is_write(&rig.action()), "the pending mutation is cleared");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_lost_answer_keeps_its_pending_mutation_until_the_call_expires() {
    let mut rig = assigning();
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    rig.report(lost());
    let pause = rig.pause().expect("a pause");
    assert_eq!(rig.now.plus(pause.length), not_after);
    assert!(is_write(&rig.after_pause()));
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
    let mut rig = assigning();
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    let left = not_after.since(rig.now);
    rig.report_after(lost(), left);
    assert!(is_write(&rig.action()), "it has expired by now");
}

#[test]
fn each_refusal_has_its_own_exit() {
    let after = |kind| {
        let mut rig = assigning();
        rig.report(refused(kind));
        assert!(is_write(&rig.action()), "the pending mutation is cleared at once");
        rig.end();
        rig.failed().expect("a failure")
    };
    for kind in [CloudKind::HeldElsewhere, CloudKind::BadAddress] {
        assert_eq!(after(kind), Exit::AddressUnavailable);
    }
    for kind in [CloudKind::CapacityExceeded, CloudKind::SubnetExhausted] {
        assert_eq!(after(kind), Exit::NoCapacity);
    }
    for kind in [CloudKind::Throttled, CloudKind::Transient] {
        assert_eq!(after(kind), Exit::TimedOut);
    }
    assert_eq!(after(CloudKind::NotFound), Exit::NodeUnsuitable);
    for kind in [
        CloudKind::NotOnInterface,
        CloudKind::Auth,
        CloudKind::Unknown,
        CloudKind::AttachmentLimitExceeded,
        CloudKind::DeviceIndexTaken,
        CloudKind::InterfaceInUse,
        CloudKind::QuotaExceeded,
    ] {
        assert_eq!(after(kind), Exit::CloudRefused);
    }
}

fn clearing() -> Rig<Execution> {
    let mut rig = assigning();
    rig.step();
    assert!(is_write(&rig.action()));
    rig
}

#[test]
fn a_re_assert_clears_its_pending_mutation_whoever_holds_the_epoch() {
    for kind in [RegistryKind::Conflict, RegistryKind::Unavailable] {
        let mut rig = clearing();
        rig.fixture.supersede();
        rig.report(unwritten(kind, Effect::Unknown));
        assert!(is_fresh(&rig.after_pause()));
        rig.step();
        assert!(is_write(&rig.action()));
        assert_eq!(maintained(&mut rig), Maintenance::Reasserted);
        assert_eq!(rig.fixture.record().epoch, Epoch(6), "the successor's stays");
        assert!(rig.fixture.record().pending_mutations.is_empty());
    }
    let mut rig = clearing();
    let action = rig.action();
    rig.fixture.answer(&action);
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.step();
    assert!(is_over(&rig), "it was cleared");
    let mut rig = clearing();
    rig.report(unwritten(RegistryKind::Refused, Effect::None));
    assert_eq!(rig.failed(), Some(Exit::RegistryRefused));
}

#[test]
fn a_failed_read_is_retried_until_the_operation_deadline() {
    let mut rig = misplaced();
    rig.report(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
    rig.step();
    rig.report(Reply::Owner(Err(cloud(CloudKind::Transient, Effect::None))));
    assert!(is_owner(&rig.after_pause()));
    let unread = Reply::Owner(Err(cloud(CloudKind::Transient, Effect::None)));
    rig.report_after(unread, timing::OPERATION_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}
