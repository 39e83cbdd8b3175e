//! First start and ordinary restarts of members.

use std::collections::BTreeSet;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::set::{NAMESPACE, Set};
use super::test_cluster::{TestCluster, all_but, ensure};
use super::vpc_cni::is_firecamps;
use crate::cli::print_line;
use crate::install::{PATIENCE, source};
use crate::{Outcome, failed};

pub(super) async fn three_members_start_with_one_ec2_mutation_each(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("first", 3);
    let before = cluster.last_call()?;
    cluster.create(&set).await?;
    let mut addresses = BTreeSet::new();
    for pod in cluster.wait_all_ready(&set).await? {
        let held = cluster.wait_held(&pod).await?;
        ensure(held.epoch == 1, || format!("the first epoch of {} is {}", pod.name, held.epoch))?;
        addresses.insert(held.address);
    }
    ensure(addresses.len() == 3, || format!("members share addresses: {addresses:?}"))?;
    cluster.verify_mutations(before, 3)?;
    cluster.delete(&set).await
}

pub(super) async fn a_restart_on_the_same_node_makes_no_ec2_call(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("again", 1);
    cluster.create(&set).await?;
    let mut pod = cluster.wait_ready("again-0", None).await?;
    let mut held = cluster.wait_held(&pod).await?;
    // On another node, the restart would make an EC2 call.
    let others = all_but(&pod.node);
    cluster.cordon(&others, true).await?;
    let before = cluster.last_call()?;
    for _restart in 0..3 {
        let begun = Instant::now();
        cluster
            .admin
            .kubectl(&["-n", NAMESPACE, "delete", "pod", "again-0", "--wait=false"])
            .await?;
        let next = cluster.wait_ready("again-0", Some(&pod)).await?;
        let seconds = begun.elapsed().as_secs_f64();
        print_line(&format!("        pod deleted to ready: {seconds:.1} s"))?;
        ensure(next.node == pod.node, || {
            format!("{} moved from {} to {}", pod.name, pod.node, next.node)
        })?;
        let now = cluster.wait_held(&next).await?;
        ensure(now.address == held.address && now.epoch > held.epoch, || {
            format!("{now:?} after {held:?}")
        })?;
        (pod, held) = (next, now);
    }
    let calls = cluster.vpc(|vpc| vpc.calls(before))?;
    let address = held.address.to_string();
    let theirs = calls.iter().filter(|call| is_for_member(call, &address));
    let theirs: Vec<String> = theirs.map(describe).collect();
    ensure(theirs.is_empty(), || format!("EC2 calls of the member: {}", theirs.join("; ")))?;
    cluster.verify_mutations(before, 0)?;
    cluster.cordon(&others, false).await?;
    cluster.delete(&set).await
}

/// Runs the commands of docs/development/cluster.md on a new cluster.
pub(super) async fn the_commands_of_the_cluster_page_work(cluster: &TestCluster<'_>) -> Outcome {
    let page = source("docs/development/cluster.md");
    let page = std::fs::read_to_string(&page).map_err(failed(page))?;
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let script = block.ok_or("docs/development/cluster.md has no command block")?;
    let output = run_commands(cluster, script).await?;
    let pod = cluster.wait_ready("hello-0", None).await?;
    cluster.wait_held(&pod).await?;
    let last = output.lines().last().unwrap_or_default();
    ensure(last == format!("hello-0 {} {}", pod.uid, pod.node), || output.clone())?;
    cluster.delete(&Set::new("hello", 1)).await
}

/// Runs commands of the page and returns their output.
async fn run_commands(cluster: &TestCluster<'_>, script: &str) -> Outcome<String> {
    let (kubectl, own_binary) = (cluster.admin.kubectl.display(), cluster.running.own_binary()?);
    let (own_binary, flags) = (own_binary.display(), cluster.running.home.flags().join(" "));
    let programs = format!(
        "kubectl() {{ {kubectl} \"$@\"; }}\n\
         box() {{ verb=$1; shift; {own_binary} $verb {flags} \"$@\"; }}\n"
    );
    let script = format!("{programs}{}", script.replace("scripts/cluster.sh ", "box "));
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).current_dir(source(".")).kill_on_drop(true);
    let ended = shell.env("KUBECONFIG", &cluster.admin.kubeconfig).output();
    let ended = timeout(PATIENCE, ended).await.map_err(failed("docs/development/cluster.md"))?;
    let ended = ended.map_err(failed("docs/development/cluster.md"))?;
    let output = [ended.stdout, ended.stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    ensure(ended.status.success(), || output.clone()).map(|()| output)
}

/// Whether the member's containers sent the call, or an agent for it.
fn is_for_member(call: &vpcbox::protocol::Call, address: &str) -> bool {
    let by_agent = call.app.contains("firecamp-agent");
    let names_it = call.parameters.values().any(|value| value == address);
    is_firecamps(call) && (!by_agent || names_it)
}

fn describe(call: &vpcbox::protocol::Call) -> String {
    format!("{} by {} ({})", call.action, call.caller, call.app)
}
