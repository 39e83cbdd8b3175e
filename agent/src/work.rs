//! The agent's work: reads of slow systems and errands, each bounded, none detached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use firecamp_cloud::LazyCloud;
use firecamp_core::agent::{Duty, Errand};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure};
use firecamp_core::ids::{ClusterName, Member};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner, Registry};
use firecamp_core::record::StaticIp;
use firecamp_engine::{Dice, Ended, NoFile, Run, Signal, Systems};
use firecamp_host::LinuxHost;
use firecamp_registry::FileRegistry;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::source::{Listing, Source};

/// The most that one read may take; the clients' own bounds are shorter.
const READ_BOUND: Duration = Duration::from_secs(20);

/// What a piece of work came to.
#[derive(Debug)]
pub(crate) enum News {
    /// What the registry lists.
    Listed(Result<Listing, RegistryFailure>),
    /// What the metadata service says.
    Identified(Result<NodeIdentity, CloudFailure>),
    /// Whom EC2 shows.
    Owned(Ipv4Addr, Result<Owner, CloudFailure>),
    /// Of the addresses that were asked for: whether they have a record.
    Claimed(BTreeMap<Ipv4Addr, bool>),
    /// An errand for the address has ended.
    Done(Ipv4Addr, Ended),
}

/// The outside systems.
pub(crate) struct Outside<S> {
    systems: Arc<Systems<LazyCloud, LinuxHost, FileRegistry, NoFile>>,
    source: Arc<S>,
}

impl<S: Source> Outside<S> {
    pub(crate) fn new(host: LinuxHost, registry: FileRegistry, source: S) -> Self {
        let systems = Systems { cloud: LazyCloud::default(), host, registry, file: NoFile };
        Self { systems: Arc::new(systems), source: Arc::new(source) }
    }

    pub(crate) fn host(&self) -> &LinuxHost {
        &self.systems.host
    }

    pub(crate) async fn changed(&self) {
        self.source.changed().await;
    }

    pub(crate) fn list(&self, known: BTreeSet<Ipv4Addr>, work: &mut JoinSet<News>) {
        let source = Arc::clone(&self.source);
        work.spawn_local(async move { News::Listed(source.look(known).await) });
    }

    pub(crate) fn identify(&self, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let read = timeout(READ_BOUND, systems.cloud.identity()).await;
            News::Identified(read.unwrap_or_else(|_elapsed| Err(late("read this instance"))))
        });
    }

    pub(crate) fn look_up(&self, record: StaticIp, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let StaticIp { address, subnet, .. } = record;
            let read = timeout(READ_BOUND, systems.cloud.owner(address, &subnet)).await;
            let late = |_elapsed| Err(late(&format!("look up the owner of {address}")));
            News::Owned(address, read.unwrap_or_else(late))
        });
    }

    /// Fresh reads, one after the other; an address whose read fails is left out.
    pub(crate) fn look_for_claims(&self, of: BTreeSet<Ipv4Addr>, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let mut claimed = BTreeMap::new();
            for address in of {
                match systems.registry.static_ip(address).await {
                    Ok(found) => {
                        claimed.insert(address, found.is_some());
                    }
                    Err(why) => tracing::warn!(%address, error = %why, "A record is not known"),
                }
            }
            News::Claimed(claimed)
        });
    }

    /// Begins the errand of a duty.
    pub(crate) fn begin(
        &self,
        duty: Duty,
        (address, member): (Ipv4Addr, Member),
        (cluster, end): (ClusterName, CancellationToken),
        work: &mut JoinSet<News>,
    ) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let dice = Dice::default();
            let id = dice.run_id();
            let run = Run { member, pool: None, signal: Signal::Interrupt(end), dice };
            let machine = move |now| Errand::new(&duty, &cluster, id, now);
            News::Done(address, firecamp_engine::run(machine, &*systems, &run).await)
        });
    }
}

fn late(what: &str) -> CloudFailure {
    CloudFailure {
        kind: CloudKind::Transient,
        effect: Effect::None,
        detail: format!("{what}: no answer within {READ_BOUND:?}"),
    }
}
