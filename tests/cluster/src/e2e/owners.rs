//! Pods with a member's name that do not belong to the member's StatefulSet.

use serde_json::{Value, json};

use super::audit::Held;
use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, CLAIMS, PODS, Pod, TestCluster, ensure};
use crate::Outcome;
use crate::install::until;

/// A namespace with member permissions whose user tries to get addresses of others.
pub(super) const TENANT: &str = "tenant";

/// A pod like the set's first member but without a controller. It has no labels of the set, because
/// the set would adopt it and delete it when scaled to 0.
fn uncontrolled_pod(set: &Set) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-0", set.name),
            "namespace": set.namespace,
            "labels": { "apps.kubernetes.io/pod-index": "0" },
        },
        "spec": set.object()["spec"]["template"]["spec"],
    })
}

/// The same pod, but its environment claims another namespace.
fn pod_claiming_namespace(set: &Set, namespace: &str) -> Value {
    let mut pod = uncontrolled_pod(set);
    let init = pod["spec"]["initContainers"].as_array_mut();
    for container in init.into_iter().flatten() {
        let env = container["env"].as_array_mut();
        for one in env.into_iter().flatten().filter(|one| one["name"] == "K8S_NAMESPACE") {
            *one = json!({ "name": "K8S_NAMESPACE", "value": namespace });
        }
    }
    pod
}

impl TestCluster<'_> {
    /// A member's claim, the claim's annotations, and its address record.
    async fn claim_and_address(&self, member: &str, held: &Held) -> Outcome<[Value; 3]> {
        let mut claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
        let mut address = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
        let annotations = claim["metadata"]["annotations"].take();
        Ok([claim["spec"].take(), annotations, address["spec"].take()])
    }

    /// Deletes the pod with the name of the set's first member.
    async fn delete_first_pod(&self, set: &Set) -> Outcome {
        let pod = format!("{}-0", set.name);
        let words =
            ["-n", set.namespace, "delete", "pod", &pod, "--grace-period=1", "--wait=false"];
        self.admin.kubectl(&words).await?;
        self.wait_no_first_pod(set).await
    }

    /// Waits until no pod has the name of the set's first member.
    async fn wait_no_first_pod(&self, set: &Set) -> Outcome {
        let place = format!("/api/v1/namespaces/{}/pods/{}-0", set.namespace, set.name);
        until(&format!("{place} is gone"), || async {
            let object = self.admin.get(&place).await?;
            ensure(object.is_null(), || object["status"].to_string())
        })
        .await
    }
}

pub(super) async fn f105_a_pod_not_controlled_by_the_claims_set_gets_no_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("bound", 1);
    let all = cluster.start_members(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    cluster.wait_owner(&pod.name, set.name).await?;
    cluster.scale(&set, 0).await?;
    cluster.wait_no_first_pod(&set).await?;
    cluster.wait_released(pod, held).await?;
    let (calls, before) = (cluster.last_call()?, cluster.claim_and_address(&pod.name, held).await?);

    cluster.create_object(PODS, &uncontrolled_pod(&set)).await?;
    let words = ["is bound to StatefulSet bound", "controlled by nothing", "annotation"];
    cluster.refused(&set, 24, &words).await?;
    cluster.delete_first_pod(&set).await?;
    verify_foreign_namespace_refused(cluster, &set, pod, held).await?;

    let after = cluster.claim_and_address(&pod.name, held).await?;
    ensure(after == before, || format!("{after:?} after {before:?}"))?;
    cluster.wait_released(pod, held).await?;
    cluster.verify_mutations(calls, 0)?;
    verify_set_recovers(cluster, &set, pod, held).await
}

/// A user of another namespace copies names, labels and annotations, and requests the address.
async fn verify_foreign_namespace_refused(
    cluster: &TestCluster<'_>,
    set: &Set,
    pod: &Pod,
    held: &Held,
) -> Outcome {
    cluster.create_member_namespace(TENANT).await?;
    let theirs = Set { namespace: TENANT, ..set.clone() };
    let pods = PODS.replace(NAMESPACE, TENANT);
    cluster.create_object(&pods, &pod_claiming_namespace(&theirs, NAMESPACE)).await?;
    cluster.refused(&theirs, 22, &["forbidden", "staticipclaims"]).await?;
    cluster.delete_first_pod(&theirs).await?;

    let claim = cluster.admin.get(&format!("{CLAIMS}/{}", pod.name)).await?;
    let copied = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": {
            "name": pod.name,
            "namespace": TENANT,
            "annotations": claim["metadata"]["annotations"],
        },
        "spec": { "pool": set.pool, "requestedAddress": held.address.to_string() },
    });
    cluster.create_object(&CLAIMS.replace(NAMESPACE, TENANT), &copied).await?;
    cluster
        .create_object(&super::test_cluster::SETS.replace(NAMESPACE, TENANT), &theirs.object())
        .await?;
    let asks = format!("tenant/bound-0 requests {}", held.address);
    cluster.refused(&theirs, 11, &[&asks, "names the member"]).await?;
    cluster.delete_member_namespace(TENANT).await
}

/// The set itself gets the address again: scaled up, and recreated with another UID.
async fn verify_set_recovers(
    cluster: &TestCluster<'_>,
    set: &Set,
    pod: &Pod,
    held: &Held,
) -> Outcome {
    cluster.scale(set, 1).await?;
    let next = cluster.wait_ready(&pod.name, Some(pod)).await?;
    let now = cluster.wait_held(&next).await?;
    ensure(now.address == held.address, || format!("{now:?} after {held:?}"))?;
    cluster.delete(set).await?;
    cluster.create(set).await?;
    let last = cluster.wait_ready(&pod.name, Some(&next)).await?;
    let now = cluster.wait_held(&last).await?;
    ensure(now.address == held.address, || format!("{now:?} after {held:?}"))?;
    cluster.delete(set).await
}
