//! Releases that nobody began, or that were cut: the agent of the node does what is left.

use std::time::Duration;

use tokio::time::Instant;

use super::audit::Held;
use super::events::STOP;
use super::ports::Beside;
use super::scene::{Pod, Scene, ensure};
use super::set::{NAMESPACE, Set, Stop};
use crate::Outcome;
use crate::cli::say;
use crate::install::until;

/// So soon after its pod an address is out of the kernel, with no help from the pod.
const SOON: Duration = Duration::from_secs(10);
/// The steps of a release need no longer than this, and a busy machine longer than they need.
const BRIEF: Duration = Duration::from_millis(100);
/// The agent tells so that it released an address for a pod that was gone.
const RELEASED: &str = "AddressReleased";
/// So often one release is looked at.
const TRIES: u32 = 8;

impl Scene<'_> {
    /// A set that has started, and what each of its members holds.
    pub(super) async fn started(&self, set: &Set) -> Outcome<Vec<(Pod, Held)>> {
        self.create(set).await?;
        self.starts(set).await
    }

    /// What each member of a set holds, once it has started.
    pub(super) async fn starts(&self, set: &Set) -> Outcome<Vec<(Pod, Held)>> {
        let mut all = Vec::new();
        for pod in self.all_ready(set).await? {
            let held = self.holds(&pod).await?;
            all.push((pod, held));
        }
        Ok(all)
    }

    /// Deletes a set and leaves its pods, which then get no successors.
    pub(super) async fn orphan(&self, set: &Set) -> Outcome {
        let words = ["-n", NAMESPACE, "delete", "statefulset", set.name, "--cascade=orphan"];
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Begins to delete a pod, with these flags.
    pub(super) async fn let_go(&self, pod: &Pod, flags: &[&str]) -> Outcome {
        let words = ["-n", NAMESPACE, "delete", "pod", &pod.name, "--wait=false"];
        self.admin.kubectl(&[words.as_slice(), flags].concat()).await.map(drop)
    }

    /// Waits until a pod has gone, and then until its address has: that must not take long.
    pub(super) async fn swept(&self, pod: &Pod, held: &Held) -> Outcome {
        until(&format!("{} is gone", pod.name), || async {
            let object = self.pod(&pod.name).await?;
            ensure(object["metadata"]["uid"] != pod.uid.as_str(), || object["status"].to_string())
        })
        .await?;
        let gone = Instant::now();
        until(&format!("{} is out of the kernel", held.address), || async {
            let there = self.in_kernel(&pod.node, held.address)?;
            ensure(!there, || "it is in the kernel".to_owned())
        })
        .await?;
        let (took, name) = (gone.elapsed(), &pod.name);
        say(&format!("        {name} gone to address gone: {:.1} s", took.as_secs_f64()))?;
        ensure(took <= SOON, || format!("the address of {name} went after {took:?}"))?;
        self.released(pod, held).await
    }

    /// What a container of a pod says, until it ends.
    pub(super) fn follow(&self, pod: &Pod, container: &str) -> Outcome<Beside> {
        let words = ["-n", NAMESPACE, "logs", "--follow", &pod.name, "--container", container];
        Beside::start(self.admin.beside().args(words))
    }
}

pub(super) async fn f026_where_no_stop_container_runs_the_address_soon_goes_with_its_pod(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { parallel: true, stop: Stop::Unassigned, ..Set::new("unstopped", 2) };
    let all = scene.started(&set).await?;
    let before = scene.calls()?;
    scene.orphan(&set).await?;
    let ways: [&[&str]; 2] = [&["--force", "--grace-period=0"], &["--grace-period=1"]];
    for ((pod, held), way) in all.iter().zip(ways) {
        let reported = scene.reported_address(RELEASED, held.address).await?;
        scene.let_go(pod, way).await?;
        scene.swept(pod, held).await?;
        scene.tells_of_address(RELEASED, held.address, reported).await?;
    }
    scene.changed(before, 0)
}

/// When a program told of this, by its log in UTC: seconds since midnight.
pub(super) fn reported_at(log: &str, what: &str) -> Outcome<f64> {
    let line = log.lines().find(|line| line.contains(what));
    let found = line.and_then(|line| {
        let (_day, rest) = line.split_once('T')?;
        let (time, _rest) = rest.split_once('Z')?;
        let parts: Vec<f64> = time.split(':').filter_map(|part| part.parse().ok()).collect();
        let [hours, minutes, seconds] = parts.as_slice() else { return None };
        Some(hours.mul_add(3600.0, minutes.mul_add(60.0, *seconds)))
    });
    found.ok_or_else(|| format!("it does not tell of {what}: {log}"))
}

/// From one such time to another.
pub(super) fn between(from: f64, to: f64) -> Duration {
    Duration::from_secs_f64((to - from).rem_euclid(86_400.0))
}

pub(super) async fn f027_a_release_takes_moments(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("prompt", 1);
    let mut all = Vec::new();
    for _try in 0..TRIES {
        scene.create(&set).await?;
        let pod = scene.ready("prompt-0", None).await?;
        let log = scene.follow(&pod, STOP)?;
        scene.delete(&set).await?;
        let said = log.finish()?;
        let took =
            between(reported_at(&said, "signal received")?, reported_at(&said, "=release.5")?);
        say(&format!("        signal to released: {} ms", took.as_millis()))?;
        if took <= BRIEF {
            return Ok(());
        }
        all.push(took);
    }
    Err(format!("all releases took long: {all:?}"))
}

pub(super) async fn f027_what_a_stop_container_left_that_was_killed_at_any_step_is_done(
    scene: &Scene<'_>,
) -> Outcome {
    // Each member's stop container kills itself after the step that has the member's number.
    let settings = &[("FIRECAMP_CRASH_AT", "release.$(POD_INDEX)")];
    let set = Set { first: 1, parallel: true, settings, ..Set::new("halfway", 5) };
    let all = scene.started(&set).await?;
    let before = scene.calls()?;
    let mut logs = Vec::new();
    for (pod, _held) in &all {
        logs.push(scene.follow(pod, STOP)?);
    }
    scene.delete(&set).await?;
    for ((pod, held), log) in all.iter().zip(logs) {
        scene.released(pod, held).await?;
        let said = log.finish()?;
        let (_name, number) = pod.name.split_once('-').unwrap_or_default();
        let step = format!("release.{number}");
        let killed = said.contains("crashing at the requested step") && said.contains(&step);
        ensure(killed && !said.contains("\"result\""), || format!("{}: {said}", pod.name))?;
    }
    scene.changed(before, 0)
}
