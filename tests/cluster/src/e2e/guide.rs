//! Runs the commands of docs/install.md as a reader would.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use firecamp_core::contract::endpoint::LINK;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::processes::output_of;
use super::set::NAMESPACE;
use super::test_cluster::{ADDRESSES, CLAIMS, TestCluster, ensure, text};
use crate::cli::print_line;
use crate::install::{ENDPOINT, PATIENCE, helm_program, source};
use crate::member::PORT;
use crate::pod_network::{BRIDGE, PODS, SERVICES};
use crate::topology::{CLUSTER, Layout, WORKERS};
use crate::{Outcome, failed};

/// Registry prefix of the imported images.
const IMAGES: &str = "docker.io/library";

/// Runs on a new cluster of its own.
pub(super) async fn the_installation_guide_works_as_written(cluster: &TestCluster<'_>) -> Outcome {
    cluster.on_further_cluster(("guide", Layout::OneSubnet), run_guide).await
}

async fn run_guide(cluster: &TestCluster<'_>) -> Outcome {
    cluster.volume("redis", "10Gi", WORKERS[0].name).await?;
    let guide = Guide::read(cluster)?;
    let before = cluster.find_traces().await?;
    let begun = Instant::now();
    // Section 1 (AWS) is skipped: the box tags its ENIs and needs no IAM role.
    guide.run_block("## 2. The agents", 1).await?;
    let agents = begun.elapsed().as_secs_f64();
    guide.run_block("## 3. The addresses", 1).await?;
    guide.run_block("## 4. The first member", 1).await?;
    let pod = cluster.wait_ready("redis-0", None).await?;
    let address = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    let all = begun.elapsed().as_secs_f64();
    print_line(&format!(
        "        agents ready after {agents:.1} s, first member after {all:.1} s"
    ))?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "redis-0"]).await?;
    let pod = cluster.wait_ready("redis-0", Some(&pod)).await?;
    let again = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    ensure(again == address, || format!("{again} after {address}"))?;
    cluster.verify_visible(&pod.node, address)?;
    guide.run_block("## Upgrade", 1).await?;
    cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    guide.run_block("## Remove", 1).await?;
    cluster.verify_released(&pod.node, address).await?;
    // The rest of the block takes minutes; a scenario of its own uninstalls.
    let uninstall = guide.block("## Remove", 2)?;
    let dry_run = uninstall.lines().next().unwrap_or_default();
    guide.run("docs/install.md, the dry run", dry_run).await?;
    guide.run_block("## Remove", 3).await?;
    guide.run_block("## Remove", 4).await?;
    let after = cluster.find_traces().await?;
    // The page says that the link of the endpoint stays until `firecamp cleanup`. The network
    // plugin makes its bridge for the first pod of a node; FireCamp's routes over it have a number.
    let expected = |trace: &&String| {
        trace.contains(LINK) || (trace.contains(BRIDGE) && !trace.contains("proto 201"))
    };
    let left = after.difference(&before).filter(|trace| !expected(trace));
    let left: Vec<&String> = left.collect();
    ensure(left.is_empty(), || format!("left behind after removal: {left:?}"))
}

/// The page and the environment of its commands.
pub(super) struct Guide {
    page: String,
    /// Directory of firecamp and of the wrappers of kubectl and helm.
    programs: PathBuf,
    kubeconfig: PathBuf,
}

impl Guide {
    pub(super) fn read(cluster: &TestCluster<'_>) -> Outcome<Self> {
        let page = source("docs/install.md");
        let page = fs::read_to_string(&page).map_err(failed(page))?;
        let programs = cluster.running.home.path("guide");
        fs::create_dir_all(&programs).map_err(failed(programs.display()))?;
        let kubectl = cluster.admin.kubectl.display();
        let helm = PathBuf::from(helm_program()?);
        // The only difference from AWS: the wrappers set the EC2 endpoint.
        let line = format!("- {{name: AWS_ENDPOINT_URL_EC2, value: {ENDPOINT:?}}}");
        program(
            &programs.join("kubectl"),
            &format!(
                "case \"$*\" in apply*\"-f -\")\n\
                 sed 's|^\\( *\\)- {{name: CLUSTER, .*|&\\n\\1{line}|' | {kubectl} \"$@\" ;;\n\
                 *) exec {kubectl} \"$@\" ;; esac\n"
            ),
        )?;
        program(
            &programs.join("helm"),
            &format!(
                "[ \"$1\" = install ] && set -- \"$@\" \
                 --set 'extraEnv[0].name=AWS_ENDPOINT_URL_EC2' \
                 --set 'extraEnv[0].value={ENDPOINT}'\n\
                 exec {} \"$@\"\n",
                helm.display()
            ),
        )?;
        let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
        program(&programs.join("firecamp"), &format!("exec {} \"$@\"\n", firecamp.display()))?;
        Ok(Self { page, programs, kubeconfig: cluster.admin.kubeconfig.clone() })
    }

    /// Runs a command block below a heading; numbers start at 1.
    pub(super) async fn run_block(&self, heading: &str, number: usize) -> Outcome {
        let what = format!("docs/install.md, {heading}, block {number}");
        self.run(&what, self.block(heading, number)?).await
    }

    /// A command block below a heading; numbers start at 1.
    pub(super) fn block(&self, heading: &str, number: usize) -> Outcome<&str> {
        let missing = || format!("docs/install.md has no block {number} of {heading}");
        let (_above, rest) = self.page.split_once(heading).ok_or_else(missing)?;
        let section = rest.split("\n## ").next().unwrap_or(rest);
        let block = section.split("```sh\n").nth(number).and_then(|it| it.split("```").next());
        block.ok_or_else(missing)
    }

    /// Runs commands in the page's environment.
    pub(super) async fn run(&self, what: &str, script: &str) -> Outcome {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(script).current_dir(source(".")).kill_on_drop(true);
        shell.env("PATH", format!("{}:{path}", self.programs.display()));
        shell.env("KUBECONFIG", &self.kubeconfig).env("CLUSTER", CLUSTER).env("IMAGES", IMAGES);
        shell.env("RANGES", format!("{PODS},{SERVICES}"));
        // This pool has the box's subnets.
        shell.env("POOL", "deploy/examples/pool.yaml");
        let ended = timeout(PATIENCE, shell.output()).await;
        let ended = ended.map_err(|_late| format!("{what}: timed out"))?;
        let ended = ended.map_err(failed(what))?;
        ensure(ended.status.success(), || {
            format!("{what}: {}", String::from_utf8_lossy(&ended.stderr))
        })
    }
}

fn program(file: &Path, script: &str) -> Outcome {
    fs::write(file, format!("#!/bin/sh\n{script}")).map_err(failed(file.display()))?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, executable).map_err(failed(file.display()))
}

impl TestCluster<'_> {
    /// Checks a release that the first block below "Remove" has waited for.
    async fn verify_released(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let state = &object["spec"]["attachment"]["state"];
        ensure(state == "Parked", || {
            format!("{address} of a deleted member is not parked: {object}")
        })?;
        ensure(!self.in_kernel(node, address)?, || {
            format!("{address} is still in the kernel of {node}")
        })?;
        let claim = self.admin.get(&format!("{CLAIMS}/redis-0")).await?;
        ensure(claim.is_object(), || "the claim of redis-0 is gone too early".to_owned())
    }

    /// Checks that [`Self::node_state`] finds a member's address and containers.
    fn verify_visible(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let all = self.node_state()?;
        let own = format!("{node}: ");
        let seen = |what: &str| all.iter().any(|one| one.starts_with(&own) && one.contains(what));
        // The member has a network of its own.
        let parts = [
            format!(": {address} dev "),
            format!(" to {address} lookup"),
            format!("from {address} to "),
        ];
        let kernel = parts.iter().all(|part| seen(part));
        let processes = all.iter().any(|one| one.starts_with("process "));
        ensure(kernel && processes, || format!("{address} on {node} is not in {all:?}"))
    }

    /// Addresses, routes, rules and permanent neighbours of all nodes, and FireCamp's processes.
    fn node_state(&self) -> Outcome<BTreeSet<String>> {
        let looks: [&[&str]; 4] = [
            &["-o", "-4", "address", "show"],
            &["-4", "route", "show", "table", "all"],
            &["-4", "rule", "show"],
            &["-4", "neigh", "show", "nud", "permanent"],
        ];
        let mut found = BTreeSet::new();
        for worker in WORKERS {
            for look in looks {
                let shown = output_of(self.running.on(worker.name, "ip")?.args(look))?;
                let node = worker.name;
                found.extend(shown.lines().map(|line| format!("{node}: {look:?}: {line}")));
            }
        }
        let ours = self.contained("cmdline", "firecamp-");
        found.extend(ours.into_iter().map(|process| format!("process {process}")));
        Ok(found)
    }

    /// All objects and node state that belong to FireCamp or contain its name.
    async fn find_traces(&self) -> Outcome<BTreeSet<String>> {
        let kinds = self.admin.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let names = ["get", &kinds.join(","), "-A", "--ignore-not-found", "-o", "name"];
        let names = self.admin.kubectl(&names).await?;
        let mut found = self.node_state()?;
        found.extend(names.lines().filter(|name| name.contains("firecamp")).map(str::to_owned));
        let nodes = self.admin.get("/api/v1/nodes").await?;
        for node in nodes["items"].as_array().into_iter().flatten() {
            let mut kept = node.clone();
            kept["metadata"]["managedFields"] = Value::Null;
            kept["status"]["images"] = Value::Null;
            if kept.to_string().contains("firecamp") {
                found.insert(format!("node/{}: {kept}", text(&node["metadata"]["name"])));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_expected_command_blocks() {
        let page = fs::read_to_string(source("docs/install.md")).unwrap();
        for (heading, blocks) in [
            ("## 1. AWS", 3),
            ("## 2. The agents", 1),
            ("## 3. The addresses", 1),
            ("## 4. The first member", 1),
            ("## Direct mode", 2),
            ("## One machine", 2),
            ("## Upgrade", 1),
            ("## Remove", 4),
            ("## Without Helm", 2),
        ] {
            let (_above, rest) = page.split_once(heading).unwrap();
            let section = rest.split("\n## ").next().unwrap();
            assert_eq!(section.matches("```sh\n").count(), blocks, "{heading}");
        }
    }
}
