//! The commands of docs/install.md for EKS. A program plays `eksctl`; the nodes are those of the
//! box, with interfaces that FireCamp makes in the subnet of the pool.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_checks::deploy::iam::Place;
use vpcbox::client::Client;

use super::aws::{self, Moto};
use super::{AWS, Guide, IMAGES};
use crate::Outcome;
use crate::cli::print_line;
use crate::e2e::set::NAMESPACE;
use crate::e2e::test_cluster::{TestCluster, ensure, text};
use crate::e2e::vpc_cni::INTERFACES;
use crate::member::PORT;
use crate::pod_network::{PODS, SERVICES};
use crate::topology::{CLUSTER, Layout, REGION, VPC, WORKERS};
use tokio::time::Instant;

const EKS: &str = "## On EKS";
/// The first and the last address of the page's pool.
const RANGE: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 80, 1), Ipv4Addr::new(10, 0, 80, 30)];
/// The page's own limit for the first member.
const INSTALL: Duration = Duration::from_mins(12);
/// The leader looks twice before it deletes an interface.
const REMOVE: Duration = Duration::from_mins(20);

/// Runs on a new cluster of its own.
pub(in crate::e2e) async fn the_commands_for_eks_start_a_member(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.on_further_cluster(("eks", Layout::OneSubnet), run_start).await
}

/// Runs on a new cluster of its own. Takes minutes.
pub(in crate::e2e) async fn the_commands_for_eks_remove_everything(
    cluster: &TestCluster<'_>,
) -> Outcome {
    cluster.on_further_cluster(("eks-gone", Layout::OneSubnet), run_removal).await
}

async fn run_start(cluster: &TestCluster<'_>) -> Outcome {
    let guide = Guide::read(cluster)?;
    let _moto = Moto::start(cluster, &guide).await?;
    let address = start_member(cluster, &guide).await?;
    show_given_out(&guide, address).await?;
    drain_interface(cluster, &guide).await
}

async fn run_removal(cluster: &TestCluster<'_>) -> Outcome {
    let guide = Guide::read(cluster)?;
    let _moto = Moto::start(cluster, &guide).await?;
    start_member(cluster, &guide).await?;
    let script = guide.find("bash", EKS, 4)?;
    guide.output_within(REMOVE, "docs/install.md, the removal", ("bash", script)).await?;
    let left = cluster.admin.get(INTERFACES).await?;
    ensure(left["items"].as_array().is_some_and(Vec::is_empty), || left.to_string())?;
    let nodes = cluster.vpc(Client::truth)?.nodes;
    ensure(nodes.iter().all(|node| node.enis.len() == 1), || format!("left: {nodes:?}"))
}

/// The first three blocks, which share their variables. Returns the member's address.
async fn start_member(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome<Ipv4Addr> {
    cluster.volume("redis", "10Gi", WORKERS[0].name).await?;
    let mut script = String::new();
    for number in 1..=3 {
        script.push_str(guide.find("bash", EKS, number)?);
    }
    // The images are imported on the nodes, and the box has other ranges than EKS.
    for (of_page, of_box) in [
        (
            "IMAGES=111122223333.dkr.ecr.us-east-1.amazonaws.com/firecamp",
            format!("IMAGES={IMAGES}"),
        ),
        ("{172.20.0.0/16}", format!("{{{PODS},{SERVICES}}}")),
    ] {
        ensure(script.contains(of_page), || format!("docs/install.md has no {of_page}"))?;
        script = script.replace(of_page, &of_box);
    }
    let begun = Instant::now();
    let what = "docs/install.md, On EKS";
    guide.output_within(INSTALL, what, ("bash", &format!("set -o pipefail\n{script}"))).await?;
    let pod = cluster.wait_ready("redis-0", None).await?;
    let address = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    let seconds = begun.elapsed().as_secs_f64();
    print_line(&format!("        first member after {seconds:.1} s"))?;
    let [first, last] = RANGE;
    ensure((first..=last).contains(&address), || format!("{address} is not of the pool"))?;
    // The policies of the stack suffice for all of this.
    let policy = Guide::policy(&guide.created_policies().await?)?;
    let place = Place { region: REGION, account: aws::ACCOUNT, vpc: VPC, cluster: CLUSTER };
    let wanted = ["ec2:CreateNetworkInterface", "ec2:AssignPrivateIpAddresses"];
    cluster.verify_allowed(&policy, &place, &wanted)?;
    Ok(address)
}

/// The commands for a cluster that exists.
async fn show_given_out(guide: &Guide, address: Ipv4Addr) -> Outcome {
    let (script, _printed) = super::commands(guide.console(EKS, 1)?);
    let subnet = "ec2 describe-subnets --filters Name=cidr-block,Values=10.0.64.0/19 \
                  --query Subnets[0].SubnetId";
    let script = format!("SUBNET={}\n{script}", guide.aws(subnet).await?.trim());
    let printed = guide.output("docs/install.md, an EKS cluster", ("sh", &script)).await?;
    let wanted = [format!("\"{address}\""), "\"172.20.0.0/16\"".to_owned()];
    ensure(wanted.iter().all(|one| printed.contains(one)), || format!("no {wanted:?}: {printed}"))
}

/// The command that removes one interface.
async fn drain_interface(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    let all = cluster.admin.get(INTERFACES).await?;
    let name = text(&all["items"][0]["metadata"]["name"]);
    ensure(!name.is_empty(), || format!("no interface: {all}"))?;
    let (script, _printed) = super::commands(guide.console(AWS, 1)?);
    guide.run("docs/install.md, the interface", &script.replace("NAME", &name)).await?;
    let object = cluster.admin.get(&format!("{INTERFACES}/{name}")).await?;
    ensure(object["spec"]["phase"] == "Draining", || object.to_string())
}
