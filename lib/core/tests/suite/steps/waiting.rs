//! Waiting: how long, for how many failures, and until when.

use std::time::Duration;

use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::exit::Exit;
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryKind};
use firecamp_core::machine::Machine;
use firecamp_core::outside::SocketScope;
use firecamp_core::release::{Release, ReleaseInput, Releaser};
use firecamp_core::time::Moment;

use super::rig::{Rig, TICK, attach, cloud, is_fresh, is_write, registry};
use super::world::{World, input, member, parsed};

fn starting() -> Rig<Attach> {
    attach(World::parked_elsewhere())
}

fn unread() -> Reply {
    Reply::Member(Err(registry(RegistryKind::Unavailable, Effect::None)))
}

fn unlisted(kind: CloudKind) -> Reply {
    Reply::Identity(Err(cloud(kind, Effect::None)))
}

/// What so many failures in a row are followed by.
fn delays(rig: &mut Rig<Attach>, reply: &Reply, count: usize) -> Vec<Duration> {
    let one = |_| {
        rig.tell_after(reply.clone(), Duration::ZERO);
        let delay = rig.pause().expect("a back-off");
        assert!(delay.jitter, "so that not all come back at once");
        rig.tell_after(Reply::Waited, Duration::ZERO);
        delay.length
    };
    (0..count).map(one).collect()
}

#[test]
fn a_back_off_doubles_up_to_its_cap() {
    let base = timing::BACKOFF_BASE;
    let doubled = [1, 2, 4, 8, 16, 32].map(|factor| base.saturating_mul(factor));
    let mut expected = doubled.to_vec();
    expected.extend([timing::BACKOFF_CAP; 14]);
    assert_eq!(delays(&mut starting(), &unread(), 20), expected);
}

#[test]
fn throttles_keep_the_first_delay_for_long_and_then_double() {
    let steady = usize::try_from(timing::THROTTLE_STEADY).expect("a small number");
    let mut rig = starting();
    rig.until(|action| *action == Action::ReadIdentity);
    let found = delays(&mut rig, &unlisted(CloudKind::Throttled), steady + 3);
    assert_eq!(found[..=steady], vec![timing::THROTTLE_BASE; steady + 1]);
    let doubled = [2, 4].map(|factor| timing::THROTTLE_BASE.saturating_mul(factor));
    assert_eq!(found[steady + 1..], doubled);
}

#[test]
fn progress_starts_the_back_off_anew_and_passing_the_same_place_again_does_not() {
    let mut rig = starting();
    let first = delays(&mut rig, &unread(), 3);
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(0)));
    rig.until(|action| *action == Action::ReadIdentity);
    assert_eq!(delays(&mut rig, &unlisted(CloudKind::Transient), 3), first, "anew");
    rig.until(is_write);
    let conflict = super::rig::unwritten(RegistryKind::Conflict, Effect::None);
    rig.tell(conflict.clone());
    assert_eq!(rig.pause().expect("a back-off").length, timing::BACKOFF_BASE);
    rig.until(is_write).tell(conflict);
    let again = rig.pause().expect("a back-off").length;
    assert_eq!(again, timing::BACKOFF_BASE.saturating_mul(2), "it got no further than before");
}

#[test]
fn a_back_off_ends_at_the_deadline_and_nothing_is_tried_after_it() {
    let mut rig = starting();
    let left = Duration::from_millis(50);
    rig.tell_after(unread(), timing::ATTACH_DEADLINE.saturating_sub(left));
    let delay = rig.pause().expect("a last one");
    assert_eq!((delay.length, delay.limit), (timing::BACKOFF_BASE, left));
    assert_eq!(delay.longest(), left, "what is drawn is cut");
    assert_eq!(delay.drawn(|whole| whole / 8), timing::BACKOFF_BASE / 8, "as rarely as before");
    assert_eq!(delay.drawn(|_| Duration::ZERO), Duration::from_millis(1), "it never spins");
    rig.step();
    assert_eq!(rig.action(), Action::ReadMember, "and once more");
    rig.tell_after(unread(), Duration::ZERO);
    assert_eq!(rig.failed(), Some(Exit::RegistryUnavailable));
    let mut rig = starting();
    rig.tell_after(unread(), timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::RegistryUnavailable));
}

#[test]
fn a_barrier_is_waited_out_whole_or_not_passed() {
    use super::world::eni;
    use firecamp_core::record::{Mark, Mutation};
    let marked = || {
        let mut world = World::parked_elsewhere();
        let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
        world.change(|ip| _ = ip.unsettled.insert(mark));
        let mut rig = attach(world);
        let begun = rig.now;
        rig.until(is_write);
        let spent = rig.now.since(begun);
        (rig, timing::ATTACH_DEADLINE.saturating_sub(spent))
    };
    let (mut rig, left) = marked();
    rig.step_after(left.saturating_sub(timing::CALL_BOUND));
    assert_eq!(rig.pause().expect("the barrier").length, timing::CALL_BOUND);
    let (mut rig, left) = marked();
    rig.step_after(left.saturating_sub(timing::CALL_BOUND) + TICK);
    assert!(is_write(&rig.action()), "the take is put back");
    rig.end();
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

#[test]
fn a_reply_to_something_else_does_not_end_a_wait() {
    let mut rig = starting();
    rig.tell(unread());
    let waiting = rig.action();
    rig.tell(Reply::Begun);
    assert_eq!(rig.action(), waiting);
    rig.tell(Reply::Waited);
    assert_eq!(rig.action(), Action::ReadMember);
}

#[test]
fn good_answers_that_go_on_for_ever_end_at_the_deadline_too() {
    let mut rig = starting();
    rig.step_after(timing::ATTACH_DEADLINE.saturating_sub(TICK));
    assert_eq!(rig.failed(), None);
    let mut rig = starting();
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!(rig.failed(), Some(Exit::TimedOut));
}

#[test]
fn what_has_landed_may_be_completed_after_the_deadline() {
    let mut rig = starting();
    rig.until(super::rig::is_listed);
    rig.world.list();
    rig.past(Step::Attach(16)).until(is_write);
    rig.step_after(timing::ATTACH_DEADLINE);
    assert_eq!((rig.failed(), rig.machine.crossed()), (None, Some(Step::Attach(17))));
}

#[test]
fn each_failure_of_a_read_is_repeated_or_final() {
    let record = |kind| {
        let mut rig = starting();
        rig.tell(Reply::Member(Err(registry(kind, Effect::None))));
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
        rig.until(|action| *action == Action::ReadIdentity).tell(unlisted(kind));
        rig.failed()
    };
    for kind in [CloudKind::Throttled, CloudKind::Transient, CloudKind::Gone] {
        assert_eq!(identity(kind), None, "{kind:?}");
    }
    for kind in [CloudKind::Auth, CloudKind::Unknown, CloudKind::NotOurs] {
        assert_eq!(identity(kind), Some(Exit::CloudRefused), "{kind:?}");
    }
}

#[test]
fn an_answer_to_no_question_is_a_bug_of_ours() {
    let mut rig = starting();
    rig.tell(Reply::Stopping);
    assert_eq!(rig.failed(), Some(Exit::Internal));
    let mut rig = starting();
    rig.until(is_fresh_or_write).tell(Reply::Stopping);
    assert_eq!(rig.failed(), Some(Exit::Internal));
}

fn is_fresh_or_write(action: &Action) -> bool {
    is_fresh(action) || is_write(action)
}

fn canonical(machine: &Attach, now: Moment) -> Attach {
    let mut form = machine.clone();
    form.canonical(now);
    form
}

#[test]
fn for_an_exhaustive_search_texts_are_nothing_and_an_hour_ahead_is_still_counted() {
    let refused = |detail: &str| {
        let mut rig = starting();
        rig.until(super::rig::is_assign);
        let (kind, effect) = (CloudKind::CapacityExceeded, Effect::None);
        rig.tell(Reply::Cloud(Err(CloudFailure { kind, effect, detail: detail.to_owned() })));
        assert!(is_write(&rig.action()));
        canonical(&rig.machine, rig.now)
    };
    assert_eq!(refused("one"), refused("another"));
    let hour = Duration::from_hours(1);
    let deadline = AttachInput { deadline: hour, ..input() };
    let begun = Moment(hour);
    let machine = Attach::new(deadline, begun);
    let before = |length| canonical(&machine, Moment(hour.saturating_sub(length)));
    assert_ne!(before(Duration::ZERO), before(TICK), "further ahead is never");
    assert_eq!(before(TICK), before(TICK * 2));
}

#[test]
fn a_sidecar_tries_to_fix_its_epoch_for_as_long_as_it_runs() {
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
