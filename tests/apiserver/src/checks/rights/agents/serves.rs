//! What an agent does for the members of its node that ask at its endpoint.

use firecamp_core::contract::endpoint::AUDIENCE;
use firecamp_core::ports::{PodAuthority as _, Review, ReviewedPod};
use firecamp_core::release::Releaser;
use firecamp_kube::KubeRegistry;
use serde_json::json;

use super::{NODE, Outcome, ensure};
use crate::checks::rights::members;
use crate::cluster::Cluster;
use crate::lifecycle::{ACCOUNT, Pod, Site, attached, released};
use crate::samples::GROUP;

/// Reviews the token of a new member's pod, attaches and releases its address, and binds the claim
/// that a person created for another one.
pub(super) async fn its_members(cluster: &Cluster, registry: &KubeRegistry) -> Outcome {
    let site = Site::new(cluster).await?;
    let pod = site.pod("redis-5", NODE).await?;
    knows(&site, registry, &pod).await?;
    attached(site.init(&pod, registry).await)?;
    site.delete(&pod).await?;
    released(&site.stop(&pod, registry, Releaser::Stop).await)?;
    members::binds_a_claim(&site, registry, NODE).await
}

/// A token for the endpoint names its pod and node; one for the API server is refused.
async fn knows(site: &Site<'_>, registry: &KubeRegistry, pod: &Pod) -> Outcome {
    let wrong = |failure| format!("{failure:?}");
    let bound = Some((pod.member.name(), pod.uid.as_str()));
    let token = site.cluster.issue("prod", ACCOUNT, (bound, Some(AUDIENCE))).await?;
    let node = NODE.parse().map_err(|why| format!("{why}"))?;
    let known = ReviewedPod { member: pod.member.clone(), pod: pod.uid.clone(), node: Some(node) };
    let review = registry.review(&token).await.map_err(wrong)?;
    ensure(review == Review::Pod(known), || format!("{review:?}"))?;
    let other = site.cluster.issue("prod", ACCOUNT, (bound, None)).await?;
    let review = registry.review(&other).await.map_err(wrong)?;
    ensure(matches!(review, Review::Refused(_)), || format!("{review:?}"))?;
    let unbound = site.cluster.issue("prod", ACCOUNT, (None, Some(AUDIENCE))).await?;
    let review = registry.review(&unbound).await.map_err(wrong)?;
    ensure(matches!(review, Review::Refused(_)), || format!("{review:?}"))?;
    let approved = registry.approved_pool(&pod.member, None).await.map_err(wrong)?;
    let named = |why: &String| why.contains("does not allow namespace prod");
    ensure(approved.as_ref().err().is_some_and(named), || format!("{approved:?}"))?;
    let pools = format!("{GROUP}/staticippools");
    let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": "prod" } });
    let allowed = json!({ "from": "Selector", "selector": selector });
    let open = json!([{ "op": "add", "path": "/spec/allowedNamespaces", "value": allowed }]);
    for pool in site.vpc.registry.snapshot().pools.keys() {
        let path = format!("{pools}/{pool}");
        let changed = site.cluster.api.patch(&path, &open).await?;
        ensure(changed.code == 200, || changed.text)?;
    }
    let approved = registry.approved_pool(&pod.member, None).await.map_err(wrong)?;
    ensure(approved.is_ok(), || format!("{approved:?}"))?;
    let found = registry.asking_pod(&pod.member).await.map_err(wrong)?;
    ensure(found.as_ref().is_some_and(|found| found.pod == pod.uid), || format!("{found:?}"))
}
