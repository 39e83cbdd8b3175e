//! What EC2 shows elsewhere is taken back: marked, looked up, once.

use std::time::Duration;

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, HostKind, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Machine, Mended};
use firecamp_core::outside::{Owner, OwnerEni};
use firecamp_core::record::{Mark, Mutation, State, StaticIp};

use super::super::rig::{
    Rig, TICK, cloud, host, is_assign, is_fresh, is_owner, is_write, lost, refused, registry,
    unwritten,
};
use super::super::world::{ADDRESS, eni, on, parsed};
use super::{attached, errand, is_over, mended};

fn duty() -> Duty {
    Duty::Reassert { address: ADDRESS, epoch: Epoch(5), eni: eni('a') }
}

/// EC2 has it on ENI `b` of the cluster.
fn astray() -> Rig<Errand> {
    errand(&duty(), attached())
}

fn marking() -> Rig<Errand> {
    let mut rig = astray();
    rig.until(is_write);
    rig
}

fn assigning() -> Rig<Errand> {
    let mut rig = marking();
    rig.until(is_assign);
    rig
}

fn mark() -> Mark {
    Mark { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-now") }
}

#[test]
fn it_is_marked_looked_up_assigned_by_force_and_unmarked() {
    let mut rig = astray();
    assert!(is_fresh(&rig.action()));
    rig.step();
    assert!(is_owner(&rig.action()));
    rig.step();
    let asked = rig.now;
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(1)));
    assert_eq!(rig.world.record().unsettled, [mark()].into());
    rig.step();
    let Action::Assign { eni: to, force, not_after, .. } = rig.action() else { unreachable!() };
    assert_eq!((to, force, not_after), (eni('a'), true, asked.plus(timing::CALL_BOUND)));
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(2)));
    assert_eq!(mended(&mut rig), Mended::Reasserted);
    assert_eq!(rig.machine.crossed(), Some(Step::Reassert(3)));
    assert!(rig.world.record().unsettled.is_empty());
}

#[test]
fn what_nobody_has_is_assigned_without_force() {
    let mut rig = astray();
    rig.world.owner = Owner::Nobody;
    rig.until(is_assign);
    assert!(matches!(rig.action(), Action::Assign { force: false, .. }));
}

#[test]
fn what_is_not_its_epoch_s_to_have_here_is_left_alone() {
    let changes: [fn(&mut StaticIp); 5] = [
        |ip| ip.epoch = Epoch(6),
        |ip| ip.epoch = Epoch(4),
        |ip| ip.attachment.as_mut().expect("attached").state = State::Attaching,
        |ip| ip.attachment.as_mut().expect("attached").eni = Some(eni('b')),
        |ip| ip.attachment = None,
    ];
    for change in changes {
        let mut rig = astray();
        rig.world.change(change);
        rig.step();
        assert!(is_over(&rig));
        assert_eq!(mended(&mut rig), Mended::NothingToDo);
    }
    let mut rig = astray();
    rig.tell(Reply::Record(Ok(None)));
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
}

#[test]
fn what_is_here_already_is_left_alone_and_what_a_stranger_has_is_not_fought_for() {
    let mut rig = astray();
    rig.world.owner = on('a');
    rig.until(is_owner).step();
    assert!(is_over(&rig), "{:?}", rig.action());
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
    let Owner::Eni(ours) = on('c') else { unreachable!() };
    let stranger = OwnerEni { cluster: None, ..ours.clone() };
    let here = OwnerEni { id: eni('a'), primary: true, ..ours };
    for owner in [stranger, here] {
        let mut rig = astray();
        rig.world.owner = Owner::Eni(owner);
        rig.until(is_owner).step();
        assert_eq!(rig.failed(), Some(Exit::AddressUnavailable));
    }
}

#[test]
fn a_mark_that_may_not_stand_is_decided_anew_and_one_that_is_refused_ends_it() {
    for kind in [RegistryKind::Conflict, RegistryKind::Unavailable] {
        let mut rig = marking();
        rig.tell(unwritten(kind, Effect::None));
        assert!(is_fresh(&rig.after_pause()), "{kind:?}");
        assert_eq!(mended(&mut rig), Mended::Reasserted);
    }
    let mut rig = marking();
    rig.tell(unwritten(RegistryKind::Invalid, Effect::None));
    assert_eq!(rig.failed(), Some(Exit::RegistryInvalid));
}

#[test]
fn a_mark_of_its_own_that_landed_unheard_is_cleared_if_there_is_nothing_to_do_any_more() {
    let mut rig = marking();
    let action = rig.action();
    rig.world.answer(&action);
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.world.change(|ip| ip.epoch = Epoch(6));
    rig.step();
    assert!(is_write(&rig.action()), "its mark stands");
    assert_eq!(mended(&mut rig), Mended::NothingToDo);
    assert!(rig.world.record().unsettled.is_empty());
}

#[test]
fn a_mark_that_leaves_too_little_time_ends_it_before_the_call() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    let mut rig = marking();
    rig.world.owner = Owner::Nobody;
    rig.step_after(enough);
    assert!(matches!(rig.action(), Action::NoteAssign(_)));
    let mut rig = marking();
    rig.step_after(enough + TICK);
    assert!(is_write(&rig.action()), "the mark is cleared");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

/// What follows the mark, so long after the look-up was asked for.
fn after_look(owner: Owner, age: Duration) -> Action {
    let mut rig = astray();
    rig.world.owner = owner;
    rig.until(is_owner);
    let asked = rig.now;
    rig.step_after(Duration::from_secs(3));
    let spent = rig.now.since(asked);
    rig.step_after(age.saturating_sub(spent));
    rig.action()
}

#[test]
fn force_needs_a_look_that_is_younger_than_a_call_may_be_and_a_free_address_none() {
    let young = timing::CALL_BOUND.saturating_sub(TICK);
    assert!(matches!(after_look(on('b'), young), Action::NoteAssign(_)));
    assert!(is_write(&after_look(on('b'), timing::CALL_BOUND)));
    let old = after_look(Owner::Nobody, timing::CALL_BOUND);
    assert!(matches!(old, Action::NoteAssign(_)));
}

#[test]
fn a_node_that_cannot_note_the_call_sends_none() {
    let mut rig = marking();
    rig.step();
    rig.tell(Reply::Host(Err(host(HostKind::Refused))));
    assert!(is_write(&rig.action()), "the mark is cleared");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::KernelRefused));
}

#[test]
fn a_lost_answer_keeps_its_mark_until_the_call_is_out_of_the_way() {
    let mut rig = assigning();
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    rig.tell(lost());
    let pause = rig.pause().expect("a pause");
    assert_eq!(rig.now.plus(pause.length), not_after);
    assert!(is_write(&rig.after_pause()));
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
    let mut rig = assigning();
    let Action::Assign { not_after, .. } = rig.action() else { unreachable!() };
    let left = not_after.since(rig.now);
    rig.tell_after(lost(), left);
    assert!(is_write(&rig.action()), "it is out of the way by now");
}

#[test]
fn each_refusal_ends_in_its_own_way() {
    let after = |kind| {
        let mut rig = assigning();
        rig.tell(refused(kind));
        assert!(is_write(&rig.action()), "the mark is cleared at once");
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
    assert_eq!(after(CloudKind::Gone), Exit::NodeUnsuitable);
    for kind in [CloudKind::NotOurs, CloudKind::Auth, CloudKind::Unknown] {
        assert_eq!(after(kind), Exit::CloudRefused);
    }
}

fn clearing() -> Rig<Errand> {
    let mut rig = assigning();
    rig.step();
    assert!(is_write(&rig.action()));
    rig
}

#[test]
fn its_mark_is_its_own_to_clear_whoever_holds_the_epoch_by_then() {
    for kind in [RegistryKind::Conflict, RegistryKind::Unavailable] {
        let mut rig = clearing();
        rig.world.supersede();
        rig.tell(unwritten(kind, Effect::Unknown));
        assert!(is_fresh(&rig.after_pause()));
        rig.step();
        assert!(is_write(&rig.action()));
        assert_eq!(mended(&mut rig), Mended::Reasserted);
        assert_eq!(rig.world.record().epoch, Epoch(6), "the successor's stays");
        assert!(rig.world.record().unsettled.is_empty());
    }
    let mut rig = clearing();
    let action = rig.action();
    rig.world.answer(&action);
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    rig.after_pause();
    rig.step();
    assert!(is_over(&rig), "it was cleared");
    let mut rig = clearing();
    rig.tell(unwritten(RegistryKind::Refused, Effect::None));
    assert_eq!(rig.failed(), Some(Exit::RegistryRefused));
}

#[test]
fn a_read_that_fails_is_repeated_until_the_errand_s_deadline() {
    let mut rig = astray();
    rig.tell(Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))));
    assert!(is_fresh(&rig.after_pause()));
    rig.step();
    rig.tell(Reply::Owner(Err(cloud(CloudKind::Transient, Effect::None))));
    assert!(is_owner(&rig.after_pause()));
    let unread = Reply::Owner(Err(cloud(CloudKind::Transient, Effect::None)));
    rig.tell_after(unread, timing::ERRAND_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}
