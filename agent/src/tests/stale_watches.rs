//! What the watches show is old, or lacks something, and nothing follows from that.

use std::collections::BTreeSet;
use std::time::Duration;

use firecamp_apiserver::{ApiServer, Ending, Fault};
use firecamp_controllers::leader::ObjectEvent;
use firecamp_kube::{KubeCluster, KubeRegistry, Timeouts};
use serde_json::json;

use super::harness::{IPS, NODE, Node, OTHER_POD, POD, Running, until};
use crate::source::follow;

const LONG: Duration = Duration::from_mins(25);

/// For long nothing changes, and no operation begins.
async fn nothing_happens(node: &Node, agent: &Running<'_>) {
    let writes = node.writes();
    tokio::time::sleep(LONG).await;
    assert!(node.holds(), "the address was removed");
    assert_eq!((node.writes(), node.cloud.mutations()), (writes, 0));
    for kind in ["Withdraw", "Release", "Reassert", "Collect", "Restore"] {
        let begun = agent.metric(&format!("firecamp_agent_operations_total{{kind=\"{kind}\"}}"));
        assert_eq!(begun, 0, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn f036_an_empty_list_at_the_start_removes_nothing() {
    let node = Node::new().await;
    let record = node.server.object(IPS, None, "10.1.0.20").unwrap();
    node.server.remove(IPS, None, "10.1.0.20");
    node.remove_pod();
    node.old_lists_from_now_on();
    node.server.set(IPS, (None, "10.1.0.20"), record);
    node.set_pod(POD, Some(NODE), "Running");
    node.agent(async |agent| {
        agent.ready().await;
        nothing_happens(&node, &agent).await;
        assert_eq!(agent.metric("firecamp_agent_attached_addresses"), 1, "read afresh");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f037_list_older_than_the_attachment_removes_nothing() {
    let node = Node::new().await;
    node.hand_to("node-2", OTHER_POD, 6).await;
    node.old_lists_from_now_on();
    node.held_again(7).await;
    node.agent(async |agent| {
        agent.ready().await;
        nothing_happens(&node, &agent).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f037_stale_server_after_a_reconnect_removes_nothing() {
    let node = Node::new().await;
    // An earlier epoch of an earlier pod on this node, and no pod at all.
    node.hand_to(NODE, OTHER_POD, 6).await;
    node.remove_pod();
    node.server.remember();
    node.set_pod(POD, Some(NODE), "Running");
    node.held_again(7).await;
    node.agent(async |agent| {
        agent.ready().await;
        node.server.show_old_lists(true);
        for _again in 0..3 {
            node.server.end_watches(Ending::Expired);
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        nothing_happens(&node, &agent).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f036_unlisted_pod_is_alive_if_a_fresh_read_finds_it() {
    let node = Node::new().await;
    node.remove_pod();
    node.old_lists_from_now_on();
    node.set_pod(POD, Some(NODE), "Running");
    node.agent(async |agent| {
        agent.ready().await;
        nothing_happens(&node, &agent).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f036_failed_fresh_read_is_not_absence() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        for fault in [Fault::Code(500, "InternalError"), Fault::Cut, Fault::Proxy(404)] {
            for _read in 0..4 {
                node.server.fail_next("GET", "pods", fault);
            }
        }
        // Nobody tells why the pod is not among those of this node any more.
        node.set_pod(POD, None, "Running");
        until("every fault was met", || node.server.unmet_faults() == 0).await;
        node.set_pod(POD, Some(NODE), "Running");
        nothing_happens(&node, &agent).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn f037_bookmarks_change_nothing() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let reads = node.asked("GET");
        for _minute in 0..4 {
            node.server.bookmark();
            tokio::time::sleep(Duration::from_mins(1)).await;
        }
        assert_eq!(node.asked("GET"), reads, "and nobody asks anything");
        nothing_happens(&node, &agent).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn idle_node_lists_each_kind_every_ten_minutes() {
    let node = Node::new().await;
    node.agent(async |agent| {
        agent.ready().await;
        let before = node.server.requests().len();
        for _minute in 0..60 {
            tokio::time::sleep(Duration::from_mins(1)).await;
            node.server.bookmark();
        }
        let asked = node.server.requests().split_off(before);
        let lists = asked.iter().filter(|one| one.starts_with("GET") && one.ends_with("/*"));
        let watches = asked.iter().filter(|one| one.starts_with("WATCH"));
        let (lists, watches) = (lists.count(), watches.count());
        assert!((12..=18).contains(&lists), "{lists} lists");
        assert!((24..=60).contains(&watches), "{watches} watches");
        assert_eq!(asked.len(), lists + watches, "{asked:?}");
    })
    .await;
}

/// The runtime or the API has a bad moment: what is listed lacks this node's pods.
#[tokio::test(start_paused = true)]
async fn f093_empty_or_failed_pod_list_releases_nothing() {
    for reads_fail in [false, true] {
        let node = Node::new().await;
        node.remove_pod();
        node.server.remember();
        node.set_pod(POD, Some(NODE), "Running");
        node.agent(async |agent| {
            agent.ready().await;
            node.server.show_old_lists(true);
            let faults = if reads_fail { 2_000 } else { 0 };
            for _read in 0..faults {
                node.server.fail_next("GET", "pods", Fault::Code(500, "InternalError"));
            }
            for _again in 0..3 {
                node.server.end_watches(Ending::Expired);
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            nothing_happens(&node, &agent).await;
            node.server.forget_faults();
            // Now it is gone, and what lists show of the record stays old: a release that finds
            // nothing to do rests like one that fails.
            node.remove_pod();
            until("the address is gone", || !node.holds()).await;
            node.server.end_watches(Ending::Expired);
            tokio::time::sleep(Duration::from_mins(10)).await;
            let releases = agent.metric("firecamp_agent_operations_total{kind=\"Release\"}");
            assert!((1..=40).contains(&releases), "{releases} releases in ten minutes");
            node.server.show_old_lists(false);
        })
        .await;
    }
}

/// The registry as a backup has it: an earlier epoch, of somebody else.
async fn restored_from_a_backup(node: &Node, holder: (&str, &str)) {
    node.hand_to(holder.0, holder.1, 6).await;
    let old = node.server.object(IPS, None, "10.1.0.20").unwrap();
    node.held_again(7).await;
    node.server.set(IPS, (None, "10.1.0.20"), old);
}

#[tokio::test(start_paused = true)]
async fn f080_registry_restored_from_backup_takes_nothing_from_the_holder() {
    for (holder, by) in [(("node-2", OTHER_POD), "elsewhere"), ((NODE, OTHER_POD), "here, earlier")]
    {
        let node = Node::new().await;
        node.agent(async |agent| {
            agent.ready().await;
            restored_from_a_backup(&node, holder).await;
            tokio::time::sleep(LONG).await;
            assert!(node.holds(), "{by}: the address was removed");
            assert_eq!(node.cloud.mutations(), 0, "{by}");
            let epoch = node.record().await.epoch.0;
            assert!(epoch >= 6, "{by}: the epoch went from 6 back to {epoch}");
            for kind in ["Withdraw", "Reassert", "Collect"] {
                let line = format!("firecamp_agent_operations_total{{kind=\"{kind}\"}}");
                assert_eq!(agent.metric(&line), 0, "{by}: {kind}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_list_says_nothing_of_what_the_next_one_lacks() {
    let server = ApiServer::default();
    for index in 0..600 {
        let metadata = json!({ "uid": format!("uid-{index}"), "resourceVersion": "1" });
        let pod = json!({ "metadata": metadata, "spec": {} });
        server.set_pod("prod", &format!("redis-{index:03}"), pod);
    }
    let cluster = KubeCluster::new(&KubeRegistry::new(server.client(), Timeouts::default()));
    let pods = cluster.unscheduled_pods();
    let (mut interrupted, mut complete, mut listed) = (false, false, BTreeSet::new());
    let followed = follow(
        &pods,
        |item| Some(item.name().to_owned()),
        |event| match event {
            ObjectEvent::ListBegins => listed.clear(),
            ObjectEvent::Listing(name, _) => {
                if !interrupted {
                    assert_eq!(name, "redis-000");
                    server.fail_next("GET", "pods", Fault::LostRequest);
                    server.remove("pods", Some("prod"), &name);
                    interrupted = true;
                }
                listed.insert(name);
            }
            ObjectEvent::Listed => complete = true,
            ObjectEvent::Set(..) | ObjectEvent::Deleted(_) | ObjectEvent::Current(_) => {}
        },
    );
    tokio::time::timeout(Duration::from_mins(1), followed).await.unwrap_err();
    assert_eq!(server.unmet_faults(), 0);
    assert_eq!((complete, listed.len(), listed.contains("redis-000")), (true, 599, false));
}
