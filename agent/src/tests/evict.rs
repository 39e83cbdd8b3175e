//! A node whose interface is full of parked addresses, and the pod of another member that waits
//! there for a slot.

use std::cell::Cell;
use std::future::{Future as _, pending, poll_fn};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use firecamp_controllers::publish::Notice;
use firecamp_core::ids::{Epoch, Member};
use firecamp_core::ports::Registry;
use firecamp_core::record::{State, StaticIp, Stored, Write};
use firecamp_node::preflight::facts::Reservation;
use firecamp_registry::conformance;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::harness::{ADDRESS, NODE, Node, attachment, eni, until};

/// The address of the second member.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 21);
/// The member that waits.
const WAITING: &str = "redis-7";

/// Both members have released their addresses, and the interface has no other slot.
async fn node(reserved: &str) -> Node {
    let node = Node::new().await;
    node.remove_pod();
    node.host.change(|kernel| {
        kernel.addresses.clear();
        kernel.locks.clear();
    });
    node.write(|record| record.attachment = Some(attachment(NODE, "pod-0", State::Parked))).await;
    let pool = conformance::pool("a", &[1]).unwrap();
    let ip = StaticIp {
        epoch: Epoch(3),
        attachment: Some(attachment(NODE, "pod-1", State::Parked)),
        reserved_on: Some(eni().id),
        ..conformance::static_ip(OTHER, &conformance::member(1).unwrap(), &pool).unwrap()
    };
    node.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
    node.cloud.give(OTHER);
    let mut account = node.cloud.account();
    account.types.values_mut().for_each(|limits| limits.addresses = 3);
    let block = reserved.parse().unwrap();
    let found = vec![Reservation { block, explicit: true }];
    account.reservations = [(eni().subnet.to_string(), found)].into();
    drop(account);
    node
}

/// Covers both addresses.
const BOTH: &str = "10.1.0.16/28";

impl Node {
    fn waits(&self, name: &str) {
        let slot = json!({ "requests": { "firecamp.io/static-ip": "1" } });
        let spec = json!({ "nodeName": NODE, "initContainers": [{ "resources": slot }] });
        let metadata = json!({ "uid": format!("uid-{name}") });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": "Pending" } });
        self.server.set_pod("prod", name, pod);
    }

    fn stored(&self, address: Ipv4Addr, path: &str) -> Option<Value> {
        let object = self.server.object("staticips", None, &address.to_string())?;
        object.pointer(path).cloned()
    }

    fn is(&self, address: Ipv4Addr, state: State) -> bool {
        self.stored(address, "/spec/attachment/state") == Some(json!(format!("{state:?}")))
    }

    /// The addresses that were evicted.
    fn evicted(&self) -> Vec<Ipv4Addr> {
        let all = [ADDRESS, OTHER].into_iter();
        let evicted: Vec<_> = all.filter(|address| self.is(*address, State::Released)).collect();
        for address in &evicted {
            assert!(!self.cloud.has(*address), "{address} is on an interface");
            let member = self.stored(*address, "/spec/claimRef/name");
            let keeps = if *address == ADDRESS { "redis-0" } else { "redis-1" };
            assert_eq!(member, Some(json!(keeps)), "its member keeps it");
        }
        evicted
    }
}

#[tokio::test(start_paused = true)]
async fn f120_waiting_pod_leads_to_one_unassign_of_the_address_that_was_parked_first() {
    let node = node(BOTH).await;
    // The other member starts and stops again later.
    node.agent(async |agent| {
        agent.ready().await;
        sleep(Duration::from_mins(1)).await;
        node.write(|record| {
            record.epoch = Epoch(7);
            record.attachment = Some(attachment(NODE, "pod-2", State::Parked));
        })
        .await;
        sleep(Duration::from_mins(10)).await;
        assert_eq!((node.cloud.mutations(), node.evicted()), (0, vec![]), "nobody waits");
        node.waits(WAITING);
        let took = until("one is evicted", || !node.evicted().is_empty()).await;
        assert!(took < Duration::from_secs(10), "{took:?}");
        sleep(Duration::from_mins(30)).await;
        assert_eq!(node.evicted(), [OTHER]);
        assert_eq!(node.stored(OTHER, "/spec/epoch"), Some(json!(4)));
        let pending = node.stored(OTHER, "/spec/pendingMutations");
        assert!(pending.is_none_or(|all| all == json!([])), "it is settled");
        assert_eq!(agent.notices(), [Notice::Evicted(OTHER)]);
        assert_eq!(agent.metric(r#"firecamp_agent_operations_total{kind="Evict"}"#), 1);
    })
    .await;
    assert_eq!(node.cloud.mutations(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_waiting_pods_lead_to_two_evictions_and_a_third_to_none() {
    let node = node(BOTH).await;
    node.agent(async |_agent| {
        for name in ["redis-7", "redis-8", "redis-9"] {
            node.waits(name);
        }
        until("both are evicted", || node.evicted().len() == 2).await;
        sleep(Duration::from_mins(30)).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_member_with_a_pod_on_the_node_keeps_its_parked_address() {
    let node = node(BOTH).await;
    node.agent(async |_agent| {
        node.waits("redis-0");
        node.waits(WAITING);
        until("one is evicted", || !node.evicted().is_empty()).await;
        node.waits("redis-1");
        sleep(Duration::from_mins(30)).await;
    })
    .await;
    assert_eq!((node.evicted(), node.cloud.mutations()), (vec![OTHER], 1));
}

#[tokio::test(start_paused = true)]
async fn f120_without_a_reservation_the_waiting_pod_gets_an_event_and_nothing_is_evicted() {
    let node = node("10.1.0.128/28").await;
    node.reporting_agent(async |_agent| {
        node.waits(WAITING);
        let event = || {
            let all = node.server.all("events");
            all.into_iter().find(|event| event["reason"] == "AddressNotReserved")
        };
        until("there is an event", || event().is_some()).await;
        assert_eq!(event().unwrap()["regarding"]["name"], WAITING);
        sleep(Duration::from_mins(30)).await;
        assert_eq!((node.evicted(), node.cloud.mutations()), (vec![], 0));
        // A person does what the event says.
        let block = BOTH.parse().unwrap();
        let found = vec![Reservation { block, explicit: true }];
        node.cloud.account().reservations = [(eni().subnet.to_string(), found)].into();
        until("one is evicted", || !node.evicted().is_empty()).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 1);
}

#[tokio::test(start_paused = true)]
async fn parked_address_without_a_claim_is_evicted() {
    let node = node("10.1.0.20/32").await;
    assert!(node.server.remove("staticipclaims", Some("prod"), "redis-0"));
    node.agent(async |_agent| {
        node.waits(WAITING);
        until("it is evicted", || node.evicted() == [ADDRESS]).await;
    })
    .await;
    assert_eq!(node.cloud.mutations(), 1);
}

/// Steps so far: requests that write StaticIPs, and what changes EC2.
fn steps(node: &Node, before: &Cell<(usize, usize)>) -> usize {
    let (asked, found) = before.get();
    let new = node.server.requests_since(asked);
    let is_step = |one: &&String| one.starts_with("PATCH staticips");
    let found = found + new.iter().filter(is_step).count();
    before.set((asked + new.len(), found));
    found + node.cloud.account().calls.steps
}

/// The agent is killed after so many steps, before or after it has heard of the last one.
async fn dies(node: &Node, count: usize, answered: bool) -> bool {
    let before = Cell::new((node.server.requests().len(), 0));
    let done = node.cloud.account().calls.steps;
    let mut agent = pin!(node.agent(async |_agent| pending().await));
    let dies = poll_fn(|cx| {
        if steps(node, &before) - done < count {
            assert!(agent.as_mut().poll(cx).is_pending());
            return Poll::Pending;
        }
        if answered {
            assert!(agent.as_mut().poll(cx).is_pending());
        }
        Poll::Ready(true)
    });
    tokio::select! {
        biased;
        dead = dies => dead,
        _took = until("it is evicted", || !node.evicted().is_empty()) => false,
    }
}

#[tokio::test(start_paused = true)]
async fn f120_eviction_that_is_killed_at_any_step_is_finished_and_evicts_no_second_address() {
    let mut deaths = 0;
    for count in 1.. {
        let mut died = false;
        for answered in [false, true] {
            let node = node("10.1.0.20/32").await;
            node.waits(WAITING);
            died |= dies(&node, count, answered).await;
            node.agent(async |_agent| {
                until("it is evicted", || node.evicted() == [ADDRESS]).await;
                sleep(Duration::from_mins(10)).await;
            })
            .await;
            assert_eq!(node.evicted(), [ADDRESS]);
            let Stored { object, .. } = node.registry.static_ip(ADDRESS).await.unwrap().unwrap();
            assert_eq!(object.member, Member::new("prod", "redis-0").unwrap());
            assert!(node.cloud.unassigned() <= 1, "it left once");
        }
        if !died {
            break;
        }
        deaths += 1;
    }
    assert!(deaths >= 4, "{deaths} boundaries");
}
