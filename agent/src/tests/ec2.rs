//! How often the agent asks EC2, and what it does with the answer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::Ec2Observation;
use firecamp_controllers::volumes::VolumesReport;
use firecamp_node::preflight::facts::Right;
use firecamp_node::volumes::Recheck;
use firecamp_testkit::sim::Calls;
use tokio::time::sleep;

use super::harness::{ADDRESS, Node, Running, until};
use crate::publish::LeaseRead;

#[tokio::test(start_paused = true)]
async fn idle_node_queries_ec2_at_most_once_per_minute() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_hours(1)).await;
    })
    .await;
    let Calls { interfaces, volumes, types, .. } = node.cloud.account().calls.clone();
    let all = interfaces + volumes + types;
    assert!((40..=60).contains(&all), "{interfaces} + {volumes} + {types} looks in an hour");
    assert_eq!(volumes, 1, "no pod has one");
    assert_eq!(types, 1, "a type never changes");
    assert_eq!(node.cloud.mutations(), 0);
    assert!(node.holds());
}

#[tokio::test(start_paused = true)]
async fn f007_address_still_listed_by_a_frozen_metadata_service_is_reasserted() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.lose(ADDRESS);
        let took = until("it is assigned again", || node.cloud.mutations() > 0).await;
        assert!(took <= Duration::from_mins(2), "{took:?}");
    })
    .await;
    let assigned = node.cloud.mutations();
    assert_eq!(assigned, 1, "once for the loss that was seen");
}

/// For so many minutes the leader lists the interfaces of the cluster, and names these addresses.
async fn leader_lists(
    agent: &Running<'_>,
    count: &mut u64,
    minutes: u64,
    misplaced: &BTreeSet<Ipv4Addr>,
) {
    for _minute in 0..minutes {
        *count += 1;
        let (nodes, misplaced) = (3, misplaced.clone());
        let listed = Ec2Observation { count: *count, nodes, throttled: false, misplaced };
        agent.shared_status.set_lease_read(LeaseRead(Some(listed)));
        sleep(Duration::from_mins(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn f007_address_that_the_leader_names_is_reasserted_after_an_own_look() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let (mut count, nothing) = (0, BTreeSet::new());
        leader_lists(&agent, &mut count, 10, &nothing).await;
        let looks = node.cloud.queries();
        leader_lists(&agent, &mut count, 60, &nothing).await;
        assert_eq!(node.cloud.queries(), looks, "the leader covers the node");
        leader_lists(&agent, &mut count, 1, &[ADDRESS].into()).await;
        assert_eq!(node.cloud.mutations(), 0, "EC2 shows it here");
        assert_eq!(node.cloud.queries(), looks + 1);
        // The metadata service is frozen.
        node.cloud.lose(ADDRESS);
        leader_lists(&agent, &mut count, 5, &nothing).await;
        assert_eq!(node.cloud.mutations(), 0, "nobody has seen the loss");
        leader_lists(&agent, &mut count, 1, &[ADDRESS].into()).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 1);
    assert!(node.cloud.has(ADDRESS));
}

#[tokio::test(start_paused = true)]
async fn address_missing_in_the_metadata_service_triggers_a_query_at_once() {
    let node = Node::new().await;
    node.loses_for_good(ADDRESS);
    node.agent(async |agent| {
        agent.ready().await;
        let took = until("EC2 is asked", || node.cloud.queries() > 0).await;
        assert!(took <= Duration::from_secs(2), "{took:?}");
        let before = node.cloud.queries();
        sleep(Duration::from_secs(55)).await;
        assert_eq!(node.cloud.queries(), before + 1, "again after EC2's lag, and once a minute");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f007_attach_not_yet_visible_in_ec2_is_not_repeated() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let looks = node.cloud.queries();
        until("EC2 was asked", || node.cloud.queries() > looks).await;
        // The next look comes a minute after that one, if it is wanted at once.
        sleep(Duration::from_secs(58)).await;
        // Both EC2 and the metadata service show the owner of before for eight seconds.
        let looks = node.cloud.queries();
        node.held_again(6).await;
        node.moves_away(ADDRESS);
        sleep(Duration::from_secs(8)).await;
        let young = node.cloud.queries() - looks;
        node.cloud.give(ADDRESS);
        sleep(Duration::from_mins(5)).await;
        assert!(young > 0, "EC2 was asked meanwhile");
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
}

#[tokio::test(start_paused = true)]
async fn denied_instance_type_query_is_repeated_and_delays_nothing() {
    let node = Node::new().await;
    node.cloud.account().denied.insert(Right::DescribeInstanceTypes);
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_hours(1)).await;
    })
    .await;
    let Calls { interfaces, volumes, types, .. } = node.cloud.account().calls.clone();
    assert!(interfaces + volumes + types <= 60, "{interfaces} + {volumes} + {types}");
    assert!(interfaces >= 10 && volumes >= 1 && types >= 4, "{interfaces} + {volumes} + {types}");
}

#[tokio::test(start_paused = true)]
async fn address_that_ec2_shows_nowhere_does_not_block_volume_queries() {
    let node = Node::new().await;
    node.loses_for_good(ADDRESS);
    node.agent(async |agent| {
        agent.ready().await;
        let report = VolumesReport { recheck: Recheck::Regularly, ..VolumesReport::default() };
        agent.shared_status.volumes(report);
        sleep(Duration::from_hours(1)).await;
    })
    .await;
    let Calls { interfaces, volumes, .. } = node.cloud.account().calls.clone();
    assert!(interfaces >= 50 && (4..=12).contains(&volumes), "{interfaces} + {volumes}");
}
