//! Applies deploy/examples unmodified, as docs/install.md describes. Only AWS and the services'
//! images are replaced.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::json;
use vpcbox::vpc::Act;

use super::guide::Guide;
use super::processes::output_of;
use super::set::NAMESPACE;
use super::test_cluster::{ADDRESSES, Pod, TestCluster, all_but, ensure};
use crate::install::{source, until};
use crate::member::PORT;
use crate::topology::{Layout, WORKERS};
use crate::{Outcome, failed};

/// Ports of the services.
const KAFKA: u16 = 9092;
const MQTT: u16 = 1883;
/// An example whose pods have no volume, so the scheduler may choose any node.
const NO_VOLUME: &str = "redis-cache.yaml";
/// An example whose pods are at no address of a node: its own Service leads to them.
const OWN_NETWORK: &str = "redis.yaml";
/// Sections of docs/install.md.
const DIRECT_MODE: &str = "## Direct mode";
const ONE_MACHINE: &str = "## One machine";

/// Runs on a new cluster of its own.
pub(super) async fn each_example_works_unmodified(cluster: &TestCluster<'_>) -> Outcome {
    cluster.on_further_cluster(("examples", Layout::OneSubnet), run_examples).await
}

async fn run_examples(cluster: &TestCluster<'_>) -> Outcome {
    let guide = Guide::read(cluster)?;
    guide.run_block("## 2. The agents", 1).await?;
    guide.run_block("## 3. The addresses", 1).await?;
    // The command of docs/names.md.
    let names = "helm upgrade firecamp deploy/chart/firecamp --namespace firecamp-system \
        --reset-then-reuse-values --set names.enabled=true";
    guide.run("names", names).await?;
    for file in [OWN_NETWORK, "redis-host-network.yaml"] {
        redis_example(cluster, &guide, (file, "redis"), Releaser::Agent).await?;
    }
    let direct = [
        ("redis-direct.yaml", "redis"),
        ("redis-prestop.yaml", "cache"),
        (NO_VOLUME, "redis-cache"),
    ];
    for example in direct {
        // The previous example was deleted with the namespace.
        guide.run_block(DIRECT_MODE, 1).await?;
        redis_example(cluster, &guide, example, Releaser::Pod).await?;
    }
    kafka_example(cluster, &guide).await?;
    let all = ["uninstall", "firecamp", "--namespace", "firecamp-system", "--wait"].join(" ");
    guide
        .run("uninstall", &format!("helm {all}; kubectl delete namespace firecamp-system"))
        .await?;
    single_machine(cluster, &guide).await
}

/// Whose token records the release of a pod's address.
#[derive(Debug, Clone, Copy)]
enum Releaser {
    Pod,
    Agent,
}

/// A file with one member, whose pod is restarted. A second one runs beside it.
async fn redis_example(
    cluster: &TestCluster<'_>,
    guide: &Guide,
    (file, set): (&str, &str),
    by: Releaser,
) -> Outcome {
    let member = format!("{set}-0");
    cluster.volume(file.trim_end_matches(".yaml"), "10Gi", WORKERS[0].name).await?;
    apply(guide, file, by).await?;
    let pod = cluster.wait_ready(&member, None).await?;
    let address = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    cluster.delete_pod(NAMESPACE, &member).await?;
    wait_release(cluster, &pod, address, by).await?;
    let pod = cluster.wait_ready(&member, Some(&pod)).await?;
    let again = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    ensure(again == address, || format!("{again} after {address}"))?;
    let (second, other) = second_member(cluster, file, set).await?;
    ensure(second.node == pod.node || file == NO_VOLUME, || {
        format!("{second:?} is not on {}", pod.node)
    })?;
    if file == OWN_NETWORK {
        // In cluster DNS, which leads to the pods' own addresses.
        for name in [set.to_owned(), format!("{member}.{set}"), format!("{}.{set}", second.name)] {
            let words = ["-n", NAMESPACE, "exec", member.as_str(), "-c", set, "--"];
            let words = [&words[..], &["/clusterbox", "dial", name.as_str()]].concat();
            until(&format!("{member} reaches {name}"), || cluster.admin.kubectl(&words)).await?;
        }
    } else {
        let service = format!("{set}-static");
        let wanted = BTreeSet::from([address, other].map(|one| one.to_string()));
        until("the Service of the static addresses names both members", || async {
            let named = cluster.named_in(NAMESPACE, &service).await?;
            ensure(named.iter().eq(&wanted), || format!("{named:?} instead of {wanted:?}"))
        })
        .await?;
    }
    // The ServiceAccount, which permits the release, is deleted only afterwards.
    cluster.admin.kubectl(&["-n", NAMESPACE, "delete", "statefulset", set]).await?;
    cluster.wait_parked(&pod.node, address).await?;
    wait_release(cluster, &pod, address, by).await?;
    delete(guide, file).await
}

/// Waits until a second member serves, whose volume binds it to the first one's node.
async fn second_member(
    cluster: &TestCluster<'_>,
    file: &str,
    set: &str,
) -> Outcome<(Pod, Ipv4Addr)> {
    let volume = format!("{}-2", file.trim_end_matches(".yaml"));
    cluster.volume(&volume, "10Gi", WORKERS[0].name).await?;
    let scale = ["-n", NAMESPACE, "scale", "statefulset", set, "--replicas=2"];
    cluster.admin.kubectl(&scale).await?;
    let pod = cluster.wait_ready(&format!("{set}-1"), None).await?;
    let address = cluster.wait_serving(NAMESPACE, &pod, PORT).await?;
    Ok((pod, address))
}

async fn wait_release(
    cluster: &TestCluster<'_>,
    pod: &Pod,
    address: Ipv4Addr,
    by: Releaser,
) -> Outcome {
    match by {
        Releaser::Pod => cluster.wait_released_by_pod(pod, address).await,
        Releaser::Agent => {
            until("the agent records the release", || async {
                ensure(cluster.was_released(pod, address)?, || format!("{address} of {pod:?}"))
            })
            .await
        }
    }
}

/// kafka.yaml: one broker per node, of which one at a time may be evicted.
pub(super) async fn kafka_example(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    for (number, worker) in WORKERS.iter().enumerate() {
        cluster.volume(&format!("broker-{number}"), "100Gi", worker.name).await?;
    }
    apply(guide, "kafka.yaml", Releaser::Agent).await?;
    let mut pods = Vec::new();
    let mut places = BTreeSet::new();
    for name in ["kafka-0", "kafka-1", "kafka-2"] {
        let pod = cluster.wait_ready_in("kafka", name, None).await?;
        let address = cluster.wait_serving("kafka", &pod, KAFKA).await?;
        places.insert((pod.node.clone(), address));
        pods.push((pod, address));
    }
    let nodes: BTreeSet<&str> = places.iter().map(|(node, _address)| node.as_str()).collect();
    ensure(nodes.len() == pods.len(), || format!("two brokers share a node: {places:?}"))?;
    for (node, address) in &places {
        cluster.verify_zone(node, *address).await?;
    }
    until("a broker can be evicted", || cluster.evict("kafka-0", 201)).await?;
    cluster.evict("kafka-1", 429).await?;
    for (pod, address) in pods.iter().take(1) {
        let pod = cluster.wait_ready_in("kafka", &pod.name, Some(pod)).await?;
        let again = cluster.wait_serving("kafka", &pod, KAFKA).await?;
        ensure(again == *address, || format!("{again} after {address}"))?;
    }
    delete(guide, "kafka.yaml").await?;
    for (pod, address) in &pods {
        cluster.wait_parked(&pod.node, *address).await?;
    }
    Ok(())
}

/// The directory edge: a single machine with a file registry.
async fn single_machine(cluster: &TestCluster<'_>, guide: &Guide) -> Outcome {
    let machine = WORKERS[0].name;
    for other in all_but(machine) {
        cluster.vpc(|vpc| vpc.act(Act::Stop { node: other.to_owned() }))?;
        cluster.admin.kubectl(&["delete", "node", other]).await?;
    }
    let here = source("deploy/examples/edge");
    let script = format!("cd {here}\n{}", guide.block(ONE_MACHINE, 1)?);
    output_of(cluster.running.on(machine, "sh")?.args(["-euc", &script]))?;
    guide.run_block(ONE_MACHINE, 2).await?;
    let pod = cluster.wait_ready_in("edge", "mqtt-0", None).await?;
    let mut show = cluster.running.on(machine, "cat")?;
    let file = output_of(show.arg("/var/lib/mqtt/conf/firecamp-service-staticip"))?;
    let address: Ipv4Addr = file.trim().parse().map_err(failed(file.clone()))?;
    let answers = |pod: &Pod| {
        let answer = cluster.dial_at(address, MQTT)?;
        let there = cluster.in_kernel(machine, address)?;
        ensure(there, || {
            format!(
                "{answer} of {} answers, but {address} is not in the kernel of {machine}",
                pod.name
            )
        })
    };
    answers(&pod)?;
    cluster.delete_pod("edge", "mqtt-0").await?;
    let pod = cluster.wait_ready_in("edge", "mqtt-0", Some(&pod)).await?;
    answers(&pod)?;
    let word = ["-n", "edge", "delete", "statefulset", "mqtt"];
    cluster.admin.kubectl(&word).await?;
    until(&format!("{address} is removed from the kernel with its pod"), || async {
        ensure(!cluster.in_kernel(machine, address)?, || {
            format!("{address} is in the kernel of {machine}")
        })
    })
    .await
}

/// Applies an example with the page's commands for its mode.
async fn apply(guide: &Guide, example: &str, by: Releaser) -> Outcome {
    let (page, shown) = match by {
        Releaser::Pod => (guide.block(DIRECT_MODE, 2)?.to_owned(), "redis-direct.yaml"),
        Releaser::Agent => (guide.first_member()?, OWN_NETWORK),
    };
    let script = page.lines().take_while(|line| !line.contains("rollout status"));
    let script = script.collect::<Vec<_>>().join("\n").replace(shown, example);
    guide.run(example, &script).await
}

/// Deletes all objects of an example that still exist.
async fn delete(guide: &Guide, example: &str) -> Outcome {
    let word = format!("kubectl delete --ignore-not-found --filename deploy/examples/{example}");
    guide.run(example, &word).await
}

impl TestCluster<'_> {
    /// Creates a volume for a member: the cluster has no provisioner.
    pub(super) async fn volume(&self, name: &str, size: &str, worker: &str) -> Outcome {
        let path = format!("/var/lib/volumes/{name}");
        output_of(self.running.on(worker, "mkdir")?.args(["-p", &path]))?;
        let here = json!([{ "matchExpressions": [{
            "key": "kubernetes.io/hostname", "operator": "In", "values": [worker],
        }] }]);
        let volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": { "name": name },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": { "storage": size },
                "local": { "path": path },
                "nodeAffinity": { "required": { "nodeSelectorTerms": here } },
            },
        });
        self.create_object("/api/v1/persistentvolumes", &volume).await
    }

    /// Waits until the pod serves at its address, and returns the address. Ignores the answer,
    /// because a stub may not know its pod's name.
    pub(super) async fn wait_serving(
        &self,
        namespace: &str,
        pod: &Pod,
        port: u16,
    ) -> Outcome<Ipv4Addr> {
        until(&format!("{} serves at its address", pod.name), || async {
            let address = self.address_in(namespace, &pod.name).await?;
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let attachment = &object["spec"]["attachment"];
            let holds = attachment["podUID"] == *pod.uid && attachment["state"] == "Attached";
            ensure(holds, || object.to_string())?;
            ensure(self.in_kernel(&pod.node, address)?, || {
                format!("{address} is not in the kernel of {}", pod.node)
            })?;
            self.dial_at(address, port).map(|_name| address)
        })
        .await
    }

    pub(super) async fn delete_pod(&self, namespace: &str, name: &str) -> Outcome {
        self.admin.kubectl(&["-n", namespace, "delete", "pod", name]).await.map(drop)
    }

    /// Evicts a broker and expects this status code.
    async fn evict(&self, name: &str, code: u16) -> Outcome {
        let place = format!("/api/v1/namespaces/kafka/pods/{name}/eviction");
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": "kafka" },
        });
        let answer = self.admin.api.post(&place, &eviction).await?;
        ensure(answer.code == code, || {
            format!("eviction of {name}: {} instead of {code}: {}", answer.code, answer.text)
        })
    }

    /// Waits until the address is recorded as parked and not in the kernel.
    pub(super) async fn wait_parked(&self, node: &str, address: Ipv4Addr) -> Outcome {
        until(&format!("{address} is parked"), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let state = &object["spec"]["attachment"]["state"];
            ensure(state == "Parked", || object.to_string())?;
            ensure(!self.in_kernel(node, address)?, || {
                format!("{address} is in the kernel of {node}")
            })
        })
        .await
    }
}
