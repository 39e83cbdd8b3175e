//! Terminations of pods on a healthy node: forced, slow, of the sandbox, by a hook.

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::audit::Held;
use super::events::STOP;
use super::processes::{Watch, container, containers, sandbox, send, shim};
use super::set::{NAMESPACE, Set, Stop};
use super::test_cluster::{ADDRESSES, Pod, TestCluster, all_but, ensure};
use crate::Outcome;
use crate::cli::print_line;
use crate::install::until;

/// Grace period of a pod that does not end by itself, in seconds.
const BRIEF: u32 = 5;
/// A grace period in seconds that is longer than a release.
const LONG: u32 = 60;
/// Part of a stop container's warning when its drain timeout expired.
pub(super) const DRAIN_EXPIRED: &str = "still used the address when the drain timeout expired";
/// Attempts, because a release with a two-second deadline may not complete.
const TRIES: u32 = 3;

/// A set of one member whose service ignores SIGTERM.
fn ignoring_sigterm(name: &'static str) -> Set {
    Set { ignore_sigterm: true, ..Set::new(name, 1) }
}

impl TestCluster<'_> {
    /// Waits until no container of the pod runs.
    pub(super) async fn wait_dead(&self, pod: &Pod) -> Outcome {
        until(&format!("no container of the old {} runs", pod.name), || async {
            let left = containers(&pod.uid);
            ensure(left.is_empty(), || format!("processes {left:?}"))
        })
        .await
    }

    /// Force-deletes a pod and waits until its successor is created.
    async fn force_delete(&self, old: &Pod) -> Outcome {
        let force = ["--grace-period=0", "--force", "--wait=false"];
        let delete = ["-n", NAMESPACE, "delete", "pod", &old.name];
        self.admin.kubectl(&[delete.as_slice(), &force].concat()).await?;
        until(&format!("the successor of {} is created", old.name), || async {
            let next = self.pod(&old.name).await?;
            let uid = next["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
            ensure(!uid.is_empty() && uid != old.uid, || "not yet".to_owned())
        })
        .await
    }

    /// Does the work while the runtime can't kill the pod: its shim is stopped. Otherwise the
    /// kubelet kills the service of a force-deleted pod after two seconds, often too early.
    async fn while_it_cannot_be_killed<T>(
        &self,
        old: &Pod,
        work: impl AsyncFnOnce() -> Outcome<T>,
    ) -> Outcome<T> {
        let shim = shim(&old.uid)?;
        send(shim, Signal::SIGSTOP)?;
        let done = work().await;
        let runs = container(&old.uid, "--ignore-sigterm");
        send(shim, Signal::SIGCONT)?;
        let done = done?;
        runs.map_err(|error| format!("the old service exited although it was kept: {error}"))?;
        Ok(done)
    }

    /// Waits until another pod than this one is recorded as the holder of its address. That pod's
    /// init container then waits for the old service, at most the usual grace period.
    async fn wait_taken_over(&self, old: &Pod, held: &Held) -> Outcome {
        until(&format!("the successor of {} takes {} over", old.name, held.address), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
            let now = &object["spec"]["attachment"];
            let successor = now["podUID"].as_str().is_some_and(|uid| uid != old.uid);
            ensure(successor, || now.to_string())
        })
        .await
    }
}

pub(super) async fn f113_a_successor_on_the_same_node_takes_over_while_the_old_service_runs(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = ignoring_sigterm("forced");
    cluster.create(&set).await?;
    let old = cluster.wait_ready("forced-0", None).await?;
    let held = cluster.wait_held(&old).await?;
    let others = all_but(&old.node);
    cluster.cordon(&others, true).await?;
    let before = cluster.last_call()?;
    let client = cluster.record_answers(held.address).await?;
    // The agent removes the address of a pod that is gone after draining it for five seconds. On a
    // slow machine the successor starts later. One that asks the agent's endpoint needs the agent.
    let stopped =
        if set.firecamp.is_injected() { None } else { Some(cluster.agent_of(&old.node)?) };
    // Its agent may release the address before the successor attaches it.
    let watch = match stopped {
        Some(_) => Some(Watch::start(cluster.in_network_of(&old.node)?).await?),
        None => None,
    };
    let take_over = async || {
        stopped.map_or(Ok(()), |agent| send(agent, Signal::SIGSTOP))?;
        let taken = async {
            cluster.force_delete(&old).await?;
            cluster.wait_taken_over(&old, &held).await
        };
        let taken = taken.await;
        stopped.map_or(Ok(()), |agent| send(agent, Signal::SIGCONT))?;
        taken
    };
    cluster.while_it_cannot_be_killed(&old, take_over).await?;
    let next = cluster.wait_ready(&old.name, Some(&old)).await?;
    cluster.wait_dead(&old).await?;
    ensure(next.node == old.node, || format!("it is on {}", next.node))?;
    verify_takeover(cluster, &next, &held).await?;
    client.verify_answered_by(&[&old, &next]).await?;
    if let Some(watch) = watch {
        watch.verify_never_lost(held.address).await?;
    }
    cluster.verify_mutations(before, 0)?;
    cluster.cordon(&others, false).await?;
    cluster.delete(&set).await
}

/// The successor keeps the address, under a later epoch, after its predecessor is dead.
async fn verify_takeover(cluster: &TestCluster<'_>, next: &Pod, before: &Held) -> Outcome {
    let now = cluster.wait_held(next).await?;
    ensure(now.address == before.address && now.epoch > before.epoch, || {
        format!("{now:?} after {before:?}")
    })
}

pub(super) async fn f113_a_successor_on_another_node_takes_over_while_the_old_service_runs(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = ignoring_sigterm("forcedaway");
    cluster.create(&set).await?;
    let old = cluster.wait_ready("forcedaway-0", None).await?;
    let held = cluster.wait_held(&old).await?;
    cluster.cordon(&[&old.node], true).await?;
    let before = cluster.last_call()?;
    let client = cluster.record_answers(held.address).await?;
    let successor = async || {
        cluster.force_delete(&old).await?;
        cluster.wait_ready(&old.name, Some(&old)).await
    };
    let next = cluster.while_it_cannot_be_killed(&old, successor).await?;
    cluster.wait_dead(&old).await?;
    ensure(next.node != old.node, || format!("it is on {}", next.node))?;
    verify_takeover(cluster, &next, &held).await?;
    client.verify_answered_by(&[&old, &next]).await?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[&old.node], false).await?;
    cluster.delete(&set).await
}

pub(super) async fn f111_a_pod_whose_sandbox_died_attaches_again_under_a_new_epoch(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("sandbox", 1);
    cluster.create(&set).await?;
    let pod = cluster.wait_ready("sandbox-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    let before = cluster.last_call()?;
    send(sandbox(&pod.uid)?, Signal::SIGKILL)?;
    wait_attached_again(cluster, &pod, &held).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await
}

/// Waits until the same pod holds the address under a later epoch.
pub(super) async fn wait_attached_again(
    cluster: &TestCluster<'_>,
    pod: &Pod,
    before: &Held,
) -> Outcome {
    until("the same pod attaches again", || async {
        let now = cluster.wait_held(pod).await?;
        ensure(now.address == before.address && now.epoch > before.epoch, || format!("{now:?}"))
    })
    .await
}

pub(super) async fn f030_sigterm_to_the_stop_container_of_a_running_pod_changes_nothing(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { stop: Stop::Sidecar, ..Set::new("signalled", 1) };
    cluster.create(&set).await?;
    let pod = cluster.wait_ready("signalled-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    let before = cluster.last_call()?;
    let watch = Watch::start(sandbox(&pod.uid)?).await?;
    let stop = container(&pod.uid, "firecamp-stopcontainer")?;
    send(stop, Signal::SIGTERM)?;
    until("the kubelet restarts the stop container", || async {
        let now = container(&pod.uid, "firecamp-stopcontainer")?;
        ensure(now != stop, || "the old one runs".to_owned())
    })
    .await?;
    let now = cluster.wait_held(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    watch.verify_never_lost(held.address).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await
}

pub(super) async fn f112_a_release_completes_although_the_service_ignores_sigterm(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { grace: BRIEF, stop: Stop::Sidecar, ..ignoring_sigterm("stubborn") };
    let mut all = Vec::new();
    for number in 0..TRIES {
        let members = cluster.start_members(&set).await?;
        let [(old, held)] = members.as_slice() else { return Err(format!("{members:?}")) };
        // In a network of its own, no socket at the address outlives the service.
        let squatter = if set.firecamp.has_own_network() {
            None
        } else {
            Some(cluster.start_squatter(&format!("clinging-{number}"), old, held).await?)
        };
        let before = cluster.last_call()?;
        let log = cluster.follow_log(old, STOP)?;
        let begun = Instant::now();
        cluster.delete(&set).await?;
        let seconds = begun.elapsed().as_secs();
        print_line(&format!("        deleted (grace period {BRIEF} s) to parked: {seconds} s"))?;
        ensure(seconds >= u64::from(BRIEF), || "the service exited on SIGTERM".to_owned())?;
        cluster.wait_released(old, held).await?;
        cluster.verify_mutations(before, 0)?;
        let clinging = squatter.is_some();
        if let Some(squatter) = squatter {
            cluster.remove_squatter(squatter).await?;
        }
        let log = log.finish()?;
        if log.contains("\"result\"") {
            if clinging {
                ensure(log.contains(DRAIN_EXPIRED), || log.clone())?;
                cluster.wait_for_still_used_event(old, held.address, &log).await?;
            }
            return cluster.wait_released_by_pod(old, held.address).await;
        }
        all.push(log);
    }
    Err(format!("no stop container finished its release: {all:?}"))
}

pub(super) async fn a_pre_stop_hook_releases_like_a_native_sidecar(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { ignore_sigterm: true, grace: LONG, stop: Stop::Hook, ..Set::new("hooked", 1) };
    let all = cluster.start_members(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = cluster.last_call()?;
    cluster.orphan(&set).await?;
    cluster.begin_delete(pod, &[]).await?;
    cluster.wait_released(pod, held).await?;
    let service = container(&pod.uid, "--ignore-sigterm");
    // If the service has exited, the agent may have released the address.
    let service = service.map_err(|error| {
        format!("the address was released only after the service exited: {error}")
    })?;
    cluster.wait_released_by_pod(pod, held.address).await?;
    send(service, Signal::SIGKILL)?;
    cluster.wait_dead(pod).await?;
    cluster.verify_mutations(before, 0)
}
