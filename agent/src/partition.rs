//! Investigates an address that EC2 does not show where it was attached.

use std::time::Duration;

use firecamp_controllers::node::{Finding, LostAddress};
use firecamp_core::ports::{Cloud, Registry};
use tokio::time::timeout;

/// A registry that does not answer within this is unavailable: the check is to take a few seconds.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the registry first: while it answers, it alone decides.
pub(crate) async fn investigate(
    lost: &LostAddress,
    (cloud, registry): (&impl Cloud, &impl Registry),
) -> Finding {
    let read = timeout(REGISTRY_TIMEOUT, registry.static_ip(lost.address)).await;
    let read = read.ok().map(|read| read.map(|found| found.map(|stored| stored.object)));
    if let Some(finding) = lost.finding_by_record(read.as_ref()) {
        return finding;
    }
    if lost.withheld {
        return Finding::Unknown;
    }
    lost.finding_by_owner(cloud.owner(lost.address, &lost.subnet).await)
}
