//! A member's lifecycle with only the permissions of its service account.

use firecamp_core::ids::NodeName;
use firecamp_core::ports::Registry;
use firecamp_core::release::Releaser;
use firecamp_kube::{KubeStatusWriter, Source, Timeouts};
use serde_json::json;

use super::{Outcome, ensure, events};
use crate::cluster::Cluster;
use crate::lifecycle::{Site, attached, released};
use crate::samples::GROUP;

const CLAIMS: &str = "namespaces/prod/staticipclaims";

/// A first attach with the only pool, an attach of the next pod, a release, an Event, and the first
/// attach of a member with a claim of a user, which then is bound.
pub(super) async fn work(cluster: &Cluster, source: &Source) -> Outcome {
    let site = Site::new(cluster).await?;
    let registry = source.connect(Timeouts::default()).await.map_err(|w| format!("{w:?}"))?;
    let first = site.pod("redis-0", "node-a").await?;
    let address = attached(site.init(&first, &registry).await)?.address;
    let second = site.pod("redis-0", "node-b").await?;
    let again = attached(site.init(&second, &registry).await)?.address;
    ensure(address == again, || format!("{address}, then {again}"))?;
    site.delete(&second).await?;
    released(&site.stop(&second, &registry, Releaser::Stop).await)?;
    let left = registry.static_ip(address).await.map_err(|wrong| format!("{wrong:?}"))?;
    ensure(left.is_some(), || format!("{address} is gone"))?;
    let client = source.client(Timeouts::default()).await.map_err(|w| format!("{w:?}"))?;
    let node = NodeName::new("node-b").map_err(|wrong| wrong.to_string())?;
    let status_writer = KubeStatusWriter::new(client, Timeouts::default(), node);
    events::reported(&site, &status_writer, events::of_a_pod()).await?;
    binds_a_claim(&site, &registry, "node-b").await
}

/// The first attach of a member whose claim a person created.
pub(super) async fn binds_a_claim(
    site: &Site<'_>,
    registry: &impl Registry,
    node: &str,
) -> Outcome {
    let claim = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": { "name": "redis-1" },
        "spec": { "pool": "pool" },
    });
    let made = site.cluster.api.post(&format!("{GROUP}/{CLAIMS}"), &claim).await?;
    ensure(made.code == 201, || made.text)?;
    let pod = site.pod("redis-1", node).await?;
    let address = attached(site.init(&pod, registry).await)?.address;
    let claim = site.cluster.api.get(&format!("{GROUP}/{CLAIMS}/redis-1")).await?.json();
    ensure(claim["spec"]["address"] == address.to_string(), || claim.to_string())
}
