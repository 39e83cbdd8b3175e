//! The lists and watches of a leadership term.

use std::future::pending;
use std::pin::Pin;

use firecamp_controllers::leader::{ClusterEvent, GatedPod, NamespacedName, ObjectEvent};
use firecamp_core::ids::{InterfaceName, Member, NodeName, PoolName};
use firecamp_kube::{Item, KubeCluster};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::source::follow;

/// Lists and watches the whole cluster until it is dropped.
pub(super) struct Watches {
    run: Pin<Box<dyn Future<Output = ()>>>,
    events: UnboundedReceiver<Box<ClusterEvent>>,
}

impl Watches {
    /// Also those of the names of members, if they are kept.
    pub(super) fn begin(cluster: KubeCluster, names: bool) -> Self {
        let (sink, events) = mpsc::unbounded_channel();
        let run = async move {
            tokio::join!(
                run(cluster.clone(), sink.clone()),
                run_if(names, names_of_members(cluster, sink)),
            );
        };
        Self { run: Box::pin(run), events }
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

async fn run_if(wanted: bool, run: impl Future<Output = ()>) {
    if wanted {
        run.await;
    }
}

async fn names_of_members(cluster: KubeCluster, sink: UnboundedSender<Box<ClusterEvent>>) {
    let (services, slices, records) = (cluster.services(), cluster.slices(), cluster.records());
    let send = |event: ClusterEvent| drop(sink.send(Box::new(event)));
    tokio::join!(
        follow(&services, named, |event| send(ClusterEvent::Services(event))),
        follow(&slices, named, |event| send(ClusterEvent::Slices(event))),
        follow(&records, named, |event| send(ClusterEvent::Records(event))),
    );
}

fn named<T>(item: &Item<T>) -> Option<NamespacedName> {
    Some(NamespacedName { namespace: item.namespace()?.to_owned(), name: item.name().to_owned() })
}

async fn run(cluster: KubeCluster, sink: UnboundedSender<Box<ClusterEvent>>) {
    let (static_ips, claims) = (cluster.addresses(), cluster.claims());
    let (pools, sets) = (cluster.pools(), cluster.sets());
    let (nodes, unscheduled) = (cluster.nodes(), cluster.unscheduled_pods());
    let interfaces = cluster.interfaces();
    // Without a receiver nobody needs the event.
    let send = |event: ClusterEvent| drop(sink.send(Box::new(event)));
    let address = |item: &Item<_>| item.name().parse().ok();
    let pool = |item: &Item<_>| PoolName::new(item.name()).ok();
    let node = |item: &Item<_>| NodeName::new(item.name()).ok();
    let interface = |item: &Item<_>| InterfaceName::new(item.name()).ok();
    tokio::join!(
        follow(&static_ips, address, |event| send(ClusterEvent::StaticIps(event))),
        follow(&claims, member, |event| send(ClusterEvent::Claims(event))),
        follow(&pools, pool, |event| send(ClusterEvent::Pools(event))),
        follow(&sets, named, |event| send(ClusterEvent::Sets(event))),
        follow(&nodes, node, |event| send(ClusterEvent::Nodes(event))),
        follow(&unscheduled, member, |event| send(ClusterEvent::GatedPods(gated(event)))),
        follow(&interfaces, interface, |event| send(ClusterEvent::Interfaces(event))),
    );
}

fn member<T>(item: &Item<T>) -> Option<Member> {
    Member::new(item.namespace()?, item.name()).ok()
}

/// Only the pods that have the gate. One that has lost it counts as deleted.
fn gated(event: ObjectEvent<Member, Option<GatedPod>>) -> ObjectEvent<Member, GatedPod> {
    match event {
        ObjectEvent::Set(member, Some(None))
        | ObjectEvent::Listing(member, Some(None))
        | ObjectEvent::Deleted(member) => ObjectEvent::Deleted(member),
        ObjectEvent::Listing(member, pod) => ObjectEvent::Listing(member, pod.flatten()),
        ObjectEvent::ListBegins => ObjectEvent::ListBegins,
        ObjectEvent::Listed => ObjectEvent::Listed,
        ObjectEvent::Set(member, pod) => ObjectEvent::Set(member, pod.flatten()),
        ObjectEvent::Current(current) => ObjectEvent::Current(current),
    }
}
