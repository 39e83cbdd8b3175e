//! How attach proves that the data path has switched, and how long it waits for that.

use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::attach::{Attach, AttachInput};
use firecamp_core::contract::timing;
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::machine::Machine;
use firecamp_core::ports::Owner;
use firecamp_core::record::{Mutation, PendingMutation};
use firecamp_core::step::{AttachStep, Step};

use super::fixture::{Fixture, eni, input, on, parsed};
use super::rig::{
    Rig, TICK, attach, attach_with, cloud, is_assign, is_fresh, is_listed, is_owner, lost,
};

/// An attach whose Assign was answered just now, on a node that did not list the address.
fn assigned() -> Rig<Attach> {
    assigned_by(input())
}

fn assigned_by(input: AttachInput) -> Rig<Attach> {
    let fixture = Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() };
    let mut rig = attach_with(input, fixture);
    rig.until(is_assign).step();
    assert!(is_listed(&rig.action()));
    rig
}

/// The delay of the next IMDS poll, this long after the Assign; None if Describe is next.
fn poll_after(waited: Duration) -> Option<Duration> {
    poll_of(assigned(), waited)
}

fn poll_of(mut rig: Rig<Attach>, waited: Duration) -> Option<Duration> {
    rig.step_after(waited);
    if let Some(pause) = rig.pause() {
        assert!(is_listed(&rig.after_pause()));
        return Some(pause.length);
    }
    assert!(is_owner(&rig.action()), "{:?}", rig.action());
    None
}

#[test]
fn imds_is_polled_often_then_rarely_and_then_describe_decides() {
    assert_eq!(poll_after(TICK), Some(timing::METADATA_POLL));
    assert_eq!(poll_after(Duration::from_millis(1_900)), Some(timing::METADATA_POLL));
    assert_eq!(poll_after(Duration::from_secs(3)), Some(timing::METADATA_POLL * 3 / 2));
    let last = timing::METADATA_PATIENCE.saturating_sub(TICK);
    let rarely = poll_after(last).expect("a pause");
    assert!((rarely * 80).abs_diff(last) < TICK * 80, "it adds an 80th: {rarely:?}");
    assert_eq!(poll_after(timing::METADATA_PATIENCE), None);
}

#[test]
fn an_agent_that_reads_for_all_its_members_polls_more_often() {
    let poll = timing::QUEUED_METADATA_POLL;
    let agents = || assigned_by(AttachInput { metadata_poll: poll, ..input() });
    assert_eq!(poll_of(agents(), Duration::from_millis(1_900)), Some(poll));
    assert_eq!(poll_of(agents(), Duration::from_secs(3)), Some(poll * 3 / 2));
}

#[test]
fn f049_imds_that_fails_is_polled_less_often() {
    let mut rig = assigned();
    rig.report(Reply::Listed(Err(cloud(CloudKind::Transient, Effect::None))));
    assert_eq!(rig.pause().expect("a pause").length, timing::BACKOFF_BASE);
}

#[test]
fn a_newly_listed_address_proves_the_assign() {
    let mut rig = assigned();
    rig.fixture.list();
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::DataPathSwitched)));
    assert!(matches!(rig.action(), Action::AddAddress(..)));
}

/// An attach on a node that listed the address before, whose Assign was answered just now.
fn listed_before() -> Rig<Attach> {
    let mut fixture = Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() };
    fixture.list();
    let mut rig = attach(fixture);
    rig.until(is_assign).step();
    rig
}

#[test]
fn if_it_was_listed_before_describe_decides_after_the_settle_time() {
    let mut rig = listed_before();
    assert_eq!(rig.pause().expect("a pause").length, timing::SETTLE);
    assert!(matches!(rig.after_pause(), Action::ReadOwner(..)));
    rig.fixture.owner = on('a');
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::DataPathSwitched)));
}

#[test]
fn a_primary_address_never_counts_as_assigned() {
    let mut rig = listed_before();
    let Owner::Eni(mut primary) = on('a') else { unreachable!() };
    primary.primary = true;
    rig.fixture.owner = Owner::Eni(primary);
    rig.after_pause();
    rig.step();
    assert!(is_fresh(&rig.action()), "another pod may have it");
}

/// The next action if Describe does not show it here, this long after the answer to the Assign.
fn unshown_after(age: Duration) -> Action {
    let mut rig = listed_before();
    let assigned = rig.now;
    rig.after_pause();
    rig.step();
    assert!(is_fresh(&rig.action()), "a successor would be in the record");
    let spent = rig.now.since(assigned);
    rig.step_after(age.saturating_sub(spent));
    rig.after_pause()
}

#[test]
fn an_address_not_shown_beyond_the_lag_is_looked_up_again() {
    let lagging = timing::DESCRIBE_LAG.saturating_sub(TICK);
    assert!(is_owner(&unshown_after(lagging)));
    assert!(is_listed(&unshown_after(timing::DESCRIBE_LAG)), "as if it had not been assigned");
}

/// An attach whose first Assign's answer was lost just now.
fn unanswered() -> Rig<Attach> {
    let mut rig = attach(Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() });
    rig.until(is_assign).report(lost());
    assert!(is_listed(&rig.after_pause()));
    rig
}

#[test]
fn after_a_lost_answer_imds_is_polled_until_the_settle_time() {
    let mut rig = unanswered();
    let asked = rig.now;
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::METADATA_POLL);
    rig.until(is_owner);
    let waited = rig.now.since(asked);
    assert!(waited < timing::SETTLE + timing::METADATA_POLL, "{waited:?}");
    assert!(waited + Duration::from_millis(250) > timing::SETTLE, "{waited:?}");
    let mut rig = unanswered();
    rig.fixture.list();
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(AttachStep::DataPathSwitched)));
}

#[test]
fn after_a_repeated_call_a_listed_address_proves_nothing() {
    let mut rig = unanswered();
    rig.until(is_owner);
    rig.until(is_assign).step();
    assert_eq!(rig.pause().expect("a pause").length, timing::SETTLE, "Describe decides");
}

/// The action after the answer to the Assign after a barrier, by whether the node listed the
/// address at the end of the barrier, and how recently it sent an Assign.
fn after_barrier(listed: bool, sent: Option<Duration>) -> Rig<Attach> {
    let mut fixture = Fixture { owner: Owner::Unassigned, ..Fixture::parked_elsewhere() };
    let pending =
        PendingMutation { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
    fixture.change(|ip| _ = ip.pending_mutations.insert(pending));
    fixture.view.assigned = sent;
    let mut rig = attach(fixture);
    rig.past(Step::Attach(AttachStep::EpochAcquired));
    let pause = rig.pause().expect("the barrier");
    assert_eq!((pause.length, pause.jitter), (timing::CALL_BOUND, false));
    assert!(is_listed(&rig.after_pause()));
    if listed {
        rig.fixture.list();
    }
    rig.until(is_assign).step();
    rig
}

#[test]
fn after_a_barrier_a_listed_address_proves_an_assign_only_without_earlier_ones() {
    let (lately, long_ago) = (Duration::from_secs(20), Duration::from_hours(1));
    for (listed, sent) in [(true, None), (false, Some(lately)), (true, Some(lately))] {
        let rig = after_barrier(listed, sent);
        assert_eq!(rig.pause().expect("a pause").length, timing::SETTLE, "{listed} {sent:?}");
    }
    for sent in [None, Some(long_ago)] {
        assert!(is_listed(&after_barrier(false, sent).action()), "{sent:?}");
    }
}

#[test]
fn an_earlier_assign_counts_as_recent_until_imds_cannot_lag_any_more() {
    let news = timing::CALL_BOUND + timing::METADATA_LAG;
    assert!(after_barrier(false, Some(news.saturating_sub(TICK))).pause().is_some());
    assert!(after_barrier(false, Some(news)).pause().is_none());
}
