//! Pods that end otherwise than they should, on a node that goes on.

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::audit::Held;
use super::events::STOP;
use super::ports::{container, containers, sandbox, send};
use super::scene::{Pod, Scene, all_but, ensure};
use super::set::{NAMESPACE, Set, Stop};
use crate::Outcome;
use crate::cli::say;
use crate::install::{nodes_ready, until};

/// How long a pod has to end that does not.
const BRIEF: u32 = 5;
/// Longer than anything needs that is done before a pod has to have ended.
const LONG: u32 = 60;
/// A stop container says so whose draining was cut.
pub(super) const CUT: &str = "still used the address when the drain timeout expired";
/// So often one release is looked at that has no more than two seconds.
const TRIES: u32 = 3;

/// A set of one member that does not end when it is asked to.
fn deaf(name: &'static str) -> Set {
    Set { deaf: true, ..Set::new(name, 1) }
}

impl Scene<'_> {
    /// Waits until no container of the pod lives.
    pub(super) async fn dead(&self, pod: &Pod) -> Outcome {
        until(&format!("no container of the old {} lives", pod.name), || async {
            let left = containers(&pod.uid);
            ensure(left.is_empty(), || format!("processes {left:?}"))
        })
        .await
    }

    /// Forces a pod out whose service goes on, and waits for the next one; none if the service had
    /// ended before the next pod was made.
    async fn force_out(&self, old: &Pod) -> Outcome<Option<Pod>> {
        let force = ["--grace-period=0", "--force", "--wait=false"];
        let delete = ["-n", NAMESPACE, "delete", "pod", &old.name];
        self.admin.kubectl(&[delete.as_slice(), &force].concat()).await?;
        until("the next pod's object", || async {
            let next = self.pod(&old.name).await?;
            let uid = next["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            ensure(!uid.is_empty() && uid != old.uid, || "not yet".to_owned())
        })
        .await?;
        let lives = container(&old.uid, "--deaf").is_ok();
        let next = self.ready(&old.name, Some(old)).await?;
        Ok(lives.then_some(next))
    }
}

/// An old pod has two seconds after a forced deletion, which may be over before its successor
/// comes.
async fn in_time(attempt: impl AsyncFn() -> Outcome<bool>) -> Outcome {
    for _try in 0..TRIES {
        if attempt().await? {
            return Ok(());
        }
        say("        the old pod had ended before its successor came: once more")?;
    }
    Err("each time the old pod had ended before its successor came".to_owned())
}

pub(super) async fn f113_a_successor_on_the_same_node_takes_over_while_the_old_service_lives(
    scene: &Scene<'_>,
) -> Outcome {
    in_time(async || taken_over_here(scene).await).await
}

/// Whether the successor came before the old pod's stop container, or its node's agent, was done.
/// If it did, the kernel has the address all the while.
async fn taken_over_here(scene: &Scene<'_>) -> Outcome<bool> {
    let set = deaf("forced");
    scene.create(&set).await?;
    let old = scene.ready("forced-0", None).await?;
    let held = scene.holds(&old).await?;
    let others = all_but(&old.node);
    scene.cordon(&others, true).await?;
    let before = scene.calls()?;
    let watch = scene.watch(&old.node).await?;
    let client = scene.asking(held.address).await?;
    let Some(next) = scene.force_out(&old).await? else {
        scene.cordon(&others, false).await?;
        return scene.delete(&set).await.map(|()| false);
    };
    scene.dead(&old).await?;
    ensure(next.node == old.node, || format!("it is on {}", next.node))?;
    outlives(scene, &next, &held).await?;
    client.was_answered_by(&[&old, &next]).await?;
    let kept = scene.never_lost(watch, held.address).await;
    // Whose release could be written down, by whomever, had the address until then: a successor's
    // take refuses it.
    let late = kept.is_err() && scene.was_released(&old, held.address)?;
    if !late {
        kept?;
    }
    scene.changed(before, 0)?;
    scene.cordon(&others, false).await?;
    scene.delete(&set).await?;
    Ok(!late)
}

/// The successor's life goes on after its predecessor's end.
async fn outlives(scene: &Scene<'_>, next: &Pod, before: &Held) -> Outcome {
    let now = scene.holds(next).await?;
    ensure(now.address == before.address && now.epoch > before.epoch, || {
        format!("{now:?} after {before:?}")
    })
}

pub(super) async fn f113_a_successor_on_another_node_takes_over_while_the_old_service_lives(
    scene: &Scene<'_>,
) -> Outcome {
    let set = deaf("forcedaway");
    scene.create(&set).await?;
    let old = scene.ready("forcedaway-0", None).await?;
    let held = scene.holds(&old).await?;
    scene.cordon(&[&old.node], true).await?;
    let before = scene.calls()?;
    let client = scene.asking(held.address).await?;
    let kubelet = scene.kubelet(&old.node)?;
    // It would end the service after two seconds, which may be over before the successor comes.
    send(kubelet, Signal::SIGSTOP)?;
    let next = scene.force_out(&old).await;
    let lives = container(&old.uid, "--deaf");
    send(kubelet, Signal::SIGCONT)?;
    let next = next?.ok_or("the old service has ended, though nobody ends it")?;
    lives.map_err(|wrong| format!("the old service has ended, though nobody ends it: {wrong}"))?;
    scene.dead(&old).await?;
    nodes_ready(&scene.admin).await?;
    ensure(next.node != old.node, || format!("it is on {}", next.node))?;
    outlives(scene, &next, &held).await?;
    client.was_answered_by(&[&old, &next]).await?;
    scene.changed(before, 1)?;
    scene.cordon(&[&old.node], false).await?;
    scene.delete(&set).await
}

pub(super) async fn f111_a_pod_whose_sandbox_died_attaches_again_under_a_new_epoch(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("sandbox", 1);
    scene.create(&set).await?;
    let pod = scene.ready("sandbox-0", None).await?;
    let held = scene.holds(&pod).await?;
    let before = scene.calls()?;
    send(sandbox(&pod.uid)?, Signal::SIGKILL)?;
    again(scene, &pod, &held).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await
}

/// The same pod has the address under a later epoch.
pub(super) async fn again(scene: &Scene<'_>, pod: &Pod, before: &Held) -> Outcome {
    until("the same pod attaches again", || async {
        let now = scene.holds(pod).await?;
        ensure(now.address == before.address && now.epoch > before.epoch, || format!("{now:?}"))
    })
    .await
}

pub(super) async fn f030_a_signal_to_a_stop_container_whose_pod_stays_changes_nothing(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("signalled", 1);
    scene.create(&set).await?;
    let pod = scene.ready("signalled-0", None).await?;
    let held = scene.holds(&pod).await?;
    let before = scene.calls()?;
    let watch = scene.watch(&pod.node).await?;
    let stop = container(&pod.uid, "firecamp-stopcontainer")?;
    send(stop, Signal::SIGTERM)?;
    until("kubelet starts the stop container again", || async {
        let now = container(&pod.uid, "firecamp-stopcontainer")?;
        ensure(now != stop, || "the old one lives".to_owned())
    })
    .await?;
    let now = scene.holds(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    scene.never_lost(watch, held.address).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await
}

pub(super) async fn f112_a_service_that_ignores_sigterm_leaves_the_release_its_time(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { grace: BRIEF, ..deaf("stubborn") };
    let mut all = Vec::new();
    for number in 0..TRIES {
        let members = scene.started(&set).await?;
        let [(old, held)] = members.as_slice() else { return Err(format!("{members:?}")) };
        let squatter = scene.squat(&format!("clinging-{number}"), old, held).await?;
        let before = scene.calls()?;
        let log = scene.follow(old, STOP)?;
        let begun = Instant::now();
        scene.delete(&set).await?;
        let seconds = begun.elapsed().as_secs();
        say(&format!("        deleted, with {BRIEF} s to end, to parked: {seconds} s"))?;
        ensure(seconds >= u64::from(BRIEF), || "the service ended at its signal".to_owned())?;
        scene.released(old, held).await?;
        scene.changed(before, 0)?;
        scene.evict(squatter).await?;
        let said = log.finish()?;
        if said.contains("\"result\"") {
            ensure(said.contains(CUT), || said.clone())?;
            scene.reported_sockets(old, held.address, &said).await?;
            return scene.released_itself(old, held.address).await;
        }
        all.push(said);
    }
    Err(format!("no stop container came to its end: {all:?}"))
}

pub(super) async fn a_pre_stop_hook_releases_as_a_native_sidecar_does(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { deaf: true, grace: LONG, stop: Stop::Hook, ..Set::new("hooked", 1) };
    let all = scene.started(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = scene.calls()?;
    scene.orphan(&set).await?;
    scene.let_go(pod, &[]).await?;
    scene.released(pod, held).await?;
    let service = container(&pod.uid, "--deaf");
    // The agent does it for a pod that has ended.
    let service = service.map_err(|wrong| format!("whoever released was late: {wrong}"))?;
    scene.released_itself(pod, held.address).await?;
    send(service, Signal::SIGKILL)?;
    scene.dead(pod).await?;
    scene.changed(before, 0)
}
