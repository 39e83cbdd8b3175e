//! Members without privileges: the agent attaches and releases their addresses.

use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use firecamp_testkit::kubernetes::Assets;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::time::{Instant, sleep};
use vpcbox::vpc::{Fault, FaultSpec, Selector};

use super::audit::Held;
use super::processes::{output_of, send};
use super::refused::APART;
use super::set::{FirecampContainers, NAMESPACE, Set, Stop};
use super::test_cluster::{ADDRESSES, CLAIMS, PODS, Pod, TestCluster, all_but, ensure};
use crate::install::{is_condition_true, until};
use crate::member::PORT;
use crate::topology::WORKERS;
use crate::{Outcome, failed};

/// What a claim requests.
const REQUESTED: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 121);
/// A pod whose service ends at its SIGTERM is gone after this long, with or without its agent.
const USUAL_END: Duration = Duration::from_secs(12);

fn unprivileged(name: &'static str) -> Set {
    let firecamp = FirecampContainers::Injected;
    Set { namespace: APART, firecamp, ..Set::new(name, 1) }
}

pub(super) fn with_own_network(name: &'static str) -> Set {
    Set { firecamp: FirecampContainers::OwnNetwork, ..unprivileged(name) }
}

/// Whether the API server adds to pods what the label asks for.
pub(super) fn api_server_injects() -> Outcome<bool> {
    Assets::find(&["kube-apiserver"])?.has_mutating_admission()
}

impl TestCluster<'_> {
    /// What a user applies: where the API server does not add what the label asks for,
    /// `firecamp inject` does.
    pub(super) async fn manifest_of(&self, set: &Set) -> Outcome<Value> {
        let object = set.object();
        if !set.firecamp.is_injected() || api_server_injects()? {
            return Ok(object);
        }
        let file = NamedTempFile::new().map_err(failed("a file"))?;
        let path = file.path().display().to_string();
        fs::write(&path, object.to_string()).map_err(failed(&path))?;
        let firecamp = firecamp_testkit::build::command().map_err(failed("build the command"))?;
        let image = format!("firecamp-initcontainer:{}", set.version);
        let words = ["inject", "--image", &image, "--filename", &path];
        let injected = output_of(Command::new(firecamp).args(words))?;
        fs::write(&path, injected).map_err(failed(&path))?;
        let words = ["create", "--dry-run=client", "--output=json", "--filename", &path];
        let object = self.admin.kubectl(&words).await?;
        serde_json::from_str(&object).map_err(failed(object))
    }

    /// Creates a namespace in which no account has a permission, for pods like those of a set.
    async fn create_apart(&self, set: &Set) -> Outcome {
        let own = set.firecamp == FirecampContainers::OwnNetwork;
        let level = if own { "restricted" } else { "privileged" };
        let namespace = format!("pod-security.kubernetes.io/enforce={level}");
        self.admin.kubectl(&["create", "namespace", APART]).await?;
        self.admin.kubectl(&["label", "namespace", APART, &namespace]).await.map(drop)
    }

    /// Starts the only member of a set in such a namespace.
    pub(super) async fn start_apart(&self, set: &Set) -> Outcome<Pod> {
        self.create_apart(set).await?;
        let place = format!("/apis/apps/v1/namespaces/{APART}/statefulsets");
        self.create_object(&place, &self.manifest_of(set).await?).await?;
        self.wait_ready_in(APART, &format!("{}-0", set.name), None).await
    }

    pub(super) async fn end_apart(&self, pod: &Pod, node: &str) -> Outcome {
        let address = self.address_in(APART, &pod.name).await?;
        self.admin.kubectl(&["delete", "namespace", APART]).await?;
        self.wait_parked(node, address).await
    }
}

pub(super) async fn a_member_without_privileges_keeps_its_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    keeps_its_address(cluster, Set { stop: Stop::None, ..unprivileged("plain") }).await
}

pub(super) async fn a_member_with_a_network_of_its_own_keeps_its_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    keeps_its_address(cluster, Set { stop: Stop::None, ..with_own_network("own") }).await
}

/// First start, restart on the same node, move to another node.
async fn keeps_its_address(cluster: &TestCluster<'_>, set: Set) -> Outcome {
    let before = cluster.last_call()?;
    let first = cluster.start_apart(&set).await?;
    let held = cluster.wait_held_in(APART, &first).await?;
    cluster.verify_mutations(before, 1)?;
    let account = format!("--as=system:serviceaccount:{APART}:default");
    let rights = cluster.admin.kubectl(&["auth", "can-i", "--list", "-n", APART, &account]).await?;
    // Every account may ask what it may, find the API, and read the trusted certificates.
    let mut rules = rights.lines().skip(1).map(str::trim_start);
    let everybodys = ["selfsubject", "[/", "clustertrustbundles"];
    let none = rules.all(|rule| everybodys.iter().any(|part| rule.starts_with(part)));
    ensure(none && rights.contains("selfsubject"), || rights.clone())?;
    cluster.wait_api_server_by_name(&first.name).await?;
    // A restart on the same node.
    cluster.cordon(&all_but(&first.node), true).await?;
    let before = cluster.last_call()?;
    cluster.delete_pod(APART, &first.name).await?;
    let second = cluster.wait_ready_in(APART, &first.name, Some(&first)).await?;
    let again = cluster.wait_held_in(APART, &second).await?;
    let same = (again.address, &again.eni) == (held.address, &held.eni);
    ensure(same && again.epoch > held.epoch, || format!("{again:?} after {held:?}"))?;
    cluster.verify_mutations(before, 0)?;
    // A move to another node.
    cluster.cordon(&all_but(&first.node), false).await?;
    cluster.cordon(&[&first.node], true).await?;
    cluster.delete_pod(APART, &first.name).await?;
    let third = cluster.wait_ready_in(APART, &first.name, Some(&second)).await?;
    let moved = cluster.wait_held_in(APART, &third).await?;
    let same = moved.address == held.address && third.node != first.node;
    ensure(same && moved.epoch > again.epoch, || format!("{moved:?} after {again:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[&first.node], false).await?;
    cluster.end_apart(&third, &third.node).await
}

/// A user creates the pod, and creates it again.
pub(super) async fn a_pod_of_no_controller_keeps_the_address_that_its_claim_requests(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { stop: Stop::None, ..with_own_network("single") };
    cluster.create_apart(&set).await?;
    let (place, claims) = (PODS.replace(NAMESPACE, APART), CLAIMS.replace(NAMESPACE, APART));
    let claim = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": { "name": set.name, "namespace": APART },
        "spec": { "pool": set.pool, "requestedAddress": REQUESTED.to_string() },
    });
    cluster.create_object(&claims, &claim).await?;
    let template = cluster.manifest_of(&set).await?["spec"]["template"].take();
    let labels = &template["metadata"]["labels"];
    let metadata = json!({ "name": set.name, "namespace": APART, "labels": labels });
    let spec = &template["spec"];
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    cluster.create_object(&place, &object).await?;
    let first = cluster.wait_ready_in(APART, set.name, None).await?;
    let held = cluster.wait_held_in(APART, &first).await?;
    ensure(held.address == REQUESTED, || format!("{held:?}"))?;
    cluster.cordon(&[&first.node], true).await?;
    let before = cluster.last_call()?;
    cluster.delete_pod(APART, set.name).await?;
    cluster.create_object(&place, &object).await?;
    let second = cluster.wait_ready_in(APART, set.name, Some(&first)).await?;
    let moved = cluster.wait_held_in(APART, &second).await?;
    let same = moved.address == REQUESTED && second.node != first.node;
    ensure(same && moved.epoch > held.epoch, || format!("{moved:?} after {held:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[&first.node], false).await?;
    cluster.end_apart(&second, &second.node).await
}

impl TestCluster<'_> {
    /// The claims of members, without what their status reports.
    async fn claims_of(&self, members: &[(Pod, Held)]) -> Outcome<Vec<(Value, Value)>> {
        let mut all = Vec::new();
        for (pod, _held) in members {
            let claim = self.admin.get(&format!("{CLAIMS}/{}", pod.name)).await?;
            ensure(claim.is_object(), || format!("{} has no claim", pod.name))?;
            all.push((claim["metadata"]["uid"].clone(), claim["spec"].clone()));
        }
        Ok(all)
    }

    /// Applies the template of a set, and waits until it has replaced all pods, one at a time.
    async fn replace_pods(&self, set: &Set, before: &[(Pod, Held)]) -> Outcome {
        let template = &self.manifest_of(set).await?["spec"]["template"];
        let change = json!([{ "op": "replace", "path": "/spec/template", "value": template }]);
        let change = change.to_string();
        let words =
            ["-n", NAMESPACE, "patch", "statefulset", set.name, "--type=json", "-p", &change];
        self.admin.kubectl(&words).await?;
        let most = Cell::new(0);
        until(&format!("the pods of {} are replaced", set.name), || async {
            let pods = self.admin.get(PODS).await?;
            let find = |name: &str| {
                let mut all = pods["items"].as_array().into_iter().flatten();
                all.find(|pod| pod["metadata"]["name"] == name)
            };
            let found = before.iter().map(|(old, _held)| (old, find(&old.name)));
            let is_old = |(old, pod): &(&Pod, Option<&Value>)| {
                pod.is_some_and(|pod| pod["metadata"]["uid"] == old.uid.as_str())
            };
            let is_away = |(_old, pod): &(&Pod, Option<&Value>)| {
                !pod.is_some_and(|pod| {
                    let ends = !pod["metadata"]["deletionTimestamp"].is_null();
                    !ends && is_condition_true(&pod["status"], "Ready")
                })
            };
            let (old, away) = (found.clone().filter(is_old).count(), found.filter(is_away).count());
            most.set(most.get().max(away));
            ensure(old == 0 && away == 0, || format!("{old} old pods, {away} not ready"))
        })
        .await?;
        let most = most.get();
        ensure(most == 1, || format!("{most} pods of {} were away at once", set.name))
    }
}

/// From direct mode to the endpoint, to a network of their own, and back.
pub(super) async fn a_set_moves_to_the_endpoint_and_back_and_its_members_keep_their_addresses(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let firecamp = FirecampContainers::Real;
    let direct = Set { firecamp, stop: Stop::Sidecar, ..Set::new("moving", 2) };
    let injected = Set { firecamp: FirecampContainers::Injected, ..direct.clone() };
    let own_network = Set { firecamp: FirecampContainers::OwnNetwork, ..direct.clone() };
    cluster.create(&direct).await?;
    let mut members = cluster.wait_members(&direct).await?;
    let claims = cluster.claims_of(&members).await?;
    for set in [&injected, &own_network, &direct] {
        let before = cluster.last_call()?;
        cluster.replace_pods(set, &members).await?;
        let after = cluster.wait_members(set).await?;
        for ((pod, held), (_, earlier)) in after.iter().zip(&members) {
            ensure(held.address == earlier.address, || format!("{held:?} after {earlier:?}"))?;
            cluster.wait_serving(NAMESPACE, pod, PORT).await?;
        }
        let now = cluster.claims_of(&after).await?;
        ensure(now == claims, || format!("{now:?} after {claims:?}"))?;
        let moved = after.iter().zip(&members).filter(|(a, b)| a.0.node != b.0.node).count();
        cluster.verify_mutations(before, moved)?;
        members = after;
    }
    cluster.delete(&direct).await
}

pub(super) async fn f121_f124_a_member_without_privileges_survives_the_absence_of_its_agent(
    cluster: &TestCluster<'_>,
) -> Outcome {
    survives_the_absence_of_its_agent(cluster, unprivileged("patient")).await
}

pub(super) async fn f121_f124_a_member_with_a_network_of_its_own_survives_the_absence_of_its_agent(
    cluster: &TestCluster<'_>,
) -> Outcome {
    survives_the_absence_of_its_agent(cluster, with_own_network("patient")).await
}

/// Its agent is absent at its start, killed midway, and absent at its end.
async fn survives_the_absence_of_its_agent(cluster: &TestCluster<'_>, set: Set) -> Outcome {
    let set = Set { stop: Stop::None, ..set };
    let node = WORKERS[0].name;
    cluster.cordon(&all_but(node), true).await?;
    send(cluster.agent_on(node)?, Signal::SIGSTOP)?;
    let (pod, killed) =
        tokio::join!(cluster.start_apart(&set), kill_the_agent_twice(cluster, node));
    let (pod, ()) = (pod?, killed?);
    let held = cluster.wait_held_in(APART, &pod).await?;
    let address = held.address;
    cluster.cordon(&all_but(node), false).await?;
    cluster.cordon(&[node], true).await?;
    let before = cluster.last_call()?;
    let work = ends_and_moves(cluster, &pod, address);
    let moved = while_its_agent_is_stopped(cluster, node, work).await?;
    // Its old node's agent removes the address from the kernel there.
    let now = cluster.wait_held_in(APART, &moved).await?;
    ensure(now.address == address && now.epoch > held.epoch, || format!("{now:?} after {held:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[node], false).await?;
    // Without a successor, the agent releases the address once it answers again.
    while_its_agent_is_stopped(cluster, &moved.node, ends(cluster, set.name)).await?;
    cluster.wait_parked(&moved.node, address).await?;
    cluster.admin.kubectl(&["delete", "namespace", APART]).await.map(drop)
}

async fn while_its_agent_is_stopped<T>(
    cluster: &TestCluster<'_>,
    node: &str,
    work: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    let agent = cluster.agent_on(node)?;
    send(agent, Signal::SIGSTOP)?;
    let outcome = work.await;
    // The kubelet may have killed it meanwhile, because its probes fail.
    nix::sys::signal::kill(agent, Signal::SIGCONT).ok();
    outcome
}

/// Kills the stopped agent that a pod waits for, and the next one while it attaches.
async fn kill_the_agent_twice(cluster: &TestCluster<'_>, node: &str) -> Outcome {
    let op = Some("AssignPrivateIpAddresses".to_owned());
    let fault = Fault::Hang { after_commit: false };
    let when = Selector { op, ..Selector::default() };
    let unanswered = cluster.vpc(|vpc| vpc.fault_set(FaultSpec { fault, when }))?;
    // By then the init container asks an agent that does not answer.
    sleep(Duration::from_secs(5)).await;
    send(cluster.agent_on(node)?, Signal::SIGKILL)?;
    until("the attach has begun", || async {
        let address = cluster.address_in(APART, "patient-0").await?;
        let object = cluster.admin.get(&format!("{ADDRESSES}/{address}")).await?;
        let state = &object["spec"]["attachment"]["state"];
        ensure(state == "Attaching", || object.to_string())
    })
    .await?;
    send(cluster.agent_on(node)?, Signal::SIGKILL)?;
    cluster.vpc(|vpc| vpc.fault_clear(Some(unanswered))).map(drop)
}

/// The pod of a set that is scaled down ends in its usual time.
async fn ends(cluster: &TestCluster<'_>, set: &str) -> Outcome {
    let begun = Instant::now();
    cluster.admin.kubectl(&["-n", APART, "scale", "statefulset", set, "--replicas=0"]).await?;
    let place = format!("/api/v1/namespaces/{APART}/pods");
    until("the pod is gone", || async {
        let pods = cluster.admin.get(&place).await?;
        ensure(pods["items"].as_array().is_some_and(Vec::is_empty), || pods.to_string())
    })
    .await?;
    let took = begun.elapsed();
    ensure(took < USUAL_END, || format!("the pod ended after {took:?}"))
}

/// A pod ends in its usual time, and its successor serves on another node.
async fn ends_and_moves(cluster: &TestCluster<'_>, pod: &Pod, address: Ipv4Addr) -> Outcome<Pod> {
    let begun = Instant::now();
    cluster.delete_pod(APART, &pod.name).await?;
    let took = begun.elapsed();
    ensure(took < USUAL_END, || format!("the pod ended after {took:?}"))?;
    let moved = cluster.wait_ready_in(APART, &pod.name, Some(pod)).await?;
    let again = cluster.wait_serving(APART, &moved, PORT).await?;
    ensure(again == address && moved.node != pod.node, || format!("{again} on {moved:?}"))?;
    Ok(moved)
}
