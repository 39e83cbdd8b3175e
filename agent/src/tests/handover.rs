//! The address is another node's now.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_testkit::sim::Tag;

use super::world::{ADDRESS, IPS, Node, OTHER_POD, until};

const AT_ONCE: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn f032_a_node_gives_way_the_moment_the_registry_names_another() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.hand_to("node-2", OTHER_POD, 6).await;
        let writes = node.writes();
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < AT_ONCE, "{took:?}");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((node.writes(), node.cloud.mutations()), (writes, 0));
        assert_eq!(agent.metric("firecamp_agent_errands_total{kind=\"GiveWay\"}"), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f032_a_node_that_comes_back_gives_way_to_whom_the_registry_names() {
    let node = Node::new().await;
    node.hand_to("node-2", OTHER_POD, 6).await;
    node.agent(async |_agent| {
        until("the address is gone", || !node.holds()).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_not_here_any_more_is_read_once_and_not_over_and_over() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.cloud.0.lock().unwrap().enis[0].listed.clear();
        node.hand_to("node-2", OTHER_POD, 6).await;
        until("the address is gone", || !node.holds()).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let reads = || {
            let asked = node.server.asked();
            asked.iter().filter(|asked| **asked == format!("GET {IPS}/{ADDRESS}")).count()
        };
        let before = reads();
        tokio::time::sleep(Duration::from_mins(9)).await;
        assert_eq!(reads(), before);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f039_a_watch_that_missed_the_handover_and_cannot_go_on_is_made_good_by_a_list() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.lose_news(1);
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
async fn f039_a_watch_that_missed_the_handover_in_silence_is_made_good_within_minutes() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.lose_news(1);
        node.hand_to("node-2", OTHER_POD, 6).await;
        let took = until("the address is gone", || !node.holds()).await;
        assert!(took < Duration::from_mins(20), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f039_whatever_ends_a_watch_the_next_one_tells_what_came_between() {
    for ending in [Ending::Whole, Ending::Broken, Ending::MidLine, Ending::Expired] {
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
async fn f039_a_version_that_the_server_has_forgotten_leads_to_a_list() {
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
async fn f041_a_cloud_that_does_not_answer_delays_no_address() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        {
            let mut vpc = node.cloud.0.lock().unwrap();
            vpc.enis[0].listed.clear();
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        node.cloud.0.lock().unwrap().hangs = true;
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
async fn f034_only_what_this_node_is_known_to_have_held_is_collected() {
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
        assert_eq!(agent.metric("firecamp_agent_errands_total{kind=\"Collect\"}"), 1);
    })
    .await;
}
