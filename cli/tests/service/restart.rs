//! The order of a restart, and where it stops.

use std::time::Duration;

use firecamp_cli::failure::Failure;
use firecamp_cli::service::restart::Goal;
use firecamp_cli::service::restart::progress::{Order, PrimaryBy, StopReason};
use firecamp_cli::service::restart::run::{Ended, Run};
use tokio::sync::watch;
use tokio::time::sleep;

use super::fixture::{FakeCluster, clock, member};

/// Performs a restart: begins it and goes on until it ends.
pub(crate) async fn perform(run: &Run<'_, FakeCluster>, goal: Goal) -> Ended {
    let (_sender, stop) = watch::channel(false);
    let mut silent = |_line: &str| {};
    let done = async {
        match run.begin(&goal, 60, &stop, &mut silent).await? {
            Some(ended) => Ok(ended),
            None => run.perform(stop, &mut silent).await,
        }
    };
    done.await.unwrap_or_else(|failure: Failure| panic!("{}", failure.chain()))
}

fn members(ordinals: [u32; 3]) -> Vec<String> {
    ordinals.map(member).to_vec()
}

#[tokio::test(start_paused = true)]
async fn members_restart_one_at_a_time_in_the_order_of_the_service() {
    for (order, expected) in [
        (Order::Ordinal, [0, 1, 2]),
        (Order::Reverse, [2, 1, 0]),
        (Order::PrimaryFirst, [1, 0, 2]),
        (Order::PrimaryLast, [0, 2, 1]),
    ] {
        let cluster = FakeCluster::new(1);
        assert_eq!(cluster.restart_all(order).await, members(expected), "{order:?}");
    }
}

/// A command that is run in each member knows the primary as well as a label does.
#[tokio::test(start_paused = true)]
async fn the_primary_is_known_by_a_command() {
    let (cluster, clock) = (FakeCluster::new(1), clock());
    let mut run = cluster.command("one", &clock);
    run.primary = PrimaryBy::Command(vec!["redis-role".to_owned()]);
    assert_eq!(perform(&run, Goal::All(Order::PrimaryLast)).await, Ended::Done);
    assert_eq!(cluster.state().deleted, members([0, 2, 1]));
}

/// One member after the other would take longer than the ownership of the restart lasts.
#[tokio::test(start_paused = true)]
async fn silent_members_are_asked_at_the_same_time() {
    let (cluster, clock) = (FakeCluster::new(1), clock());
    cluster.state().silent = Some(Vec::new());
    let mut run = cluster.command("one", &clock);
    run.primary = PrimaryBy::Command(vec!["redis-role".to_owned()]);
    let Ended::Stopped(why) = perform(&run, Goal::All(Order::PrimaryLast)).await else {
        panic!("it did not stop");
    };
    assert_eq!(why.reason, StopReason::PrimaryUnknown);
    let asked = cluster.state().silent.take().unwrap();
    let first: Vec<_> = asked.iter().filter(|at| **at == asked[0]).collect();
    assert_eq!(first.len(), 3, "{asked:?}");
}

/// A primary that moves while another member restarts is still the last one.
#[tokio::test(start_paused = true)]
async fn the_order_follows_a_primary_that_moves() {
    let (cluster, clock) = (FakeCluster::new(2), clock());
    let run = cluster.command("one", &clock);
    let moved = async {
        while cluster.state().deleted.is_empty() {
            sleep(Duration::from_secs(1)).await;
        }
        let now = tokio::time::Instant::now();
        cluster.state().primary = Some((member(1), now));
    };
    let (ended, ()) = tokio::join!(perform(&run, Goal::All(Order::PrimaryLast)), moved);
    assert_eq!(ended, Ended::Done);
    assert_eq!(cluster.state().deleted, members([0, 2, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_restart_without_a_primary_stops_before_anything_is_deleted() {
    let cluster = FakeCluster::new(1);
    cluster.state().primary = None;
    let Ended::Stopped(why) = cluster.restart("one", Goal::All(Order::PrimaryFirst)).await else {
        panic!("it did not stop");
    };
    assert_eq!(why.reason, StopReason::PrimaryUnknown);
    assert!(why.message.contains("the label role=primary"), "{why}");
    assert!(cluster.state().deleted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn f095_a_restart_stops_at_the_member_that_does_not_come_back_and_can_be_resumed() {
    let cluster = FakeCluster::new(0);
    {
        let mut state = cluster.state();
        state.revision = 2;
        state.broken.insert(2);
    }
    let Ended::Stopped(why) = cluster.restart("one", Goal::All(Order::PrimaryLast)).await else {
        panic!("it did not stop");
    };
    assert_eq!((why.object.as_str(), why.reason), ("redis-1", StopReason::PodNotReady));
    assert_eq!(cluster.state().deleted, [member(1)], "no second member went down");

    // Somebody repairs what the pod needs.
    cluster.state().broken.clear();
    assert_eq!(cluster.restart("two", Goal::Resume).await, Ended::Done);
    assert_eq!(cluster.state().deleted, members([1, 2, 0]));
    assert!(cluster.progress().finished.is_some());
}

#[tokio::test(start_paused = true)]
async fn f095_a_stopped_restart_is_undone_with_the_template_of_before() {
    let cluster = FakeCluster::new(0);
    {
        let mut state = cluster.state();
        state.revision = 2;
        state.broken.insert(2);
    }
    let ended = cluster.restart("one", Goal::Outdated(Order::Ordinal)).await;
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    assert_eq!(cluster.restart("two", Goal::Undo).await, Ended::Done);
    let state = cluster.state();
    assert_eq!(state.revision, 1);
    assert_eq!(state.deleted, [member(0), member(0)], "only what had the broken template");
}

/// An update with a correct template needs no resume: the broken member gets it first.
#[tokio::test(start_paused = true)]
async fn a_corrected_template_reaches_the_broken_member_first() {
    let cluster = FakeCluster::new(0);
    {
        let mut state = cluster.state();
        state.revision = 2;
        state.broken.insert(2);
    }
    let ended = cluster.restart("one", Goal::Outdated(Order::Reverse)).await;
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    cluster.state().revision = 3;
    assert_eq!(cluster.restart("two", Goal::Outdated(Order::Ordinal)).await, Ended::Done);
    assert_eq!(cluster.state().deleted, [2, 2, 0, 1].map(member));
    assert_eq!(cluster.progress().undo_revision, "redis-1", "what worked last");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_forbids_the_eviction_stops_the_restart_unless_pods_are_deleted() {
    let (cluster, clock) = (FakeCluster::new(0), clock());
    cluster.state().forbids = true;
    let ended = cluster.restart("one", Goal::All(Order::Ordinal)).await;
    let Ended::Stopped(why) = ended else { panic!("{ended:?}") };
    assert_eq!((why.object.as_str(), why.reason), ("redis-0", StopReason::BudgetForbids));
    assert!(cluster.state().deleted.is_empty());

    let mut run = cluster.command("two", &clock);
    run.delete = true;
    assert_eq!(perform(&run, Goal::Resume).await, Ended::Done);
    assert_eq!(cluster.state().deleted, members([0, 1, 2]));
}

/// The broken member keeps others from being ready, as a quorum does: the undo begins with it.
#[tokio::test(start_paused = true)]
async fn f095_an_undo_restarts_the_broken_member_although_others_wait_for_it() {
    let cluster = FakeCluster::new(0);
    {
        let mut state = cluster.state();
        state.revision = 2;
        state.broken.insert(2);
    }
    let ended = cluster.restart("one", Goal::Outdated(Order::Ordinal)).await;
    assert!(matches!(ended, Ended::Stopped(_)), "{ended:?}");
    cluster.state().unready.insert(member(1));
    let healed = async {
        while cluster.state().deleted.len() < 2 {
            sleep(Duration::from_secs(1)).await;
        }
        cluster.state().unready.clear();
    };
    let (ended, ()) = tokio::join!(cluster.restart("two", Goal::Undo), healed);
    assert_eq!(ended, Ended::Done);
    assert_eq!(cluster.state().deleted, [member(0), member(0)]);
}

/// With RollingUpdate the controller would take down a second member at the same time.
#[tokio::test(start_paused = true)]
async fn a_set_whose_controller_restarts_pods_itself_is_refused() {
    let (cluster, clock) = (FakeCluster::new(0), clock());
    {
        let mut state = cluster.state();
        state.strategy = "RollingUpdate";
        state.revision = 2;
    }
    let (_sender, stop) = tokio::sync::watch::channel(false);
    let run = cluster.command("one", &clock);
    for goal in [Goal::All(Order::Ordinal), Goal::Outdated(Order::Ordinal)] {
        let refused = run.begin(&goal, 60, &stop, &mut |_line: &str| {}).await.unwrap_err();
        assert!(refused.chain().contains("adopt --on-delete"), "{}", refused.chain());
    }
    assert!(cluster.state().deleted.is_empty());
}
