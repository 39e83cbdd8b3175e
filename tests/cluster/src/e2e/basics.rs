//! A member's first start, and its ordinary restarts.

use std::collections::BTreeSet;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::scene::{Scene, all_but, ensure};
use super::set::{NAMESPACE, Set};
use crate::cli::say;
use crate::install::{PATIENCE, source};
use crate::{Outcome, failed};

pub(super) async fn the_first_start_of_three_members(scene: &Scene<'_>) -> Outcome {
    let set = Set::new("first", 3);
    let before = scene.calls()?;
    scene.create(&set).await?;
    let mut addresses = BTreeSet::new();
    for pod in scene.all_ready(&set).await? {
        let held = scene.holds(&pod).await?;
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
        (pod, held) = (next, now);
    }
    let calls = scene.vpc(|vpc| vpc.calls(before))?;
    let theirs: Vec<String> = calls.iter().filter(|call| is_members(call)).map(reported).collect();
    ensure(theirs.is_empty(), || format!("calls of EC2: {}", theirs.join("; ")))?;
    scene.changed(before, 0)?;
    scene.cordon(&others, false).await?;
    scene.delete(&set).await
}

/// The commands of docs/development/cluster.md, as somebody gives them who has just made a cluster.
pub(super) async fn a_member_to_play_with_answers_as_the_page_says(scene: &Scene<'_>) -> Outcome {
    let page = source("docs/development/cluster.md");
    let page = std::fs::read_to_string(&page).map_err(failed(page))?;
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let script = block.ok_or("the page has no commands")?;
    let reported = typed(scene, script).await?;
    let pod = scene.ready("hello-0", None).await?;
    scene.holds(&pod).await?;
    let last = reported.lines().last().unwrap_or_default();
    ensure(last == format!("hello-0 {} {}", pod.uid, pod.node), || reported.clone())?;
    scene.delete(&Set::new("hello", 1)).await
}

/// What commands of the page print.
async fn typed(scene: &Scene<'_>, script: &str) -> Outcome<String> {
    let (kubectl, ourselves) = (scene.admin.kubectl.display(), scene.running.ourselves()?);
    let (ourselves, flags) = (ourselves.display(), scene.running.home.flags().join(" "));
    let programs = format!(
        "kubectl() {{ {kubectl} \"$@\"; }}\n\
         box() {{ verb=$1; shift; {ourselves} $verb {flags} \"$@\"; }}\n"
    );
    let script = format!("{programs}{}", script.replace("scripts/cluster.sh ", "box "));
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(source(".")).kill_on_drop(true);
    let ended = shell.env("KUBECONFIG", &scene.admin.kubeconfig).output();
    let ended = timeout(PATIENCE, ended).await.map_err(failed("docs/development/cluster.md"))?;
    let ended = ended.map_err(failed("docs/development/cluster.md"))?;
    let reported = [ended.stdout, ended.stderr].concat();
    let reported = String::from_utf8_lossy(&reported).into_owned();
    ensure(ended.status.success(), || reported.clone()).map(|()| reported)
}

fn is_members(call: &vpcbox::protocol::Call) -> bool {
    call.service == "ec2" && !call.app.contains("agent")
}

fn reported(call: &vpcbox::protocol::Call) -> String {
    format!("{} by {} ({})", call.action, call.caller, call.app)
}
