//! Racing init containers: complete state machines with their own connections.

use std::collections::BTreeSet;

use firecamp_engine::Ended;
use futures_util::future::join_all;

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::{Pod, Site, attached};
use crate::samples::GROUP;

/// Ten concurrent members in a pool of ten addresses: each gets a different one.
pub(super) async fn f072_members_that_start_concurrently_get_different_addresses(
    cluster: &Cluster,
) -> Outcome {
    let site = Site::new(cluster).await?;
    let mut pods = Vec::new();
    for index in 0..10 {
        let node = if index % 2 == 0 { "node-a" } else { "node-b" };
        pods.push(site.pod(&format!("redis-{index}"), node).await?);
    }
    let ends = join_all(pods.iter().map(|pod| init(&site, pod))).await;
    let mut taken = BTreeSet::new();
    for ended in ends {
        taken.insert(attached(ended)?.address);
    }
    ensure(taken.len() == 10, || format!("10 members got only the addresses {taken:?}"))?;
    let stored = cluster.api.get(&format!("{GROUP}/staticips")).await?.json();
    let items = stored["items"].as_array().cloned().unwrap_or_default();
    let owners: BTreeSet<String> =
        items.iter().map(|item| item["spec"]["claimRef"]["name"].to_string()).collect();
    ensure(items.len() == 10 && owners.len() == 10, || stored.to_string())
}

/// Two pods of a new member: the first was force-deleted while its init container still runs, and
/// the second is on another node. One of them gets the address, and no second address exists.
pub(super) async fn f072_two_init_containers_of_one_member_create_one_claim_and_one_address(
    cluster: &Cluster,
) -> Outcome {
    for _ in 0..10 {
        let site = Site::new(cluster).await?;
        let superseded = site.pod("redis-0", "node-a").await?;
        let pod = site.pod("redis-0", "node-b").await?;
        let (old, new) = tokio::join!(init(&site, &superseded), init(&site, &pod));
        let address = attached(new)?.address;
        ensure(attached(old.clone()).is_err(), || {
            format!("both pods attached; the first one: {old:?}")
        })?;
        for kind in ["staticips", "namespaces/prod/staticipclaims"] {
            let list = cluster.api.get(&format!("{GROUP}/{kind}")).await?.json();
            let count = list["items"].as_array().map_or(0, Vec::len);
            ensure(count == 1, || format!("{count} {kind}: {list}"))?;
        }
        let stored = site.stored(address).await?;
        let holder = &stored["spec"]["attachment"]["podUID"];
        ensure(*holder == pod.uid.as_str(), || stored.to_string())?;
    }
    Ok(())
}

async fn init(site: &Site<'_>, pod: &Pod) -> Ended {
    site.init(pod, site.cluster.registry().await).await
}
