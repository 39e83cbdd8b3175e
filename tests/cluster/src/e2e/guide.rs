//! Runs the commands of docs/install.md as a reader would.

mod aws;
mod eks;
mod page;
mod traces;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use firecamp_checks::deploy::iam::Place;
use firecamp_core::contract::endpoint::LINK;
use firecamp_core::contract::tag;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use vpcbox::client::Client;
use vpcbox::vpc::Act;

use super::endpoint::api_server_injects;
use super::processes::output_of;
use super::set::NAMESPACE;
use super::test_cluster::{TestCluster, ensure};
use crate::cli::print_line;
use crate::install::{ENDPOINT, PATIENCE, helm_program, source, until};
use crate::member::PORT;
use crate::pod_network::{BRIDGE, PODS, SERVICES};
use crate::settings::kubeconfig;
use crate::topology::{CLUSTER, Layout, REGION, VPC, WORKERS};
use crate::{Outcome, failed};
use aws::Moto;
use page::{Block, blocks, commands};

pub(super) use eks::{the_commands_for_eks_remove_everything, the_commands_for_eks_start_a_member};

/// Registry prefix of the imported images.
const IMAGES: &str = "docker.io/library";
/// The account in the variables of the page.
const ACCOUNT: &str = "111122223333";
/// The block that sets the variables of the others.
const VARIABLES: &str = "## On another cluster on EC2";
/// The blocks that it reserves.
const RESERVED: [(&str, &str); 3] = [
    ("subnet-0a1b2c3d4e5f60718", "10.0.1.32/27"),
    ("subnet-0b1b2c3d4e5f60718", "10.0.2.32/27"),
    ("subnet-0c1b2c3d4e5f60718", "10.0.3.32/27"),
];
const AWS: &str = "## 1. AWS";
const FIRST: &str = "## 4. The first member";
const UPGRADE: &str = "## Upgrade";
const REMOVE: &str = "## Remove";
const ALONE: &str = "## Without Helm";

/// Runs on a new cluster of its own.
pub(super) async fn the_installation_guide_works_as_written(cluster: &TestCluster<'_>) -> Outcome {
    cluster.on_further_cluster(("guide", Layout::OneSubnet), run_guide).await
}

async fn run_guide(cluster: &TestCluster<'_>) -> Outcome {
    cluster.volume("redis", "10Gi", WORKERS[0].name).await?;
    let guide = Guide::read(cluster)?;
    let _moto = Moto::start(cluster, &guide).await?;
    prepare_aws(cluster, &guide).await?;
    let before = cluster.find_traces().await?;
    install_and_upgrade(cluster, &guide).await?;
    // The rest of the block takes minutes; the scenario for EKS runs it.
    let uninstall = guide.block(REMOVE, 2)?;
    let dry_run = uninstall.lines().next().unwrap_or_default();
    guide.run("docs/install.md, the dry run", dry_run).await?;
    guide.run_block(REMOVE, 3).await?;
    guide.run_block(REMOVE, 5).await?;
    let after = cluster.find_traces().await?;
    // The page says that the link of the endpoint stays until `firecamp cleanup`. The network
    // plugin makes its bridge for the first pod of a node; FireCamp's routes over it have a number.
    let plugins = |trace: &&String| trace.contains(BRIDGE) && !trace.contains("proto 201");
    let expected = |trace: &&String| trace.contains(LINK) || plugins(trace);
    verify_left(after.difference(&before).filter(|trace| !expected(trace)))?;
    clean_nodes(cluster, &guide)?;
    let after = cluster.find_traces().await?;
    verify_left(after.difference(&before).filter(|trace| !plugins(trace)))?;
    guide.run_block(ALONE, 1).await?;
    let (_commands, bound) = guide.run_console(ALONE, 1).await?;
    ensure(bound.lines().count() == 2, || format!("bound: {bound}"))?;
    guide.run_block(ALONE, 2).await?;
    clean_aws(&guide).await
}

fn verify_left<'a>(left: impl Iterator<Item = &'a String>) -> Outcome {
    let left: Vec<&String> = left.collect();
    ensure(left.is_empty(), || format!("left behind after removal: {left:?}"))
}

/// Section 1, after what comes before FireCamp: nodes whose interfaces have no tag of FireCamp, and
/// whose `spec.providerID` the AWS cloud controller manager has set.
async fn prepare_aws(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    for node in cluster.vpc(Client::truth)?.nodes {
        let (eni, key) = (cluster.primary(&node.name)?, tag::CLUSTER.to_owned());
        cluster.vpc(|vpc| vpc.act(Act::TagEni { eni, key, value: None }))?;
        let id = format!("aws:///{}/{}", node.zone, node.instance);
        let patch = format!("{{\"spec\":{{\"providerID\":\"{id}\"}}}}");
        cluster.admin.kubectl(&["patch", "node", &node.name, "-p", &patch]).await?;
    }
    // The blocks form one script. The variables of the test, such as POOL, are set afterwards.
    let mut script = guide.block(VARIABLES, 1)?.to_owned();
    for number in 1..=3 {
        script.push_str(guide.block(AWS, number)?);
    }
    guide.run("docs/install.md, section 1", &script).await?;
    verify_aws(cluster, guide).await?;
    let (_commands, printed) = guide.run_console("## Autoscaling", 1).await?;
    let page = commands(guide.console("## Autoscaling", 1)?).1;
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    ensure(sorted(&printed) == sorted(&page), || format!("{printed:?} instead of {page:?}"))?;
    guide.run_console("## The images", 1).await.map(drop)
}

/// Checks what the AWS CLI and the VPC say after section 1.
async fn verify_aws(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    let primary: Outcome<BTreeSet<String>> =
        WORKERS.iter().map(|worker| cluster.primary(worker.name)).collect();
    guide.wait_tagged(&primary?).await?;
    guide.wait_reserved(true).await
}

/// The block of *Remove* for AWS. Section 1 has made what it removes.
async fn clean_aws(guide: &Guide) -> Outcome {
    let script = format!("{}{}", guide.block(VARIABLES, 1)?, guide.block(REMOVE, 4)?);
    guide.run("docs/install.md, the removal from AWS", &script).await?;
    guide.wait_tagged(&BTreeSet::new()).await?;
    guide.wait_reserved(false).await?;
    let policies = guide.aws("iam list-role-policies --role-name prod-nodes").await?;
    ensure(policies.trim().is_empty(), || policies)
}

/// Sections 2 to 4, *Upgrade*, and the first block of *Remove*.
async fn install_and_upgrade(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    let begun = Instant::now();
    guide.run_block("## 2. The agents", 1).await?;
    let agents = begun.elapsed().as_secs_f64();
    guide.run_block("## 3. The addresses", 1).await?;
    guide.run("docs/install.md, section 4", &guide.first_member()?).await?;
    let pod = cluster.wait_ready("redis-0", None).await?;
    let address = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    let all = begun.elapsed().as_secs_f64();
    print_line(&format!(
        "        agents ready after {agents:.1} s, first member after {all:.1} s"
    ))?;
    guide.run_console(FIRST, 1).await?;
    let pod = cluster.wait_ready("redis-0", Some(&pod)).await?;
    let again = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    ensure(again == address, || format!("{again} after {address}"))?;
    cluster.verify_visible(&pod.node, address)?;
    until("the commands of section 4 find nothing", || guide.run_console(FIRST, 2)).await?;
    upgrade(guide).await?;
    cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    guide.run_block(REMOVE, 1).await?;
    cluster.verify_released(&pod.node, address).await?;
    // The policy that section 1 gave the role of the nodes suffices for all of this.
    let get = "aws iam get-role-policy --role-name prod-nodes --policy-name firecamp-prod \
               --output json --query PolicyDocument";
    let policy = guide.output("the policy of the role", ("sh", get)).await?;
    let place = Place { region: REGION, account: ACCOUNT, vpc: VPC, cluster: CLUSTER };
    let wanted = ["ec2:AssignPrivateIpAddresses", "ec2:DescribeInstanceTypes"];
    cluster.verify_allowed(&Guide::policy(&[policy])?, &place, &wanted)
}

/// *Upgrade*, a rollback, and the list of what members have.
async fn upgrade(guide: &Guide) -> Outcome {
    guide.run_block(UPGRADE, 1).await?;
    guide.run_console(UPGRADE, 1).await?;
    let (_commands, listed) = guide.run_console(UPGRADE, 2).await?;
    let image = format!("{IMAGES}/firecamp-initcontainer:");
    let member = |line: &str| line.starts_with("redis-0 ") && line.contains(&image);
    ensure(listed.lines().any(member), || format!("no member of {image}: {listed}"))
}

/// The console block of *Remove*, on each node and with its kubeconfig.
fn clean_nodes(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    let (script, _printed) = commands(guide.console(REMOVE, 1)?);
    let firecamp = guide.programs.join("firecamp").display().to_string();
    for worker in WORKERS {
        let own = kubeconfig(&cluster.running.home, &format!("node-{}", worker.name));
        let script = script.replace("sudo firecamp", &firecamp);
        let script = script.replace("/var/lib/kubelet/kubeconfig", &own);
        ensure(script.matches(&own).count() == 2, || format!("unexpected commands: {script}"))?;
        output_of(cluster.running.on(worker.name, "sh")?.args(["-euc", &script]))?;
    }
    Ok(())
}

/// The page and the environment of its commands.
pub(super) struct Guide {
    blocks: Vec<Block>,
    /// Directory of firecamp and of the wrappers of kubectl and helm.
    programs: PathBuf,
    /// In place of a checkout: commands write files here.
    checkout: PathBuf,
    kubeconfig: PathBuf,
}

impl Guide {
    pub(super) fn read(cluster: &TestCluster<'_>) -> Outcome<Self> {
        let page = source("docs/install.md");
        let page = fs::read_to_string(&page).map_err(failed(page))?;
        let programs = cluster.running.home.path("guide");
        let checkout = programs.join("checkout");
        fs::create_dir_all(&checkout).map_err(failed(checkout.display()))?;
        symlink(source("deploy"), checkout.join("deploy")).map_err(failed(checkout.display()))?;
        write_programs(cluster, &programs)?;
        let kubeconfig = cluster.admin.kubeconfig.clone();
        Ok(Self { blocks: blocks(&page), programs, checkout, kubeconfig })
    }

    /// Runs a command block below a heading; numbers start at 1.
    pub(super) async fn run_block(&self, heading: &str, number: usize) -> Outcome {
        let what = format!("docs/install.md, {heading}, block {number}");
        self.run(&what, self.block(heading, number)?).await
    }

    /// A command block below a heading; numbers start at 1.
    pub(super) fn block(&self, heading: &str, number: usize) -> Outcome<&str> {
        self.find("sh", heading, number)
    }

    /// Waits until these interfaces, and no others, have the cluster's tag.
    async fn wait_tagged(&self, wanted: &BTreeSet<String>) -> Outcome {
        let tagged = format!(
            "ec2 describe-network-interfaces --filters Name=tag:{},Values={CLUSTER} \
             --query NetworkInterfaces[].NetworkInterfaceId",
            tag::CLUSTER
        );
        until("the wanted interfaces have the tag", || async {
            let tagged = self.aws(&tagged).await?;
            let tagged: BTreeSet<String> = tagged.split_whitespace().map(str::to_owned).collect();
            ensure(tagged == *wanted, || format!("{tagged:?} instead of {wanted:?}"))
        })
        .await
    }

    /// Waits until the blocks of the page are reserved, or no longer are.
    async fn wait_reserved(&self, wanted: bool) -> Outcome {
        for (subnet, block) in RESERVED {
            let list = format!(
                "ec2 get-subnet-cidr-reservations --subnet-id {subnet} \
                 --query SubnetIpv4CidrReservations[].Cidr"
            );
            until(&format!("{block} is reserved: {wanted}"), || async {
                let reserved = self.aws(&list).await?;
                let is = reserved.split_whitespace().any(|one| one == block);
                ensure(is == wanted, || reserved)
            })
            .await?;
        }
        Ok(())
    }

    /// The block of section 4; before Kubernetes 1.36 with the command that the page names.
    pub(super) fn first_member(&self) -> Outcome<String> {
        let block = self.block(FIRST, 1)?;
        if api_server_injects()? {
            return Ok(block.to_owned());
        }
        let apply = "kubectl apply --server-side -f deploy/examples/redis.yaml\n";
        let inject = "firecamp inject -f deploy/examples/redis.yaml \
                      --image \"$IMAGES/firecamp-initcontainer:0.1.0\" | \
                      kubectl apply --server-side -f -\n";
        ensure(block.contains(apply), || format!("no {apply}: {block}"))?;
        Ok(block.replace(apply, inject))
    }

    /// A block with prompts.
    fn console(&self, heading: &str, number: usize) -> Outcome<&str> {
        self.find("console", heading, number)
    }

    fn find(&self, language: &str, heading: &str, number: usize) -> Outcome<&str> {
        let is = |block: &&Block| block.heading == heading && block.language == language;
        let block = self.blocks.iter().filter(is).nth(number.saturating_sub(1));
        let missing = || format!("docs/install.md has no {language} block {number} of {heading}");
        block.map(|block| block.text.as_str()).ok_or_else(missing)
    }

    /// Runs a block with prompts. Returns its commands, and what they print.
    async fn run_console(&self, heading: &str, number: usize) -> Outcome<(String, String)> {
        let (script, _printed) = commands(self.console(heading, number)?);
        let what = format!("docs/install.md, {heading}, console {number}");
        let printed = self.output(&what, ("sh", &script)).await?;
        Ok((script, printed))
    }

    /// Runs commands in the page's environment.
    pub(super) async fn run(&self, what: &str, script: &str) -> Outcome {
        self.output(what, ("sh", script)).await.map(drop)
    }

    /// The same by another shell; returns the standard output.
    async fn output(&self, what: &str, script: (&str, &str)) -> Outcome<String> {
        self.output_within(PATIENCE, what, script).await
    }

    async fn output_within(
        &self,
        limit: Duration,
        what: &str,
        (shell, script): (&str, &str),
    ) -> Outcome<String> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new(shell);
        shell.arg("-euc").arg(script).current_dir(&self.checkout).kill_on_drop(true);
        shell.env("PATH", format!("{}:{path}", self.programs.display()));
        shell.env("KUBECONFIG", &self.kubeconfig).env("CLUSTER", CLUSTER).env("IMAGES", IMAGES);
        shell.env("RANGES", format!("{PODS},{SERVICES}"));
        // This pool has the box's subnets.
        shell.env("POOL", "deploy/examples/pool.yaml");
        let ended = timeout(limit, shell.output()).await;
        let ended = ended.map_err(|_late| format!("{what}: timed out"))?;
        let ended = ended.map_err(failed(what))?;
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        ensure(ended.status.success(), || {
            format!("{what}: {printed}{}", String::from_utf8_lossy(&ended.stderr))
        })?;
        Ok(printed)
    }
}

/// The only difference from AWS: the wrappers set the EC2 endpoint.
fn write_programs(cluster: &TestCluster<'_>, programs: &Path) -> Outcome {
    let kubectl = cluster.admin.kubectl.display();
    let helm = PathBuf::from(helm_program()?);
    let (name, value) = ("AWS_ENDPOINT_URL_EC2", ENDPOINT);
    let line = format!("- {{name: {name}, value: {value:?}}}");
    program(
        &programs.join("kubectl"),
        &format!(
            "case \"$*\" in apply*\"-f -\")\n\
             sed 's|^\\( *\\)- {{name: CLUSTER, .*|&\\n\\1{line}|' | {kubectl} \"$@\" ;;\n\
             apply*\"-k overlay\") {kubectl} \"$@\" && {kubectl} -n firecamp-system \
             set env daemonset/firecamp-agent {name}={value} ;;\n\
             *) exec {kubectl} \"$@\" ;; esac\n"
        ),
    )?;
    program(
        &programs.join("helm"),
        &format!(
            "[ \"$1\" = install ] && set -- \"$@\" \
             --set 'extraEnv[0].name={name}' --set 'extraEnv[0].value={value}'\n\
             exec {} \"$@\"\n",
            helm.display()
        ),
    )?;
    let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
    for name in ["firecamp", "kubectl-firecamp"] {
        program(&programs.join(name), &format!("exec {} \"$@\"\n", firecamp.display()))?;
    }
    Ok(())
}

fn program(file: &Path, script: &str) -> Outcome {
    fs::write(file, format!("#!/bin/sh\n{script}")).map_err(failed(file.display()))?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, executable).map_err(failed(file.display()))
}
