//! Where the agent learns which static IPs and pods concern its node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Member;
use firecamp_core::outside::PodView;
use firecamp_core::record::{Pool, StaticIp, Stored};
use firecamp_registry::FileRegistry;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What a source tells in one answer. What could not be read is left out, and never taken for
/// absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The records that may concern the node.
    pub(crate) records: BTreeMap<Ipv4Addr, StaticIp>,
    /// The addresses whose records are there and cannot be read.
    pub(crate) unread: BTreeSet<Ipv4Addr>,
    /// The live pods of their members. One that is left out is not known.
    pub(crate) pods: BTreeMap<Member, PodView>,
    /// All pools, if they could all be read.
    pub(crate) pools: Option<Vec<Pool>>,
}

/// The static IPs and pods of a node, and changes of them.
pub(crate) trait Source: Send + Sync + 'static {
    /// Everything as it is now, or why nobody knows. `known` are addresses that the node's kernel
    /// or its locks have, whoever they belong to by now.
    fn look(
        &self,
        known: BTreeSet<Ipv4Addr>,
    ) -> impl Future<Output = Result<Listing, RegistryFailure>> + Send;

    /// Waits until something may have changed. Cancelling it loses nothing.
    fn changed(&self) -> impl Future<Output = ()> + Send;
}

/// How often files are looked at: they tell nobody of their changes.
const POLL: Duration = Duration::from_secs(1);

/// The file registry, in which a member's starter vouches for its pod.
#[derive(Debug)]
pub(crate) struct FileSource {
    registry: FileRegistry,
    poll: Mutex<Interval>,
}

impl FileSource {
    pub(crate) fn new(registry: FileRegistry) -> Self {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { registry, poll: Mutex::new(poll) }
    }
}

impl Source for FileSource {
    async fn look(&self, _known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        let mut listing = Listing::default();
        for (address, read) in self.registry.static_ips().await? {
            match read {
                Ok(Stored { object, .. }) => {
                    listing.pods.insert(object.member.clone(), PodView::Vouched);
                    listing.records.insert(address, object);
                }
                Err(why) => {
                    tracing::warn!(%address, error = %why, "A record cannot be read");
                    listing.unread.insert(address);
                }
            }
        }
        match self.registry.pools().await {
            Ok(pools) => listing.pools = Some(pools),
            Err(why) => tracing::warn!(error = %why, "The pools cannot be read"),
        }
        Ok(listing)
    }

    async fn changed(&self) {
        self.poll.lock().await.tick().await;
    }
}
