//! Addresses that are given back. That takes minutes of grace, which pass during other scenarios.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::scene::{ADDRESSES, CLAIMS, POOLS, Scene, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::until;
use crate::topology::WORKERS;

/// The addresses of a pool that lends them.
const LENT: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 0, 1, 130), Ipv4Addr::new(10, 0, 1, 131), Ipv4Addr::new(10, 0, 1, 132)];
/// The only one of a pool that nobody else asks: who gives it back is the last to have it.
const KEPT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 133);
/// The members that are scaled away.
const SCALED: [&str; 2] = ["lent-1", "lent-2"];

fn lent() -> Set {
    Set { pool: "lent", ..Set::new("lent", 3) }
}

fn kept() -> Set {
    Set { pool: "kept", ..Set::new("kept", 1) }
}

impl Scene<'_> {
    async fn static_ip(&self, address: Ipv4Addr) -> Outcome<Value> {
        self.admin.get(&format!("{ADDRESSES}/{address}")).await
    }

    /// Waits until the StatefulSet that a claim goes with is on record.
    pub(super) async fn owned(&self, member: &str, set: &str) -> Outcome {
        until(&format!("the owner of claim {member}"), || async {
            let claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
            let owner = text(&claim["metadata"]["annotations"]["firecamp.io/statefulset"]);
            ensure(owner == set, || claim.to_string())
        })
        .await
    }

    async fn leaves_ec2(&self, address: Ipv4Addr) -> Outcome {
        until(&format!("{address} leaves EC2"), || async {
            let owner = self.vpc(|vpc| vpc.address(address))?.and_then(|truth| truth.owner);
            ensure(owner.is_none(), || format!("EC2 has it on {owner:?}"))
        })
        .await
    }

    /// Waits until EC2 does not have it, and then until the registry does not: minutes of grace
    /// pass before either.
    async fn becomes_free(&self, address: Ipv4Addr) -> Outcome {
        self.leaves_ec2(address).await?;
        until(&format!("{address} leaves the registry"), || async {
            let object = self.static_ip(address).await?;
            ensure(object.is_null(), || object.to_string())
        })
        .await?;
        let owner = self.vpc(|vpc| vpc.address(address))?.and_then(|truth| truth.owner);
        ensure(owner.is_none(), || format!("EC2 has {address} on {owner:?} again"))
    }

    /// Gives back what the members of these sets had, who are gone: nodes have room for so many,
    /// and what is parked for nobody takes some of it.
    pub(super) async fn makes_room(&self, sets: &[&Set]) -> Outcome {
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
        let before = self.calls()?;
        for address in &addresses {
            self.give_back(*address);
        }
        self.remove("staticipclaim", &claims).await?;
        let words: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
        self.remove("staticip", &words).await?;
        for address in &addresses {
            self.leaves_ec2(*address).await?;
            self.given_back(*address);
        }
        let calls = self.vpc(|vpc| vpc.calls(before))?;
        let effects = calls.iter().flat_map(|call| &call.effects);
        let left = effects.filter(|effect| addresses.contains(&effect.address)).count();
        ensure(left == addresses.len(), || format!("{left} changes of {addresses:?}"))
    }

    /// Begins to delete these.
    async fn remove(&self, kind: &str, names: &[String]) -> Outcome {
        let names = names.iter().map(String::as_str);
        let words = ["-n", NAMESPACE, "delete", kind, "--wait=false"];
        let words: Vec<&str> = words.into_iter().chain(names).collect();
        self.admin.kubectl(&words).await.map(drop)
    }

    async fn loses_its_claim(&self, member: &str) -> Outcome {
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
        "spec": { "subnets": [{
            "subnet": "subnet-0a1b2c3d4e5f60718",
            "cidr": "10.0.1.0/24",
            "zone": "us-east-1a",
            "ranges": [{ "start": start.to_string(), "end": end.to_string() }],
        }] },
    })
}

/// By its pool's policies, and by a person's hand.
pub(super) async fn f076_given_back_1_while_a_pod_has_the_address(scene: &Scene<'_>) -> Outcome {
    let delete = json!({ "whenDeleted": "Delete", "whenScaled": "Delete" });
    let mut lends = pool("lent", (LENT[0], LENT[2]));
    lends["spec"]["reclaimPolicy"] = json!("Delete");
    lends["spec"]["claimRetentionPolicy"] = delete;
    for pool in [lends, pool("kept", (KEPT, KEPT))] {
        scene.made(POOLS, &pool).await?;
    }
    scene.create(&lent()).await?;
    for pod in scene.all_ready(&lent()).await? {
        scene.holds(&pod).await?;
        scene.owned(&pod.name, "lent").await?;
    }
    for address in LENT {
        scene.give_back(address);
    }
    scene.scale(&lent(), 1).await?;
    scene.create(&kept()).await?;
    let pod = scene.ready("kept-0", None).await?;
    let held = scene.holds(&pod).await?;
    ensure(held.address == KEPT, || format!("kept-0 has {}", held.address))?;
    scene.admin.kubectl(&["delete", "staticip", &KEPT.to_string(), "--wait=false"]).await?;
    let object = scene.static_ip(KEPT).await?;
    ensure(object["metadata"]["deletionTimestamp"].is_string(), || object.to_string())?;
    ensure(scene.holds(&pod).await? == held, || "it has changed".to_owned())
}

/// Long after the claim: kubelets have told of their nodes' addresses many times.
pub(super) async fn f070_a_node_with_a_members_address_keeps_its_own(scene: &Scene<'_>) -> Outcome {
    let pod = scene.ready("kept-0", None).await?;
    scene.holds(&pod).await?;
    for worker in WORKERS {
        let node = scene.admin.get(&format!("/api/v1/nodes/{}", worker.name)).await?;
        let all = node["status"]["addresses"].as_array().cloned().unwrap_or_default();
        let internal: Vec<String> = all
            .iter()
            .filter(|one| one["type"] == "InternalIP")
            .map(|one| text(&one["address"]))
            .collect();
        let [own] = internal.as_slice() else { return Err(node["status"].to_string()) };
        let wanted = worker.address(scene.running.home.layout()).to_string();
        ensure(*own == wanted, || format!("{} has {own}", worker.name))?;
    }
    Ok(())
}

pub(super) async fn f076_given_back_2_the_object_stays_until_the_pod_is_gone(
    scene: &Scene<'_>,
) -> Outcome {
    let pod = scene.ready("kept-0", None).await?;
    let held = scene.holds(&pod).await?;
    until("its status says what it waits for", || async {
        let object = scene.static_ip(held.address).await?;
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let reported = all.iter().any(|one| one["type"] == "Deletable" && one["reason"] == "InUse");
        ensure(reported, || object.to_string())
    })
    .await?;
    scene.give_back(held.address);
    scene.delete(&kept()).await?;
    scaled_back(scene).await
}

/// Members that were scaled away have given their addresses back: new ones take new ones.
async fn scaled_back(scene: &Scene<'_>) -> Outcome {
    let first = scene.address("lent-0").await?;
    for member in SCALED {
        scene.loses_its_claim(member).await?;
    }
    for address in LENT.into_iter().filter(|address| *address != first) {
        scene.becomes_free(address).await?;
        for reason in ["ClaimDeletedAfterScaleDown", "UnassignedAfterClaim", "AddressReclaimed"] {
            scene.tells_of_address(reason, address, 0).await?;
        }
    }
    scene.scale(&lent(), 3).await?;
    let mut found = BTreeSet::new();
    for pod in scene.all_ready(&lent()).await? {
        found.insert(scene.holds(&pod).await?.address);
    }
    ensure(found == BTreeSet::from(LENT), || format!("they have {found:?}"))?;
    ensure(scene.address("lent-0").await? == first, || "lent-0 has another one".to_owned())?;
    for member in SCALED {
        scene.owned(member, "lent").await?;
    }
    scene.delete(&lent()).await
}

pub(super) async fn f076_given_back_3_what_nobody_has_leaves_ec2_and_then_the_registry(
    scene: &Scene<'_>,
) -> Outcome {
    for member in lent().members() {
        scene.loses_its_claim(&member).await?;
    }
    for address in LENT.into_iter().chain([KEPT]) {
        scene.becomes_free(address).await?;
    }
    for address in LENT {
        scene.tells_of_address("ClaimDeletedWithStatefulSet", address, 0).await?;
    }
    given_and_taken(scene)?;
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "staticipclaim", "kept-0"]).await?;
    scene.admin.kubectl(&["delete", "staticippool", "lent", "kept"]).await.map(drop)
}

/// Each address was given back once for each life: in a round, the one of a single member has one,
/// and the three that are lent have five.
fn given_and_taken(scene: &Scene<'_>) -> Outcome {
    let calls = scene.vpc(|vpc| vpc.calls(0))?;
    let all: Vec<_> = calls.iter().flat_map(|call| &call.effects).collect();
    let given = |address: &Ipv4Addr| {
        all.iter().filter(|effect| effect.address == *address && effect.after.is_none()).count()
    };
    let (lent, kept): (usize, usize) = (LENT.iter().map(given).sum(), given(&KEPT));
    ensure(kept > 0 && lent == 5 * kept, || format!("given back: {lent} and {kept} times"))
}
