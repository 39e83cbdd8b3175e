//! Many members at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::json;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::set::{NAMESPACE, Set};
use super::test_cluster::{PODS, Pod, TestCluster, ensure, text};
use crate::Outcome;
use crate::install::until;

const CONFIG: &str = "/api/v1/namespaces/prod/configmaps";
/// The largest set of these scenarios.
const MEMBERS: u32 = 20;
/// EC2's token bucket for mutations: its capacity, and its refill per second.
const BURST: u32 = 3;
const REFILL: f64 = 1.0;

fn crowd_set() -> Set {
    Set { parallel: true, ..Set::new("crowd", MEMBERS) }
}

/// Has EC2 throttle Assign calls with a token bucket.
fn throttle(cluster: &TestCluster<'_>, refill: f64) -> Outcome<u64> {
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = Fault::Bucket { capacity: BURST, refill };
    cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))
}

pub(super) async fn twenty_members_restart_at_once_while_ec2_throttles(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let fault = throttle(cluster, REFILL)?;
    let set = crowd_set();
    cluster.create(&set).await?;
    let first = cluster.wait_all_ready(&set).await?;
    let held = addresses_of(cluster, &first).await?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;

    let (node, members) = fullest_node(&first)?;
    ensure(members > BURST, || format!("only {members} members are on {node}"))?;
    cluster.cordon(&[&node], true).await?;
    // These members have to move. Without refill, EC2 throttles at least one of them.
    let (fault, before) = (throttle(cluster, 0.0)?, cluster.last_call()?);
    let label = "app.kubernetes.io/name=crowd";
    cluster
        .admin
        .kubectl(&["-n", NAMESPACE, "delete", "pods", "-l", label, "--wait=false"])
        .await?;
    until("EC2 throttles", || async {
        let calls = cluster.vpc(|vpc| vpc.calls(before))?;
        ensure(calls.iter().any(is_throttled), || {
            format!("none of {} calls was throttled", calls.len())
        })
    })
    .await?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    let fault = throttle(cluster, REFILL)?;
    let mut second = Vec::new();
    for pod in &first {
        second.push(cluster.wait_ready(&pod.name, Some(pod)).await?);
    }
    let again = addresses_of(cluster, &second).await?;
    ensure(again == held, || format!("{again:?} after {held:?}"))?;
    let moved = first.iter().zip(&second).filter(|(old, new)| old.node != new.node).count();
    let changes = cluster.mutations(before)?;
    let effects = changes.iter().flat_map(|call| &call.effects).count();
    ensure(effects == moved, || format!("{effects} changes in EC2 for {moved} moved members"))?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    no_container_failed(cluster, &second).await?;
    cluster.cordon(&[&node], false).await?;
    cluster.delete(&set).await
}

/// The node with most of these pods, and their number.
fn fullest_node(pods: &[Pod]) -> Outcome<(String, u32)> {
    let mut all = BTreeMap::new();
    for pod in pods {
        *all.entry(pod.node.clone()).or_insert(0) += 1;
    }
    all.into_iter().max_by_key(|(_node, pods)| *pods).ok_or_else(|| "no pods".to_owned())
}

fn is_throttled(call: &vpcbox::protocol::Call) -> bool {
    call.code.as_deref() == Some("RequestLimitExceeded")
}

/// The address of each pod by name. Fails if two pods share one.
async fn addresses_of(
    cluster: &TestCluster<'_>,
    pods: &[Pod],
) -> Outcome<BTreeMap<String, Ipv4Addr>> {
    let mut all = BTreeMap::new();
    for pod in pods {
        all.insert(pod.name.clone(), cluster.wait_held(pod).await?.address);
    }
    let addresses: BTreeSet<_> = all.values().collect();
    ensure(addresses.len() == pods.len(), || format!("pods share addresses: {all:?}"))?;
    Ok(all)
}

/// Init containers retry while EC2 throttles; none exits with an error.
async fn no_container_failed(cluster: &TestCluster<'_>, pods: &[Pod]) -> Outcome {
    for pod in pods {
        until(&format!("no init container of {} failed", pod.name), || async {
            let object = cluster.pod(&pod.name).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            ensure(init["restartCount"] == 0, || init.to_string())
        })
        .await?;
    }
    Ok(())
}

/// Steps of an attach. Each member's init container is killed after another one; a first start has
/// all of them.
const STEPS: u32 = 18;

pub(super) async fn init_containers_killed_at_any_step_succeed_on_the_next_run(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let crash_map =
        |word: &str| json!({ "metadata": { "name": "crash" }, "data": { "word": word } });
    cluster.create_object(CONFIG, &crash_map("attach")).await?;
    let set = Set { parallel: true, crashes: true, ..Set::new("crashing", STEPS) };
    let before = cluster.last_call()?;
    cluster.create(&set).await?;
    wait_all_killed(cluster, &set).await?;
    let kind = "application/merge-patch+json";
    let change =
        cluster.admin.api.patch_as(kind, &format!("{CONFIG}/crash"), &crash_map("no")).await?;
    ensure(change.code == 200, || change.text)?;
    let pods = cluster.wait_all_ready(&set).await?;
    addresses_of(cluster, &pods).await?;
    let changes = cluster.mutations(before)?;
    let effects = changes.iter().flat_map(|call| &call.effects).count();
    ensure(effects == pods.len(), || {
        format!("{effects} changes in EC2 for {} members: {changes:?}", pods.len())
    })?;
    cluster.delete(&set).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "configmap", "crash"]).await?;
    cluster.reclaim_addresses_of(&[&crowd_set(), &set]).await
}

/// Waits until each init container of a set was observed as killed. Polls, because the status of a
/// killed container is gone once the next run succeeds.
async fn wait_all_killed(cluster: &TestCluster<'_>, set: &Set) -> Outcome {
    let seen = RefCell::new(BTreeSet::new());
    until("each init container was killed once", || async {
        // One list for all pods: the status of a killed container lasts only a moment.
        let pods = cluster.admin.get(PODS).await?;
        for object in pods["items"].as_array().into_iter().flatten() {
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            if ends.into_iter().any(|end| end["exitCode"] == 137) {
                seen.borrow_mut().insert(text(&object["metadata"]["name"]));
            }
        }
        let seen = seen.borrow();
        ensure(set.members().all(|member| seen.contains(&member)), || {
            format!("killed so far: {seen:?}")
        })
    })
    .await
}
