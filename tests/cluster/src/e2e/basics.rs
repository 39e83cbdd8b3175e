//! A member's first start, and its ordinary restarts.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::scene::{Scene, all_but, ensure};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::cli::say;

pub(super) async fn the_first_start_of_three_members(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("first", 3);
    let before = scene.calls()?;
    scene.create(&set).await?;
    let mut addresses = BTreeSet::new();
    for pod in scene.all_ready(&set).await? {
        let held = scene.holds(&pod).await?;
        scene.event("AddressAttached", &pod).await?;
        ensure(held.epoch == 1, || format!("the first epoch is {}", held.epoch))?;
        addresses.insert(held.address);
    }
    ensure(addresses.len() == 3, || format!("they share: {addresses:?}"))?;
    scene.changed(before, 3)?;
    scene.delete(&set).await
}

pub(super) async fn a_deleted_pod_comes_back_on_its_node_without_a_call(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("again", 1);
    scene.create(&set).await?;
    let mut pod = scene.ready("again-0", None).await?;
    let mut held = scene.holds(&pod).await?;
    // The scheduler may choose another node, which costs a call.
    let others = all_but(&pod.node);
    scene.cordon(&others, true).await?;
    let before = scene.calls()?;
    for _restart in 0..3 {
        let begun = Instant::now();
        scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "again-0", "--wait=false"]).await?;
        let next = scene.ready("again-0", Some(&pod)).await?;
        let seconds = begun.elapsed().as_secs_f64();
        say(&format!("        pod deleted to ready: {seconds:.1} s"))?;
        ensure(next.node == pod.node, || format!("it is on {}", next.node))?;
        let now = scene.holds(&next).await?;
        ensure(now.address == held.address && now.epoch > held.epoch, || {
            format!("{now:?} after {held:?}")
        })?;
        scene.event("AddressAttached", &next).await?;
        (pod, held) = (next, now);
    }
    let calls = scene.vpc(|vpc| vpc.calls(before))?;
    let theirs: Vec<String> = calls.iter().filter(|call| is_members(call)).map(told).collect();
    ensure(theirs.is_empty(), || format!("calls of EC2: {}", theirs.join("; ")))?;
    scene.cordon(&others, false).await?;
    scene.delete(&set).await
}

fn is_members(call: &vpcbox::protocol::Call) -> bool {
    call.service == "ec2" && !call.app.contains("agent")
}

fn told(call: &vpcbox::protocol::Call) -> String {
    format!("{} by {} ({})", call.action, call.caller, call.app)
}
