//! Commands that are killed, run at once, or lose responses.

use std::time::Duration;

use firecamp_cli::service::restart::Goal;
use firecamp_cli::service::restart::progress::{Order, PrimaryBy};
use firecamp_cli::service::restart::run::Ended;
use tokio::time::{Instant, timeout};

use super::fixture::{FakeCluster, clock, member};
use super::restart::perform;

/// Killed at any moment, a restart is resumed by another command: each member restarts once, and
/// no two are down at once (the fixture asserts it).
#[tokio::test(start_paused = true)]
async fn f095_a_killed_restart_is_resumed_by_another_command() {
    for seconds in 0..36 {
        let (cluster, clock) = (FakeCluster::new(1), clock());
        let first = cluster.command("first", &clock);
        let killed = perform(&first, Goal::All(Order::PrimaryLast));
        let ended = timeout(Duration::from_secs(seconds), killed).await;
        if ended.is_ok() {
            continue;
        }
        let begun = Instant::now();
        // It does not say how the primary is known: the restart knows it.
        let mut second = cluster.command("second", &clock);
        second.primary = PrimaryBy::Nothing;
        let ended = perform(&second, Goal::Resume).await;
        assert_eq!(ended, Ended::Done, "killed after {seconds} s");
        assert!(begun.elapsed() >= Duration::from_secs(40), "it waited for the expiry");
        assert_eq!(cluster.state().deleted, [0, 2, 1].map(member), "killed after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn two_commands_exclude_each_other() {
    let (cluster, clock) = (FakeCluster::new(1), clock());
    let first = cluster.command("first", &clock);
    let second = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let new = cluster.restart("second", Goal::All(Order::Ordinal)).await;
        let resume = cluster.restart("third", Goal::Resume).await;
        (new, resume)
    };
    let (ended, (new, resume)) = tokio::join!(perform(&first, Goal::All(Order::Ordinal)), second);
    assert_eq!(ended, Ended::Done);
    for busy in [new, resume] {
        assert!(matches!(&busy, Ended::Busy(owner) if owner.identity == "first"), "{busy:?}");
    }
    assert_eq!(cluster.state().deleted, [0, 1, 2].map(member));
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_is_open_must_be_resumed_or_undone_first() {
    let (cluster, clock) = (FakeCluster::new(1), clock());
    let first = cluster.command("first", &clock);
    let (sender, stop) = tokio::sync::watch::channel(false);
    let mut silent = |_line: &str| {};
    let goal = Goal::All(Order::Ordinal);
    assert!(first.begin(&goal, 60, &stop, &mut silent).await.unwrap().is_none());
    sender.send_replace(true);
    assert_eq!(first.perform(stop.clone(), &mut silent).await.unwrap(), Ended::Interrupted);

    let second = cluster.command("second", &clock);
    sender.send_replace(false);
    let refused = second.begin(&goal, 60, &stop, &mut silent).await.unwrap_err();
    let text = refused.chain();
    assert!(text.contains("was interrupted: go on with --resume"), "{text}");
    let begun = Instant::now();
    assert_eq!(perform(&second, Goal::Resume).await, Ended::Done);
    assert!(begun.elapsed() < Duration::from_secs(40), "nothing to wait for");
}

/// Whichever request fails, before or after its effect: each member restarts exactly once.
#[tokio::test(start_paused = true)]
async fn a_lost_request_or_response_restarts_no_member_twice() {
    // The first request finds out whether there is a service at all.
    for number in 2..200 {
        for takes_effect in [false, true] {
            let cluster = FakeCluster::new(1);
            cluster.state().fault = Some((number, takes_effect));
            let ended = cluster.restart("one", Goal::All(Order::PrimaryFirst)).await;
            assert_eq!(ended, Ended::Done, "request {number}, effect {takes_effect}");
            let expected = [1, 0, 2].map(member);
            assert_eq!(cluster.state().deleted, expected, "{number} {takes_effect}");
        }
    }
}

/// A turn that was stored and did not happen is decided again, with what is so now.
#[tokio::test(start_paused = true)]
async fn a_stored_turn_does_not_take_a_member_down_beside_one_that_is_down() {
    let (cluster, clock) = (FakeCluster::new(1), clock());
    cluster.state().forbids = true;
    let first = cluster.command("first", &clock);
    let (_sender, stop) = tokio::sync::watch::channel(false);
    let mut silent = |_line: &str| {};
    let goal = Goal::All(Order::Ordinal);
    assert!(first.begin(&goal, 60, &stop, &mut silent).await.unwrap().is_none());
    // Killed, after it has stored the turn of member 0.
    drop(timeout(Duration::from_secs(5), first.perform(stop, &mut silent)).await);
    assert_eq!(cluster.progress().turn.map(|turn| turn.pod), Some(member(0)));
    {
        let mut state = cluster.state();
        state.forbids = false;
        state.unready.insert(member(2));
    }
    let ended = cluster.restart("second", Goal::Resume).await;
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    assert_eq!(cluster.state().deleted, [member(2)], "only the one that was down");
}
