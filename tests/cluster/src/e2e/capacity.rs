//! Slots that nobody can use. A StatefulSet never moves a pod whose init container fails, so such a
//! slot would hold a member for good. The agents look at EC2 once a minute, so these scenarios take
//! minutes and run only if they are named.

use std::net::Ipv4Addr;

use firecamp_core::contract::tag;
use serde_json::json;
use vpcbox::vpc::Act;

use super::audit::Held;
use super::kubelet_restarts::Agents;
use super::set::Set;
use super::test_cluster::{POOLS, TestCluster, all_but, ensure, text};
use super::vpc_cni::{DEPLOYMENTS, Ordinary};
use crate::Outcome;
use crate::install::until;
use crate::topology::{CLUSTER, OTHER_SUBNET, WORKERS};

/// The resource of the default pool.
const RESOURCE: &str = "firecamp.io/static-ip";
/// The pool of another subnet, and its resource.
const OTHER_POOL: &str = "other";
const OTHER_RESOURCE: &str = "firecamp.io/static-ip-other";
/// The only interface in the other subnet.
const OTHER_ENI: &str = "eni-0000000000000c0b0";
const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 4, 12);
/// Beside the VPC CNI, the node with room for one interface for members, and the slots of that.
const SMALL: &str = "node-c";
const SLOTS: u32 = 9;

impl TestCluster<'_> {
    /// The capacity of a node; 0 if it has no such resource.
    pub(super) async fn offered(&self, node: &str, resource: &str) -> Outcome<u32> {
        let node = self.admin.get(&format!("/api/v1/nodes/{node}")).await?;
        Ok(text(&node["status"]["capacity"][resource]).parse().unwrap_or_default())
    }

    async fn wait_offered(&self, node: &str, resource: &str, wanted: u32) -> Outcome {
        until(&format!("{node} offers {wanted} of {resource}"), || async {
            let offered = self.offered(node, resource).await?;
            ensure(offered == wanted, || format!("it offers {offered}"))
        })
        .await
    }

    /// Sets or removes the cluster's tag of the primary interface of a node.
    fn tag_primary(&self, node: &str, tagged: bool) -> Outcome {
        let value = tagged.then(|| CLUSTER.to_owned());
        let (eni, key) = (self.primary(node)?, tag::CLUSTER.to_owned());
        self.vpc(|vpc| vpc.act(Act::TagEni { eni, key, value }))
    }
}

pub(super) async fn an_interface_without_tag_offers_what_runs_there_and_no_more(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let node = WORKERS[0].name;
    let set = Set { parallel: true, slots: 1, ..Set::new("stays", 3) };
    cluster.cordon(&all_but(node), true).await?;
    let members = cluster.start_members(&set).await?;
    cluster.cordon(&all_but(node), false).await?;
    let before = cluster.offered(node, RESOURCE).await?;
    ensure(before > set.replicas, || format!("{node} offers {before}"))?;
    cluster.tag_primary(node, false)?;
    cluster.wait_offered(node, RESOURCE, set.replicas).await?;
    let mut containers = Vec::new();
    for (pod, _held) in &members {
        containers.push(cluster.containers(pod).await?);
    }
    cluster.restart_kubelet(node, Agents::Run).await?;
    for ((pod, held), before) in members.iter().zip(&containers) {
        cluster.verify_undisturbed(pod, before).await?;
        let now = cluster.wait_held(pod).await?;
        ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    }
    let more = Set { parallel: true, slots: 1, ..Set::new("elsewhere", 3) };
    for (pod, _held) in cluster.start_members(&more).await? {
        ensure(pod.node != node, || format!("{pod:?} is on the node without room"))?;
    }
    cluster.delete(&more).await?;
    cluster.tag_primary(node, true)?;
    cluster.wait_offered(node, RESOURCE, before).await?;
    cluster.delete(&set).await
}

pub(super) async fn a_member_goes_to_the_node_that_has_an_interface_of_its_pool(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let node = WORKERS[1].name;
    let (first, last) = OTHER_SUBNET.range();
    let pool = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPPool",
        "metadata": { "name": OTHER_POOL },
        "spec": { "resource": OTHER_RESOURCE, "subnets": [{
            "subnet": OTHER_SUBNET.id,
            "cidr": OTHER_SUBNET.cidr(),
            "zone": OTHER_SUBNET.zone,
            "ranges": [{ "start": first, "end": last }],
        }] },
    });
    cluster.create_object(POOLS, &pool).await?;
    let set = Set {
        pool: OTHER_POOL,
        resource: OTHER_RESOURCE,
        slots: 1,
        ..Set::new("of-other-pool", 1)
    };
    cluster.create(&set).await?;
    until("the member waits for a node with an interface of its pool", || async {
        let pod = cluster.pod("of-other-pool-0").await?;
        let conditions = pod["status"]["conditions"].to_string();
        let waits = conditions.contains(&format!("Insufficient {OTHER_RESOURCE}"));
        ensure(waits, || pod["status"].to_string())
    })
    .await?;
    let (eni, tagged) = (OTHER_ENI.to_owned(), Some(CLUSTER.to_owned()));
    for act in [
        Act::CreateEni { id: eni.clone(), address: OTHER_ADDRESS },
        Act::TagEni { eni: eni.clone(), key: tag::CLUSTER.to_owned(), value: tagged },
        Act::AttachEni { eni: eni.clone(), node: node.to_owned(), device_index: 1 },
    ] {
        cluster.vpc(|vpc| vpc.act(act))?;
    }
    let pod = cluster.wait_ready("of-other-pool-0", None).await?;
    ensure(pod.node == node, || format!("{pod:?} instead of {node}"))?;
    let held = cluster.wait_held(&pod).await?;
    ensure(held.eni == OTHER_ENI, || format!("{held:?}"))?;
    for other in all_but(node) {
        let offered = cluster.offered(other, OTHER_RESOURCE).await?;
        ensure(offered == 0, || format!("{other} offers {offered}"))?;
    }
    cluster.delete(&set).await?;
    let address = held.address.to_string();
    cluster.admin.kubectl(&["-n", "prod", "delete", "sipc", "of-other-pool-0"]).await?;
    // Waits until the address is unassigned, or the next scenario would see that call.
    cluster.allow_unassign(held.address);
    cluster.admin.kubectl(&["delete", "staticip", &address, "--timeout=420s"]).await?;
    cluster.disallow_unassign(held.address);
    cluster.vpc(|vpc| vpc.act(Act::DeleteEni { eni }))?;
    cluster.admin.kubectl(&["delete", "staticippool", OTHER_POOL]).await.map(drop)
}

pub(super) async fn a_waiting_member_gets_the_slot_of_an_address_that_is_parked_on_a_full_interface(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, slots: 1, ..Set::new("parked", SLOTS) };
    let others = all_but(SMALL);
    cluster.cordon(&others, true).await?;
    let parked = cluster.start_members(&set).await?;
    cluster.delete(&set).await?;
    let (_pod, Held { eni, .. }) = parked.first().ok_or("no member")?;
    let before = cluster.last_call()?;
    let waiting = Set { slots: 1, ..Set::new("waiting", 1) };
    for (pod, held) in cluster.start_members(&waiting).await? {
        ensure(pod.node == SMALL && held.eni == *eni, || format!("{held:?} of {pod:?}"))?;
    }
    // One address is unassigned, and one is assigned. Before that, EC2 may refuse an Assign.
    let calls = cluster.mutations(before)?;
    let done: Vec<&str> =
        calls.iter().filter(|call| call.code.is_none()).map(|call| call.action.as_str()).collect();
    let expected = ["UnassignPrivateIpAddresses", "AssignPrivateIpAddresses"];
    ensure(done == expected, || format!("{done:?} instead of {expected:?}"))?;
    cluster.delete(&waiting).await?;
    for (pod, held) in cluster.start_members(&set).await? {
        let same = parked.iter().any(|(one, was)| {
            one.name == pod.name && was.address == held.address && was.eni == held.eni
        });
        ensure(same, || format!("{held:?} of {pod:?}, before {parked:?}"))?;
    }
    cluster.cordon(&others, false).await?;
    cluster.delete(&set).await?;
    // The members of other scenarios request no slot, so they would find the interface full.
    for (_pod, Held { address, .. }) in parked {
        cluster.vpc(|vpc| vpc.act(Act::Unassign { address }))?;
    }
    Ok(())
}

pub(super) async fn as_many_pods_as_the_kubelet_accepts_get_addresses_beside_a_member(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let others = all_but(SMALL);
    cluster.cordon(&others, true).await?;
    let set = Set { slots: 1, ..Set::new("among-pods", 1) };
    let members = cluster.start_members(&set).await?;
    cluster.cordon(&others, false).await?;
    let node = cluster.admin.get(&format!("/api/v1/nodes/{SMALL}")).await?;
    let most: usize = text(&node["status"]["capacity"]["pods"]).parse().unwrap_or_default();
    // The agent and the member are in the host network.
    let count = most.checked_sub(2).ok_or_else(|| node["status"].to_string())?;
    let pods = Ordinary { name: "most", node: SMALL };
    cluster.create_object(DEPLOYMENTS, &pods.object(count)).await?;
    cluster.wait_ordinary(&pods, count).await?;
    cluster.verify_apart().await?;
    for (pod, held) in &members {
        let now = cluster.wait_held(pod).await?;
        ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    }
    cluster.admin.kubectl(&["-n", "prod", "delete", "deployment", pods.name]).await?;
    cluster.delete(&set).await
}
