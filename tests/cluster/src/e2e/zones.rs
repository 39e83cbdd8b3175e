//! Workers in different zones: an address, and thus its member, stays in one zone for life.

use std::net::Ipv4Addr;

use super::examples::kafka_example;
use super::guide::Guide;
use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::install::install;
use crate::topology::{Layout, worker};

impl TestCluster<'_> {
    /// Checks that the address is in the node's zone and that the node's label is right.
    pub(super) async fn verify_zone(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let labels = &self.admin.get(&format!("/api/v1/nodes/{node}")).await?["metadata"]["labels"];
        let zone = text(&labels["topology.kubernetes.io/zone"]);
        let at = worker(node)?.subnet(self.running.home.layout());
        ensure(zone == at.zone, || format!("{node} is in {zone}, not in {}", at.zone))?;
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        ensure(object["spec"]["zone"] == zone.as_str(), || object["spec"].to_string())
    }
}

/// Runs on a new cluster of its own: on the shared cluster an address can move to any node.
pub(super) async fn f020_members_stay_in_the_zones_of_their_addresses(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.on_further_cluster(("zones", Layout::Zones), run_in_zones).await
}

async fn run_in_zones(cluster: &TestCluster<'_>) -> Outcome {
    install(cluster.running, false).await?;
    a_member_in_another_zone_reports_the_zone_of_its_address(cluster).await?;
    // Here the topology spread constraint of kafka.yaml has three zones.
    kafka_example(cluster, &Guide::read(cluster)?).await
}

async fn a_member_in_another_zone_reports_the_zone_of_its_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("stays", 1);
    cluster.create(&set).await?;
    let old = cluster.wait_ready("stays-0", None).await?;
    let held = cluster.wait_held(&old).await?;
    cluster.verify_zone(&old.node, held.address).await?;
    let before = cluster.last_call()?;
    cluster.cordon(&[&old.node], true).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "stays-0"]).await?;
    let home = worker(&old.node)?.subnet(Layout::Zones).zone;
    let (address, of) = (held.address.to_string(), format!("(zone {home}); i-"));
    cluster.refused(&set, 17, &[&address, &of, "has no ENI there"]).await?;
    cluster.wait_released(&old, &held).await?;
    let others = all_but(&old.node);
    cluster.cordon(&others, true).await?;
    cluster.cordon(&[&old.node], false).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "stays-0"]).await?;
    let next = cluster.wait_ready("stays-0", Some(&old)).await?;
    let now = cluster.wait_held(&next).await?;
    ensure(next.node == old.node && now.address == held.address, || {
        format!("{now:?} on {} after {held:?} on {}", next.node, old.node)
    })?;
    cluster.verify_mutations(before, 0)?;
    cluster.cordon(&others, false).await?;
    cluster.delete(&set).await
}
