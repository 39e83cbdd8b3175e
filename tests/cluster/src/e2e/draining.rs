//! How long an address stays configured while its pod terminates.

use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::audit::Held;
use super::events::STOP;
use super::pod_termination::DRAIN_EXPIRED;
use super::processes::{container, send};
use super::releases::{elapsed_between, logged_at};
use super::set::{NAMESPACE, Set, Stop};
use super::test_cluster::{Pod, TestCluster, ensure};
use crate::Outcome;
use crate::cli::print_line;
use crate::install::until;

/// Grace period of the pods in seconds.
const WAIT: u32 = 12;
/// Drain timeout of the hook.
const DRAIN: Duration = Duration::from_secs(3);
/// The original FireCamp kept the address for this fixed time.
const FIXED: Duration = Duration::from_secs(5);
/// Margin that a stop container reserves before the deadline, plus rounding to whole seconds.
const MARGIN: Duration = Duration::from_secs(3);

impl TestCluster<'_> {
    /// Checks that the address stays until the service of a deleted pod has exited. Returns when a
    /// client was last answered.
    async fn last_answer(&self, pod: &Pod, held: &Held, since: Instant) -> Outcome<Duration> {
        let mut last = Duration::ZERO;
        until(&format!("the service of {} exits", pod.name), || {
            let there = self.in_kernel(&pod.node, held.address);
            let answer = self.dial(held.address);
            let runs = container(&pod.uid, "--ignore-sigterm").is_ok();
            if answer.is_ok_and(|who| who.contains(&pod.uid)) {
                last = since.elapsed();
            }
            std::future::ready(if runs && there == Ok(true) {
                Err("it still runs".to_owned())
            } else if runs {
                Ok(Err(format!(
                    "the service runs, but its address is not in the kernel: {there:?}"
                )))
            } else {
                Ok(Ok(last))
            })
        })
        .await?
    }
}

/// Seconds since midnight.
fn now() -> Outcome<f64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_secs_f64() % 86_400.0).map_err(crate::failed("the clock"))
}

/// Starts sets and deletes them without their pods; returns the pods and their addresses.
async fn start_orphaned(cluster: &TestCluster<'_>, sets: &[Set]) -> Outcome<Vec<(Pod, Held)>> {
    for set in sets {
        cluster.create(set).await?;
    }
    let mut all = Vec::new();
    for set in sets {
        let pod = cluster.wait_ready(&format!("{}-0", set.name), None).await?;
        let held = cluster.wait_held(&pod).await?;
        cluster.orphan(set).await?;
        all.push((pod, held));
    }
    Ok(all)
}

/// The drain timeout ends while a client is connected: the hook releases, the service runs on.
async fn verify_drain_timeout(
    cluster: &TestCluster<'_>,
    pod: &Pod,
    held: &Held,
    since: Instant,
) -> Outcome {
    until("the hook releases the address", || async {
        let there = cluster.in_kernel(&pod.node, held.address)?;
        ensure(!there, || "the address is in the kernel".to_owned())
    })
    .await?;
    let drained = since.elapsed();
    let service = container(&pod.uid, "--ignore-sigterm")?;
    ensure(drained >= DRAIN, || format!("the hook drained only for {drained:?}"))?;
    print_line(&format!("        a hook drained for {:.1} s", drained.as_secs_f64()))?;
    send(service, Signal::SIGKILL)
}

/// The stop container waited for a socket until the deadline and reported it.
fn verify_waited(log: &str, since: f64) -> Outcome {
    let released = elapsed_between(since, logged_at(log, "=release.3")?);
    let warned = log.contains(DRAIN_EXPIRED);
    let all = released + MARGIN >= Duration::from_secs(u64::from(WAIT));
    print_line(&format!(
        "        the stop container waited for a socket for {:.1} s",
        released.as_secs_f64()
    ))?;
    ensure(all && warned, || format!("released after {released:?} of {WAIT} s: {log}"))
}

pub(super) async fn f025_an_address_in_use_stays_until_the_deadline(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let settings = &[("FIRECAMP_DRAIN", "3s")];
    let all = start_orphaned(
        cluster,
        &[
            Set { ignore_sigterm: true, grace: WAIT, ..Set::new("busy", 1) },
            Set { grace: WAIT, ..Set::new("lingers", 1) },
            Set { ignore_sigterm: true, stop: Stop::Hook, settings, ..Set::new("hook", 1) },
        ],
    )
    .await?;
    let [(busy, served), (lingers, used), (hook, cut)] = all.as_slice() else {
        return Err(format!("{all:?}"));
    };
    let squatter = cluster.start_squatter("lingerer", lingers, used).await?;
    let client = cluster.traffic(&[cut.address])?;
    let log = cluster.follow_log(lingers, STOP)?;
    let before = cluster.last_call()?;
    let (begun, midnight) = (Instant::now(), now()?);
    let names = [busy.name.as_str(), &lingers.name, &hook.name];
    let delete = ["-n", NAMESPACE, "delete", "pod", "--wait=false"];
    cluster.admin.kubectl(&[delete.as_slice(), &names].concat()).await?;

    verify_drain_timeout(cluster, hook, cut, begun).await?;
    drop(client);
    let last = cluster.last_answer(busy, served, begun).await?;
    print_line(&format!("        the service answered for {:.1} s", last.as_secs_f64()))?;
    ensure(last > FIXED, || format!("the service answered only until {last:?}"))?;
    let log = log.finish()?;
    verify_waited(&log, midnight)?;
    cluster.wait_for_still_used_event(lingers, used.address, &log).await?;
    cluster.remove_squatter(squatter).await?;
    for (pod, held) in &all {
        cluster.wait_released(pod, held).await?;
        cluster.wait_for_parked_conditions(held.address).await?;
    }
    cluster.verify_mutations(before, 0)
}
