//! The address is another node's now.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_testkit::sim::Tag;

use super::harness::{ADDRESS, IPS, Node, OTHER_POD, until};

const AT_ONCE: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn f032_node_withdraws_as_soon_as_the_registry_names_another() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.hand_to("node-2", OTHER_POD, 6).await;
        let writes = node.writes();
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < AT_ONCE, "{took:?}");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((node.writes(), node.cloud.mutations()), (writes, 0));
        assert_eq!(agent.metric("firecamp_agent_operations_total{kind=\"Withdraw\"}"), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f032_returning_node_withdraws_for_the_recorded_holder() {
    let node = Node::new().await;
    node.hand_to("node-2", OTHER_POD, 6).await;
    node.agent(async |_agent| {
        until("the address is gone", || !node.holds()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn address_that_left_the_node_is_read_once() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.loses_for_good(ADDRESS);
        node.hand_to("node-2", OTHER_POD, 6).await;
        until("the address is gone", || !node.holds()).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let reads = || {
            let asked = node.server.requests();
            asked.iter().filter(|asked| **asked == format!("GET {IPS}/{ADDRESS}")).count()
        };
        let before = reads();
        tokio::time::sleep(Duration::from_mins(9)).await;
        assert_eq!(reads(), before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f039_list_recovers_a_handover_missed_by_an_expired_watch() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.lose_events(1);
        node.hand_to("node-2", OTHER_POD, 6).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(node.holds(), "nobody has heard of it");
        node.server.end_watches(Ending::Expired);
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f039_handover_missed_by_a_silent_watch_is_recovered_within_minutes() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.lose_events(1);
        node.hand_to("node-2", OTHER_POD, 6).await;
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < Duration::from_mins(20), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f039_next_watch_reports_events_between_watches() {
    for ending in [Ending::Regular, Ending::Broken, Ending::MidLine, Ending::Expired] {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            node.server.end_watches(ending);
            node.hand_to("node-2", OTHER_POD, 6).await;
            let took = until("the address is gone", || !node.holds()).await;
            assert!(took < Duration::from_secs(2), "{ending:?}: {took:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn f039_expired_resource_version_triggers_a_list() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let lists = node.asked("GET staticips/*");
        node.hand_to("node-2", OTHER_POD, 6).await;
        node.server.compact();
        node.server.end_watches(Ending::Broken);
        until("the address is gone", || !node.holds()).await;
        until("everything was listed anew", || node.asked("GET staticips/*") > lists).await;
        until("it watches again", || node.server.watches() == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f041_unresponsive_ec2_delays_no_restore() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.loses_for_good(ADDRESS);
        tokio::time::sleep(Duration::from_secs(10)).await;
        node.cloud.hang();
        tokio::time::sleep(Duration::from_secs(90)).await;
        agent.strip();
        let took = until("the address is back", || node.holds()).await;
        assert!(took < Duration::from_millis(50), "{took:?}");
        node.hand_to("node-2", OTHER_POD, 6).await;
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < AT_ONCE, "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f034_only_addresses_with_a_lock_record_are_collected() {
    let node = Node::new().await;
    let (left, unknown, foreign) =
        (Ipv4Addr::new(10, 1, 0, 31), Ipv4Addr::new(10, 1, 0, 32), Ipv4Addr::new(10, 1, 0, 33));
    node.host.change(|kernel| {
        let mac = kernel.addresses[&ADDRESS].0;
        let tags = [(left, Tag::Ours), (unknown, Tag::Ours), (foreign, Tag::Foreign)];
        kernel.addresses.extend(tags.map(|(address, tag)| (address, (mac, tag))));
        let record = kernel.locks[&ADDRESS].clone();
        kernel.locks.extend([(left, record.clone()), (foreign, record)]);
    });
    node.agent(async |agent| {
        agent.ready().await;
        until("what a member left is gone", || !node.host.addresses().contains_key(&left)).await;
        tokio::time::sleep(Duration::from_mins(30)).await;
        let there: Vec<_> = node.host.addresses().into_keys().collect();
        assert_eq!(there, [ADDRESS, unknown, foreign]);
        assert_eq!(agent.metric("firecamp_agent_operations_total{kind=\"Collect\"}"), 1);
    })
    .await;
}
