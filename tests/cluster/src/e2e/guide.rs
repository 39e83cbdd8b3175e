//! docs/install.md, as somebody follows it who has only the page.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use super::ports::said;
use super::scene::{ADDRESSES, CLAIMS, Scene, ensure, text};
use super::set::NAMESPACE;
use crate::cli::say;
use crate::install::{ENDPOINT, PATIENCE, helm_program, source};
use crate::member::PORT;
use crate::topology::{CLUSTER, Layout, WORKERS};
use crate::{Outcome, failed};

/// The images are imported under these names.
const IMAGES: &str = "docker.io/library";

/// On a cluster of its own, which has nothing yet.
pub(super) async fn the_installation_guide_works_as_it_is_written(scene: &Scene<'_>) -> Outcome {
    scene.elsewhere(("guide", Layout::OneSubnet), followed).await
}

async fn followed(scene: &Scene<'_>) -> Outcome {
    scene.volume("redis", "10Gi", WORKERS[0].name).await?;
    let guide = Guide::read(scene)?;
    let before = scene.traces().await?;
    let begun = Instant::now();
    // Without AWS: the box's interfaces have their tags, and nobody needs a role.
    guide.follow("## 2. The agents", 1).await?;
    let agents = begun.elapsed().as_secs_f64();
    guide.follow("## 3. The addresses", 1).await?;
    guide.follow("## 4. The first member", 1).await?;
    let pod = scene.ready("redis-0", None).await?;
    let address = scene.serves(NAMESPACE, &pod, PORT).await?;
    let all = begun.elapsed().as_secs_f64();
    say(&format!("        agents after {agents:.1} s, the first member after {all:.1} s"))?;
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "redis-0"]).await?;
    let pod = scene.ready("redis-0", Some(&pod)).await?;
    let again = scene.serves(NAMESPACE, &pod, PORT).await?;
    ensure(again == address, || format!("{again} after {address}"))?;
    scene.is_seen(&pod.node, address)?;
    guide.follow("## Upgrade", 1).await?;
    scene.serves(NAMESPACE, &pod, PORT).await?;
    guide.follow("## Remove", 1).await?;
    scene.is_released(&pod.node, address).await?;
    guide.follow("## Remove", 2).await?;
    let after = scene.traces().await?;
    let left: Vec<&String> = after.difference(&before).collect();
    ensure(left.is_empty(), || format!("it is left behind: {left:?}"))
}

/// The page, and what its commands find.
pub(super) struct Guide {
    page: String,
    /// Where kubectl and helm are.
    programs: PathBuf,
    kubeconfig: PathBuf,
}

impl Guide {
    pub(super) fn read(scene: &Scene<'_>) -> Outcome<Self> {
        let page = source("docs/install.md");
        let page = fs::read_to_string(&page).map_err(failed(page))?;
        let programs = scene.running.home.path("guide");
        fs::create_dir_all(&programs).map_err(failed(programs.display()))?;
        let kubectl = scene.admin.kubectl.display();
        let helm = PathBuf::from(helm_program()?);
        // The only difference to AWS: members and agents are told where EC2 is.
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
        Ok(Self { page, programs, kubeconfig: scene.admin.kubeconfig.clone() })
    }

    /// Runs one of the blocks of commands below a heading, counted from 1.
    pub(super) async fn follow(&self, heading: &str, number: usize) -> Outcome {
        let what = format!("docs/install.md, {heading}, block {number}");
        self.run(&what, self.block(heading, number)?).await
    }

    /// One of the blocks of commands below a heading, counted from 1.
    pub(super) fn block(&self, heading: &str, number: usize) -> Outcome<&str> {
        let wrong = || format!("docs/install.md has no block {number} of {heading}");
        let (_above, rest) = self.page.split_once(heading).ok_or_else(wrong)?;
        let section = rest.split("\n## ").next().unwrap_or(rest);
        let block = section.split("```sh\n").nth(number).and_then(|it| it.split("```").next());
        block.ok_or_else(wrong)
    }

    /// Runs commands as the page's are run.
    pub(super) async fn run(&self, what: &str, script: &str) -> Outcome {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(script).current_dir(source(".")).kill_on_drop(true);
        shell.env("PATH", format!("{}:{path}", self.programs.display()));
        shell.env("KUBECONFIG", &self.kubeconfig).env("CLUSTER", CLUSTER).env("IMAGES", IMAGES);
        // It has the box's subnets.
        shell.env("POOL", "deploy/examples/pool.yaml");
        let ended = timeout(PATIENCE, shell.output()).await;
        let ended = ended.map_err(|_late| format!("{what}: it does not end"))?;
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

impl Scene<'_> {
    /// The first block under "Remove" has waited for it.
    async fn is_released(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let state = &object["spec"]["attachment"]["state"];
        ensure(state == "Parked", || format!("{address} of a member that is gone: {object}"))?;
        ensure(!self.in_kernel(node, address)?, || format!("{node} still has {address}"))?;
        let claim = self.admin.get(&format!("{CLAIMS}/redis-0")).await?;
        ensure(claim.is_object(), || "the claim is gone, though definitions stay".to_owned())
    }

    /// A member's address and its containers are among what is looked at.
    fn is_seen(&self, node: &str, address: Ipv4Addr) -> Outcome {
        let all = self.on_nodes()?;
        let own = format!("{node}: ");
        let seen = |what: &str| all.iter().any(|one| one.starts_with(&own) && one.contains(what));
        let kernel = seen(&format!(" {address}/32 ")) && seen(&format!("local {address} "));
        let processes = all.iter().any(|one| one.starts_with("process "));
        ensure(kernel && processes, || format!("{address} on {node} is not among {all:?}"))
    }

    /// What nodes have in their kernels, and which processes of ours run on them. Rules are made
    /// for secondary interfaces alone, and these nodes have none.
    fn on_nodes(&self) -> Outcome<BTreeSet<String>> {
        let looks: [&[&str]; 2] =
            [&["-o", "-4", "address", "show"], &["-4", "route", "show", "table", "all"]];
        let mut found = BTreeSet::new();
        for worker in WORKERS {
            for look in looks {
                let shown = said(self.running.on(worker.name, "ip")?.args(look))?;
                let node = worker.name;
                found.extend(shown.lines().map(|line| format!("{node}: {look:?}: {line}")));
            }
        }
        let ours = self.contained("cmdline", "firecamp-");
        found.extend(ours.into_iter().map(|process| format!("process {process}")));
        Ok(found)
    }

    /// Everything in the cluster and on its nodes that is FireCamp's, or has its name in it.
    async fn traces(&self) -> Outcome<BTreeSet<String>> {
        let kinds = self.admin.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await?;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
        let names = ["get", &kinds.join(","), "-A", "--ignore-not-found", "-o", "name"];
        let names = self.admin.kubectl(&names).await?;
        let mut found = self.on_nodes()?;
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
    fn the_page_has_the_blocks_that_are_followed() {
        let page = fs::read_to_string(source("docs/install.md")).unwrap();
        for (heading, blocks) in [
            ("## 1. AWS", 3),
            ("## 2. The agents", 1),
            ("## 3. The addresses", 1),
            ("## 4. The first member", 1),
            ("## One machine", 2),
            ("## Upgrade", 1),
            ("## Remove", 2),
            ("## Without Helm", 2),
        ] {
            let (_above, rest) = page.split_once(heading).unwrap();
            let section = rest.split("\n## ").next().unwrap();
            assert_eq!(section.matches("```sh\n").count(), blocks, "{heading}");
        }
    }
}
