//! What EC2 has on this node and nobody claims, of a pool that a person has declared, or has not.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::publish::Notice;
use firecamp_core::contract::timing;
use firecamp_core::ids::{Epoch, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{Holder, Registry as _, SocketUse};
use firecamp_core::record::{Claim, State, StaticIp, Write};
use firecamp_registry::conformance;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::harness::{NODE, Node, OTHER_POD, until};

const ORPHAN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 25);
/// By then it would have been due twice.
const LONG: Duration = Duration::from_mins(25);
const ADOPTED: &str = "firecamp_agent_adopted_addresses_total";

/// A node on whose ENI EC2 has an address of the pool that has no record.
async fn node(policy: Option<&str>) -> Node {
    let node = Node::new().await;
    node.cloud.give(ORPHAN);
    if let Some(policy) = policy {
        declare(&node, policy);
    }
    node
}

fn declare(node: &Node, policy: &str) {
    let changed = node.server.change("staticippools", None, "a", |pool| {
        pool["spec"]["orphanPolicy"] = json!(policy);
    });
    assert!(changed);
}

async fn record(node: &Node) -> Option<StaticIp> {
    node.registry.static_ip(ORPHAN).await.unwrap().map(|stored| stored.object)
}

fn is_recorded(node: &Node) -> bool {
    node.server.object("staticips", None, &ORPHAN.to_string()).is_some()
}

/// Waits until it has a record, by looks that are as rare as the agent's own, and says how long.
async fn adopted(node: &Node) -> Duration {
    let begun = Instant::now();
    while !is_recorded(node) {
        assert!(begun.elapsed() < LONG, "it is not adopted");
        sleep(Duration::from_secs(2)).await;
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn orphan_is_adopted_after_the_grace_period_and_nothing_else_changes() {
    let node = node(Some("Adopt")).await;
    node.agent(async |agent| {
        agent.ready().await;
        let took = adopted(&node).await;
        assert!(took >= timing::ADOPT_GRACE, "{took:?}");
        until("it is counted", || agent.metric(ADOPTED) == 1).await;
        let reported = agent.notices();
        assert!(reported.contains(&Notice::Adopted(ORPHAN)), "{reported:?}");
        let adopted = record(&node).await.unwrap();
        assert_eq!(adopted.member, Member::orphaned(ORPHAN));
        let attachment = adopted.attachment.unwrap();
        assert_eq!((attachment.state, attachment.pod), (State::Parked, PodUid::orphaned()));
        assert_eq!(attachment.node.as_str(), NODE);
        assert_eq!(attachment.eni, adopted.reserved_on);
        sleep(LONG).await;
        assert_eq!(agent.metric(ADOPTED), 1, "once");
        assert_eq!(agent.metric("firecamp_agent_orphaned_addresses"), 0);
    })
    .await;
    assert_eq!(node.cloud.mutations(), 0);
    assert!(node.holds(), "the member's own address is as it was");
}

#[tokio::test(start_paused = true)]
async fn orphan_is_only_reported_without_the_adopt_policy() {
    for policy in [None, Some("Report")] {
        let node = node(policy).await;
        node.agent(async |agent| {
            agent.ready().await;
            sleep(LONG).await;
            assert_eq!(agent.metric("firecamp_agent_orphaned_addresses"), 1);
        })
        .await;
        assert!(!is_recorded(&node), "{policy:?}");
        assert_eq!(node.asked("GET staticipclaims"), 0, "{policy:?}");
        assert_eq!(node.cloud.account().calls.owners, 0, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn adopt_policy_set_later_starts_the_grace_period() {
    let node = node(None).await;
    node.agent(async |agent| {
        agent.ready().await;
        sleep(LONG).await;
        declare(&node, "Adopt");
        let took = adopted(&node).await;
        assert!(took >= timing::ADOPT_GRACE, "{took:?}");
    })
    .await;
}

/// What keeps it from being adopted, and how that ends.
#[derive(Debug, Clone, Copy)]
enum Reason {
    ItsClaimIsThere,
    AClaimAsksForIt,
    ItsPodIsHere,
    ItsLockIsHeld,
    ASocketUsesIt,
    TheKernelHasIt,
    AnotherPoolHasItToo,
    TheVpcCniHasTheInterface,
    Ec2HasItElsewhereByNow,
}

impl Reason {
    const ALL: [Self; 9] = [
        Self::ItsClaimIsThere,
        Self::AClaimAsksForIt,
        Self::ItsPodIsHere,
        Self::ItsLockIsHeld,
        Self::ASocketUsesIt,
        Self::TheKernelHasIt,
        Self::AnotherPoolHasItToo,
        Self::TheVpcCniHasTheInterface,
        Self::Ec2HasItElsewhereByNow,
    ];

    async fn begins(self, node: &Node) {
        let lock = |hold| {
            node.host.change(|kernel| {
                let holder = Holder { pod: OTHER_POD.parse().unwrap(), epoch: Epoch(3) };
                kernel.locks.insert(ORPHAN, LockRecord { holder, hold });
            });
        };
        match self {
            Self::ItsClaimIsThere => claim(node, |claim| claim.address = Some(ORPHAN)).await,
            Self::AClaimAsksForIt => claim(node, |claim| claim.requested = Some(ORPHAN)).await,
            Self::ItsPodIsHere => {
                lock(Hold::Released);
                let spec = json!({ "nodeName": NODE });
                let pod = json!({ "metadata": { "uid": OTHER_POD }, "spec": spec,
                    "status": { "phase": "Running" } });
                node.server.set_pod("prod", "zombie-0", pod);
            }
            Self::ItsLockIsHeld => lock(Hold::Held),
            Self::ASocketUsesIt => {
                let used = SocketUse { listeners: 1, ..SocketUse::default() };
                node.host.use_sockets(ORPHAN, used);
            }
            Self::TheKernelHasIt => {
                node.host.add_foreign(ORPHAN, "06:00:00:00:00:01".parse().unwrap());
            }
            Self::AnotherPoolHasItToo => {
                node.server.create_pool(&conformance::pool("b", &[1]).unwrap());
            }
            Self::TheVpcCniHasTheInterface => node.is_managed_by(Some("eks.amazonaws.com")),
            Self::Ec2HasItElsewhereByNow => {
                node.cloud.own(|own| own.stale_interfaces = Some(own.interfaces.clone()));
                node.is_elsewhere(ORPHAN);
            }
        }
    }

    fn ends(self, node: &Node) {
        let release = || {
            node.host.change(|kernel| {
                kernel.locks.remove(&ORPHAN);
            });
        };
        match self {
            Self::ItsClaimIsThere | Self::AClaimAsksForIt => {
                assert!(node.server.remove("staticipclaims", Some("prod"), "redis-7"));
            }
            Self::ItsPodIsHere => assert!(node.server.remove("pods", Some("prod"), "zombie-0")),
            Self::ItsLockIsHeld => release(),
            Self::ASocketUsesIt => node.host.use_sockets(ORPHAN, SocketUse::default()),
            Self::TheKernelHasIt => node.host.strip(ORPHAN),
            Self::AnotherPoolHasItToo => {
                assert!(node.server.delete_pool(&conformance::pool("b", &[1]).unwrap()));
            }
            Self::TheVpcCniHasTheInterface => node.is_managed_by(None),
            Self::Ec2HasItElsewhereByNow => {
                node.cloud.own(|own| own.stale_interfaces = None);
                node.cloud.give(ORPHAN);
            }
        }
    }
}

async fn claim(node: &Node, change: impl FnOnce(&mut Claim)) {
    let member = conformance::member(7).unwrap();
    let mut claim = conformance::claim(&member, &conformance::pool("a", &[1]).unwrap());
    change(&mut claim);
    node.registry.write(&Write::CreateClaim(claim)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_obstacle_prevents_adoption_until_it_is_gone() {
    for reason in Reason::ALL {
        let node = node(Some("Adopt")).await;
        reason.begins(&node).await;
        node.agent(async |agent| {
            agent.ready().await;
            sleep(LONG).await;
            assert!(!is_recorded(&node), "{reason:?}");
            reason.ends(&node);
            adopted(&node).await;
        })
        .await;
        assert_eq!(node.cloud.mutations(), 0, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn adopted_record_has_a_higher_epoch_than_the_lock() {
    let node = node(Some("Adopt")).await;
    node.host.change(|kernel| {
        let holder = Holder { pod: OTHER_POD.parse().unwrap(), epoch: Epoch(3) };
        kernel.locks.insert(ORPHAN, LockRecord { holder, hold: Hold::Released });
    });
    node.agent(async |agent| {
        agent.ready().await;
        adopted(&node).await;
    })
    .await;
    assert_eq!(record(&node).await.unwrap().epoch, Epoch(4));
}

#[tokio::test(start_paused = true)]
async fn registry_outage_restarts_the_grace_period() {
    let node = node(Some("Adopt")).await;
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_mins(8)).await;
        node.server.go_away();
        sleep(LONG).await;
        node.server.come_back();
        assert!(!is_recorded(&node));
        let took = adopted(&node).await;
        assert!(took >= timing::ADOPT_GRACE, "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ec2_outage_restarts_the_grace_period() {
    let node = node(Some("Adopt")).await;
    let refuse = |why| node.cloud.refuse(why, why);
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_mins(8)).await;
        refuse(Some(firecamp_core::failure::CloudKind::Transient));
        sleep(LONG).await;
        refuse(None);
        assert!(!is_recorded(&node));
        let took = adopted(&node).await;
        assert!(took >= timing::ADOPT_GRACE, "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn address_that_only_the_metadata_service_lists_is_not_adopted() {
    let node = node(Some("Adopt")).await;
    node.cloud.lose(ORPHAN);
    node.agent(async |agent| {
        agent.ready().await;
        sleep(LONG).await;
        assert!(!is_recorded(&node));
    })
    .await;
}
