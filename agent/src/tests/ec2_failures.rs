//! EC2 and the metadata service refuse, are away, or have done what nobody asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use firecamp_controllers::publish::Notice;
use firecamp_core::failure::CloudKind;
use firecamp_core::record::State;
use firecamp_testkit::sim::Tag;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::harness::{ADDRESS, Node, POD, Running, until};

const HOUR: Duration = Duration::from_hours(1);

/// The address is where it was, in record and kernel.
async fn is_untouched(node: &Node) {
    let record = node.record().await;
    let attachment = record.attachment.unwrap();
    assert_eq!((record.epoch.0, attachment.state), (5, State::Attached));
    assert_eq!(record.pending_mutations, [].into());
    assert!(node.holds());
}

fn reasserts(agent: &Running<'_>) -> u64 {
    agent.metric("firecamp_agent_operations_total{kind=\"Reassert\"}")
}

#[tokio::test(start_paused = true)]
async fn f007_address_moved_by_a_late_call_is_reasserted_once_and_reported() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.moves_away(ADDRESS);
        let took = until("it is taken back", || node.cloud.mutations() > 0).await;
        assert!(took < Duration::from_mins(2), "{took:?}");
        sleep(HOUR).await;
        assert_eq!((node.cloud.mutations(), reasserts(&agent)), (1, 1), "once");
        assert_eq!(agent.notices(), [Notice::Reasserted(ADDRESS)]);
        is_untouched(&node).await;
    })
    .await;
}

/// Anyone with the token of an agent can write such a record.
#[tokio::test(start_paused = true)]
async fn f103_an_address_is_not_reasserted_for_a_pod_of_another_node() {
    let node = Node::new().await;
    let spec = json!({ "nodeName": "node-2" });
    let status = json!({ "phase": "Running" });
    let pod = json!({ "metadata": { "uid": POD }, "spec": spec, "status": status });
    node.server.set_pod("prod", "redis-0", pod);
    node.agent(async |agent| {
        agent.ready().await;
        node.moves_away(ADDRESS);
        sleep(HOUR).await;
        assert_eq!((node.cloud.mutations(), reasserts(&agent)), (0, 0));
        assert_eq!(agent.notices(), []);
        is_untouched(&node).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f042_address_lost_repeatedly_costs_at_most_three_mutations_per_minute() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let begun = Instant::now();
        while begun.elapsed() < HOUR {
            // Somebody takes it as soon as it is back.
            node.moves_away(ADDRESS);
            sleep(Duration::from_secs(1)).await;
        }
        let mutations = node.cloud.mutations();
        assert!((10..=3 * 60).contains(&mutations), "{mutations} in an hour");
        assert_eq!(u64::from(mutations), reasserts(&agent), "each is counted");
        let reported = agent.notices();
        assert_eq!(reported, vec![Notice::Reasserted(ADDRESS); reported.len()]);
        assert!(!reported.is_empty(), "and told");
        assert!(node.holds());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f115_reassert_records_a_pending_mutation_before_the_call() {
    let node = Node::new().await;
    let (server, marks) = (node.server.clone(), Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&marks);
    node.cloud.on_assign(move |address| {
        let record = server.object("staticips", None, &address.to_string()).unwrap();
        seen.lock().unwrap().push(record["spec"]["pendingMutations"].clone());
    });
    node.agent(async |agent| {
        agent.ready().await;
        node.moves_away(ADDRESS);
        until("it is taken back", || node.cloud.mutations() > 0).await;
        sleep(Duration::from_mins(1)).await;
        is_untouched(&node).await;
    })
    .await;
    let marks = marks.lock().unwrap().clone();
    assert_eq!(marks.len(), 1);
    let mark = marks[0].as_array().expect("marks");
    assert_eq!((mark.len(), &mark[0]["mutation"]), (1, &json!("Assign")), "{marks:#?}");
}

#[tokio::test(start_paused = true)]
async fn address_stripped_during_a_reassert_is_restored_and_the_pending_mutation_cleared() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.account().faults.assigns_hang = true;
        node.moves_away(ADDRESS);
        until("it was sent", || node.cloud.mutations() > 0).await;
        agent.restores().await;
        assert_eq!(node.record().await.pending_mutations.len(), 1, "and is marked");
        sleep(Duration::from_secs(2)).await;
        node.cloud.account().faults.assigns_hang = false;
        until("it is here", || node.cloud.is_listed(ADDRESS)).await;
        sleep(HOUR).await;
        assert_eq!((node.cloud.mutations(), reasserts(&agent)), (1, 1), "nothing ended it");
        is_untouched(&node).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failing_restore_does_not_hide_a_loss_in_ec2() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        // Something else has it on another link, and nothing of ours replaces that.
        let there = "06:00:00:00:00:99".parse().unwrap();
        node.host.change(|kernel| _ = kernel.addresses.insert(ADDRESS, (there, Tag::Foreign)));
        agent.drop_events();
        let failed = "firecamp_agent_operation_failures_total{kind=\"Restore\"}";
        until("a restore has failed", || agent.metric(failed) > 0).await;
        node.cloud.lose(ADDRESS);
        let took = until("it is taken back", || node.cloud.mutations() > 0).await;
        assert!(took < Duration::from_mins(3), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f061_ec2_outage_removes_nothing_and_a_loss_is_repaired_after_it() {
    for hangs in [false, true] {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            node.cloud.refuse(Some(CloudKind::Transient), Some(CloudKind::Transient));
            node.cloud.account().faults.hangs = hangs;
            sleep(HOUR).await;
            is_untouched(&node).await;
            agent.restores().await;
            node.moves_away(ADDRESS);
            sleep(HOUR).await;
            assert!(node.holds(), "nobody could tell");
            node.cloud.recover();
            let took = until("it is taken back", || node.cloud.mutations() > 0).await;
            assert!(took < Duration::from_mins(12), "{took:?}");
            is_untouched(&node).await;
        })
        .await;
        assert_eq!(node.cloud.mutations(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn f053_denied_credentials_cost_one_call_per_minute_and_no_address() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.refuse(Some(CloudKind::Auth), Some(CloudKind::Auth));
        sleep(HOUR).await;
        agent.restores().await;
        is_untouched(&node).await;
        let looks = node.cloud.queries();
        assert!((5..=61).contains(&looks), "{looks} looks in an hour");
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f053_denied_assign_is_retried_once_per_minute_and_reported() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.refuse(None, Some(CloudKind::Auth));
        node.moves_away(ADDRESS);
        until("it was tried", || node.cloud.mutations() > 0).await;
        sleep(HOUR).await;
        let tried = node.cloud.mutations();
        assert!((2..=61).contains(&tried), "{tried} Assigns in an hour");
        is_untouched(&node).await;
        let mut facts = None;
        assert!(agent.shared_status.take().apply(&mut facts));
        let addresses = facts.unwrap().addresses.unwrap();
        let (reason, message) = addresses[0].failing.clone().expect("a failure is told");
        assert_eq!(reason, "CloudRefused");
        assert!(message.contains("refused on purpose"), "{message}");
        node.cloud.recover();
        let took = until("it is taken back", || node.cloud.is_listed(ADDRESS)).await;
        assert!(took < Duration::from_mins(10), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f049_unreachable_metadata_service_is_polled_every_five_seconds_and_nothing_is_lost() {
    let node = Node::new().await;
    node.agent(async |agent| agent.ready().await).await;
    let identities = || node.cloud.account().calls.metadata;
    node.cloud.own(|own| own.identity = None);
    // What it knows of the node's ENIs outlives the agent, but not the boot.
    node.agent(async |agent| {
        agent.ready().await;
        let before = identities();
        sleep(HOUR).await;
        agent.restores().await;
        is_untouched(&node).await;
        let asked = identities() - before;
        assert!((360..=721).contains(&asked), "{asked} times in an hour");
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

/// Of what the agent has begun, whatever it is.
fn executions(agent: &Running<'_>) -> u64 {
    ["Withdraw", "Release", "Reassert", "Collect", "Restore"]
        .iter()
        .map(|kind| agent.metric(&format!("firecamp_agent_operations_total{{kind=\"{kind}\"}}")))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn f064_address_configured_by_another_program_counts_as_present() {
    let node = Node::new().await;
    node.host.change(|kernel| {
        let mac = kernel.addresses[&ADDRESS].0;
        kernel.addresses.insert(ADDRESS, (mac, Tag::Foreign));
    });
    node.agent(async |agent| {
        agent.ready().await;
        sleep(HOUR).await;
        assert_eq!((executions(&agent), node.cloud.mutations()), (0, 0));
        assert_eq!(node.host.addresses()[&ADDRESS], Tag::Foreign);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f064_repeatedly_removed_address_is_restored_and_reported_each_time() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let writes = node.writes();
        for _strip in 0..60 {
            agent.restores().await;
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(agent.notices(), vec![Notice::Restored(ADDRESS); 60]);
        assert_eq!((executions(&agent), node.cloud.mutations()), (60, 0));
        assert_eq!(node.writes(), writes);
        is_untouched(&node).await;
    })
    .await;
}
