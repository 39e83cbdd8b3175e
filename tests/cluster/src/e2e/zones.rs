//! Workers in zones of their own: an address is of one of them for life, and so is its member.

use std::net::Ipv4Addr;

use super::examples::brokers;
use super::guide::Guide;
use super::scene::{ADDRESSES, Scene, all_but, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::install;
use crate::topology::{Layout, worker};

impl Scene<'_> {
    /// The address is of the zone that the node's label names, and of a subnet that is there.
    pub(super) async fn is_in_its_zone(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let labels = &self.admin.get(&format!("/api/v1/nodes/{node}")).await?["metadata"]["labels"];
        let zone = text(&labels["topology.kubernetes.io/zone"]);
        let at = worker(node)?.subnet(self.running.home.layout());
        ensure(zone == at.zone, || format!("{node} is in {zone}, not in {}", at.zone))?;
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        ensure(object["spec"]["zone"] == zone.as_str(), || object["spec"].to_string())
    }
}

/// On a cluster of its own: elsewhere an address may be at any node.
pub(super) async fn f020_members_stay_in_the_zones_of_their_addresses(
    scene: &Scene<'_>,
) -> Outcome {
    scene.elsewhere(("zones", Layout::Zones), spread).await
}

async fn spread(scene: &Scene<'_>) -> Outcome {
    install(scene.running, false).await?;
    a_member_that_strays_is_told_where_its_address_is(scene).await?;
    // One in each zone: the topology spread of kafka.yaml has three to spread over here.
    brokers(scene, &Guide::read(scene)?).await
}

async fn a_member_that_strays_is_told_where_its_address_is(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("stays", 1);
    scene.create(&set).await?;
    let old = scene.ready("stays-0", None).await?;
    let held = scene.holds(&old).await?;
    scene.is_in_its_zone(&old.node, held.address).await?;
    let before = scene.calls()?;
    scene.cordon(&[&old.node], true).await?;
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "stays-0"]).await?;
    let home = worker(&old.node)?.subnet(Layout::Zones).zone;
    let (address, of) = (held.address.to_string(), format!("(zone {home}); i-"));
    scene.refused(&set, 17, &[&address, &of, "has no ENI there"]).await?;
    scene.released(&old, &held).await?;
    let others = all_but(&old.node);
    scene.cordon(&others, true).await?;
    scene.cordon(&[&old.node], false).await?;
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "stays-0"]).await?;
    let next = scene.ready("stays-0", Some(&old)).await?;
    let now = scene.holds(&next).await?;
    ensure(next.node == old.node && now.address == held.address, || {
        format!("{now:?} on {} after {held:?} on {}", next.node, old.node)
    })?;
    scene.changed(before, 0)?;
    scene.cordon(&others, false).await?;
    scene.delete(&set).await
}
