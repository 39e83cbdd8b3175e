//! The node is cut off from the API server, and EC2 has its address elsewhere.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use firecamp_core::lock_rule::Hold;
use tokio::time::{Instant, sleep};

use super::harness::{ADDRESS, Node, OTHER_POD, until};

/// Once EC2 has decided, it is quick.
const BOUND: Duration = Duration::from_secs(10);

/// EC2 has it elsewhere; how long after EC2 was seen to say so the kernel lets it go.
async fn lets_go(node: &Node) {
    node.moves_away(ADDRESS);
    let looks = node.cloud.queries();
    until("EC2 was asked", || node.cloud.queries() > looks).await;
    let took = until("the address is gone", || !node.holds()).await;
    assert!(took < BOUND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn f089_partitioned_node_withholds_an_address_that_ec2_shows_elsewhere() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        sleep(Duration::from_mins(5)).await;
        assert!(node.holds());
        lets_go(&node).await;
        sleep(Duration::from_mins(30)).await;
        assert!(!node.holds(), "nothing restores it meanwhile");
        let owners = node.cloud.account().calls.owners;
        assert!(owners <= 40, "{owners} look-ups in half an hour");

        // The partition is healed: somebody else has it, by the record as well.
        node.server.come_back();
        node.hand_to("node-2", OTHER_POD, 6).await;
        until("it has given way", || node.host.kernel().locks[&ADDRESS].hold == Hold::Released)
            .await;
        assert!(!node.holds());
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f089_agent_started_during_a_partition_withholds_as_well() {
    let node = Node::new().await;
    node.agent(async |agent| agent.ready().await).await;
    node.server.go_away();
    node.agent(async |_agent| {
        sleep(Duration::from_mins(5)).await;
        assert!(node.holds());
        lets_go(&node).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f089_metadata_service_alone_withholds_nothing() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        // EC2 goes on having it here, or does not answer at all.
        for fails in [false, true] {
            node.cloud.unlist(ADDRESS);
            let refused = fails.then_some(CloudKind::Transient);
            node.cloud.refuse(refused, refused);
            sleep(Duration::from_mins(30)).await;
            assert!(node.holds());
        }
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f089_frozen_metadata_service_restores_no_withheld_address() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        // It lists for ever what EC2 has given to another node.
        node.is_elsewhere(ADDRESS);
        until("the kernel lets go", || !node.holds()).await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_mins(10) {
            assert!(!node.holds(), "{:?} later", begun.elapsed());
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn f089_address_on_no_eni_stays_in_the_kernel_of_its_holder() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.go_away();
        node.cloud.lose(ADDRESS);
        sleep(Duration::from_mins(30)).await;
        assert!(node.holds());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f089_withheld_address_is_restored_once_ec2_or_the_registry_confirms() {
    for registry in [true, false] {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            node.server.go_away();
            sleep(Duration::from_mins(5)).await;
            lets_go(&node).await;
            if registry {
                // Nobody has taken it: a late call of somebody who was superseded has moved it.
                node.server.come_back();
                until("it is taken back in EC2", || node.cloud.mutations() > 0).await;
            } else {
                node.cloud.give(ADDRESS);
            }
            let begun = Instant::now();
            until("it is in the kernel again", || node.holds()).await;
            assert!(begun.elapsed() < Duration::from_mins(2), "{:?}", begun.elapsed());
            sleep(Duration::from_mins(30)).await;
            assert!(node.holds());
        })
        .await;
        assert_eq!(node.cloud.mutations(), u32::from(registry));
    }
}

#[tokio::test(start_paused = true)]
async fn f089_possibly_stale_query_withholds_nothing() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let looks = node.cloud.queries();
        until("EC2 was asked", || node.cloud.queries() > looks).await;
        // The next look comes a minute after that one, if it is wanted at once.
        sleep(Duration::from_secs(55)).await;
        node.held_again(6).await;
        let attached = Instant::now();
        sleep(Duration::from_secs(2)).await;
        node.server.go_away();
        node.moves_away(ADDRESS);
        let looks = node.cloud.queries();
        let took = until("EC2 was asked again", || node.cloud.queries() > looks).await;
        assert!(took < Duration::from_secs(8), "{took:?}: within the lag");
        sleep(Duration::from_secs(9).saturating_sub(attached.elapsed())).await;
        assert!(node.holds(), "EC2's reads lag by ten seconds");
        let took = until("the next look has decided", || !node.holds()).await;
        assert!(took < Duration::from_secs(10), "{took:?}: as soon as one can");
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}
