//! What proves that the data path has switched, and how long it is waited for.

use std::time::Duration;

use firecamp_core::action::{Action, Step};
use firecamp_core::attach::Attach;
use firecamp_core::contract::timing;
use firecamp_core::machine::Machine;
use firecamp_core::outside::Owner;
use firecamp_core::record::{Mark, Mutation};

use super::rig::{Rig, TICK, attach, is_assign, is_fresh, is_listed, is_owner, lost};
use super::world::{World, eni, on, parsed};

/// An attach whose Assign was answered just now, on a node that did not list the address.
fn assigned() -> Rig<Attach> {
    let mut rig = attach(World { owner: Owner::Nobody, ..World::parked_elsewhere() });
    rig.until(is_assign).step();
    assert!(is_listed(&rig.action()));
    rig
}

/// How long it waits before it asks IMDS again, so long after the Assign; None if it asks Describe.
fn poll_after(waited: Duration) -> Option<Duration> {
    let mut rig = assigned();
    rig.step_after(waited);
    if let Some(pause) = rig.pause() {
        assert!(is_listed(&rig.after_pause()));
        return Some(pause.length);
    }
    assert!(is_owner(&rig.action()), "{:?}", rig.action());
    None
}

#[test]
fn imds_is_asked_often_at_first_then_seldom_and_then_describe() {
    assert_eq!(poll_after(TICK), Some(timing::METADATA_POLL));
    let fast = timing::SETTLE.saturating_sub(TICK);
    assert_eq!(poll_after(fast), Some(timing::METADATA_POLL));
    assert_eq!(poll_after(timing::SETTLE), Some(timing::METADATA_POLL_SLOW));
    let slow = timing::METADATA_PATIENCE.saturating_sub(TICK);
    assert_eq!(poll_after(slow), Some(timing::METADATA_POLL_SLOW));
    assert_eq!(poll_after(timing::METADATA_PATIENCE), None);
}

#[test]
fn news_of_imds_that_were_not_there_before_are_the_proof() {
    let mut rig = assigned();
    rig.world.list();
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(10)));
    assert!(matches!(rig.action(), Action::AddAddress(..)));
}

/// An attach on a node that listed the address before, whose Assign was answered just now.
fn listed_before() -> Rig<Attach> {
    let mut world = World { owner: Owner::Nobody, ..World::parked_elsewhere() };
    world.list();
    let mut rig = attach(world);
    rig.until(is_assign).step();
    rig
}

#[test]
fn where_it_was_listed_before_describe_decides_once_the_data_path_has_settled() {
    let mut rig = listed_before();
    assert_eq!(rig.pause().expect("a pause").length, timing::SETTLE);
    assert!(matches!(rig.after_pause(), Action::ReadOwner(..)));
    rig.world.owner = on('a');
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(10)));
}

#[test]
fn a_primary_address_is_never_here() {
    let mut rig = listed_before();
    let Owner::Eni(mut primary) = on('a') else { unreachable!() };
    primary.primary = true;
    rig.world.owner = Owner::Eni(primary);
    rig.after_pause();
    rig.step();
    assert!(is_fresh(&rig.action()), "somebody else may have it");
}

/// What is asked next when Describe does not show it here, so long after the Assign was answered.
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
fn what_is_not_shown_for_longer_than_reads_lag_was_taken_outside_and_is_looked_up_anew() {
    let lagging = timing::DESCRIBE_LAG.saturating_sub(TICK);
    assert!(is_owner(&unshown_after(lagging)));
    assert!(is_listed(&unshown_after(timing::DESCRIBE_LAG)), "as if it had not been assigned");
}

/// An attach whose first Assign's answer was lost just now.
fn unanswered() -> Rig<Attach> {
    let mut rig = attach(World { owner: Owner::Nobody, ..World::parked_elsewhere() });
    rig.until(is_assign).tell(lost());
    assert!(is_listed(&rig.after_pause()));
    rig
}

#[test]
fn for_a_lost_answer_imds_is_waited_for_until_a_call_would_have_settled() {
    let mut rig = unanswered();
    let asked = rig.now;
    rig.step();
    assert_eq!(rig.pause().expect("a pause").length, timing::METADATA_POLL);
    rig.until(is_owner);
    let waited = rig.now.since(asked);
    assert!(waited < timing::SETTLE + timing::METADATA_POLL, "{waited:?}");
    assert!(waited + Duration::from_millis(250) > timing::SETTLE, "{waited:?}");
    let mut rig = unanswered();
    rig.world.list();
    rig.step();
    assert_eq!(rig.machine.crossed(), Some(Step::Attach(10)));
}

#[test]
fn once_a_call_is_repeated_presence_may_be_news_of_either() {
    let mut rig = unanswered();
    rig.until(is_owner);
    rig.until(is_assign).step();
    assert_eq!(rig.pause().expect("a pause").length, timing::SETTLE, "Describe has to decide");
}

/// What follows the answer to the Assign after a barrier: whether the node listed the address when
/// the barrier was over, and whether an Assign was sent from there so lately.
fn after_barrier(listed: bool, sent: Option<Duration>) -> Rig<Attach> {
    let mut world = World { owner: Owner::Nobody, ..World::parked_elsewhere() };
    let mark = Mark { mutation: Mutation::Assign, eni: eni('b'), run: parsed("run-old") };
    world.change(|ip| _ = ip.unsettled.insert(mark));
    world.view.assigned = sent;
    let mut rig = attach(world);
    rig.past(Step::Attach(7));
    let pause = rig.pause().expect("the barrier");
    assert_eq!((pause.length, pause.jitter), (timing::CALL_BOUND, false));
    assert!(is_listed(&rig.after_pause()));
    if listed {
        rig.world.list();
    }
    rig.until(is_assign).step();
    rig
}

#[test]
fn after_a_barrier_presence_proves_something_only_where_nothing_of_before_can_show() {
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
fn how_lately_an_assign_was_sent_counts_to_the_end_of_its_news() {
    let news = timing::CALL_BOUND + timing::METADATA_LAG;
    assert!(after_barrier(false, Some(news.saturating_sub(TICK))).pause().is_some());
    assert!(after_barrier(false, Some(news)).pause().is_none());
}
