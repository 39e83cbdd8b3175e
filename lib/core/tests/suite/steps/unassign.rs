//! A release that unassigns the address: its own epoch, its calls, and which answers it trusts.

mod answers;

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::ids::Epoch;
use firecamp_core::machine::{Outcome, Release as Done};
use firecamp_core::ports::{PodLifecycle, PodView, SocketScope};
use firecamp_core::record::{Mutation, PendingMutation, State, StaticIp};
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use super::fixture::{ADDRESS, Fixture, eni, member, parsed};
use super::rig::{Rig, TICK, is_fresh, is_write, refused, unwritten};

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

/// A hook of pod `mine`, which is terminating and holds epoch 5 on ENI `a`.
pub(super) fn hook(change: impl FnOnce(&mut StaticIp)) -> Rig<Release> {
    let mut fixture = Fixture::parked_elsewhere();
    fixture.change(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        attachment.state = State::Attached;
        (attachment.pod, attachment.node) = (parsed("mine"), parsed("node-a"));
        attachment.eni = Some(eni('a'));
        ip.reserved_on = Some(eni('a'));
    });
    fixture.change(change);
    fixture.pod = PodView::Present {
        pod: parsed("mine"),
        node: Some(parsed("node-a")),
        lifecycle: PodLifecycle::Terminating(Some(Duration::from_mins(1))),
        controller: None,
    };
    let now = Moment(Duration::from_secs(100));
    Rig { machine: Release::new(input(), now), fixture, now }
}

/// About to write the intent of its Unassign.
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
fn a_release_of_a_fixed_epoch_releases_no_other() {
    for (only, expected) in [
        (None, Done::Unassigned),
        (Some(5), Done::Unassigned),
        (Some(4), Done::NotHolder),
        (Some(6), Done::NotHolder),
        (Some(0), Done::NotHolder),
    ] {
        let mut rig = hook(|_ip| {});
        rig.machine = rig.machine.clone().of_epoch(only.map(Epoch));
        assert_eq!(done(&mut rig), expected, "{only:?}");
    }
}

#[test]
fn an_unassign_is_recorded_as_pending_sent_and_recorded_under_a_new_epoch() {
    let mut rig = intending(|_ip| {});
    rig.step();
    let announced = rig.fixture.record();
    assert_eq!((announced.epoch, announced.is_releasing()), (Epoch(6), true));
    let pending =
        PendingMutation { mutation: Mutation::Unassign, eni: eni('a'), run: parsed("run-now") };
    assert_eq!(announced.pending_mutations, [pending].into());
    assert_eq!(done(&mut rig), Done::Unassigned);
    let record = rig.fixture.record();
    assert_eq!(record.attachment.expect("one that ended").state, State::Released);
    assert_eq!((record.reserved_on, record.pending_mutations.len()), (None, 0));
}

/// The action after the intent over a record with this pending mutation.
fn after_intent(mutation: Mutation, letter: char) -> Action {
    let pending = PendingMutation { mutation, eni: eni(letter), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.pending_mutations.insert(pending));
    rig.step();
    rig.action()
}

#[test]
fn an_assign_to_this_eni_that_may_be_in_flight_is_waited_out_before_the_unassign() {
    let Action::Wait(delay) = after_intent(Mutation::Assign, 'a') else { unreachable!() };
    assert_eq!(delay.length, timing::CALL_BOUND);
    assert!(is_call(&after_intent(Mutation::Assign, 'b')), "it cannot bring it back here");
    assert!(is_call(&after_intent(Mutation::Unassign, 'a')), "it has the same effect");
    assert!(is_call(&after_intent(Mutation::Unassign, 'b')));
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('a'), run: parsed("run-other") };
    let mut rig = intending(|ip| _ = ip.pending_mutations.insert(pending));
    rig.step();
    assert!(is_fresh(&rig.after_pause()), "the intent's authority has expired by then");
    rig.step();
    assert!(is_call(&rig.action()));
}

#[test]
fn the_intent_authorises_an_unassign_for_the_call_bound() {
    let mut rig = intending(|_ip| {});
    let asked = rig.now;
    rig.step_after(Duration::from_secs(1));
    let Action::Unassign { eni: from, address, not_after } = rig.action() else { unreachable!() };
    assert_eq!((from, address), (eni('a'), ADDRESS));
    assert_eq!(not_after, asked.plus(timing::CALL_BOUND));
}

#[test]
fn an_intent_that_leaves_too_little_time_is_followed_by_a_fresh_read() {
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

/// A release whose intent was not answered; `landed`: it took effect.
fn unheard(landed: bool) -> Rig<Release> {
    let mut rig = intending(|_ip| {});
    if landed {
        let action = rig.action();
        rig.fixture.answer(&action);
    }
    rig.report(unwritten(RegistryKind::Unavailable, Effect::Unknown));
    assert!(is_fresh(&rig.after_pause()));
    rig
}

#[test]
fn an_intent_with_a_lost_answer_stands_is_written_again_or_came_too_late() {
    let mut rig = unheard(true);
    rig.step();
    assert!(is_call(&rig.action()), "it stood");
    assert_eq!(done(&mut rig), Done::Unassigned);
    let mut rig = unheard(false);
    rig.step();
    assert!(is_write(&rig.action()), "it did not land");
    assert_eq!(done(&mut rig), Done::Unassigned);
    let mut rig = unheard(false);
    rig.fixture.supersede();
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    let changes: [fn(&mut StaticIp); 2] = [
        |ip| ip.epoch = Epoch(6),
        |ip| ip.attachment.as_mut().expect("attached").state = State::Parked,
    ];
    for change in changes {
        let mut rig = unheard(false);
        rig.fixture.change(change);
        rig.step();
        assert_eq!(done(&mut rig), Done::NotHolder, "epoch and attachment must both be unchanged");
    }
}

#[test]
fn a_conflict_with_another_pending_mutation_is_decided_from_the_current_record() {
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-other") };
    let mut rig = intending(|_ip| {});
    rig.fixture.change(|ip| _ = ip.pending_mutations.insert(pending.clone()));
    rig.report(unwritten(RegistryKind::Conflict, Effect::None));
    rig.after_pause();
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.fixture.record().pending_mutations, [pending].into());
}

#[test]
fn after_the_intent_another_process_s_record_is_left_alone() {
    let mut rig = calling();
    rig.report(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.fixture.supersede();
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    // Not even the very record from before, restored from a backup of the registry.
    let mut rig = intending(|_ip| {});
    let before = rig.fixture.records.clone();
    rig.until(is_call).report(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.fixture.records = before;
    rig.step();
    assert_eq!(done(&mut rig), Done::NotHolder);
    let mut rig = calling();
    rig.report(refused(CloudKind::Throttled));
    rig.after_pause();
    rig.report(Reply::Record(Ok(None)));
    assert_eq!(done(&mut rig), Done::NotHolder);
}

/// An agent that finds a stop container's unfinished Unassign.
fn taking_over(change: impl FnOnce(&mut StaticIp)) -> Rig<Release> {
    let mut rig = hook(|ip| {
        let attachment = ip.attachment.as_mut().expect("attached");
        (attachment.state, attachment.eni) = (State::Releasing, None);
        attachment.run = parsed("run-stop");
        let eni = eni('a');
        let run = parsed("run-stop");
        ip.pending_mutations.insert(PendingMutation { mutation: Mutation::Unassign, eni, run });
    });
    rig.fixture.change(change);
    rig.fixture.pod = PodView::Absent;
    let input = ReleaseInput { by: Releaser::Agent, ..input() };
    rig.machine = Release::new(input, rig.now);
    rig
}

#[test]
fn an_agent_finishes_an_unassign_under_the_next_epoch_from_the_eni_that_it_named() {
    let mut rig = taking_over(|_ip| {});
    rig.until(is_call);
    let Action::Unassign { eni: from, .. } = rig.action() else { unreachable!() };
    assert_eq!((from, rig.fixture.record().epoch), (eni('a'), Epoch(6)));
    assert_eq!(done(&mut rig), Done::Unassigned);
    assert_eq!(rig.fixture.record().attachment.expect("one").state, State::Released);
}
