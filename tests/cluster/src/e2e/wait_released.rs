//! `firecamp wait released`: a service has stopped once its pods are gone and its addresses are not
//! held. Zero ready pods does not mean that it has stopped.

use std::process::Command;

use serde_json::Value;
use tokio::time::Instant;

use super::audit::Held;
use super::processes::Background;
use super::set::{NAMESPACE, Set};
use super::test_cluster::{ADDRESSES, Pod, SETS, TestCluster, ensure, text};
use crate::cli::print_line;
use crate::install::until;
use crate::{Outcome, failed};

/// Grace period of a pod that ignores SIGTERM, in seconds: much longer than the kubelet needs to
/// report it as not ready.
const GRACE: u32 = 30;

/// A port that nothing else on a node uses.
const PROBED: u16 = 16_479;

/// The JSON output of `firecamp wait`.
struct WaitReport(Value);

impl WaitReport {
    fn of(output: &str) -> Outcome<Self> {
        serde_json::from_str(output).map(Self).map_err(failed(format!("{output:?}")))
    }

    /// Reasons why the state is not reached yet, in the order of the objects.
    fn reasons(&self) -> Vec<&str> {
        let Self(report) = self;
        let missing = report["missing"].as_array().into_iter().flatten();
        missing.filter_map(|one| one["reason"].as_str()).collect()
    }

    fn reached(&self) -> Outcome {
        let Self(report) = self;
        ensure(report["reached"] == true, || report.to_string())
    }
}

/// Waits until a background command exits and parses its output.
async fn finish_wait(waiting: Background) -> Outcome<WaitReport> {
    let output = tokio::task::spawn_blocking(|| waiting.finish()).await;
    WaitReport::of(&output.map_err(failed("wait for the command"))??)
}

impl TestCluster<'_> {
    /// The command `firecamp wait` for a state of a set.
    fn wait_command(&self, state: &str, set: &Set, timeout: &str) -> Outcome<Command> {
        let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
        let mut command = Command::new(firecamp);
        command.args(["wait", state, &format!("{NAMESPACE}/{}", set.name), "-o", "json"]);
        command.args(["--timeout", timeout]).arg("--kubeconfig").arg(&self.admin.kubeconfig);
        Ok(command)
    }

    /// Runs it without waiting.
    fn check_now(&self, state: &str, set: &Set) -> Outcome<WaitReport> {
        WaitReport::of(&Background::start(&mut self.wait_command(state, set, "0")?)?.finish()?)
    }

    /// Waits until the status of the set reports zero ready pods.
    async fn wait_none_ready(&self, set: &Set) -> Outcome {
        let place = format!("{SETS}/{}", set.name);
        until(&format!("no pod of {} is ready", set.name), || async {
            let status = self.admin.get(&place).await?["status"].clone();
            let ready = status["readyReplicas"].as_u64().unwrap_or_default();
            ensure(ready == 0, || status.to_string())
        })
        .await
    }

    /// Checks, without waiting, that the pods are gone and their addresses parked.
    async fn verify_gone(&self, all: &[(Pod, Held)]) -> Outcome {
        for (pod, held) in all {
            let object = self.pod(&pod.name).await?;
            ensure(object.is_null(), || format!("pod {} still exists: {object}", pod.name))?;
            let object = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
            let state = text(&object["spec"]["attachment"]["state"]);
            ensure(state == "Parked", || {
                format!("{} is {state:?} instead of Parked", held.address)
            })?;
        }
        Ok(())
    }
}

pub(super) async fn f096_wait_released_ends_once_pods_and_held_addresses_are_gone(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set =
        Set { ignore_sigterm: true, grace: GRACE, probed: Some(PROBED), ..Set::new("stopped", 1) };
    let all = cluster.start_members(&set).await?;
    cluster.check_now("attached", &set)?.reached()?;
    let report = cluster.check_now("released", &set)?;
    ensure(report.reasons().first() == Some(&"ReplicasNotZero"), || report.0.to_string())?;

    cluster.scale(&set, 0).await?;
    let begun = Instant::now();
    let waiting = Background::start(&mut cluster.wait_command("released", &set, "5m")?)?;
    cluster.wait_none_ready(&set).await?;
    let ready = begun.elapsed().as_secs_f64();
    let report = cluster.check_now("released", &set)?;
    ensure(report.reasons().contains(&"PodTerminating"), || report.0.to_string())?;
    ensure(report.reasons().contains(&"AddressHeld"), || report.0.to_string())?;
    finish_wait(waiting).await?.reached()?;
    let gone = begun.elapsed().as_secs_f64();
    cluster.verify_gone(&all).await?;
    print_line(&format!("        zero ready after {ready:.1} s, released after {gone:.1} s"))?;
    for (pod, held) in &all {
        cluster.wait_released(pod, held).await?;
    }
    cluster.delete(&set).await
}

pub(super) async fn f096_wait_released_waits_for_orphaned_pods_of_a_deleted_set(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("orphaned", 1);
    let all = cluster.start_members(&set).await?;
    let [(pod, _held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    cluster.wait_owner(&pod.name, set.name).await?;
    cluster.orphan(&set).await?;
    until("the set is gone, and its pod is orphaned", || async {
        let object = cluster.admin.get(&format!("{SETS}/{}", set.name)).await?;
        ensure(object.is_null(), || object["metadata"].to_string())?;
        let owners = cluster.pod(&pod.name).await?["metadata"]["ownerReferences"].clone();
        ensure(owners.is_null(), || owners.to_string())
    })
    .await?;
    let report = cluster.check_now("released", &set)?;
    ensure(report.reasons() == ["PodNotDeleted", "AddressHeld"], || report.0.to_string())?;
    let waiting = Background::start(&mut cluster.wait_command("released", &set, "5m")?)?;
    cluster.begin_delete(pod, &[]).await?;
    finish_wait(waiting).await?.reached()?;
    cluster.verify_gone(&all).await
}
