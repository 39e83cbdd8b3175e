//! Waits: how long, after how many failures, and until when.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::Attach;
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect, RegistryKind};
use firecamp_core::machine::Machine;
use firecamp_core::ports::SocketScope;
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::step::{AttachStep, Step};
use firecamp_core::time::Moment;

use super::fixture::{Fixture, member, parsed};
use super::rig::{Rig, TICK, attach, cloud, is_fresh, is_write, registry};

fn starting() -> Rig<Attach> {
    attach(Fixture::parked_elsewhere())
}

fn unread() -> Reply {
    Reply::Member(Err(registry(RegistryKind::Unavailable, Effect::None)))
}

fn unlisted(kind: CloudKind) -> Reply {
    Reply::Identity(Err(cloud(kind, Effect::None)))
}

/// The delays after this many failures in a row.
fn delays(rig: &mut Rig<Attach>, reply: &Reply, count: usize) -> Vec<Duration> {
    let one = |_| {
        rig.report_after(reply.clone(), Duration::ZERO);
        let delay = rig.pause().expect("a back-off");
        assert!(delay.jitter, "so that not all processes retry at once");
        rig.report_after(Reply::Waited, Duration::ZERO);
        delay.length
    };
    (0..count).map(one).collect()
}

#[test]
fn a_backoff_doubles_up_to_its_cap() {
    let base = timing::BACKOFF_BASE;
    let doubled = [1, 2, 4, 8, 16, 32].map(|factor| base.saturating_mul(factor));
    let mut expected = doubled.to_vec();
    expected.extend([timing::BACKOFF_CAP; 14]);
    assert_eq!(delays(&mut starting(), &unread(), 20), expected);
}

#[test]
fn many_throttles_keep_the_first_delay_before_it_doubles() {
    let steady = usize::try_from(timing::THROTTLE_STEADY).expect("a small number");
    let mut rig = starting();
    rig.until(|action| *action == Action::ReadIdentity);
    let found = delays(&mut rig, &unlisted(CloudKind::Throttled), steady + 3);
    assert_eq!(found[..=steady], vec![timing::THROTTLE_BASE; steady + 1]);
    let doubled = [2, 4].map(|factor| timing::THROTTLE_BASE.saturating_mul(factor));
    assert_eq!(found[steady + 1..], doubled);
}

#[test]
fn a_new_boundary_resets_the_backoff_and_a_repeated_one_does_not() {
    let mut rig = starting();
    let first = delays(&mut rig, &unread(), 3);
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::RecordsRead)));
    rig.until(|action| *action == Action::ReadIdentity);
    assert_eq!(delays(&mut rig, &unlisted(CloudKind::Transient), 3), first, "reset");
    rig.until(is_write);
    let conflict = super::rig::unwritten(RegistryKind::Conflict, Effect::None);
    rig.report(conflict.clone());
    assert_eq!(rig.pause().expect("a back-off").length, timing::BACKOFF_BASE);
    rig.until(is_write).report(conflict);
    let again = rig.pause().expect("a back-off").length;
    assert_eq!(again, timing::BACKOFF_BASE.saturating_mul(2), "it got no further than before");
}

#[test]
fn a_backoff_ends_at_the_deadline_without_a_later_attempt() {
    let mut rig = starting();
    let left = Duration::from_millis(50);
    rig.report_after(unread(), timing::ATTACH_DEADLINE.saturating_sub(left));
    let delay = rig.pause().expect("a last wait");
    assert_eq!((delay.length, delay.limit), (timing::BACKOFF_BASE, left));
    assert_eq!(delay.longest(), left, "the limit applies");
    assert_eq!(delay.drawn(|whole| whole / 8), timing::BACKOFF_BASE / 8, "as rarely as before");
    assert_eq!(delay.drawn(|_| Duration::ZERO), Duration::from_millis(1), "it never spins");
    rig.step();
    assert_eq!(rig.action(), Action::ReadMember, "and once more");
    rig.report_after(unread(), Duration::ZERO);
    assert_eq!(rig.failed(), Some(Exit::RegistryUnavailable));
    let mut rig = starting();
    rig.report_after(unread(), timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::RegistryUnavailable));
}

#[test]
fn a_barrier_is_waited_out_completely_or_not_passed() {
    use super::fixture::eni;
    use firecamp_core::record::{Mutation, PendingMutation};
    let with_pending = || {
        let mut fixture = Fixture::parked_elsewhere();
        let pending =
            PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
        fixture.change(|ip| _ = ip.pending_mutations.insert(pending));
        let mut rig = attach(fixture);
        let begun = rig.now;
        rig.until(is_write);
        let spent = rig.now.since(begun);
        (rig, timing::ATTACH_DEADLINE.saturating_sub(spent))
    };
    let (mut rig, left) = with_pending();
    rig.step_after(left.saturating_sub(timing::CALL_BOUND));
    assert_eq!(rig.pause().expect("the barrier").length, timing::CALL_BOUND);
    let (mut rig, left) = with_pending();
    rig.step_after(left.saturating_sub(timing::CALL_BOUND) + TICK);
    assert!(is_write(&rig.action()), "the record is restored");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

#[test]
fn an_unrelated_reply_does_not_end_a_wait() {
    let mut rig = starting();
    rig.report(unread());
    let waiting = rig.action();
    rig.report(Reply::Begun);
    assert_eq!(rig.action(), waiting);
    rig.report(Reply::Waited);
    assert_eq!(rig.action(), Action::ReadMember);
}

#[test]
fn endless_successful_replies_end_at_the_deadline() {
    let mut rig = starting();
    rig.step_after(timing::ATTACH_DEADLINE.saturating_sub(TICK));
    assert_eq!(rig.failed(), None);
    let mut rig = starting();
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

#[test]
fn an_assigned_address_may_be_completed_after_the_deadline() {
    let mut rig = starting();
    rig.until(super::rig::is_listed);
    rig.fixture.list();
    rig.past(Step::Attach(AttachStep::FileDurable)).until(is_write);
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(
        (rig.failed(), rig.machine.crossed()),
        (None, Some(Step::Attach(AttachStep::AttachRecorded)))
    );
}

#[test]
fn each_failed_read_is_retried_or_final() {
    let record = |kind| {
        let mut rig = starting();
        rig.report(Reply::Member(Err(registry(kind, Effect::None))));
        rig.failed()
    };
    for kind in [RegistryKind::Unavailable, RegistryKind::Conflict, RegistryKind::AlreadyExists] {
        assert_eq!(record(kind), None, "{kind:?}");
    }
    for kind in [RegistryKind::NotFound, RegistryKind::Invalid, RegistryKind::Refused] {
        assert_eq!(record(kind), Some(kind.exit()), "{kind:?}");
    }
    let identity = |kind| {
        let mut rig = starting();
        rig.until(|action| *action == Action::ReadIdentity).report(unlisted(kind));
        rig.failed()
    };
    for kind in [CloudKind::Throttled, CloudKind::Transient, CloudKind::NotFound] {
        assert_eq!(identity(kind), None, "{kind:?}");
    }
    for kind in [CloudKind::Auth, CloudKind::Unknown, CloudKind::NotOnInterface] {
        assert_eq!(identity(kind), Some(Exit::CloudRefused), "{kind:?}");
    }
}

#[test]
fn an_unexpected_reply_is_an_internal_error() {
    let mut rig = starting();
    rig.report(Reply::Stopping);
    assert_eq!(rig.failed(), Some(Exit::Internal));
    let mut rig = starting();
    rig.until(is_fresh_or_write).report(Reply::Stopping);
    assert_eq!(rig.failed(), Some(Exit::Internal));
}

fn is_fresh_or_write(action: &Action) -> bool {
    is_fresh(action) || is_write(action)
}

#[test]
fn a_sidecar_tries_to_read_its_epoch_for_as_long_as_it_runs() {
    let stop = ReleaseInput {
        member: member(),
        pod: parsed("mine"),
        run: parsed("run-now"),
        unassign: false,
        await_stop: true,
        by: Releaser::Stop,
        scope: SocketScope::All,
        drain: Duration::ZERO,
        grace: Duration::from_secs(30),
    };
    let begun = Moment(Duration::from_secs(100));
    let mut machine = Release::new(stop, begun);
    let months = Duration::from_hours(24 * 200);
    machine.reply(unread(), begun.plus(months));
    assert!(matches!(machine.action(), Action::Wait(_)), "{:?}", machine.outcome());
    machine.reply(Reply::Waited, begun.plus(months));
    machine.reply(unread(), begun.plus(months * 2));
    assert!(machine.outcome().is_some());
}
