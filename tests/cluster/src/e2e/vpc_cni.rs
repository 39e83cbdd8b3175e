//! Members beside Amazon's VPC CNI, on a cluster whose CNI it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use firecamp_core::contract::cluster::STARTUP_TAINT;
use firecamp_core::contract::tag::CNI_NO_MANAGE;
use jiff::Timestamp;
use serde_json::{Value, json};
use vpcbox::client::Client;
use vpcbox::protocol::{Call, Truth};
use vpcbox::recorded_calls::begin_as_recorded;
use vpcbox::vpc::Act;

use super::processes::output_of;
use super::set::{NAMESPACE, Set};
use super::test_cluster::{PODS, Pod, TestCluster, all_but, ensure, text};
use crate::Outcome;
use crate::cli::print_line;
use crate::images::MEMBER;
use crate::install::{is_condition_true, nodes_ready, until};
use crate::topology::{CLUSTER, WORKERS};
use crate::vpc_cni::CONFIGURATION;

pub(super) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/prod/deployments";
/// FIRECAMP_ENI: the primary interface.
const PRIMARY: &[(&str, &str)] = &[("FIRECAMP_ENI", "0")];
/// More pods than one interface of the workers' instance type has secondary addresses.
const MANY: usize = 16;
/// An interface that an operator attaches without the tag that keeps the VPC CNI away.
const UNTAGGED: &str = "eni-0000000000000c003";
pub(super) const INTERFACES: &str = "/apis/firecamp.io/v1alpha1/nodeinterfaces";
/// The node to which it attaches it, which has room for a third interface.
const ADOPTING: &str = "node-c";
/// What the VPC CNI sends on node-a. The program that plays it in the box sends the same.
const RECORDED: &str = include_str!("../../../box/recorded/vpc-cni-m5.xlarge.txt");
/// The addresses of the pool.
const POOL: [RangeInclusive<Ipv4Addr>; 2] = [
    Ipv4Addr::new(10, 0, 1, 64)..=Ipv4Addr::new(10, 0, 1, 127),
    Ipv4Addr::new(10, 0, 1, 136)..=Ipv4Addr::new(10, 0, 1, 191),
];
const AGENT_PODS: &str = "/api/v1/namespaces/firecamp-system/pods\
                          ?labelSelector=app.kubernetes.io/component%3Dagent";
const POOL_OBJECT: &str = "/apis/firecamp.io/v1alpha1/staticippools/main";
/// Seconds until a new node is ready for members.
const READY_WITHIN: i64 = 15;
/// The node that takes two interfaces for members, and more members than one has addresses.
const ROOMY: &str = "node-b";
const FULL: u32 = 16;

/// A Deployment of pods that are not in the host network, on one node.
pub(super) struct Ordinary {
    pub(super) name: &'static str,
    pub(super) node: &'static str,
}

impl Ordinary {
    pub(super) fn object(&self, replicas: usize) -> Value {
        let labels = json!({ "app.kubernetes.io/name": self.name });
        let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
        let env = [
            field("POD_NAME", "metadata.name"),
            field("POD_UID", "metadata.uid"),
            field("NODE_NAME", "spec.nodeName"),
            field("POD_IP", "status.podIP"),
        ];
        let words = ["/clusterbox", "serve", "$(POD_IP)"];
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": self.name, "namespace": NAMESPACE },
            "spec": {
                "replicas": replicas,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "nodeSelector": { "kubernetes.io/hostname": self.node },
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{
                        "name": "service", "image": MEMBER, "command": words, "env": env,
                    }],
                } },
            },
        })
    }
}

impl TestCluster<'_> {
    /// Waits until this many pods of a Deployment are ready; returns them by address.
    pub(super) async fn wait_ordinary(
        &self,
        set: &Ordinary,
        count: usize,
    ) -> Outcome<BTreeMap<Ipv4Addr, Pod>> {
        let selector = format!("{PODS}?labelSelector=app.kubernetes.io/name={}", set.name);
        until(&format!("{count} pods of {} are ready", set.name), || async {
            let all = self.admin.get(&selector).await?;
            let mut ready = BTreeMap::new();
            for one in all["items"].as_array().into_iter().flatten() {
                let address = text(&one["status"]["podIP"]).parse();
                let terminating = !one["metadata"]["deletionTimestamp"].is_null();
                let Ok(address) = address else { continue };
                if !terminating && is_condition_true(&one["status"], "Ready") {
                    let [name, uid] = ["name", "uid"].map(|key| text(&one["metadata"][key]));
                    ready.insert(address, Pod { name, uid, node: text(&one["spec"]["nodeName"]) });
                }
            }
            ensure(ready.len() == count, || format!("{ready:?}"))?;
            Ok(ready)
        })
        .await
    }

    async fn scale_ordinary(&self, set: &Ordinary, count: usize) -> Outcome {
        let [deployment, replicas] =
            [format!("deployment/{}", set.name), format!("--replicas={count}")];
        self.admin.kubectl(&["-n", NAMESPACE, "scale", &deployment, &replicas]).await.map(drop)
    }

    /// Checks the owners of every address since the start of the box: none moved between an
    /// interface of the members and another one, and the pool's were never on another one. An
    /// interface that EC2 makes later may get an address that was given back in between.
    pub(super) async fn verify_apart(&self) -> Outcome<Truth> {
        let truth = self.vpc(Client::truth)?;
        let made = self.made_interfaces().await?;
        let ours: BTreeSet<&String> = made.values().flatten().collect();
        for address in &truth.addresses {
            let owners = address.history.iter().map(|one| one.eni.as_ref());
            let owners: Vec<Option<bool>> =
                owners.map(|eni| eni.map(|id| ours.contains(id))).collect();
            let moved = owners.windows(2).any(|pair| match pair {
                [Some(before), Some(after)] => before != after,
                _ => false,
            });
            let lost = POOL.iter().any(|range| range.contains(&address.address))
                && owners.contains(&Some(false));
            ensure(!moved && !lost, || format!("{address:?} was shared; ours are {ours:?}"))?;
        }
        Ok(truth)
    }

    /// Waits until the agent of a node excludes this interface, or no longer does.
    async fn wait_excluded(&self, node: &str, eni: &str, wanted: bool) -> Outcome {
        until(&format!("{eni} of {node} is excluded: {wanted}"), || async {
            let file = "/run/firecamp/excluded-enis";
            let shown = output_of(self.running.on(node, "cat")?.arg(file))?;
            ensure(shown.contains(eni) == wanted, || shown)
        })
        .await
    }

    /// The primary interface of a node.
    pub(super) fn primary(&self, node: &str) -> Outcome<String> {
        let truth = self.vpc(Client::truth)?;
        let node = truth.nodes.into_iter().find(|one| one.name == node);
        let enis = node.into_iter().flat_map(|node| node.enis);
        let found = enis.into_iter().find(|eni| eni.device_index == 0);
        found.map(|eni| eni.id).ok_or_else(|| "no primary interface".to_owned())
    }

    fn free_index(&self, node: &str) -> Outcome<u32> {
        let truth = self.vpc(Client::truth)?;
        let node = truth.nodes.iter().find(|one| one.name == node);
        let taken =
            |index| node.is_some_and(|node| node.enis.iter().any(|eni| eni.device_index == index));
        (1..4).find(|index| !taken(*index)).ok_or_else(|| format!("{node:?} is full"))
    }

    /// The interfaces that FireCamp has made and attached, by node.
    async fn made_interfaces(&self) -> Outcome<BTreeMap<String, BTreeSet<String>>> {
        let all = self.admin.get(INTERFACES).await?;
        let mut made = BTreeMap::<String, BTreeSet<String>>::new();
        for one in all["items"].as_array().into_iter().flatten() {
            let spec = &one["spec"];
            if spec["phase"] == "Attached" {
                made.entry(text(&spec["nodeName"])).or_default().insert(text(&spec["eni"]));
            }
        }
        Ok(made)
    }

    /// Checks how long it took from the start of a node's agent, or from the creation of the pool
    /// if that is later, until the interface was attached.
    async fn verify_quickly_made(&self) -> Outcome {
        let agents = self.admin.get(AGENT_PODS).await?;
        let pool = self.admin.get(POOL_OBJECT).await?;
        let all = self.admin.get(INTERFACES).await?;
        let mut seconds = Vec::new();
        for one in all["items"].as_array().into_iter().flatten() {
            let node = &one["spec"]["nodeName"];
            let agent = agents["items"].as_array().into_iter().flatten();
            let mut agent = agent.filter(|pod| pod["spec"]["nodeName"] == *node);
            let agent = agent.next().ok_or_else(|| format!("{node} has no agent"))?;
            let running = &agent["status"]["containerStatuses"][0]["state"]["running"];
            let begun = later(&running["startedAt"], &pool["metadata"]["creationTimestamp"])?;
            let fields = one["metadata"]["managedFields"].as_array().into_iter().flatten();
            let last = fields.map(|field| text(&field["time"])).max().unwrap_or_default();
            let took = instant(&last)?.duration_since(begun).as_secs();
            print_line(&format!("        {} took {took} s", text(node)))?;
            seconds.push(took);
        }
        seconds.sort_unstable();
        // EC2's own durations have long tails.
        let realistic = self.vpc(|vpc| Ok(vpc.hello().profile == "realistic"))?;
        let judged = if realistic { seconds.get(seconds.len() / 2) } else { seconds.last() };
        let good = judged.is_some_and(|seconds| *seconds <= READY_WITHIN);
        let calls = self.vpc(|vpc| vpc.calls(0))?;
        ensure(good, || format!("ready after {seconds:?} s{}", mutations(&calls)))
    }

    /// The startup taint of a node, if it has it.
    async fn startup_taint(&self, node: &str) -> Outcome<Option<Value>> {
        let node = self.admin.get(&format!("/api/v1/nodes/{node}")).await?;
        let taints = node["spec"]["taints"].as_array();
        Ok(taints.into_iter().flatten().find(|one| one["key"] == STARTUP_TAINT).cloned())
    }
}

fn instant(time: &str) -> Outcome<Timestamp> {
    time.parse().map_err(|error| format!("{time:?}: {error}"))
}

fn later(a: &Value, b: &Value) -> Outcome<Timestamp> {
    Ok(instant(&text(a))?.max(instant(&text(b))?))
}

pub(super) fn is_firecamps(call: &Call) -> bool {
    call.app.contains("firecamp-")
}

/// The calls that changed EC2, or would have, a line each.
fn mutations(calls: &[Call]) -> String {
    let lines = calls.iter().filter(|call| call.mutating).map(|call| {
        let Call { at_us, caller, app, action, parameters, code, .. } = call;
        format!("\n{at_us} {caller} {app} {action} {parameters:?} {code:?}")
    });
    lines.collect()
}

/// Whether a call succeeded and has these parameters.
fn has(call: &Call, action: &str, parameters: &[(&str, &str)]) -> bool {
    let given = |(name, value): &(&str, &str)| {
        call.parameters.get(*name).is_some_and(|given| given == value)
    };
    call.action == action && call.code.is_none() && parameters.iter().all(given)
}

pub(super) async fn nodes_get_interfaces_for_members_and_lose_the_startup_taint(
    cluster: &TestCluster<'_>,
) -> Outcome {
    for worker in WORKERS {
        until(&format!("{} has an interface and no startup taint", worker.name), || async {
            let made = cluster.made_interfaces().await?;
            let taint = cluster.startup_taint(worker.name).await?;
            let count = made.get(worker.name).map_or(0, BTreeSet::len);
            ensure(count == 1 && taint.is_none(), || format!("{made:?}, {taint:?}"))
        })
        .await?;
        for eni in cluster.made_interfaces().await?.remove(worker.name).unwrap_or_default() {
            cluster.wait_excluded(worker.name, &eni, false).await?;
        }
        cluster.wait_excluded(worker.name, &cluster.primary(worker.name)?, true).await?;
    }
    cluster.verify_quickly_made().await?;
    let calls = cluster.vpc(|vpc| vpc.calls(0))?;
    let created: Vec<&Call> = calls
        .iter()
        .filter(|call| is_firecamps(call) && has(call, "CreateNetworkInterface", &[]))
        .collect();
    ensure(created.len() == WORKERS.len(), || format!("{created:?}"))?;
    let left_alone = |call: &&Call| call.parameters.values().any(|value| value == CNI_NO_MANAGE);
    ensure(created.iter().all(left_alone), || format!("without the VPC CNI's tag: {created:?}"))
}

pub(super) async fn a_full_interface_leads_to_a_second_one(cluster: &TestCluster<'_>) -> Outcome {
    let set = Set { parallel: true, slots: 1, ..Set::new("full", FULL) };
    let others = all_but(ROOMY);
    cluster.cordon(&others, true).await?;
    cluster.create(&set).await?;
    let mut used = BTreeSet::new();
    for pod in cluster.wait_all_ready(&set).await? {
        used.insert(cluster.wait_held(&pod).await?.eni);
    }
    cluster.cordon(&others, false).await?;
    let made = cluster.made_interfaces().await?.remove(ROOMY).unwrap_or_default();
    ensure(used.len() == 2 && used == made, || format!("{used:?} of {made:?}"))?;
    cluster.verify_apart().await?;
    cluster.delete(&set).await
}

pub(super) async fn pods_get_addresses_of_interfaces_that_the_vpc_cni_attaches(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Ordinary { name: "ordinary", node: "node-a" };
    cluster.create_object(DEPLOYMENTS, &set.object(MANY)).await?;
    let pods = cluster.wait_ordinary(&set, MANY).await?;
    let truth = cluster.verify_apart().await?;
    let primary = cluster.primary(set.node)?;
    let mut on_others = 0;
    for (address, pod) in &pods {
        let held = truth.addresses.iter().find(|one| one.address == *address);
        let held = held.ok_or_else(|| format!("{address} of {} is not in EC2", pod.name))?;
        let here = held.node.as_deref() == Some(set.node);
        ensure(here && held.held_as.as_deref() == Some("secondary"), || format!("{held:?}"))?;
        on_others += usize::from(held.owner.as_ref() != Some(&primary));
        let answer = cluster.dial(*address)?;
        let wanted = format!("{} {} {}", pod.name, pod.uid, pod.node);
        ensure(answer == wanted, || format!("{address}: {answer:?} instead of {wanted:?}"))?;
    }
    ensure(on_others > 0, || "every pod has an address of the primary interface".to_owned())?;
    // The VPC CNI makes its next interfaces once the pods use its reserve.
    until("the VPC CNI has sent the recorded calls", || async {
        let calls = cluster.vpc(|vpc| vpc.calls(0))?;
        let its_own = |call: &&Call| call.caller == set.node && !is_firecamps(call);
        begin_as_recorded(calls.iter().filter(its_own), RECORDED)
    })
    .await?;
    cluster.verify_apart().await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "deployment", set.name]).await.map(drop)
}

pub(super) async fn f057_members_and_the_vpc_cni_never_share_an_interface(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set { parallel: true, ..Set::new("beside", 10) };
    let pods = Ordinary { name: "churn", node: "node-b" };
    cluster.create_object(DEPLOYMENTS, &pods.object(2)).await?;
    cluster.create(&set).await?;
    for count in [MANY, 1, MANY] {
        cluster.scale_ordinary(&pods, count).await?;
        for pod in cluster.wait_all_ready(&set).await? {
            let held = cluster.wait_held(&pod).await?;
            let made = cluster.made_interfaces().await?;
            let ours = made.get(&pod.node).is_some_and(|enis| enis.contains(&held.eni));
            ensure(ours, || format!("{held:?}, made are {made:?}"))?;
        }
        cluster.wait_ordinary(&pods, count).await?;
        cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "pod", "beside-0"]).await?;
        cluster.verify_apart().await?;
    }
    cluster.wait_all_ready(&set).await?;
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "deployment", pods.name]).await?;
    cluster.delete(&set).await
}

pub(super) async fn f057_interfaces_of_the_vpc_cni_are_refused(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let since = cluster.last_call()?;
    let set = Set { settings: PRIMARY, ..Set::new("primary", 1) };
    cluster.create(&set).await?;
    cluster.refused(&set, 17, &["VPC CNI", "primary interface"]).await?;
    let calls = cluster.vpc(|vpc| vpc.calls(since))?;
    let assigned = |call: &Call| is_firecamps(call) && call.action == "AssignPrivateIpAddresses";
    ensure(!calls.iter().any(assigned), || format!("assigned: {}", mutations(&calls)))?;
    cluster.delete(&set).await?;
    // The VPC CNI adopts an interface without its tag, whatever other tags it has.
    let (eni, node) = (UNTAGGED.to_owned(), ADOPTING.to_owned());
    let device_index = cluster.free_index(ADOPTING)?;
    let tag = ("firecamp.io/cluster".to_owned(), Some(CLUSTER.to_owned()));
    // EC2 has given some of these addresses to interfaces of the VPC CNI.
    (201..=250)
        .map(|number| Ipv4Addr::new(10, 0, 1, number))
        .map(|address| Act::CreateEni { id: eni.clone(), address })
        .find(|create| cluster.vpc(|vpc| vpc.act(create.clone())).is_ok())
        .ok_or("no address is free")?;
    for act in [
        Act::TagEni { eni: eni.clone(), key: tag.0, value: tag.1 },
        Act::AttachEni { eni: eni.clone(), node, device_index },
    ] {
        cluster.vpc(|vpc| vpc.act(act))?;
    }
    cluster.wait_excluded(ADOPTING, UNTAGGED, true).await?;
    until("the VPC CNI adopts the interface without its tag", || async {
        let calls = cluster.vpc(|vpc| vpc.calls(since))?;
        let made = calls.iter().any(|one| has(one, "CreateTags", &[("ResourceId.1", UNTAGGED)]));
        ensure(made, || format!("{} calls", calls.len()))
    })
    .await?;
    cluster.verify_apart().await.map(drop)
}

pub(super) async fn f057_a_vpc_cni_that_starts_after_the_agent_is_noticed(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let node = "node-b";
    let primary = cluster.primary(node)?;
    output_of(cluster.running.on(node, "rm")?.arg(CONFIGURATION))?;
    let words = ["-n", "firecamp-system", "delete", "pod", "--field-selector"];
    let here = format!("spec.nodeName={node}");
    cluster.admin.kubectl(&[&words[..], &[here.as_str()]].concat()).await?;
    cluster.wait_excluded(node, &primary, false).await?;
    let from = cluster.running.home.worker(node).join("cni.conflist");
    output_of(cluster.running.on(node, "cp")?.args([from.as_path(), CONFIGURATION.as_ref()]))?;
    cluster.wait_excluded(node, &primary, true).await?;
    nodes_ready(&cluster.admin).await?;
    cluster.verify_apart().await.map(drop)
}
