//! Members whose data volume is not there, or not yet.

use super::outside::said;
use super::scene::{Scene, all_but, ensure, text};
use super::set::{Data, Set};
use crate::Outcome;
use crate::install::until;

/// A directory that nodes have only once a scenario makes it.
const LATE: &str = "/srv/late";

impl Scene<'_> {
    /// Waits until a pod is on a node that cannot mount its volume, and returns the node.
    async fn unmounted(&self, pod: &str, reason: &str) -> Outcome<String> {
        until(&format!("{pod} waits for its volume"), || async {
            let object = self.pod(pod).await?;
            let chosen = format!(
                "fieldSelector=reason%3D{reason},involvedObject.uid%3D{}",
                text(&object["metadata"]["uid"])
            );
            let all = self.admin.get(&format!("/api/v1/namespaces/prod/events?{chosen}")).await?;
            let told = all["items"].as_array().is_some_and(|all| !all.is_empty());
            let init = &object["status"]["initContainerStatuses"][0];
            let waits = init["state"]["waiting"].is_object() && init["restartCount"] == 0;
            ensure(told && waits, || object["status"].to_string())?;
            Ok(text(&object["spec"]["nodeName"]))
        })
        .await
    }
}

pub(super) async fn f082_an_address_moves_only_once_the_volume_is_mounted(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { data: Data::Node(LATE), ..Set::new("late", 1) };
    let first = "node-a";
    said(scene.running.on(first, "mkdir")?.args(["-p", LATE]))?;
    let others = all_but(first);
    scene.cordon(&others, true).await?;
    let all = scene.started(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = scene.calls()?;
    scene.cordon(&others, false).await?;
    scene.cordon(&[first], true).await?;
    scene.let_go(old, &[]).await?;
    scene.released(old, held).await?;
    let node = scene.unmounted("late-0", "FailedMount").await?;
    // Nothing has been taken, by anybody.
    scene.released(old, held).await?;
    scene.changed(before, 0)?;
    said(scene.running.on(&node, "mkdir")?.args(["-p", LATE]))?;
    let next = scene.ready("late-0", Some(old)).await?;
    let now = scene.holds(&next).await?;
    ensure(now.address == held.address && next.node == node, || format!("{next:?}, {now:?}"))?;
    scene.changed(before, 1)?;
    scene.cordon(&[first], false).await?;
    scene.delete(&set).await
}

pub(super) async fn f086_init_refuses_a_data_directory_that_is_no_mount(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { data: Data::Nothing, ..Set::new("unmounted", 1) };
    let before = scene.calls()?;
    scene.create(&set).await?;
    scene.refused(&set, 18, &["/data", "mount"]).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await
}
