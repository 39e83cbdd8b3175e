//! deploy/examples as they are, installed as docs/install.md says. Only AWS and the services'
//! images are stood in for.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::json;
use vpcbox::vpc::Act;

use super::guide::Guide;
use super::ports::said;
use super::scene::{ADDRESSES, Pod, Scene, all_but, ensure};
use super::set::NAMESPACE;
use crate::install::{source, until};
use crate::member::PORT;
use crate::topology::{Layout, WORKERS};
use crate::{Outcome, failed};

/// Where the services listen.
const KAFKA: u16 = 9092;
const MQTT: u16 = 1883;
/// The section of the page about members without a cluster.
const ALONE: &str = "## One machine";

/// On a cluster of its own, which has nothing yet.
pub(super) async fn each_example_works_as_it_is(scene: &Scene<'_>) -> Outcome {
    scene.elsewhere(("examples", Layout::OneSubnet), applied).await
}

async fn applied(scene: &Scene<'_>) -> Outcome {
    let guide = Guide::read(scene)?;
    guide.follow("## 2. The agents", 1).await?;
    guide.follow("## 3. The addresses", 1).await?;
    a_hook_releases(scene, &guide).await?;
    brokers(scene, &guide).await?;
    let all = ["uninstall", "firecamp", "--namespace", "firecamp-system", "--wait"].join(" ");
    guide
        .run("uninstall", &format!("helm {all}; kubectl delete namespace firecamp-system"))
        .await?;
    a_machine_alone(scene, &guide).await
}

/// redis-prestop.yaml.
async fn a_hook_releases(scene: &Scene<'_>, guide: &Guide) -> Outcome {
    scene.volume("cache", "10Gi", WORKERS[0].name).await?;
    apply(guide, "redis-prestop.yaml").await?;
    let pod = scene.ready("cache-0", None).await?;
    let address = scene.serves(NAMESPACE, &pod, PORT).await?;
    scene.delete_pod(NAMESPACE, "cache-0").await?;
    scene.released_itself(&pod, address).await?;
    let pod = scene.ready("cache-0", Some(&pod)).await?;
    let again = scene.serves(NAMESPACE, &pod, PORT).await?;
    ensure(again == address, || format!("{again} after {address}"))?;
    // Its ServiceAccount, and with it the right to release, goes only after that.
    scene.admin.kubectl(&["-n", NAMESPACE, "delete", "statefulset", "cache"]).await?;
    scene.is_parked(&pod.node, address).await?;
    scene.released_itself(&pod, address).await?;
    remove(guide, "redis-prestop.yaml").await
}

/// kafka.yaml: one on each node, of which one at a time may be asked to leave.
pub(super) async fn brokers(scene: &Scene<'_>, guide: &Guide) -> Outcome {
    for (number, worker) in WORKERS.iter().enumerate() {
        scene.volume(&format!("broker-{number}"), "100Gi", worker.name).await?;
    }
    let rights = "kubectl create namespace kafka\n\
        helm upgrade firecamp deploy/chart/firecamp --namespace firecamp-system \
        --reset-then-reuse-values --set 'members.namespaces={kafka}'";
    guide.run("rights for members in kafka", rights).await?;
    apply(guide, "kafka.yaml").await?;
    let mut pods = Vec::new();
    let mut places = BTreeSet::new();
    for name in ["kafka-0", "kafka-1", "kafka-2"] {
        let pod = scene.ready_in("kafka", name, None).await?;
        let address = scene.serves("kafka", &pod, KAFKA).await?;
        places.insert((pod.node.clone(), address));
        pods.push((pod, address));
    }
    let nodes: BTreeSet<&str> = places.iter().map(|(node, _address)| node.as_str()).collect();
    ensure(nodes.len() == pods.len(), || format!("two are beside each other: {places:?}"))?;
    for (node, address) in &places {
        scene.is_in_its_zone(node, *address).await?;
    }
    until("a broker may be asked to leave", || scene.ask_to_leave("kafka-0", 201)).await?;
    scene.ask_to_leave("kafka-1", 429).await?;
    for (pod, address) in pods.iter().take(1) {
        let pod = scene.ready_in("kafka", &pod.name, Some(pod)).await?;
        let again = scene.serves("kafka", &pod, KAFKA).await?;
        ensure(again == *address, || format!("{again} after {address}"))?;
    }
    remove(guide, "kafka.yaml").await?;
    for (pod, address) in &pods {
        scene.is_parked(&pod.node, *address).await?;
    }
    Ok(())
}

/// The directory edge: the node's files are all that it needs of a cluster's records.
async fn a_machine_alone(scene: &Scene<'_>, guide: &Guide) -> Outcome {
    let machine = WORKERS[0].name;
    for other in all_but(machine) {
        scene.vpc(|vpc| vpc.act(Act::Stop { node: other.to_owned() }))?;
        scene.admin.kubectl(&["delete", "node", other]).await?;
    }
    let here = source("deploy/examples/edge");
    let script = format!("cd {here}\n{}", guide.block(ALONE, 1)?);
    said(scene.running.on(machine, "sh")?.args(["-euc", &script]))?;
    guide.follow(ALONE, 2).await?;
    let pod = scene.ready_in("edge", "mqtt-0", None).await?;
    let mut show = scene.running.on(machine, "cat")?;
    let file = said(show.arg("/var/lib/mqtt/conf/firecamp-service-staticip"))?;
    let address: Ipv4Addr = file.trim().parse().map_err(failed(file.clone()))?;
    let answers = |pod: &Pod| {
        let answer = scene.dial_at(address, MQTT)?;
        let there = scene.in_kernel(machine, address)?;
        ensure(there, || format!("{answer} of {} answers, but {machine} has it not", pod.name))
    };
    answers(&pod)?;
    scene.delete_pod("edge", "mqtt-0").await?;
    let pod = scene.ready_in("edge", "mqtt-0", Some(&pod)).await?;
    answers(&pod)?;
    let word = ["-n", "edge", "delete", "statefulset", "mqtt"];
    scene.admin.kubectl(&word).await?;
    until("its address leaves the kernel with it", || async {
        ensure(!scene.in_kernel(machine, address)?, || format!("{machine} has {address}"))
    })
    .await
}

/// As the page does it with the first member.
async fn apply(guide: &Guide, example: &str) -> Outcome {
    let page = guide.block("## 4. The first member", 1)?;
    let script = page.lines().take_while(|line| !line.contains("rollout status"));
    let script = script.collect::<Vec<_>>().join("\n").replace("redis.yaml", example);
    guide.run(example, &script).await
}

/// All at once, with what of it is still there.
async fn remove(guide: &Guide, example: &str) -> Outcome {
    let word = format!("kubectl delete --ignore-not-found --filename deploy/examples/{example}");
    guide.run(example, &word).await
}

impl Scene<'_> {
    /// A volume for a member: nobody provides any here.
    pub(super) async fn volume(&self, name: &str, size: &str, worker: &str) -> Outcome {
        let path = format!("/var/lib/volumes/{name}");
        said(self.running.on(worker, "mkdir")?.args(["-p", &path]))?;
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
        self.made("/api/v1/persistentvolumes", &volume).await
    }

    /// Where a client reaches the pod. What stands in for a service may not know the pod's name.
    pub(super) async fn serves(&self, namespace: &str, pod: &Pod, port: u16) -> Outcome<Ipv4Addr> {
        until(&format!("{} serves at its address", pod.name), || async {
            let address = self.address_in(namespace, &pod.name).await?;
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let attachment = &object["spec"]["attachment"];
            let holds = attachment["podUID"] == *pod.uid && attachment["state"] == "Attached";
            ensure(holds, || object.to_string())?;
            ensure(self.in_kernel(&pod.node, address)?, || format!("not on {}", pod.node))?;
            self.dial_at(address, port).map(|_name| address)
        })
        .await
    }

    async fn delete_pod(&self, namespace: &str, name: &str) -> Outcome {
        self.admin.kubectl(&["-n", namespace, "delete", "pod", name]).await.map(drop)
    }

    /// Asks a broker to leave, and is answered so.
    async fn ask_to_leave(&self, name: &str, code: u16) -> Outcome {
        let place = format!("/api/v1/namespaces/kafka/pods/{name}/eviction");
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": name, "namespace": "kafka" },
        });
        let answer = self.admin.api.post(&place, &eviction).await?;
        ensure(answer.code == code, || format!("{name} is to leave: {}", answer.text))
    }

    /// Waits until nobody has the address, on record and in the kernel.
    async fn is_parked(&self, node: &str, address: Ipv4Addr) -> Outcome {
        until(&format!("{address} is parked"), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let state = &object["spec"]["attachment"]["state"];
            ensure(state == "Parked", || object.to_string())?;
            ensure(!self.in_kernel(node, address)?, || format!("{node} has it"))
        })
        .await
    }
}
