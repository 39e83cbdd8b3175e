//! Many members at once.

use std::collections::BTreeSet;

use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::scene::{Pod, Scene, ensure};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::until;

/// So many as one service has at most here.
const MEMBERS: u32 = 20;
/// What EC2 takes of calls that change something: so many at once, and then so many a second.
const AT_ONCE: u32 = 3;
const A_SECOND: f64 = 1.0;

pub(super) async fn twenty_members_that_restart_at_once_all_come_back_though_ec2_throttles(
    scene: &Scene<'_>,
) -> Outcome {
    let bucket = Fault::Bucket { capacity: AT_ONCE, refill: A_SECOND };
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let when = Selector { op, ..Selector::default() };
    let fault = scene.vpc(|vpc| vpc.fault_set(FaultSpec { fault: bucket, when }))?;
    let set = Set { parallel: true, ..Set::new("crowd", MEMBERS) };
    let before = scene.calls()?;
    scene.create(&set).await?;
    let first = scene.all_ready(&set).await?;
    let held = all_hold(scene, &first).await?;
    ensure(held.len() == first.len(), || format!("they share: {held:?}"))?;
    let label = "app.kubernetes.io/name=crowd";
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pods", "-l", label, "--wait=false"]).await?;
    let mut second = Vec::new();
    for pod in &first {
        second.push(scene.ready(&pod.name, Some(pod)).await?);
    }
    let again = all_hold(scene, &second).await?;
    ensure(again == held, || format!("{again:?} after {held:?}"))?;
    let refused = scene.vpc(|vpc| vpc.calls(before))?;
    let refused = refused.iter().filter(|call| is_throttled(call)).count();
    ensure(refused > 0, || "EC2 never throttled".to_owned())?;
    scene.vpc(|vpc| vpc.fault_clear(Some(fault)))?;
    no_container_failed(scene, &second).await?;
    scene.delete(&set).await
}

fn is_throttled(call: &vpcbox::protocol::Call) -> bool {
    call.code.as_deref() == Some("RequestLimitExceeded")
}

async fn all_hold(
    scene: &Scene<'_>,
    pods: &[Pod],
) -> Outcome<BTreeSet<(String, std::net::Ipv4Addr)>> {
    let mut all = BTreeSet::new();
    for pod in pods {
        all.insert((pod.name.clone(), scene.holds(pod).await?.address));
    }
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
