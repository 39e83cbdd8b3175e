//! The work of the agents, step by step, through their own code.

mod adopts;
mod follows;
mod interfaces;
mod leads;
mod names;
mod reports;
mod serves;
mod volumes;

use firecamp_core::ports::Registry as _;
use firecamp_core::release::Releaser;
use firecamp_kube::{KubeRegistry, Source, Timeouts};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::{Site, attached, released};

/// The node of the agent.
pub(in crate::checks) const NODE: &str = "node-a";

pub(super) async fn work(cluster: &Cluster, source: &Source) -> Outcome {
    let site = Site::new(cluster).await?;
    let registry = source.connect(Timeouts::default()).await.map_err(|w| format!("{w:?}"))?;
    follows::its_node(&site, &registry).await?;
    reports::its_node(&site, source).await?;
    volumes::of_its_pods(&site, source).await?;
    releases(&site, &registry).await?;
    interfaces::of_its_node(&site, &registry).await?;
    leads::the_cluster(cluster, &registry).await?;
    names::of_members(cluster, &registry).await?;
    adopts::orphaned_address(&registry).await?;
    serves::its_members(cluster, &registry).await
}

/// The agent releases the address of a deleted pod.
async fn releases(site: &Site<'_>, registry: &KubeRegistry) -> Outcome {
    let pod = site.pod("redis-0", NODE).await?;
    let address = attached(site.init(&pod, site.cluster.registry().await).await)?.address;
    site.force_out(&pod).await?;
    released(&site.stop(&pod, registry, Releaser::Agent).await)?;
    let left = registry.static_ip(address).await.map_err(|wrong| format!("{wrong:?}"))?;
    let state = left.and_then(|stored| stored.object.attachment).map(|held| held.state);
    ensure(state == Some(firecamp_core::record::State::Parked), || format!("{state:?}"))
}
