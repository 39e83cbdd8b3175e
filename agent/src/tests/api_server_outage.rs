//! The API server is away.

use std::time::Duration;

use super::harness::{NODE, Node, OTHER_POD, until};

#[tokio::test(start_paused = true)]
async fn f090_agent_keeps_its_observations_during_an_api_server_outage() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        assert_eq!(agent.metric("firecamp_agent_registry_synced"), 1);
        node.server.go_away();
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert!(node.holds() && agent.status.health.is_ready() && agent.status.health.is_live());
        assert_eq!(agent.metric("firecamp_agent_registry_synced"), 0);
        agent.restores().await;
        node.server.come_back();
        until("it reads the registry again", || {
            agent.metric("firecamp_agent_registry_synced") == 1
        })
        .await;
        assert!(node.holds());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f090_agent_started_during_an_api_server_outage_restores_but_is_not_ready() {
    let node = Node::new().await;
    node.agent(async |agent| agent.ready().await).await;
    node.server.go_away();
    node.agent(async |agent| {
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(node.holds());
        agent.restores().await;
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(agent.status.health.is_live() && !agent.status.health.is_ready());
        node.server.come_back();
        agent.ready().await;
        assert!(node.holds());
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f090_an_outage_of_an_hour_costs_a_few_attempts_a_minute() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        let before = node.server.unanswered();
        tokio::time::sleep(Duration::from_hours(1)).await;
        let attempts = node.server.unanswered() - before;
        // Three kinds, each at least every 30 s and at most twice as often.
        assert!((300..=800).contains(&attempts), "{attempts}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f032_handover_during_an_outage_is_obeyed_after_it() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        tokio::time::sleep(Duration::from_mins(5)).await;
        node.server.come_back();
        node.hand_to("node-2", OTHER_POD, 6).await;
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < Duration::from_secs(40), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f033_a_restart_changes_nothing_and_writes_nothing() {
    let node = Node::new().await;
    node.agent(async |agent| agent.ready().await).await;
    let writes = node.writes();
    for _restart in 0..3 {
        node.agent(async |agent| {
            agent.ready().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        })
        .await;
    }
    assert!(node.holds());
    assert_eq!((node.writes(), node.cloud.mutations()), (writes, 0));
    assert_eq!(node.record().await.attachment.unwrap().node.as_str(), NODE);
}
