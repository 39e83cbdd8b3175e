//! Reclaiming addresses. The grace periods take minutes, during which other scenarios run.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, CLAIMS, POOLS, TestCluster, ensure, text};
use crate::Outcome;
use crate::install::until;
use crate::topology::WORKERS;

/// All addresses of the pool `lent`.
const LENT: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 1, 130), Ipv4Addr::new(10, 0, 1, 131), Ipv4Addr::new(10, 0, 1, 132)];
/// The only address of the pool `kept`, which no other set uses.
const KEPT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 133);
/// The members that are removed by scaling down.
const SCALED: [&str; 2] = ["lent-1", "lent-2"];

fn lent_set() -> Set {
    Set { pool: "lent", ..Set::new("lent", 3) }
}

fn kept_set() -> Set {
    Set { pool: "kept", ..Set::new("kept", 1) }
}

impl TestCluster<'_> {
    async fn static_ip(&self, address: Ipv4Addr) -> Outcome<Value> {
        self.admin.get(&format!("{ADDRESSES}/{address}")).await
    }

    /// Waits until the claim's annotation names its StatefulSet.
    pub(super) async fn wait_owner(&self, member: &str, set: &str) -> Outcome {
        until(&format!("claim {member} names StatefulSet {set}"), || async {
            let claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
            let owner = text(&claim["metadata"]["annotations"]["firecamp.io/statefulset"]);
            ensure(owner == set, || claim.to_string())
        })
        .await
    }

    async fn wait_unassigned(&self, address: Ipv4Addr) -> Outcome {
        until(&format!("{address} leaves EC2"), || async {
            let owner = self.vpc(|vpc| vpc.address(address))?.and_then(|truth| truth.owner);
            ensure(owner.is_none(), || format!("EC2 has it on {owner:?}"))
        })
        .await
    }

    /// Waits until the address has left EC2 and then the registry, each after a grace period of
    /// minutes.
    async fn wait_reclaimed(&self, address: Ipv4Addr) -> Outcome {
        self.wait_unassigned(address).await?;
        until(&format!("{address} leaves the registry"), || async {
            let object = self.static_ip(address).await?;
            ensure(object.is_null(), || object.to_string())
        })
        .await?;
        let owner = self.vpc(|vpc| vpc.address(address))?.and_then(|truth| truth.owner);
        ensure(owner.is_none(), || format!("EC2 has {address} on {owner:?} again"))
    }

    /// Reclaims the addresses of deleted sets, because parked addresses still use slots of their
    /// nodes.
    pub(super) async fn reclaim_addresses_of(&self, sets: &[&Set]) -> Outcome {
        let members: Vec<String> = sets.iter().flat_map(|set| set.members()).collect();
        let (mut claims, mut addresses) = (Vec::new(), BTreeSet::new());
        let all = self.admin.get(CLAIMS).await?;
        for claim in all["items"].as_array().into_iter().flatten() {
            let name = text(&claim["metadata"]["name"]);
            if members.contains(&name) {
                addresses.insert(self.address(&name).await?);
                claims.push(name);
            }
        }
        let before = self.last_call()?;
        for address in &addresses {
            self.allow_unassign(*address);
        }
        self.begin_delete_objects("staticipclaim", &claims).await?;
        let words: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
        self.begin_delete_objects("staticip", &words).await?;
        for address in &addresses {
            self.wait_unassigned(*address).await?;
            self.disallow_unassign(*address);
        }
        let calls = self.vpc(|vpc| vpc.calls(before))?;
        let effects = calls.iter().flat_map(|call| &call.effects);
        let left = effects.filter(|effect| addresses.contains(&effect.address)).count();
        ensure(left == addresses.len(), || {
            format!("{left} changes in EC2 instead of one for each of {addresses:?}")
        })
    }

    /// Starts to delete these objects.
    async fn begin_delete_objects(&self, kind: &str, names: &[String]) -> Outcome {
        let names = names.iter().map(String::as_str);
        let words = ["-n", NAMESPACE, "delete", kind, "--wait=false"];
        let words: Vec<&str> = words.into_iter().chain(names).collect();
        self.admin.kubectl(&words).await.map(drop)
    }

    async fn wait_claim_deleted(&self, member: &str) -> Outcome {
        until(&format!("the claim of {member} is gone"), || async {
            let claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
            ensure(claim.is_null(), || claim.to_string())
        })
        .await
    }
}

fn pool(name: &str, (start, end): (Ipv4Addr, Ipv4Addr)) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPPool",
        "metadata": { "name": name },
        "spec": { "allowedNamespaces": { "from": "All" }, "subnets": [{
            "subnet": "subnet-0a1b2c3d4e5f60718",
            "cidr": "10.0.1.0/24",
            "zone": "us-east-1a",
            "ranges": [{ "start": start.to_string(), "end": end.to_string() }],
        }] },
    })
}

/// Addresses are reclaimed by their pool's policies (`lent`) and by a person (`kept`).
pub(super) async fn f076_reclaim_1_a_deleted_address_stays_while_a_pod_holds_it(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let delete = json!({ "whenDeleted": "Delete", "whenScaled": "Delete" });
    let mut lent_pool = pool("lent", (LENT[0], LENT[2]));
    lent_pool["spec"]["reclaimPolicy"] = json!("Delete");
    lent_pool["spec"]["claimRetentionPolicy"] = delete;
    for pool in [lent_pool, pool("kept", (KEPT, KEPT))] {
        cluster.create_object(POOLS, &pool).await?;
    }
    cluster.create(&lent_set()).await?;
    for pod in cluster.wait_all_ready(&lent_set()).await? {
        cluster.wait_held(&pod).await?;
        cluster.wait_owner(&pod.name, "lent").await?;
    }
    for address in LENT {
        cluster.allow_unassign(address);
    }
    cluster.scale(&lent_set(), 1).await?;
    cluster.create(&kept_set()).await?;
    let pod = cluster.wait_ready("kept-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    ensure(held.address == KEPT, || format!("kept-0 has {}", held.address))?;
    cluster.admin.kubectl(&["delete", "staticip", &KEPT.to_string(), "--wait=false"]).await?;
    let object = cluster.static_ip(KEPT).await?;
    ensure(object["metadata"]["deletionTimestamp"].is_string(), || object.to_string())?;
    ensure(cluster.wait_held(&pod).await? == held, || {
        "kept-0 no longer holds the same address".to_owned()
    })
}

/// Runs long after the claim, when kubelets have reported their nodes' addresses many times.
pub(super) async fn f070_a_member_address_does_not_change_the_internal_ip_of_its_node(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let pod = cluster.wait_ready("kept-0", None).await?;
    cluster.wait_held(&pod).await?;
    for worker in WORKERS {
        let node = cluster.admin.get(&format!("/api/v1/nodes/{}", worker.name)).await?;
        let all = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let internal: Vec<String> = all
            .iter()
            .filter(|one| one["type"] == "InternalIP")
            .map(|one| text(&one["address"]))
            .collect();
        let [own] = internal.as_slice() else { return Err(node["status"].to_string()) };
        let wanted = worker.address(cluster.running.home.layout()).to_string();
        ensure(*own == wanted, || {
            format!("InternalIP of {} is {own} instead of {wanted}", worker.name)
        })?;
    }
    Ok(())
}

pub(super) async fn f076_reclaim_2_the_object_stays_until_the_pod_is_gone(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let pod = cluster.wait_ready("kept-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    until("the condition Deletable of the address is InUse", || async {
        let object = cluster.static_ip(held.address).await?;
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let in_use = all.iter().any(|one| one["type"] == "Deletable" && one["reason"] == "InUse");
        ensure(in_use, || object.to_string())
    })
    .await?;
    cluster.allow_unassign(held.address);
    cluster.delete(&kept_set()).await?;
    verify_scale_down_reclaimed(cluster).await
}

/// The addresses of scaled-down members are reclaimed, and the next members acquire them anew.
async fn verify_scale_down_reclaimed(cluster: &TestCluster<'_>) -> Outcome {
    let first = cluster.address("lent-0").await?;
    for member in SCALED {
        cluster.wait_claim_deleted(member).await?;
    }
    for address in LENT.into_iter().filter(|address| *address != first) {
        cluster.wait_reclaimed(address).await?;
        for reason in ["ClaimDeletedAfterScaleDown", "UnassignedAfterClaim", "AddressReclaimed"] {
            cluster.wait_for_address_event(reason, address, 0).await?;
        }
    }
    cluster.scale(&lent_set(), 3).await?;
    let mut found = BTreeSet::new();
    for pod in cluster.wait_all_ready(&lent_set()).await? {
        found.insert(cluster.wait_held(&pod).await?.address);
    }
    ensure(found == BTreeSet::from(LENT), || format!("the members of lent have {found:?}"))?;
    ensure(cluster.address("lent-0").await? == first, || "lent-0 has another address".to_owned())?;
    for member in SCALED {
        cluster.wait_owner(member, "lent").await?;
    }
    cluster.delete(&lent_set()).await
}

pub(super) async fn f076_reclaim_3_unused_addresses_leave_ec2_and_then_the_registry(
    cluster: &TestCluster<'_>,
) -> Outcome {
    for member in lent_set().members() {
        cluster.wait_claim_deleted(&member).await?;
    }
    for address in LENT.into_iter().chain([KEPT]) {
        cluster.wait_reclaimed(address).await?;
    }
    for address in LENT {
        cluster.wait_for_address_event("ClaimDeletedWithStatefulSet", address, 0).await?;
    }
    verify_unassign_counts(cluster)?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "staticipclaim", "kept-0"]).await?;
    cluster.admin.kubectl(&["delete", "staticippool", "lent", "kept"]).await.map(drop)
}

/// Checks that each address was unassigned once per incarnation. In a round, the address of `kept`
/// has one incarnation, and the three addresses of `lent` have five.
fn verify_unassign_counts(cluster: &TestCluster<'_>) -> Outcome {
    let calls = cluster.vpc(|vpc| vpc.calls(0))?;
    let all: Vec<_> = calls.iter().flat_map(|call| &call.effects).collect();
    let unassigned = |address: &Ipv4Addr| {
        all.iter().filter(|effect| effect.address == *address && effect.after.is_none()).count()
    };
    let (lent, kept): (usize, usize) = (LENT.iter().map(unassigned).sum(), unassigned(&KEPT));
    ensure(kept > 0 && lent == 5 * kept, || {
        format!("addresses of lent were unassigned {lent} times, that of kept {kept} times")
    })
}
