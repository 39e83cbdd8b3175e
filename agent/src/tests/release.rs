//! The pod is gone, and nobody has released its address.

use std::time::Duration;

use firecamp_apiserver::Fault;
use firecamp_core::record::State;
use serde_json::json;

use super::harness::{ADDRESS, IPS, NODE, Node, OTHER_POD, POD, attachment, until};

/// Whether the record says so, as the API server has it.
fn is(node: &Node, state: State) -> bool {
    let stored = node.server.object("staticips", None, &ADDRESS.to_string()).unwrap();
    stored.pointer("/spec/attachment/state") == Some(&json!(format!("{state:?}")))
}

async fn released(node: &Node) {
    let parked = || is(node, State::Parked) && !node.holds();
    let took = until("the address is released", parked).await;
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f026_agent_completes_the_release_of_a_deleted_pod() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.remove_pod();
        released(&node).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f026_agent_completes_the_release_of_a_pod_deleted_while_it_was_down() {
    let node = Node::new().await;
    node.remove_pod();
    node.agent(async |_agent| released(&node).await).await;
}

#[tokio::test(start_paused = true)]
async fn f026_agent_completes_the_release_of_a_terminal_pod() {
    for phase in ["Succeeded", "Failed"] {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            node.set_pod(POD, Some(NODE), phase);
            released(&node).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn f028_partial_attach_of_a_deleted_pod_is_released() {
    let node = Node::new().await;
    node.write(|record| {
        record.attachment = Some(attachment(NODE, POD, State::Attaching));
    })
    .await;
    node.agent(async |agent| {
        agent.ready().await;
        node.remove_pod();
        released(&node).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f035_pod_with_the_same_name_but_another_uid_is_not_the_holder() {
    for new_node in [Some(NODE), Some("node-2"), None] {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            node.remove_pod();
            node.set_pod(OTHER_POD, new_node, "Pending");
            released(&node).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn f035_new_holder_pod_keeps_the_address() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        // The handover of a pod that is replaced on its own node, faster than any watch tells.
        node.server.lose_events(3);
        node.remove_pod();
        node.set_pod(OTHER_POD, Some(NODE), "Running");
        node.hand_to(NODE, OTHER_POD, 6).await;
        tokio::time::sleep(Duration::from_mins(30)).await;
        assert!(is(&node, State::Attached));
        assert_eq!(node.record().await.epoch.0, 6);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f030_terminating_pod_is_left_to_its_stop_container() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let writes = node.writes();
        node.set_ending_pod("2026-11-20T15:00:30Z");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(node.holds() && is(&node, State::Attached));
        assert_eq!(node.writes(), writes);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f038_failing_release_is_retried_at_a_bounded_rate_forever() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        for _refused in 0..2_000 {
            node.server.fail_next("PATCH", IPS, Fault::Code(500, "InternalError"));
        }
        let before = node.asked("PATCH");
        node.remove_pod();
        tokio::time::sleep(Duration::from_mins(30)).await;
        let attempts = node.asked("PATCH") - before;
        // Those of one operation, then a rest of half a minute.
        assert!((30..=900).contains(&attempts), "{attempts} attempts in 30 minutes");
        node.server.forget_faults();
        until("it is released", || is(&node, State::Parked) && !node.holds()).await;
    })
    .await;
}

/// The API server's clock is far from ours, and so is that of whoever deletes a pod.
#[tokio::test(start_paused = true)]
async fn f094_clocks_that_are_ten_minutes_apart_change_nothing() {
    let now = jiff::Timestamp::now();
    for minutes in [-10, 10] {
        let node = Node::new().await;
        let theirs = now + jiff::SignedDuration::from_mins(minutes);
        node.server.set_date(Some(&theirs.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        node.agent(async |agent| {
            agent.ready().await;
            for deletion in [now, theirs] {
                node.set_ending_pod(&deletion.to_string());
                tokio::time::sleep(Duration::from_mins(20)).await;
                assert!(node.holds() && is(&node, State::Attached), "it has not ended");
            }
            node.remove_pod();
            released(&node).await;
        })
        .await;
    }
}
