//! The Kubernetes API: static IPs and pods of this node as watches tell them, and fresh reads of
//! what the watches do not show.
//!
//! Guarantees: nothing is taken for absent, and nothing for older than it was, but by a fresh read;
//! a failed one leaves things as they were seen last. No agent lists what is another node's.
//! Caveats: what is told here authorises nothing; every errand reads afresh.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName};
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{Pool, State, StaticIp};
use firecamp_kube::{Event, Item, Key, KubeRegistry};
use firecamp_run::connect::AnyRegistry;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::follow::{Pause, Told, follow};
use super::mirror::{Known, Mirror};
use super::{Listing, Source};
use crate::late::LateRegistry;
use crate::outage::Outage;

/// Fresh reads for one answer; the rest of them come with the next one.
const AT_ONCE: usize = 64;

/// The watches of this node and what they told.
pub(crate) struct KubeSource {
    node: NodeName,
    registry: LateRegistry,
    kept: Mutex<Kept>,
    news: Notify,
}

/// What was told so far.
struct Kept {
    static_ips: Mirror<Ipv4Addr, StaticIp>,
    pods: Mirror<Member, PodView>,
    pools: Mirror<PoolName, Pool>,
    /// The kinds that a server has not answered for last.
    away: BTreeSet<&'static str>,
    /// When the fresh reads that failed are tried again.
    again: Option<Instant>,
    pause: Pause,
    outage: Outage,
}

impl KubeSource {
    pub(crate) fn new(node: NodeName, registry: LateRegistry) -> Self {
        let kept = Kept {
            static_ips: Mirror::new(|old: &StaticIp, new| new.epoch < old.epoch),
            pods: Mirror::new(|_old, _new| false),
            pools: Mirror::new(|_old, _new| false),
            away: BTreeSet::new(),
            again: None,
            pause: Pause::default(),
            outage: Outage::new("what the watches do not show"),
        };
        Self { node, registry, kept: Mutex::new(kept), news: Notify::new() }
    }

    /// Nothing panics while it holds it.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client, once there can be one: a node may start before what it needs is there.
    async fn connected(&self) -> KubeRegistry {
        let mut outage = Outage::new("the Kubernetes API's place");
        let mut pause = Pause::default();
        loop {
            match self.registry.get().await {
                Ok(AnyRegistry::Kube(registry)) => return registry.clone(),
                Ok(AnyRegistry::File(_)) => outage.lasts(&"the registry is files"),
                Err(why) => outage.lasts(&why.detail),
            }
            sleep(pause.take()).await;
        }
    }

    /// Takes in what is told of one kind; `mirror` says where it is kept.
    fn told<K: Ord + Clone, T>(
        &self,
        kind: &'static str,
        told: Told<T>,
        mirror: impl FnOnce(&mut Kept) -> &mut Mirror<K, T>,
        parse: impl Fn(&Key) -> Option<K>,
    ) {
        let object = |item: Item<T>| {
            let key = parse(&item.key)?;
            let read = item.object.inspect_err(|why| {
                tracing::warn!(kind, name = item.key.name, error = why, "It cannot be read");
            });
            Some((key, read.ok()))
        };
        let mut kept = self.kept();
        match told {
            Told::All(items) => mirror(&mut kept).listed(items.into_iter().filter_map(object)),
            Told::One(Event::Set(item)) => {
                if let Some((key, object)) = object(item) {
                    mirror(&mut kept).changed(key, object);
                }
            }
            Told::One(Event::Gone(key)) => {
                if let Some(key) = parse(&key) {
                    mirror(&mut kept).gone(key);
                }
            }
            Told::One(Event::Bookmark) => return,
            Told::Current(true) => {
                kept.away.remove(kind);
            }
            Told::Current(false) => {
                kept.away.insert(kind);
            }
        }
        // Before everything was listed once there is nothing to look at.
        if kept.static_ips.is_complete() {
            self.news.notify_one();
        }
    }

    /// Reads afresh what the watches do not answer, and keeps the answers.
    async fn ask(&self, registry: &KubeRegistry, known: &BTreeSet<Ipv4Addr>) {
        let (addresses, members) = self.kept().questions(&self.node, known);
        let mut failed = None;
        for address in addresses {
            match registry.static_ip(address).await {
                Ok(found) => {
                    let found = found.map(|stored| stored.object);
                    self.kept().static_ips.confirmed(address, found);
                }
                Err(why) => failed = Some(why),
            }
            if is_away(failed.as_ref()) {
                break;
            }
        }
        for member in members {
            if is_away(failed.as_ref()) {
                break;
            }
            match registry.pod(&member).await {
                Ok(PodView::Absent) => self.kept().pods.confirmed(member, None),
                Ok(view @ (PodView::Present { .. } | PodView::Vouched)) => {
                    self.kept().pods.confirmed(member, Some(view));
                }
                Err(why) => failed = Some(why),
            }
        }
        self.kept().asked(failed.as_ref(), &self.node, known);
    }
}

/// Others would fail as well, each after its deadline.
fn is_away(failed: Option<&RegistryFailure>) -> bool {
    failed.is_some_and(|why| why.kind == RegistryKind::Unavailable)
}

impl Kept {
    /// What only a fresh read can say.
    fn questions(
        &self,
        node: &NodeName,
        known: &BTreeSet<Ipv4Addr>,
    ) -> (Vec<Ipv4Addr>, Vec<Member>) {
        let addresses: BTreeSet<_> = self.static_ips.keys().chain(known).copied().collect();
        let doubtful = |address: &Ipv4Addr| self.static_ips.known(address) == Known::Doubtful;
        let addresses = addresses.into_iter().filter(doubtful).take(AT_ONCE).collect();
        let members = self.attended(node).into_iter();
        let doubtful = |member: &Member| self.pods.known(member) == Known::Doubtful;
        // Before the pods were listed every one of them would be asked for.
        let members = members.filter(|member| self.pods.is_complete() && doubtful(member));
        (addresses, members.take(AT_ONCE).collect())
    }

    /// The members that by their records have a pod on this node.
    fn attended(&self, node: &NodeName) -> BTreeSet<Member> {
        let here = |address: &Ipv4Addr| match self.static_ips.known(address) {
            Known::There(record) => record.attachment.as_ref().and_then(|it| {
                let held = match it.state {
                    State::Attaching | State::Attached | State::Releasing => true,
                    State::Parked | State::Released => false,
                };
                (held && it.node == *node).then(|| record.member.clone())
            }),
            Known::Unread | Known::Absent | Known::Doubtful => None,
        };
        self.static_ips.keys().filter_map(here).collect()
    }

    /// The fresh reads have ended: those that failed, and those that were too many for one answer,
    /// are tried again.
    fn asked(
        &mut self,
        failed: Option<&RegistryFailure>,
        node: &NodeName,
        known: &BTreeSet<Ipv4Addr>,
    ) {
        self.static_ips.keep(known);
        self.pods.keep(&self.attended(node));
        if let Some(why) = failed {
            self.outage.lasts(&why.detail);
            self.again = Some(Instant::now() + self.pause.take());
            return;
        }
        self.outage.ended();
        self.pause.reset();
        let (addresses, members) = self.questions(node, known);
        let more = !addresses.is_empty() || !members.is_empty();
        self.again = more.then(Instant::now);
    }

    fn listing(&self, node: &NodeName, known: &BTreeSet<Ipv4Addr>) -> Listing {
        let mut listing = Listing::default();
        let addresses: BTreeSet<_> = self.static_ips.keys().chain(known).copied().collect();
        for address in addresses {
            match self.static_ips.known(&address) {
                Known::There(record) => {
                    listing.records.insert(address, record.clone());
                }
                Known::Unread | Known::Doubtful => {
                    listing.unread.insert(address);
                }
                Known::Absent => {}
            }
        }
        for member in self.attended(node) {
            // Whose pod is not known is left out.
            let view = match self.pods.known(&member) {
                Known::There(view) => view.clone(),
                Known::Absent => PodView::Absent,
                Known::Unread | Known::Doubtful => continue,
            };
            listing.pods.insert(member, view);
        }
        let pool = |name: &PoolName| match self.pools.known(name) {
            Known::There(pool) => Some(pool.clone()),
            Known::Unread | Known::Absent | Known::Doubtful => None,
        };
        let pools = self.pools.is_complete().then(|| self.pools.keys().map(pool).collect());
        listing.pools = pools.flatten();
        listing
    }
}

impl Source for KubeSource {
    async fn look(&self, known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let registry = match self.registry.get().await? {
            AnyRegistry::Kube(registry) if self.kept().static_ips.is_complete() => registry,
            AnyRegistry::Kube(_) | AnyRegistry::File(_) => return Err(not_listed(&self.node)),
        };
        self.ask(registry, &known).await;
        Ok(self.kept().listing(&self.node, &known))
    }

    async fn changed(&self) {
        let again = self.kept().again;
        let again = async {
            match again {
                Some(at) => {
                    sleep_until(at).await;
                    self.kept().again = None;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.news.notified() => {}
            () = again => {}
        }
    }

    async fn follow(&self, end: &CancellationToken) {
        let watches = async {
            let registry = self.connected().await;
            let address = |key: &Key| key.name.parse::<Ipv4Addr>().ok();
            let member = |key: &Key| Member::new(key.namespace.as_deref()?, &key.name).ok();
            let pool = |key: &Key| PoolName::new(&key.name).ok();
            let (static_ips, pods) =
                (registry.static_ips_of(&self.node), registry.pods_of(&self.node));
            let pools = registry.pools();
            tokio::join!(
                follow(&static_ips, |told| self.told(
                    "staticips",
                    told,
                    |kept| &mut kept.static_ips,
                    address
                )),
                follow(&pods, |told| self.told("pods", told, |kept| &mut kept.pods, member)),
                follow(&pools, |told| self.told("pools", told, |kept| &mut kept.pools, pool)),
            );
        };
        tokio::select! {
            () = end.cancelled() => {}
            () = watches => {}
        }
    }

    fn is_current(&self) -> bool {
        let kept = self.kept();
        kept.static_ips.is_complete() && kept.away.is_empty()
    }
}

fn not_listed(node: &NodeName) -> RegistryFailure {
    let detail = format!("the StaticIPs of {node} have not been listed yet");
    RegistryFailure { kind: RegistryKind::Unavailable, effect: Effect::None, detail }
}
