//! What the agents do, step by step, through the code that they do it with.

mod adopts;
mod follows;
mod leads;
mod reports;
mod volumes;

use firecamp_core::outside::Registry as _;
use firecamp_core::release::Releaser;
use firecamp_kube::{KubeRegistry, Source, Timeouts};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::life::{Site, attached, released};

/// The node of the agent at work.
pub(in crate::checks) const NODE: &str = "node-a";

pub(super) async fn work(cluster: &Cluster, source: &Source) -> Outcome {
    let site = Site::new(cluster).await?;
    let registry = source.connect(Timeouts::default()).await.map_err(|w| format!("{w:?}"))?;
    follows::its_node(&site, &registry).await?;
    reports::its_node(&site, source).await?;
    volumes::of_its_pods(&site, source).await?;
    releases(&site, &registry).await?;
    leads::the_cluster(cluster, &registry).await?;
    adopts::what_nobody_claims(&registry).await
}

/// A pod is gone, and nobody has released its address.
async fn releases(site: &Site<'_>, registry: &KubeRegistry) -> Outcome {
    let pod = site.pod("redis-0", NODE).await?;
    let address = attached(site.init(&pod, site.cluster.registry().await).await)?.address;
    site.force_out(&pod).await?;
    released(&site.stop(&pod, registry, Releaser::Agent).await)?;
    let left = registry.static_ip(address).await.map_err(|wrong| format!("{wrong:?}"))?;
    let state = left.and_then(|stored| stored.object.attachment).map(|held| held.state);
    ensure(state == Some(firecamp_core::record::State::Parked), || format!("{state:?}"))
}
