//! The Kubernetes API: watches of the static IPs and pods of this node, and fresh reads of what the
//! watches do not show.
//!
//! Guarantees: only a fresh read makes an object absent or moves it back to an older state; a
//! failed read keeps the last observation. The agent does not list the objects of other nodes.
//! Caveats: a watch authorises nothing; every operation reads its objects again.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_controllers::leader::ObjectEvent;
use firecamp_controllers::node::{Listing, LocalPod, LocalPods};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName};
use firecamp_core::ports::{PodLifecycle, PodView, Registry};
use firecamp_core::record::{Pool, State, StaticIp};
use firecamp_kube::{
    Backoff as _, ExponentialBackoff, Item, KubeRegistry, NodePod, WatchedPool, backoff,
};
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cache::{Cache, Known};
use super::follow::follow;
use super::{BoundPod, Source};
use crate::outage::Outage;

/// Maximum number of fresh reads per list; the others follow with the next list.
const MAX_FRESH_READS: usize = 64;

/// The watches of this node and their caches.
pub(crate) struct KubeSource {
    node: NodeName,
    registry: AnyRegistry,
    state: Mutex<WatchState>,
    events: Notify,
    bound: mpsc::Sender<BoundPod>,
}

/// The caches and the state of fresh reads.
struct WatchState {
    static_ips: Cache<Ipv4Addr, StaticIp>,
    pods: Cache<Member, NodePod>,
    pools: Cache<PoolName, WatchedPool>,
    /// Kinds whose last list or watch failed.
    unavailable: BTreeSet<&'static str>,
    /// When to repeat failed fresh reads.
    retry_at: Option<Instant>,
    backoff: ExponentialBackoff,
    outage: Outage,
}

impl KubeSource {
    pub(crate) fn new(
        node: NodeName,
        registry: AnyRegistry,
        bound: mpsc::Sender<BoundPod>,
    ) -> Self {
        let state = WatchState {
            static_ips: Cache::new(|old: &StaticIp, new| new.epoch < old.epoch),
            pods: Cache::new(|_old, _new| false),
            pools: Cache::new(|_old, _new| false),
            unavailable: BTreeSet::new(),
            retry_at: None,
            backoff: backoff(),
            outage: Outage::new("fresh reads of StaticIPs and pods"),
        };
        Self { node, registry, state: Mutex::new(state), events: Notify::new(), bound }
    }

    /// Locks the state. Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the client can be created: a node may start before its credentials exist.
    async fn connected(&self) -> KubeRegistry {
        let mut outage = Outage::new("the configuration of the Kubernetes client");
        let mut backoff = backoff();
        loop {
            match self.registry.get().await {
                Ok(OpenRegistry::Kube(registry)) => return registry.clone(),
                Ok(OpenRegistry::File(_)) => outage.lasts(&"the registry is files"),
                Err(why) => outage.lasts(&why.detail),
            }
            sleep(backoff.next().unwrap_or_default()).await;
        }
    }

    /// Applies a report about one kind to its `cache`.
    fn reported<K: Ord + Clone, T>(
        &self,
        kind: &'static str,
        reported: ObjectEvent<K, T>,
        cache: impl FnOnce(&mut WatchState) -> &mut Cache<K, T>,
    ) {
        let mut kept = self.lock();
        match reported {
            ObjectEvent::ListBegins => cache(&mut kept).list_begins(),
            ObjectEvent::Listed => cache(&mut kept).listed(),
            ObjectEvent::Listing(key, object) | ObjectEvent::Set(key, object) => {
                cache(&mut kept).changed(key, object);
            }
            ObjectEvent::Deleted(key) => cache(&mut kept).gone(key),
            ObjectEvent::Current(true) => drop(kept.unavailable.remove(kind)),
            ObjectEvent::Current(false) => drop(kept.unavailable.insert(kind)),
        }
        // Nothing to process before the first list.
        if kept.static_ips.is_complete() {
            self.events.notify_one();
        }
    }

    /// Reports a pod that awaits its address when it appears. It is only an advance notice, so what
    /// finds no room is dropped.
    fn report_bound(&self, member: &Member, NodePod { view, awaits_address, .. }: &NodePod) {
        let PodView::Present { pod, lifecycle: PodLifecycle::Running, .. } = view else { return };
        let is_same =
            |one: &NodePod| matches!(&one.view, PodView::Present { pod: uid, .. } if uid == pod);
        let known = matches!(self.lock().pods.known(member), Known::Present(one) if is_same(one));
        if *awaits_address && !known {
            let (member, pod, since) = (member.clone(), pod.clone(), Instant::now());
            self.bound.try_send(BoundPod { member, pod, since }).ok();
        }
    }

    /// Makes the fresh reads that are due and stores the results.
    async fn read_doubtful(&self, registry: &KubeRegistry, known: &BTreeSet<Ipv4Addr>) {
        let (addresses, members) = self.lock().doubtful(&self.node, known);
        let mut failed = None;
        for address in addresses {
            match registry.static_ip(address).await {
                Ok(found) => {
                    let found = found.map(|stored| stored.object);
                    self.lock().static_ips.confirmed(address, found);
                }
                Err(why) => failed = Some(why),
            }
            if is_unavailable(failed.as_ref()) {
                break;
            }
        }
        for member in members {
            if is_unavailable(failed.as_ref()) {
                break;
            }
            match registry.node_pod(&member).await {
                Ok(pod) => self.lock().pods.confirmed(member, pod),
                Err(why) => failed = Some(why),
            }
        }
        self.lock().reads_ended(failed.as_ref(), &self.node, known);
    }
}

fn member(item: &Item<NodePod>) -> Option<Member> {
    Member::new(item.namespace()?, item.name()).ok()
}

/// Whether other reads would fail as well, each after its deadline.
fn is_unavailable(failed: Option<&RegistryFailure>) -> bool {
    failed.is_some_and(|why| why.kind == RegistryKind::Unavailable)
}

impl WatchState {
    /// The objects that need a fresh read.
    fn doubtful(
        &self,
        node: &NodeName,
        known: &BTreeSet<Ipv4Addr>,
    ) -> (Vec<Ipv4Addr>, Vec<Member>) {
        let addresses: BTreeSet<_> = self.static_ips.keys().chain(known).copied().collect();
        let doubtful = |address: &Ipv4Addr| self.static_ips.known(address) == Known::Doubtful;
        let addresses = addresses.into_iter().filter(doubtful).take(MAX_FRESH_READS).collect();
        let members = self.local_members(node).into_iter();
        let doubtful = |member: &Member| self.pods.known(member) == Known::Doubtful;
        // Before the first list of pods every one of them would be doubtful.
        let members = members.filter(|member| self.pods.is_complete() && doubtful(member));
        (addresses, members.take(MAX_FRESH_READS).collect())
    }

    /// The members whose record names a pod on this node.
    fn local_members(&self, node: &NodeName) -> BTreeSet<Member> {
        let here = |address: &Ipv4Addr| match self.static_ips.known(address) {
            Known::Present(record) => record.attachment.as_ref().and_then(|it| {
                let held = match it.state {
                    State::Attaching | State::Attached | State::Releasing => true,
                    State::Parked | State::Released => false,
                };
                (held && it.node == *node).then(|| record.member.clone())
            }),
            Known::Invalid | Known::Absent | Known::Doubtful => None,
        };
        self.static_ips.keys().filter_map(here).collect()
    }

    /// The fresh reads have ended. Schedules the failed reads and those over the limit again.
    fn reads_ended(
        &mut self,
        failed: Option<&RegistryFailure>,
        node: &NodeName,
        known: &BTreeSet<Ipv4Addr>,
    ) {
        self.static_ips.retain(known);
        self.pods.retain(&self.local_members(node));
        if let Some(why) = failed {
            self.outage.lasts(&why.detail);
            self.retry_at = Some(Instant::now() + self.backoff.next().unwrap_or_default());
            return;
        }
        self.outage.ended();
        self.backoff.reset();
        let (addresses, members) = self.doubtful(node, known);
        let more = !addresses.is_empty() || !members.is_empty();
        self.retry_at = more.then(Instant::now);
    }

    /// The pods of this node, by lists and watches.
    fn local_pods(&self) -> LocalPods {
        let local = |(member, pod): (&Member, &NodePod)| match &pod.view {
            PodView::Present { pod: uid, lifecycle, .. } => {
                let (lifecycle, requested) = (*lifecycle, pod.requested.clone());
                let (own_network, expects_address) = (pod.own_network, pod.expects_address);
                let pod = uid.clone();
                let local = LocalPod { pod, lifecycle, requested, own_network, expects_address };
                Some((member.clone(), local))
            }
            PodView::Vouched | PodView::Absent => None,
        };
        self.pods.reported().filter_map(local).collect()
    }

    fn listing(&self, node: &NodeName, known: &BTreeSet<Ipv4Addr>) -> Listing {
        let mut listing = Listing::default();
        let addresses: BTreeSet<_> = self.static_ips.keys().chain(known).copied().collect();
        for address in addresses {
            match self.static_ips.known(&address) {
                Known::Present(record) => {
                    listing.records.insert(address, record.clone());
                }
                Known::Invalid | Known::Doubtful => {
                    listing.unread.insert(address);
                }
                Known::Absent => {}
            }
        }
        for member in self.local_members(node) {
            // A member whose pod is unknown is left out.
            let view = match self.pods.known(&member) {
                Known::Present(pod) => pod.view.clone(),
                Known::Absent => PodView::Absent,
                Known::Invalid | Known::Doubtful => continue,
            };
            listing.pods.insert(member, view);
        }
        let pool = |name: &PoolName| match self.pools.known(name) {
            Known::Present(pool) => Some(pool.clone()),
            Known::Invalid | Known::Absent | Known::Doubtful => None,
        };
        listing.wants_interfaces = self.pools.reported().any(|(_, pool)| pool.wants_interfaces);
        let pools = self.pools.is_complete().then(|| self.pools.keys().map(pool).collect());
        listing.pools = pools.flatten().map(oldest_first);
        listing.local_pods = self.pods.is_complete().then(|| self.local_pods());
        listing
    }
}

impl Source for KubeSource {
    async fn list(&self, known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let registry = match self.registry.get().await? {
            OpenRegistry::Kube(registry) if self.lock().static_ips.is_complete() => registry,
            OpenRegistry::Kube(_) | OpenRegistry::File(_) => return Err(not_listed(&self.node)),
        };
        self.read_doubtful(registry, &known).await;
        Ok(self.lock().listing(&self.node, &known))
    }

    async fn changed(&self) {
        let retry_at = self.lock().retry_at;
        let retry = async {
            match retry_at {
                Some(at) => {
                    sleep_until(at).await;
                    self.lock().retry_at = None;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.events.notified() => {}
            () = retry => {}
        }
    }

    async fn follow(&self, end: &CancellationToken) {
        let watches = async {
            let registry = self.connected().await;
            let address = |item: &Item<StaticIp>| item.name().parse().ok();
            let pool = |item: &Item<WatchedPool>| PoolName::new(item.name()).ok();
            let (static_ips, pods) =
                (registry.static_ips_of(&self.node), registry.pods_of(&self.node));
            let pools = registry.pools();
            tokio::join!(
                follow(&static_ips, address, |reported| {
                    self.reported("staticips", reported, |kept| &mut kept.static_ips);
                }),
                follow(&pods, member, |reported| {
                    if let ObjectEvent::Set(member, Some(pod)) = &reported {
                        self.report_bound(member, pod);
                    }
                    self.reported("pods", reported, |kept| &mut kept.pods);
                }),
                follow(&pools, pool, |reported| {
                    self.reported("pools", reported, |kept| &mut kept.pools);
                }),
            );
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = watches => {}
        }
    }

    fn is_synced(&self) -> bool {
        let kept = self.lock();
        kept.static_ips.is_complete() && kept.unavailable.is_empty()
    }
}

/// The pools in the order of their creation, and of their names if that is the same.
fn oldest_first(mut pools: Vec<WatchedPool>) -> Vec<Pool> {
    pools.sort_by(|a, b| (&a.created, &a.pool.name).cmp(&(&b.created, &b.pool.name)));
    pools.into_iter().map(|watched| watched.pool).collect()
}

fn not_listed(node: &NodeName) -> RegistryFailure {
    let detail = format!("the StaticIPs of {node} have not been listed yet");
    RegistryFailure { kind: RegistryKind::Unavailable, effect: Effect::None, detail }
}
