//! The lists and watches of a leadership term.

use std::future::pending;
use std::net::Ipv4Addr;
use std::pin::Pin;

use firecamp_controllers::leader::{ClusterEvent, GatedPod, ObjectEvent, SetName};
use firecamp_core::ids::{InterfaceName, Member, NodeName, PoolName};
use firecamp_kube::{Event, Item, Key, KubeCluster};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::source::{Reported, follow};

/// Lists and watches the whole cluster until it is dropped.
pub(super) struct Watches {
    run: Pin<Box<dyn Future<Output = ()>>>,
    events: UnboundedReceiver<Box<ClusterEvent>>,
}

impl Watches {
    pub(super) fn begin(cluster: KubeCluster) -> Self {
        let (sink, events) = mpsc::unbounded_channel();
        Self { run: Box::pin(run(cluster, sink)), events }
    }

    /// Waits for the next event. Cancel-safe.
    pub(super) async fn next(&mut self) -> Box<ClusterEvent> {
        // The watches run only while no event waits, so the channel holds few events.
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => event,
            () = &mut self.run => pending().await,
        }
    }
}

async fn run(cluster: KubeCluster, sink: UnboundedSender<Box<ClusterEvent>>) {
    let (static_ips, claims) = (cluster.addresses(), cluster.claims());
    let (pools, sets) = (cluster.pools(), cluster.sets());
    let (nodes, unscheduled) = (cluster.nodes(), cluster.unscheduled_pods());
    let interfaces = cluster.interfaces();
    // Without a receiver nobody needs the event.
    let send = |event: Option<ClusterEvent>| drop(event.map(|event| sink.send(Box::new(event))));
    tokio::join!(
        follow(&static_ips, |reported| {
            send(parse("staticips", reported, address).map(ClusterEvent::StaticIps));
        }),
        follow(&claims, |reported| {
            send(parse("staticipclaims", reported, member).map(ClusterEvent::Claims));
        }),
        follow(&pools, |reported| {
            let key = |key: &Key| PoolName::new(&key.name).ok();
            send(parse("staticippools", reported, key).map(ClusterEvent::Pools));
        }),
        follow(&sets, |reported| {
            send(parse("statefulsets", reported, set).map(ClusterEvent::Sets));
        }),
        follow(&nodes, |reported| {
            let key = |key: &Key| NodeName::new(&key.name).ok();
            send(parse("nodes", reported, key).map(ClusterEvent::Nodes));
        }),
        follow(&unscheduled, |reported| {
            send(parse("pods", gated(reported), member).map(ClusterEvent::GatedPods));
        }),
        follow(&interfaces, |reported| {
            let key = |key: &Key| InterfaceName::new(&key.name).ok();
            send(parse("nodeinterfaces", reported, key).map(ClusterEvent::Interfaces));
        }),
    );
}

fn address(key: &Key) -> Option<Ipv4Addr> {
    key.name.parse().ok()
}

fn member(key: &Key) -> Option<Member> {
    Member::new(key.namespace.as_deref()?, &key.name).ok()
}

fn set(key: &Key) -> Option<SetName> {
    Some(SetName { namespace: key.namespace.clone()?, name: key.name.clone() })
}

/// Only the pods that have the gate. One that has lost it counts as deleted.
fn gated(reported: Reported<Option<GatedPod>>) -> Reported<GatedPod> {
    let item = |Item { key, object }: Item<Option<GatedPod>>| match object.transpose() {
        Some(object) => Ok(Item { key, object }),
        None => Err(key),
    };
    match reported {
        Reported::All(items) => Reported::All(items.into_iter().flat_map(item).collect()),
        Reported::One(Event::Set(one)) => {
            Reported::One(item(one).map_or_else(Event::Gone, Event::Set))
        }
        Reported::One(Event::Gone(key)) => Reported::One(Event::Gone(key)),
        Reported::One(Event::Bookmark) => Reported::One(Event::Bookmark),
        Reported::Current(current) => Reported::Current(current),
    }
}

/// Leaves out what has no valid name.
fn parse<K: Ord, T>(
    kind: &'static str,
    reported: Reported<T>,
    parse: impl Fn(&Key) -> Option<K>,
) -> Option<ObjectEvent<K, T>> {
    let object = |item: Item<T>| {
        let key = parse(&item.key)?;
        let read = item.object.inspect_err(|why| {
            tracing::warn!(kind, name = item.key.name, error = why, "failed to parse object");
        });
        Some((key, read.ok()))
    };
    match reported {
        Reported::All(items) => {
            Some(ObjectEvent::Listed(items.into_iter().filter_map(object).collect()))
        }
        Reported::One(Event::Set(item)) => {
            object(item).map(|(key, object)| ObjectEvent::Set(key, object))
        }
        Reported::One(Event::Gone(key)) => parse(&key).map(ObjectEvent::Deleted),
        Reported::One(Event::Bookmark) => None,
        Reported::Current(current) => Some(ObjectEvent::Current(current)),
    }
}
