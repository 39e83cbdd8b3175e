//! Pods that have a member's name, and are not the member.

use serde_json::{Value, json};

use super::audit::Held;
use super::scene::{ADDRESSES, CLAIMS, PODS, Pod, Scene, ensure};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::until;

/// Whose namespace it is has members of its own, and wants those of others.
pub(super) const TENANT: &str = "tenant";

/// A pod like the set's first member that nobody controls. With the labels of its set's pods the
/// set would adopt it, and end it if it wants none.
fn bare(set: &Set) -> Value {
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

/// The same pod, whose containers say that they are in another namespace.
fn lying(set: &Set, namespace: &str) -> Value {
    let mut pod = bare(set);
    let init = pod["spec"]["initContainers"].as_array_mut();
    for container in init.into_iter().flatten() {
        let env = container["env"].as_array_mut();
        for one in env.into_iter().flatten().filter(|one| one["name"] == "K8S_NAMESPACE") {
            *one = json!({ "name": "K8S_NAMESPACE", "value": namespace });
        }
    }
    pod
}

impl Scene<'_> {
    /// What decides about a member: its claim with whose that is, and its address.
    async fn decided(&self, member: &str, held: &Held) -> Outcome<[Value; 3]> {
        let mut claim = self.admin.get(&format!("{CLAIMS}/{member}")).await?;
        let mut address = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
        let annotations = claim["metadata"]["annotations"].take();
        Ok([claim["spec"].take(), annotations, address["spec"].take()])
    }

    /// Deletes the pod of the set's first member, whoever made it.
    async fn vacate(&self, set: &Set) -> Outcome {
        let pod = format!("{}-0", set.name);
        let words =
            ["-n", set.namespace, "delete", "pod", &pod, "--grace-period=1", "--wait=false"];
        self.admin.kubectl(&words).await?;
        self.vacant(set).await
    }

    /// Waits until there is no pod of the set's first member's name.
    async fn vacant(&self, set: &Set) -> Outcome {
        let place = format!("/api/v1/namespaces/{}/pods/{}-0", set.namespace, set.name);
        until(&format!("no {place}"), || async {
            let object = self.admin.get(&place).await?;
            ensure(object.is_null(), || object["status"].to_string())
        })
        .await
    }
}

pub(super) async fn f105_a_pod_that_the_claims_set_does_not_control_gets_nothing_of_it(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("bound", 1);
    let all = scene.started(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    scene.owned(&pod.name, set.name).await?;
    scene.scale(&set, 0).await?;
    scene.vacant(&set).await?;
    scene.released(pod, held).await?;
    let (calls, before) = (scene.calls()?, scene.decided(&pod.name, held).await?);

    scene.made(PODS, &bare(&set)).await?;
    let words = ["is bound to StatefulSet bound", "controlled by nothing", "annotation"];
    scene.refused(&set, 24, &words).await?;
    scene.vacate(&set).await?;
    foreign(scene, &set, pod, held).await?;

    let after = scene.decided(&pod.name, held).await?;
    ensure(after == before, || format!("{after:?} after {before:?}"))?;
    scene.released(pod, held).await?;
    scene.changed(calls, 0)?;
    again(scene, &set, pod, held).await
}

/// Somebody copies names, labels and annotations, and asks for the address.
async fn foreign(scene: &Scene<'_>, set: &Set, pod: &Pod, held: &Held) -> Outcome {
    scene.settle(TENANT).await?;
    let theirs = Set { namespace: TENANT, ..set.clone() };
    let pods = PODS.replace(NAMESPACE, TENANT);
    scene.made(&pods, &lying(&theirs, NAMESPACE)).await?;
    scene.refused(&theirs, 22, &["forbidden", "staticipclaims"]).await?;
    scene.vacate(&theirs).await?;

    let claim = scene.admin.get(&format!("{CLAIMS}/{}", pod.name)).await?;
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
    scene.made(&CLAIMS.replace(NAMESPACE, TENANT), &copied).await?;
    scene.made(&super::scene::SETS.replace(NAMESPACE, TENANT), &theirs.object()).await?;
    let asks = format!("tenant/bound-0 requests {}", held.address);
    scene.refused(&theirs, 11, &[&asks, "names the member"]).await?;
    scene.unsettle(TENANT).await
}

/// The set itself gets the address back: scaled up, and made again under another UID.
async fn again(scene: &Scene<'_>, set: &Set, pod: &Pod, held: &Held) -> Outcome {
    scene.scale(set, 1).await?;
    let next = scene.ready(&pod.name, Some(pod)).await?;
    let now = scene.holds(&next).await?;
    ensure(now.address == held.address, || format!("{now:?} after {held:?}"))?;
    scene.delete(set).await?;
    scene.create(set).await?;
    let last = scene.ready(&pod.name, Some(&next)).await?;
    let now = scene.holds(&last).await?;
    ensure(now.address == held.address, || format!("{now:?} after {held:?}"))?;
    scene.delete(set).await
}
