//! How long an address stays while its pod ends.

use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::time::Instant;

use super::audit::Held;
use super::ends::CUT;
use super::events::STOP;
use super::ports::{container, send};
use super::scene::{Pod, Scene, ensure};
use super::set::{NAMESPACE, Set, Stop};
use super::unstopped::{between, reported_at};
use crate::Outcome;
use crate::cli::say;
use crate::install::until;

/// How long the pods have to end.
const WAIT: u32 = 12;
/// The most that the hook drains.
const DRAIN: Duration = Duration::from_secs(3);
/// So long the address stayed in the original, whatever used it.
const FIXED: Duration = Duration::from_secs(5);
/// What a stop container keeps of the time that is left, and what whole seconds on the way to it
/// may cost.
const MARGIN: Duration = Duration::from_secs(3);

impl Scene<'_> {
    /// Follows a pod that was deleted until its service has ended: so long its address is there.
    /// Returns when a client was last answered.
    async fn serves_to_the_end(&self, pod: &Pod, held: &Held, since: Instant) -> Outcome<Duration> {
        let mut last = Duration::ZERO;
        until(&format!("the service of {} ends", pod.name), || {
            let there = self.in_kernel(&pod.node, held.address);
            let answer = self.dial(held.address);
            let lives = container(&pod.uid, "--deaf").is_ok();
            if answer.is_ok_and(|who| who.contains(&pod.uid)) {
                last = since.elapsed();
            }
            std::future::ready(if lives && there == Ok(true) {
                Err("it serves".to_owned())
            } else if lives {
                Ok(Err(format!("it serves, and its address: {there:?}")))
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

/// Pods whose sets are gone, and what they hold.
async fn ends(scene: &Scene<'_>, sets: &[Set]) -> Outcome<Vec<(Pod, Held)>> {
    for set in sets {
        scene.create(set).await?;
    }
    let mut all = Vec::new();
    for set in sets {
        let pod = scene.ready(&format!("{}-0", set.name), None).await?;
        let held = scene.holds(&pod).await?;
        scene.orphan(set).await?;
        all.push((pod, held));
    }
    Ok(all)
}

/// A hook's draining of a client's connections is cut, and its service goes on.
async fn cut_short(scene: &Scene<'_>, pod: &Pod, held: &Held, since: Instant) -> Outcome {
    until("the hook has released", || async {
        let there = scene.in_kernel(&pod.node, held.address)?;
        ensure(!there, || "it is in the kernel".to_owned())
    })
    .await?;
    let drained = since.elapsed();
    let service = container(&pod.uid, "--deaf")?;
    ensure(drained >= DRAIN, || format!("it drained for {drained:?}"))?;
    say(&format!("        a hook drained for {:.1} s", drained.as_secs_f64()))?;
    send(service, Signal::SIGKILL)
}

/// A socket that stays was waited for until the time was over.
fn waited(log: &str, since: f64) -> Outcome {
    let released = between(since, reported_at(log, "=release.3")?);
    let reported = log.contains(CUT);
    let all = released + MARGIN >= Duration::from_secs(u64::from(WAIT));
    say(&format!("        a socket was waited for until {:.1} s", released.as_secs_f64()))?;
    ensure(all && reported, || format!("after {released:?}: {log}"))
}

pub(super) async fn f025_an_address_stays_for_as_long_as_it_is_used_and_there_is_time(
    scene: &Scene<'_>,
) -> Outcome {
    let settings = &[("FIRECAMP_DRAIN", "3s")];
    let all = ends(
        scene,
        &[
            Set { deaf: true, grace: WAIT, ..Set::new("busy", 1) },
            Set { grace: WAIT, ..Set::new("lingers", 1) },
            Set { deaf: true, stop: Stop::Hook, settings, ..Set::new("hook", 1) },
        ],
    )
    .await?;
    let [(busy, served), (lingers, used), (hook, cut)] = all.as_slice() else {
        return Err(format!("{all:?}"));
    };
    let squatter = scene.squat("lingerer", lingers, used).await?;
    let client = scene.traffic(&[cut.address])?;
    let log = scene.follow(lingers, STOP)?;
    let before = scene.calls()?;
    let (begun, midnight) = (Instant::now(), now()?);
    let names = [busy.name.as_str(), &lingers.name, &hook.name];
    let delete = ["-n", NAMESPACE, "delete", "pod", "--wait=false"];
    scene.admin.kubectl(&[delete.as_slice(), &names].concat()).await?;

    cut_short(scene, hook, cut, begun).await?;
    drop(client);
    let last = scene.serves_to_the_end(busy, served, begun).await?;
    say(&format!("        a service was reached until {:.1} s", last.as_secs_f64()))?;
    ensure(last > FIXED, || format!("it was last reached after {last:?}"))?;
    let said = log.finish()?;
    waited(&said, midnight)?;
    scene.reported_sockets(lingers, used.address, &said).await?;
    scene.evict(squatter).await?;
    for (pod, held) in &all {
        scene.released(pod, held).await?;
        scene.rests(held.address).await?;
    }
    scene.changed(before, 0)
}
