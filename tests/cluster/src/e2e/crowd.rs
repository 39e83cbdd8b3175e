//! Many members at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::json;
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::scene::{PODS, Pod, Scene, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::until;

const CONFIG: &str = "/api/v1/namespaces/prod/configmaps";
/// So many as one service has at most here.
const MEMBERS: u32 = 20;
/// What EC2 takes of calls that change something: so many at once, and then so many a second.
const AT_ONCE: u32 = 3;
const A_SECOND: f64 = 1.0;

fn crowd() -> Set {
    Set { parallel: true, ..Set::new("crowd", MEMBERS) }
}

/// EC2 takes that many calls at once that assign, and then that many a second.
fn throttle(scene: &Scene<'_>, refill: f64) -> Outcome<u64> {
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = Fault::Bucket { capacity: AT_ONCE, refill };
    scene.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))
}

pub(super) async fn twenty_members_that_restart_at_once_all_come_back_though_ec2_throttles(
    scene: &Scene<'_>,
) -> Outcome {
    let fault = throttle(scene, A_SECOND)?;
    let set = crowd();
    scene.create(&set).await?;
    let first = scene.all_ready(&set).await?;
    let held = all_hold(scene, &first).await?;
    scene.vpc(|vpc| vpc.fault_clear(Some(fault)))?;

    let (node, members) = crowded(&first)?;
    ensure(members > AT_ONCE, || format!("no more than {members} are on {node}"))?;
    scene.cordon(&[&node], true).await?;
    // These have to move, and EC2 takes fewer: nobody is so slow that none is refused.
    let (fault, before) = (throttle(scene, 0.0)?, scene.calls()?);
    let label = "app.kubernetes.io/name=crowd";
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pods", "-l", label, "--wait=false"]).await?;
    until("EC2 throttles", || async {
        let calls = scene.vpc(|vpc| vpc.calls(before))?;
        ensure(calls.iter().any(is_throttled), || format!("{} calls", calls.len()))
    })
    .await?;
    scene.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    let fault = throttle(scene, A_SECOND)?;
    let mut second = Vec::new();
    for pod in &first {
        second.push(scene.ready(&pod.name, Some(pod)).await?);
    }
    let again = all_hold(scene, &second).await?;
    ensure(again == held, || format!("{again:?} after {held:?}"))?;
    let moved = first.iter().zip(&second).filter(|(old, new)| old.node != new.node).count();
    let changes = scene.changes(before)?;
    let effects = changes.iter().flat_map(|call| &call.effects).count();
    ensure(effects == moved, || format!("{effects} moves in EC2 of {moved} members"))?;
    scene.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    no_container_failed(scene, &second).await?;
    scene.cordon(&[&node], false).await?;
    scene.delete(&set).await
}

/// The node that most of these are on, and how many those are.
fn crowded(pods: &[Pod]) -> Outcome<(String, u32)> {
    let mut all = BTreeMap::new();
    for pod in pods {
        *all.entry(pod.node.clone()).or_insert(0) += 1;
    }
    all.into_iter().max_by_key(|(_node, pods)| *pods).ok_or_else(|| "no pods".to_owned())
}

fn is_throttled(call: &vpcbox::protocol::Call) -> bool {
    call.code.as_deref() == Some("RequestLimitExceeded")
}

/// What each of them holds, by its name: none what another one has.
async fn all_hold(scene: &Scene<'_>, pods: &[Pod]) -> Outcome<BTreeMap<String, Ipv4Addr>> {
    let mut all = BTreeMap::new();
    for pod in pods {
        all.insert(pod.name.clone(), scene.holds(pod).await?.address);
    }
    let addresses: BTreeSet<_> = all.values().collect();
    ensure(addresses.len() == pods.len(), || format!("they share: {all:?}"))?;
    Ok(all)
}

/// A throttle is waited for, not failed with.
async fn no_container_failed(scene: &Scene<'_>, pods: &[Pod]) -> Outcome {
    for pod in pods {
        until(&format!("the containers of {}", pod.name), || async {
            let object = scene.pod(&pod.name).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            ensure(init["restartCount"] == 0, || init.to_string())
        })
        .await?;
    }
    Ok(())
}

/// The steps of an attach, after each of which one of its processes is killed: a first start takes
/// all that there are.
const STEPS: u32 = 18;

pub(super) async fn init_containers_that_are_killed_at_a_step_end_well_the_next_time(
    scene: &Scene<'_>,
) -> Outcome {
    let orders = |word: &str| json!({ "metadata": { "name": "crash" }, "data": { "word": word } });
    scene.made(CONFIG, &orders("attach")).await?;
    let set = Set { parallel: true, crashes: true, ..Set::new("crashing", STEPS) };
    let before = scene.calls()?;
    scene.create(&set).await?;
    all_killed(scene, &set).await?;
    let kind = "application/merge-patch+json";
    let change = scene.admin.api.patch_as(kind, &format!("{CONFIG}/crash"), &orders("no")).await?;
    ensure(change.code == 200, || change.text)?;
    let pods = scene.all_ready(&set).await?;
    all_hold(scene, &pods).await?;
    let changes = scene.changes(before)?;
    let effects = changes.iter().flat_map(|call| &call.effects).count();
    ensure(effects == pods.len(), || format!("{effects} moves in EC2: {changes:?}"))?;
    scene.delete(&set).await?;
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "configmap", "crash"]).await?;
    scene.makes_room(&[&crowd(), &set]).await
}

/// Waits until it was seen of each init container of a set that it was killed. The next one of a
/// member may end well, and then nothing tells of the first any more.
async fn all_killed(scene: &Scene<'_>, set: &Set) -> Outcome {
    let seen = RefCell::new(BTreeSet::new());
    until("all init containers are killed", || async {
        // All at once: what is told of the first is there for moments.
        let pods = scene.admin.get(PODS).await?;
        for object in pods["items"].as_array().into_iter().flatten() {
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            if ends.into_iter().any(|end| end["exitCode"] == 137) {
                seen.borrow_mut().insert(text(&object["metadata"]["name"]));
            }
        }
        let seen = seen.borrow();
        ensure(set.members().all(|member| seen.contains(&member)), || format!("only {seen:?}"))
    })
    .await
}
