//! A service that is stopped: it is gone when its pods are and nobody holds its addresses, and
//! not when none of its pods is ready any more.

use std::process::Command;

use serde_json::Value;
use tokio::time::Instant;

use super::audit::Held;
use super::ports::Beside;
use super::scene::{ADDRESSES, Pod, SETS, Scene, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::cli::say;
use crate::install::until;
use crate::{Outcome, failed};

/// How long a pod has to end that does not: much longer than a kubelet needs to see that it is
/// not ready any more.
const GRACE: u32 = 30;

/// Nothing else of a node listens there.
const PROBED: u16 = 16_479;

/// What the command prints for programs.
struct Waited(Value);

impl Waited {
    fn of(said: &str) -> Outcome<Self> {
        serde_json::from_str(said).map(Self).map_err(failed(format!("{said:?}")))
    }

    /// Why it is not so yet, in the order of the objects.
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

/// What a command says that runs beside a scenario, once it ends.
async fn answered(waiting: Beside) -> Outcome<Waited> {
    let said = tokio::task::spawn_blocking(|| waiting.finish()).await;
    Waited::of(&said.map_err(failed("wait for the command"))??)
}

impl Scene<'_> {
    /// `firecamp wait`, for this state of a set, as a person runs it.
    fn wait_for(&self, state: &str, set: &Set, timeout: &str) -> Outcome<Command> {
        let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
        let mut command = Command::new(firecamp);
        command.args(["wait", state, &format!("{NAMESPACE}/{}", set.name), "-o", "json"]);
        command.args(["--timeout", timeout]).arg("--kubeconfig").arg(&self.admin.kubeconfig);
        Ok(command)
    }

    /// What it says at once.
    fn asked(&self, state: &str, set: &Set) -> Outcome<Waited> {
        Waited::of(&Beside::start(&mut self.wait_for(state, set, "0")?)?.finish()?)
    }

    /// Waits until the set says that none of its pods is ready.
    async fn none_ready(&self, set: &Set) -> Outcome {
        let place = format!("{SETS}/{}", set.name);
        until(&format!("no pod of {} is ready", set.name), || async {
            let status = self.admin.get(&place).await?["status"].clone();
            let ready = status["readyReplicas"].as_u64().unwrap_or_default();
            ensure(ready == 0, || status.to_string())
        })
        .await
    }

    /// Its pods are gone and its addresses parked: now, without waiting for it.
    async fn is_gone(&self, all: &[(Pod, Held)]) -> Outcome {
        for (pod, held) in all {
            let object = self.pod(&pod.name).await?;
            ensure(object.is_null(), || format!("{} is there: {object}", pod.name))?;
            let object = self.admin.get(&format!("{ADDRESSES}/{}", held.address)).await?;
            let state = text(&object["spec"]["attachment"]["state"]);
            ensure(state == "Parked", || format!("{} is {state:?}", held.address))?;
        }
        Ok(())
    }
}

pub(super) async fn f096_a_stopped_service_is_gone_when_pods_and_held_addresses_are(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { deaf: true, grace: GRACE, probed: Some(PROBED), ..Set::new("stopped", 1) };
    let all = scene.started(&set).await?;
    scene.asked("attached", &set)?.reached()?;
    let asked = scene.asked("released", &set)?;
    ensure(asked.reasons().first() == Some(&"ReplicasNotZero"), || asked.0.to_string())?;

    scene.scale(&set, 0).await?;
    let begun = Instant::now();
    let waiting = Beside::start(&mut scene.wait_for("released", &set, "5m")?)?;
    scene.none_ready(&set).await?;
    let ready = begun.elapsed().as_secs_f64();
    let asked = scene.asked("released", &set)?;
    ensure(asked.reasons().contains(&"PodTerminating"), || asked.0.to_string())?;
    ensure(asked.reasons().contains(&"AddressHeld"), || asked.0.to_string())?;
    answered(waiting).await?.reached()?;
    let gone = begun.elapsed().as_secs_f64();
    scene.is_gone(&all).await?;
    say(&format!("        none ready after {ready:.1} s, released after {gone:.1} s"))?;
    for (pod, held) in &all {
        scene.released(pod, held).await?;
    }
    scene.delete(&set).await
}

pub(super) async fn f096_a_deleted_service_is_not_gone_while_pods_that_it_left_live(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("orphaned", 1);
    let all = scene.started(&set).await?;
    let [(pod, _held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    scene.owned(&pod.name, set.name).await?;
    scene.orphan(&set).await?;
    until("the set is gone, and its pod is nobody's", || async {
        let object = scene.admin.get(&format!("{SETS}/{}", set.name)).await?;
        ensure(object.is_null(), || object["metadata"].to_string())?;
        let owners = scene.pod(&pod.name).await?["metadata"]["ownerReferences"].clone();
        ensure(owners.is_null(), || owners.to_string())
    })
    .await?;
    let asked = scene.asked("released", &set)?;
    ensure(asked.reasons() == ["PodNotDeleted", "AddressHeld"], || asked.0.to_string())?;
    let waiting = Beside::start(&mut scene.wait_for("released", &set, "5m")?)?;
    scene.let_go(pod, &[]).await?;
    answered(waiting).await?.reached()?;
    scene.is_gone(&all).await
}
