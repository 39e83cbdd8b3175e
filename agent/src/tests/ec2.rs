//! How often the agent asks EC2, and what it does with the answer.

use std::time::Duration;

use tokio::time::sleep;

use super::world::{ADDRESS, Node, until};

#[tokio::test(start_paused = true)]
async fn a_quiet_node_asks_ec2_at_most_once_a_minute_and_changes_nothing() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_hours(1)).await;
    })
    .await;
    let looks = node.cloud.looks();
    assert!((40..=60).contains(&looks), "{looks} looks in an hour");
    assert_eq!(node.cloud.mutations(), 0);
    assert!(node.holds());
}

#[tokio::test(start_paused = true)]
async fn f007_an_address_that_a_frozen_metadata_service_still_lists_is_taken_back() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.0.lock().unwrap().lost.insert(ADDRESS);
        let took = until("it is assigned again", || node.cloud.mutations() > 0).await;
        assert!(took <= Duration::from_mins(2), "{took:?}");
    })
    .await;
    let assigned = node.cloud.mutations();
    assert_eq!(assigned, 1, "once for the loss that was seen");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_the_metadata_service_does_not_list_is_asked_for_at_once() {
    let node = Node::new().await;
    node.cloud.0.lock().unwrap().enis[0].listed.clear();
    node.agent(async |agent| {
        agent.ready().await;
        let took = until("EC2 is asked", || node.cloud.looks() > 0).await;
        assert!(took <= Duration::from_secs(2), "{took:?}");
        let before = node.cloud.looks();
        sleep(Duration::from_secs(55)).await;
        assert_eq!(node.cloud.looks(), before, "and once a minute");
    })
    .await;
}
