//! The NodeAttachment and the Node capacity that an agent publishes. The agent runs in a root file
//! system with only what its DaemonSet mounts, against an API server.

use firecamp_core::record::{Pool, PoolSubnet};
use firecamp_vpc::{Fault, Selector};
use serde_json::{Value, json};
use vpcbox::vpc::Act;

use crate::support::cluster::{Cluster, pool};
use crate::support::eventually;
use crate::support::jailed_agent::{agent, root};
use crate::support::member::Member;
use crate::support::process::Process;
use crate::support::test_box::TestBox;

const NODE: &str = "node-a";

/// A node with one ENI in each of two subnets of one zone. Its type has ten addresses per ENI.
const TWO_SUBNETS: &str = r#"
cluster = "prod"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0a000000000000001"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[subnets]]
name = "c"
id = "subnet-0c000000000000001"
cidr = "10.0.3.0/24"
zone = "us-east-1a"
[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.11"
[[nodes.enis]]
id = "eni-0000000000000a001"
subnet = "c"
device_index = 1
address = "10.0.3.21"
"#;

fn second_subnet() -> PoolSubnet {
    PoolSubnet {
        subnet: "subnet-0c000000000000001".parse().unwrap(),
        cidr: "10.0.3.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: vec![([10, 0, 3, 64].into(), [10, 0, 3, 127].into())],
    }
}

/// The pool of the box with the second subnet added.
fn with_both_subnets(pool: Pool) -> Pool {
    Pool { subnets: pool.subnets.into_iter().chain([second_subnet()]).collect(), ..pool }
}

/// A cluster with the node and a pool in both subnets.
fn cluster(test_box: &TestBox) -> Cluster<'_> {
    let cluster = Cluster::start(test_box);
    let pool = pool(test_box);
    assert!(cluster.api.delete_pool(&pool));
    cluster.api.create_pool(&with_both_subnets(pool));
    add_node(&cluster);
    cluster
}

fn add_node(cluster: &Cluster<'_>) {
    let node = json!({ "metadata": { "uid": "node-uid" }, "status": { "capacity": {} } });
    cluster.api.set("nodes", (None, NODE), node);
}

fn stop_agent(agent: Process) {
    agent.terminate();
    agent.end().assert_ended_well();
}

fn status(cluster: &Cluster<'_>) -> Value {
    let object = cluster.api.object("nodeattachments", None, NODE);
    object.map_or(Value::Null, |object| object["status"].clone())
}

/// Status and reason of a NodeAttachment condition, such as `True AllHealthy`.
fn condition(cluster: &Cluster<'_>, kind: &str) -> Option<String> {
    let status = status(cluster);
    let found = status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
    Some(format!("{} {}", found["status"].as_str()?, found["reason"].as_str()?))
}

#[track_caller]
fn wait_for_condition(cluster: &Cluster<'_>, kind: &str, wanted: &str) {
    eventually(&format!("condition {kind} is {wanted}"), || {
        (condition(cluster, kind).as_deref() == Some(wanted)).then_some(())
    });
}

fn capacity(cluster: &Cluster<'_>) -> Option<String> {
    capacity_of(cluster, "firecamp.io/static-ip")
}

fn capacity_of(cluster: &Cluster<'_>, resource: &str) -> Option<String> {
    let node = cluster.api.object("nodes", None, NODE)?;
    node["status"]["capacity"][resource].as_str().map(str::to_owned)
}

#[track_caller]
fn wait_for_capacity(cluster: &Cluster<'_>, slots: &str) {
    eventually(&format!("the node has capacity {slots}"), || {
        (capacity(cluster).as_deref() == Some(slots)).then_some(())
    });
}

#[test]
fn f021_node_publishes_its_interfaces_and_their_capacity() {
    let test_box = TestBox::of(TWO_SUBNETS);
    let cluster = cluster(&test_box);
    let _reach = cluster.connect(NODE);
    let root = root(&test_box);
    let running = agent(&cluster, NODE, &root);
    wait_for_capacity(&cluster, "18");
    wait_for_condition(&cluster, "Ready", "True AllHealthy");
    let shown = status(&cluster);
    assert_eq!(shown["zone"], "us-east-1a", "{shown:#}");
    assert!(shown["instance"].as_str().unwrap().starts_with("i-"), "{shown:#}");
    assert_eq!(shown["slots"], json!({ "total": 18, "free": 18 }));
    let nine = json!({ "total": 9, "free": 9 });
    for (index, subnet) in
        ["subnet-0a000000000000001", "subnet-0c000000000000001"].into_iter().enumerate()
    {
        let eni = &shown["enis"][index];
        assert_eq!((&eni["slots"], &eni["subnet"]), (&nine, &json!(subnet)), "{shown:#}");
        assert_eq!((&eni["managedBy"], &eni["deviceIndex"]), (&json!("FireCamp"), &json!(index)));
        assert_eq!(eni["link"], format!("ens{}", 5 + index));
    }

    // An attached member uses one slot.
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", NODE);
    cluster.set_pod(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.add_holder(&pod, &started);
    eventually("17 slots are free", || {
        (status(&cluster)["slots"] == json!({ "total": 18, "free": 17 })).then_some(())
    });
    assert_eq!(capacity(&cluster).as_deref(), Some("18"));

    // A detached ENI no longer counts.
    test_box.control().act(Act::Detach { eni: "eni-0000000000000a001".to_owned() }).unwrap();
    wait_for_capacity(&cluster, "9");
    eventually("the status shows one ENI", || {
        let shown = status(&cluster);
        (shown["enis"].as_array()?.len() == 1).then_some(())
    });
    stop_agent(running);
}

/// A pod that occupies this many slots of the node.
fn add_pod(cluster: &Cluster<'_>, name: &str, slots: u32) {
    let requests = json!({ "firecamp.io/static-ip": slots.to_string() });
    let container = json!({ "name": "service", "resources": { "requests": requests } });
    let pod = json!({
        "metadata": { "uid": "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11" },
        "spec": { "nodeName": NODE, "containers": [container] },
        "status": { "phase": "Running" },
    });
    cluster.api.set("pods", (Some("prod"), name), pod);
}

#[test]
fn capacity_is_never_below_what_the_pods_of_the_node_request() {
    let test_box = TestBox::of(TWO_SUBNETS);
    let cluster = cluster(&test_box);
    let _reach = cluster.connect(NODE);
    add_pod(&cluster, "busy-0", 12);
    let running = agent(&cluster, NODE, &root(&test_box));
    wait_for_capacity(&cluster, "18");
    test_box.control().act(Act::Detach { eni: "eni-0000000000000a001".to_owned() }).unwrap();
    wait_for_capacity(&cluster, "12");
    cluster.api.remove("pods", Some("prod"), "busy-0");
    wait_for_capacity(&cluster, "9");
    stop_agent(running);
}

/// Each pool has one subnet, and the node an interface in both. The scheduler places a member of
/// pool b where a slot of its resource is free.
#[test]
fn a_member_of_a_pool_is_not_offered_the_slots_of_another_pool() {
    const OF_POOL_B: &str = "firecamp.io/static-ip-b";
    let test_box = TestBox::of(TWO_SUBNETS);
    let cluster = Cluster::start(&test_box);
    let (name, resource) = ("b".parse().unwrap(), OF_POOL_B.parse().unwrap());
    let pool = pool(&test_box);
    let other = Pool { name, resource, subnets: vec![second_subnet()], ..pool };
    cluster.api.create_pool(&other);
    add_node(&cluster);
    let _reach = cluster.connect(NODE);
    let running = agent(&cluster, NODE, &root(&test_box));
    let of_pool_b = || capacity_of(&cluster, OF_POOL_B);
    wait_for_capacity(&cluster, "9");
    eventually("the slots of pool b are offered", || (of_pool_b()? == "9").then_some(()));

    // Nine slots of the first pool are free, and none of pool b.
    test_box.control().act(Act::Detach { eni: "eni-0000000000000a001".to_owned() }).unwrap();
    eventually("no slot of pool b is offered", || (of_pool_b()? == "0").then_some(()));
    assert_eq!(capacity(&cluster).as_deref(), Some("9"));
    stop_agent(running);
}

#[test]
fn f049_f053_node_reports_blocking_conditions_and_clears_them() {
    let test_box = TestBox::of(TWO_SUBNETS);
    let cluster = cluster(&test_box);
    let _reach = cluster.connect(NODE);
    let root = root(&test_box);
    let denied = Selector { caller: Some(NODE.to_owned()), ..Selector::default() };
    let fault = test_box.fault(Fault::IamDeny {}, denied);
    let running = agent(&cluster, NODE, &root);
    wait_for_condition(&cluster, "Ec2Allowed", "False Denied");
    wait_for_condition(&cluster, "Ready", "False Denied");
    assert_eq!(
        capacity(&cluster),
        None,
        "the agent must not publish a capacity that it does not know"
    );
    stop_agent(running);
    test_box.control().fault_clear(Some(fault)).unwrap();

    let running = agent(&cluster, NODE, &root);
    wait_for_condition(&cluster, "Ready", "True AllHealthy");
    wait_for_capacity(&cluster, "18");
    let silent = Selector { caller: Some(NODE.to_owned()), ..Selector::default() };
    let fault = test_box.fault(Fault::ImdsDown {}, silent);
    wait_for_condition(&cluster, "MetadataReachable", "False MetadataUnreachable");
    wait_for_condition(&cluster, "Ready", "False MetadataUnreachable");
    assert_eq!(
        capacity(&cluster).as_deref(),
        Some("18"),
        "an unknown capacity must not replace the last one"
    );
    test_box.control().fault_clear(Some(fault)).unwrap();
    wait_for_condition(&cluster, "Ready", "True AllHealthy");
    stop_agent(running);
}
