//! A release that takes the address out of EC2: its own epoch, its calls, and what it believes.

mod answers;

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Outcome, Release as Done};
use firecamp_core::outside::{Life, PodView, SocketScope};
use firecamp_core::record::{Mark, Mutation, State, StaticIp};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use super::rig::{Rig, TICK, is_fresh, is_write, refused, unwritten};
use super::world::{ADDRESS, World, eni, member, parsed};

fn is_call(action: &Action) -> bool {
    matches!(action, Action::Unassign { .. })
}

pub(super) fn input() -> ReleaseInput {
    ReleaseInput {
        member: member(),
        pod: parsed("mine"),
        run: parsed("run-now"),
        unassign: true,
        await_stop: false,
        by: Releaser::Stop,
        scope: SocketScope::All,
        drain: Duration::ZERO,
        grace: Duration::from_mins(1),
    }
}

/// A hook of pod `mine`, which is ending and holds epoch 5 on ENI `a`.
pub(super) fn hook(change: impl FnOnce(&mut StaticIp)) -> Rig<Release> {
    let mut world = World::parked_elsewhere();
    world.change(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        attachment.state = State::Attached;
        (attachment.pod, attachment.node) = (parsed("mine"), parsed("node-a"));
        attachment.eni = Some(eni('a'));
        ip.reserved_on = Some(eni('a'));
    });
    world.change(change);
    world.pod = PodView::Present {
        pod: parsed("mine"),
        node: Some(parsed("node-a")),
        life: Life::Terminating(Some(Duration::from_mins(1))),
        controller: None,
    };
    let now = Moment(Duration::from_secs(100));
    Rig { machine: Release::new(input(), now), world, now }
}

/// About to announce its Unassign.
fn intending(change: impl FnOnce(&mut StaticIp)) -> Rig<Release> {
    let mut rig = hook(change);
    rig.until(is_write);
    rig
}

/// About to send its Unassign.
fn calling() -> Rig<Release> {
    let mut rig = intending(|_ip| {});
    rig.until(is_call);
    rig
}

fn done(rig: &mut Rig<Release>) -> Done {
    let outcome = rig.end();
    let Outcome::Released { release, .. } = outcome else { unreachable!("{outcome:?}") };
    release
}

#[test]
fn an_unassign_is_announced_sent_and_recorded_under_an_epoch_of_its_own() {
    let mut rig = intending(|_ip| {});
    rig.step();
    let announced = rig.world.record();
    assert_eq!((announced.epoch, announced.is_releasing()), (Epoch(6), true));
    let mark = Mark { mutation: Mutation::Unassign, eni: eni('a'), run: parsed("run-now") };
    assert_eq!(announced.unsettled, [mark].into());
    assert_eq!(done(&mut rig), Done::Unassigned);
    let record = rig.world.record();
    assert_eq!(record.attachment.expect("one that ended").state, State::Released);
    assert_eq!((record.reserved_on, record.unsettled.len()), (None, 0));
}

/// What follows the announcement over a record with this mark.
fn after_intent(mutation: Mutation, letter: char) -> Action {
    let mark = Mark { mutation, eni: eni(letter), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.unsettled.insert(mark));
    rig.step();
    rig.action()
}

#[test]
fn an_assign_to_this_eni_that_may_be_in_flight_is_waited_out_before_the_unassign() {
    let Action::Wait(delay) = after_intent(Mutation::Assign, 'a') else { unreachable!() };
    assert_eq!(delay.length, timing::CALL_BOUND);
    assert!(is_call(&after_intent(Mutation::Assign, 'b')), "it cannot bring it back here");
    assert!(is_call(&after_intent(Mutation::Unassign, 'a')), "it does the same");
    assert!(is_call(&after_intent(Mutation::Unassign, 'b')));
    let mark = Mark { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.unsettled.insert(mark));
    rig.step();
    assert!(is_fresh(&rig.after_pause()), "the announcement's authority is over by then");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn an_unassign_is_authorised_by_its_announcement_for_as_long_as_a_call_may_take() {
    let mut rig = intending(|_ip| {});
    let asked = rig.now;
    rig.step_after(Duration::from_secs(1));
    let Action::Unassign { eni: from, address, not_after } = rig.action() else { unreachable!() };
    assert_eq!((from, address), (eni('a'), ADDRESS));
    assert_eq!(not_after, asked.plus(timing::CALL_BOUND));
}

#[test]
fn an_announcement_that_leaves_too_little_time_is_followed_by_a_fresh_read() {
    let enough = timing::CALL_BOUND.saturating_sub(timing::CALL_MINIMUM);
    let mut rig = intending(|_ip| {});
    rig.step_after(enough);
    assert!(is_call(&rig.action()));
    let mut rig = intending(|_ip| {});
    rig.step_after(enough + TICK);
    assert!(is_fresh(&rig.after_pause()));
    let asked = rig.now;
    rig.step_after(enough + TICK);
    assert!(is_fresh(&rig.after_pause()), "too slow once more");
    assert!(rig.now > asked);
    rig.step_after(enough);
    assert!(is_call(&rig.action()));
}

/// A release whose announcement was not answered; whether it had landed.
fn unheard(landed: bool) -> Rig<Release> {
    let mut rig = intending(|_ip| {});
    if landed {
        let action = rig.action();
        rig.world.answer(&action);
    }
    rig.tell(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn an_announcement_that_was_not_heard_stands_is_written_again_or_came_too_late() {
    let mut rig = unheard(true);
    rig.step();
    assert!(is_call(&rig.action()), "it stood");
    assert_eq!(done(&mut rig), Done::Unassigned);
    let mut rig = unheard(false);
    rig.step();
    assert!(is_write(&rig.action()), "it did not land");
    assert_eq!(done(&mut rig), Done::Unassigned);
    let mut rig = unheard(false);
    rig.world.supersede();
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    let changes: [fn(&mut StaticIp); 2] = [
        |ip| ip.epoch = Epoch(6),
        |ip| ip.attachment.as_mut().expect("attached").state = State::Parked,
    ];
    for change in changes {
        let mut rig = unheard(false);
        rig.world.change(change);
        rig.step();
        assert_eq!(
            done(&mut rig),
            Done::NotHolder,
            "epoch and attachment have both to be as before"
        );
    }
}

#[test]
fn a_conflict_with_somebody_s_mark_is_decided_over_the_record_as_it_is_now() {
    let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|_ip| {});
    rig.world.change(|ip| _ = ip.unsettled.insert(mark.clone()));
    rig.tell(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.world.record().unsettled, [mark].into());
}

#[test]
fn once_announced_a_record_that_is_not_its_own_is_left_alone() {
    let mut rig = calling();
    rig.tell(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.world.supersede();
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    // Not even the very record that it began with, brought back by a restored registry.
    let mut rig = intending(|_ip| {});
    let before = rig.world.records.clone();
    rig.until(is_call).tell(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.world.records = before;
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    let mut rig = calling();
    rig.tell(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.tell(Reply::Record(Ok(None)));
    assert_eq!(done(&mut rig), Done::NotHolder);
}

/// An agent that finds what its pod's stop left in the middle of an Unassign.
fn taking_over(change: impl FnOnce(&mut StaticIp)) -> Rig<Release> {
    let mut rig = hook(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        (attachment.state, attachment.eni) = (State::Releasing, None);
        attachment.run = parsed("run-stop");
        let eni = eni('a');
        let run = parsed("run-stop");
        ip.unsettled.insert(Mark { mutation: Mutation::Unassign, eni, run });
    });
    rig.world.change(change);
    rig.world.pod = PodView::Absent;
    let input = ReleaseInput { by: Releaser::Agent, ..input() };
    rig.machine = Release::new(input, rig.now);
    rig
}

#[test]
fn an_agent_finishes_an_unassign_under_the_next_epoch_from_the_eni_that_it_named() {
    let mut rig = taking_over(|_ip| {});
    rig.until(is_call);
    let Action::Unassign { eni: from, .. } = rig.action() else { unreachable!() };
    assert_eq!((from, rig.world.record().epoch), (eni('a'), Epoch(6)));
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.world.record().attachment.expect("one").state, State::Released);
}
