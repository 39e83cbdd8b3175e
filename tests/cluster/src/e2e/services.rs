//! `firecamp service`, as a user types it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::endpoint::api_server_injects;
use super::processes::RecordedProcess;
use super::set::NAMESPACE;
use super::test_cluster::{SETS, TestCluster, ensure, text};
use crate::images::{MEMBER, VERSION};
use crate::install::{is_condition_true, until};
use crate::topology::WORKERS;
use crate::{Outcome, failed};

/// The service.
const SERVICE: &str = "cache";
const CACHE: &str = "prod/cache";
/// No command takes longer.
const PATIENCE: Duration = Duration::from_mins(6);

/// `redis-0` of `prod/redis`.
fn name_of(service: &str, number: usize) -> String {
    let name = service.split_once('/').map_or(service, |(_namespace, name)| name);
    format!("{name}-{number}")
}

impl TestCluster<'_> {
    /// Runs `firecamp service`, expects an exit code and returns the output. Where the API server
    /// does not add what members need, the command does.
    pub(super) async fn service_exits_of(
        &self,
        service: &str,
        words: &[&str],
        code: i32,
    ) -> Outcome<String> {
        let (verb, rest) = words.split_first().ok_or("no command")?;
        let image = format!("firecamp-initcontainer:{VERSION}");
        let mut words = vec!["service", verb, service];
        if *verb == "create" && rest.contains(&"--pool") && !api_server_injects()? {
            words.extend(["--init-image", &image]);
        }
        self.firecamp_exits(&[&words, rest].concat(), code).await
    }

    /// The same with any command of `firecamp`: a group, a verb, and what it is about.
    async fn firecamp_exits(&self, words: &[&str], code: i32) -> Outcome<String> {
        let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
        let (verb, rest) = words.split_at_checked(2).ok_or("no command")?;
        let mut command = Command::new(firecamp);
        command.args(verb).arg("--kubeconfig").arg(&self.admin.kubeconfig).args(rest);
        command.kill_on_drop(true);
        let done = timeout(PATIENCE, command.output()).await;
        let Output { status, stdout, stderr } =
            done.map_err(failed(format!("{words:?}")))?.map_err(failed(format!("{words:?}")))?;
        let text = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let output = text.concat();
        ensure(status.code() == Some(code), || format!("{words:?}: {status}:\n{output}"))?;
        Ok(output)
    }

    /// Restarts a service of so many members in an order, and checks what the command reports.
    pub(super) async fn restart_in(&self, service: &str, order: &str, members: usize) -> Outcome {
        let said = self.service_exits_of(service, &["restart", "--order", order], 0).await?;
        let evicted = format!("firecamp: evicted Pod {service}-");
        let turns: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix(&evicted)).collect();
        let is_primary = |turn: Option<&&str>| turn.is_some_and(|turn| turn.ends_with("primary"));
        let in_order = match order {
            "primary-first" => is_primary(turns.first()),
            "primary-last" => is_primary(turns.last()),
            "ordinal" => turns.is_sorted(),
            "reverse" => turns.iter().rev().is_sorted(),
            _ => false,
        };
        ensure(in_order && turns.len() == members, || format!("{order}: {turns:?}\n{said}"))
    }

    /// Sets a variable of a service's container, and checks that each of its members has it.
    pub(super) async fn update_env(&self, service: &str, env: &str, members: usize) -> Outcome {
        self.service_exits_of(service, &["update", "--env", env], 0).await?;
        for number in 0..members {
            let pod = self.pod(&name_of(service, number)).await?;
            let all = pod["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default();
            let is_set = |one: &Value| format!("{}={}", text(&one["name"]), text(&one["value"]));
            ensure(all.iter().any(|one| is_set(one) == env), || format!("{env}: {all:?}"))?;
        }
        Ok(())
    }

    /// Scales a service, and waits until it has so many members, and no more.
    pub(super) async fn scale_to(&self, service: &str, members: usize) -> Outcome {
        let replicas = members.to_string();
        self.service_exits_of(service, &["scale", "--replicas", &replicas, "--wait"], 0).await?;
        let last = self.pod(&name_of(service, members - 1)).await?;
        ensure(is_condition_true(&last["status"], "Ready"), || last.to_string())?;
        until("the other members are gone", || async {
            let next = self.pod(&name_of(service, members)).await?;
            ensure(next.is_null(), || text(&next["metadata"]["name"]))
        })
        .await
    }

    /// Deletes a service with its volumes, and waits until they are gone.
    pub(super) async fn delete_with_volumes(&self, service: &str) -> Outcome {
        self.service_exits_of(service, &["delete", "--yes", "--volumes"], 0).await?;
        let (namespace, name) = service.split_once('/').ok_or("no namespace")?;
        until("the claims are gone", || async {
            let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
            let all = self.admin.get(&claims).await?;
            let names = all["items"].as_array().into_iter().flatten();
            let mut names = names.map(|claim| text(&claim["metadata"]["name"]));
            let left = names.find(|claim| claim.starts_with(&format!("{name}-data-")));
            ensure(left.is_none(), || format!("{left:?}"))
        })
        .await
    }

    /// Creates [`CACHE`] and returns its members.
    async fn create_cache(&self) -> Outcome<BTreeMap<String, (String, Ipv4Addr)>> {
        let image = ["create", "--image", MEMBER, "--replicas", "2", "--pool", "main"];
        let more = ["--port", "tcp=6379", "--user", "65532", "--grace", "5", "--wait"];
        let run = ["--", "/clusterbox", "serve", "0.0.0.0"];
        self.service_exits_of(CACHE, &[&image[..], &more, &run].concat(), 0).await?;
        self.members_of_service().await
    }

    /// The members, each with the UID of its pod and its address.
    async fn members_of_service(&self) -> Outcome<BTreeMap<String, (String, Ipv4Addr)>> {
        let mut members = BTreeMap::new();
        for ordinal in 0..2 {
            let name = format!("{SERVICE}-{ordinal}");
            let pod = self.pod(&name).await?;
            let address = self.address(&name).await?;
            members.insert(name, (text(&pod["metadata"]["uid"]), address));
        }
        Ok(members)
    }

    /// Checks that every member has another pod and its old address.
    async fn verify_restarted(
        &self,
        before: &BTreeMap<String, (String, Ipv4Addr)>,
        members: &[&str],
    ) -> Outcome {
        for (name, (uid, address)) in self.members_of_service().await? {
            let Some((old, same)) = before.get(&name) else { return Err(name) };
            let restarted = members.contains(&name.as_str());
            ensure((uid != *old) == restarted && address == *same, || {
                format!("{name}: pod {uid} after {old}, {address} after {same}")
            })?;
        }
        Ok(())
    }

    async fn created(&self, member: &str) -> Outcome<String> {
        Ok(text(&self.pod(member).await?["metadata"]["creationTimestamp"]))
    }
}

pub(super) async fn f095_a_service_restarts_in_its_order_and_stops_at_a_broken_member(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let first = cluster.create_cache().await?;
    cluster.service_exits_of(CACHE, &["status"], 0).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "label", "pod", "cache-0", "role=primary"]).await?;
    let primary_last = ["restart", "--order", "primary-last", "--primary-label", "role=primary"];
    cluster.service_exits_of(CACHE, &primary_last, 0).await?;
    cluster.verify_restarted(&first, &["cache-0", "cache-1"]).await?;
    let (primary, other) = (cluster.created("cache-0").await?, cluster.created("cache-1").await?);
    ensure(other < primary, || format!("cache-1 at {other}, then the primary at {primary}"))?;

    let second = cluster.members_of_service().await?;
    let broken = ["update", "--image", "firecamp.invalid/none:1", "--member-timeout", "20s"];
    let output = cluster.service_exits_of(CACHE, &broken, 14).await?;
    ensure(output.contains("cache-0: PodNotReady"), || output.clone())?;
    cluster.verify_restarted(&second, &["cache-0"]).await?;
    let status = cluster.service_exits_of(CACHE, &["status"], 20).await?;
    ensure(status.contains("stopped: cache-0"), || status.clone())?;
    cluster.service_exits_of(CACHE, &["restart", "--undo"], 0).await?;
    cluster.verify_restarted(&second, &["cache-0"]).await?;
    run_tasks(cluster).await?;
    stop_start_and_delete(cluster).await
}

/// Jobs with the image of the service: one that ends well, and one that fails.
async fn run_tasks(cluster: &TestCluster<'_>) -> Outcome {
    let task = async |verb: &str, name: &str, more: &[&str], code| {
        cluster.firecamp_exits(&[&["task", verb, CACHE, name], more].concat(), code).await
    };
    task("run", "help", &["--wait", "--", "/clusterbox", "--help"], 0).await?;
    let said = task("logs", "help", &[], 0).await?;
    ensure(said.contains("Usage: clusterbox"), || said.clone())?;
    task("run", "wrong", &["--wait", "--", "/clusterbox", "wrong"], 14).await?;
    let said = task("logs", "wrong", &[], 0).await?;
    ensure(said.contains("unrecognized subcommand"), || said.clone())?;
    for (name, state) in [("help", "Succeeded"), ("wrong", "Failed")] {
        let said = task("status", name, &[], 0).await?;
        ensure(said.contains(state), || said.clone())?;
        for _twice in 0..2 {
            task("delete", name, &[], 0).await?;
        }
    }
    Ok(())
}

async fn stop_start_and_delete(cluster: &TestCluster<'_>) -> Outcome {
    let before = cluster.members_of_service().await?;
    for _twice in 0..2 {
        cluster.service_exits_of(CACHE, &["stop"], 0).await?;
    }
    ensure(cluster.pod("cache-0").await?.is_null(), || "a pod is left".to_owned())?;
    cluster.service_exits_of(CACHE, &["start", "--wait"], 0).await?;
    cluster.verify_restarted(&before, &["cache-0", "cache-1"]).await?;
    cluster.service_exits_of(CACHE, &["delete"], 2).await?;
    for _twice in 0..2 {
        cluster.service_exits_of(CACHE, &["delete", "--yes"], 0).await?;
    }
    cluster.service_exits_of(CACHE, &["stop"], 0).await?;
    let set: Value = cluster.admin.get(&format!("{SETS}/{SERVICE}")).await?;
    ensure(set.is_null(), || set.to_string())
}

pub(super) async fn f095_a_restart_that_stopped_or_was_killed_is_resumed_and_has_one_owner(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let first = cluster.create_cache().await?;
    let workers = WORKERS.map(|one| one.name);
    // No node takes the pod of the first turn.
    cluster.cordon(&workers, true).await?;
    let stopped =
        cluster.service_exits_of(CACHE, &["restart", "--member-timeout", "20s"], 14).await;
    cluster.cordon(&workers, false).await?;
    let said = stopped?;
    ensure(said.contains("cache-0: Pod"), || said.clone())?;
    cluster.service_exits_of(CACHE, &["restart", "--resume"], 0).await?;
    cluster.verify_restarted(&first, &["cache-0", "cache-1"]).await?;

    let second = cluster.members_of_service().await?;
    cluster.cordon(&workers, true).await?;
    let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
    let mut command = std::process::Command::new(firecamp);
    command.args(["service", "restart", CACHE, "--member-timeout", "5m", "--kubeconfig"]);
    let owner = RecordedProcess::start(command.arg(&cluster.admin.kubeconfig))?;
    until("the first member is evicted", || async {
        let said = owner.output()?;
        ensure(said.contains("evicted Pod"), || said)
    })
    .await?;
    // Nobody else restarts the service as long as the owner shows that it lives.
    for words in [&["restart"][..], &["restart", "--resume"]] {
        let said = cluster.service_exits_of(CACHE, words, 20).await?;
        ensure(!said.contains("evicted Pod"), || said.clone())?;
    }
    drop(owner);
    cluster.cordon(&workers, false).await?;
    cluster.service_exits_of(CACHE, &["restart", "--resume"], 0).await?;
    cluster.verify_restarted(&second, &["cache-0", "cache-1"]).await?;
    cluster.service_exits_of(CACHE, &["delete", "--yes"], 0).await.map(drop)
}

pub(super) async fn a_stateless_service_is_created_restarted_and_deleted(
    cluster: &TestCluster<'_>,
) -> Outcome {
    const WEB: &str = "prod/web";
    let create = [
        &["create", "--stateless", "--image", MEMBER, "--replicas", "2", "--port", "tcp=6379"][..],
        &["--user", "65532", "--grace", "1", "--wait", "--", "/clusterbox", "serve", "0.0.0.0"],
    ];
    cluster.service_exits_of(WEB, &create.concat(), 0).await?;
    let pods =
        format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=firecamp-servicename=web");
    let names = async || {
        let found = cluster.admin.get(&pods).await?;
        let all = found["items"].as_array().cloned().unwrap_or_default();
        let here = all.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok::<_, String>(here.map(|pod| text(&pod["metadata"]["name"])).collect::<Vec<String>>())
    };
    let before = names().await?;
    cluster.service_exits_of(WEB, &["restart"], 0).await?;
    let after = names().await?;
    ensure(after.len() == 2 && before.iter().all(|name| !after.contains(name)), || {
        format!("{after:?} after {before:?}")
    })?;
    cluster.service_exits_of(WEB, &["scale", "--replicas", "1", "--wait"], 0).await?;
    for words in [&["status"][..], &["stop"], &["start", "--wait"], &["delete", "--yes"]] {
        cluster.service_exits_of(WEB, words, 0).await?;
    }
    let left = names().await?;
    ensure(left.is_empty(), || format!("{left:?}"))
}
