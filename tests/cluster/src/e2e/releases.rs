//! Releases that the node's agent performs or completes, and the duration of a release.

use std::time::Duration;

use tokio::time::Instant;

use super::audit::Held;
use super::events::STOP;
use super::processes::Background;
use super::set::{NAMESPACE, Set, Stop};
use super::test_cluster::{Pod, TestCluster, ensure};
use crate::Outcome;
use crate::cli::print_line;
use crate::install::until;

/// Maximum time from a pod's deletion until the agent removes its address from the kernel.
const SOON: Duration = Duration::from_secs(10);
/// Maximum duration of a release on a machine that is not busy.
const BRIEF: Duration = Duration::from_millis(100);
/// Event of the agent: it released an address of a deleted pod.
const RELEASED: &str = "AddressReleased";
/// Attempts to see one release that is fast enough.
const TRIES: u32 = 8;

impl TestCluster<'_> {
    /// Creates a set, and returns its pods with their addresses once it has started.
    pub(super) async fn start_members(&self, set: &Set) -> Outcome<Vec<(Pod, Held)>> {
        self.create(set).await?;
        self.wait_members(set).await
    }

    /// The pods of a set with their addresses, once it has started.
    pub(super) async fn wait_members(&self, set: &Set) -> Outcome<Vec<(Pod, Held)>> {
        let mut all = Vec::new();
        for pod in self.wait_all_ready(set).await? {
            let held = self.wait_held(&pod).await?;
            all.push((pod, held));
        }
        Ok(all)
    }

    /// Deletes a set without its pods, which then have no successors.
    pub(super) async fn orphan(&self, set: &Set) -> Outcome {
        let words = ["-n", NAMESPACE, "delete", "statefulset", set.name, "--cascade=orphan"];
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Starts to delete a pod, with these flags.
    pub(super) async fn begin_delete(&self, pod: &Pod, flags: &[&str]) -> Outcome {
        let words = ["-n", NAMESPACE, "delete", "pod", &pod.name, "--wait=false"];
        self.admin.kubectl(&[words.as_slice(), flags].concat()).await.map(drop)
    }

    /// Waits until a pod is gone, and checks that its address soon leaves the kernel.
    pub(super) async fn wait_swept(&self, pod: &Pod, held: &Held) -> Outcome {
        until(&format!("{} is gone", pod.name), || async {
            let object = self.pod(&pod.name).await?;
            ensure(object["metadata"]["uid"] != pod.uid.as_str(), || object["status"].to_string())
        })
        .await?;
        let gone = Instant::now();
        until(&format!("{} is removed from the kernel", held.address), || async {
            let there = self.in_kernel(&pod.node, held.address)?;
            ensure(!there, || format!("the address is in the kernel of {}", pod.node))
        })
        .await?;
        let (took, name) = (gone.elapsed(), &pod.name);
        print_line(&format!(
            "        {name} gone to address removed: {:.1} s",
            took.as_secs_f64()
        ))?;
        ensure(took <= SOON, || format!("the address of {name} was removed only after {took:?}"))?;
        self.wait_released(pod, held).await
    }

    /// Follows the log of a container until it exits.
    pub(super) fn follow_log(&self, pod: &Pod, container: &str) -> Outcome<Background> {
        let words = ["-n", NAMESPACE, "logs", "--follow", &pod.name, "--container", container];
        Background::start(self.admin.kubectl_command().args(words))
    }
}

pub(super) async fn f026_without_a_stop_container_the_agent_soon_removes_the_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, stop: Stop::None, ..Set::new("unstopped", 2) };
    let all = cluster.start_members(&set).await?;
    let before = cluster.last_call()?;
    cluster.orphan(&set).await?;
    let ways: [&[&str]; 2] = [&["--force", "--grace-period=0"], &["--grace-period=1"]];
    for ((pod, held), way) in all.iter().zip(ways) {
        let releases = cluster.count_address_events(RELEASED, held.address).await?;
        cluster.begin_delete(pod, way).await?;
        cluster.wait_swept(pod, held).await?;
        cluster.wait_for_address_event(RELEASED, held.address, releases).await?;
    }
    cluster.verify_mutations(before, 0)
}

/// UTC time of the first log line that contains `what`, in seconds since midnight.
pub(super) fn logged_at(log: &str, what: &str) -> Outcome<f64> {
    let line = log.lines().find(|line| line.contains(what));
    let found = line.and_then(|line| {
        let (_day, rest) = line.split_once('T')?;
        let (time, _rest) = rest.split_once('Z')?;
        let parts: Vec<f64> = time.split(':').filter_map(|part| part.parse().ok()).collect();
        let [hours, minutes, seconds] = parts.as_slice() else { return None };
        Some(hours.mul_add(3600.0, minutes.mul_add(60.0, *seconds)))
    });
    found.ok_or_else(|| format!("no line with {what}: {log}"))
}

/// The duration between two such times.
pub(super) fn elapsed_between(from: f64, to: f64) -> Duration {
    Duration::from_secs_f64((to - from).rem_euclid(86_400.0))
}

pub(super) async fn f027_a_release_takes_under_100_ms(cluster: &TestCluster<'_>) -> Outcome {
    let set = Set::new("prompt", 1);
    let mut all = Vec::new();
    for _try in 0..TRIES {
        cluster.create(&set).await?;
        let pod = cluster.wait_ready("prompt-0", None).await?;
        let log = cluster.follow_log(&pod, STOP)?;
        cluster.delete(&set).await?;
        let log = log.finish()?;
        let took =
            elapsed_between(logged_at(&log, "signal received")?, logged_at(&log, "=release.5")?);
        print_line(&format!("        SIGTERM to released: {} ms", took.as_millis()))?;
        if took <= BRIEF {
            return Ok(());
        }
        all.push(took);
    }
    Err(format!("every release took longer than {BRIEF:?}: {all:?}"))
}

pub(super) async fn f027_the_agent_completes_a_release_killed_at_any_step(
    cluster: &TestCluster<'_>,
) -> Outcome {
    // Each member's stop container crashes after the step with the member's ordinal.
    let settings = &[("FIRECAMP_CRASH_AT", "release.$(POD_INDEX)")];
    let set = Set { first: 1, parallel: true, settings, ..Set::new("halfway", 5) };
    let all = cluster.start_members(&set).await?;
    let before = cluster.last_call()?;
    let mut logs = Vec::new();
    for (pod, _held) in &all {
        logs.push(cluster.follow_log(pod, STOP)?);
    }
    cluster.delete(&set).await?;
    for ((pod, held), log) in all.iter().zip(logs) {
        cluster.wait_released(pod, held).await?;
        let log = log.finish()?;
        let (_name, number) = pod.name.split_once('-').unwrap_or_default();
        let step = format!("release.{number}");
        let killed = log.contains("crashing at the requested step") && log.contains(&step);
        ensure(killed && !log.contains("\"result\""), || format!("{}: {log}", pod.name))?;
    }
    cluster.verify_mutations(before, 0)
}
