//! What an agent publishes of its node: the real binary, in a root file system with nothing in it
//! but what its DaemonSet mounts, against the API server of a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use firecamp_core::record::{Pool, PoolSubnet};
use firecamp_vpc::{Fault, Selector};
use serde_json::{Value, json};
use vpcbox::vpc::Act;

use crate::jailed::image;
use crate::support::cluster::{Cluster, pool};
use crate::support::eventually;
use crate::support::member::Member;
use crate::support::process::Process;
use crate::support::world::{World, binaries};

const NODE: &str = "node-a";

/// A node with one ENI in each of two subnets of one zone. Its type takes ten addresses on each.
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

/// The pool of the box, and beside its own subnet the other one.
fn wider(pool: Pool) -> Pool {
    let other = PoolSubnet {
        subnet: "subnet-0c000000000000001".parse().unwrap(),
        cidr: "10.0.3.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: vec![([10, 0, 3, 64].into(), [10, 0, 3, 127].into())],
    };
    Pool { subnets: pool.subnets.into_iter().chain([other]).collect(), ..pool }
}

/// A cluster that the node belongs to, with its pool in both subnets.
fn cluster(world: &World) -> Cluster<'_> {
    let cluster = Cluster::start(world);
    let pool = pool(world);
    assert!(cluster.api.delete_pool(&pool));
    cluster.api.create_pool(&wider(pool));
    let node = json!({ "metadata": { "uid": "node-uid" }, "status": { "capacity": {} } });
    cluster.api.set("nodes", (None, NODE), node);
    cluster
}

/// Where distributions keep the certificates of certification authorities, in one file. A client
/// of the API server wants some, whatever it talks to.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The agent's root file system: where a CNI's configuration would be there is none.
fn root(world: &World) -> PathBuf {
    let root = image(world, &binaries().agent);
    fs::create_dir_all(root.join("etc/cni/net.d")).unwrap();
    let given = std::env::var("SSL_CERT_FILE").ok();
    let known = given.iter().map(String::as_str).chain(AUTHORITIES);
    let bundle = known.into_iter().find(|path| Path::new(path).is_file());
    let bundle = bundle.expect("certificates of authorities: install ca-certificates");
    fs::copy(bundle, root.join("authorities.pem")).unwrap();
    root
}

fn agent(world: &World, cluster: &Cluster<'_>, root: &Path) -> Process {
    let mut command = world.command(NODE, World::tool_path());
    let mounts = [world.path("").display().to_string(), "/run".to_owned()].join(":");
    command.env("FIRECAMP_TEST_MOUNTS", mounts).env("SSL_CERT_FILE", "/authorities.pem");
    command.arg("jail").arg(root).arg("/container");
    world.agent_as(NODE, command, &cluster.url())
}

fn ends_well(agent: Process) {
    agent.terminate();
    agent.end().well();
}

fn status(cluster: &Cluster<'_>) -> Value {
    let object = cluster.api.object("nodeattachments", None, NODE);
    object.map_or(Value::Null, |object| object["status"].clone())
}

/// Status and reason of a condition of the node: `True AllHealthy`.
fn said(cluster: &Cluster<'_>, kind: &str) -> Option<String> {
    let status = status(cluster);
    let found = status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
    Some(format!("{} {}", found["status"].as_str()?, found["reason"].as_str()?))
}

#[track_caller]
fn says(cluster: &Cluster<'_>, kind: &str, wanted: &str) {
    eventually(&format!("{kind} is {wanted}"), || {
        (said(cluster, kind).as_deref() == Some(wanted)).then_some(())
    });
}

fn capacity(cluster: &Cluster<'_>) -> Option<String> {
    let node = cluster.api.object("nodes", None, NODE)?;
    node["status"]["capacity"]["firecamp.io/static-ip"].as_str().map(str::to_owned)
}

#[track_caller]
fn offers(cluster: &Cluster<'_>, slots: &str) {
    eventually(&format!("the node offers {slots} slots"), || {
        (capacity(cluster).as_deref() == Some(slots)).then_some(())
    });
}

#[test]
fn f021_a_node_publishes_its_interfaces_and_offers_what_they_have_room_for() {
    let world = World::of(TWO_SUBNETS);
    let cluster = cluster(&world);
    let _reach = cluster.reach(NODE);
    let root = root(&world);
    let running = agent(&world, &cluster, &root);
    offers(&cluster, "18");
    says(&cluster, "Ready", "True AllHealthy");
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

    // A member takes a slot that is counted as its own.
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", NODE);
    cluster.shows(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.is_held_by(&pod, &started);
    eventually("a slot less is free", || {
        (status(&cluster)["slots"] == json!({ "total": 18, "free": 17 })).then_some(())
    });
    assert_eq!(capacity(&cluster).as_deref(), Some("18"));

    // An ENI that is gone takes its slots along.
    world.ask().act(Act::Detach { eni: "eni-0000000000000a001".to_owned() }).unwrap();
    offers(&cluster, "9");
    eventually("one ENI is shown", || {
        let shown = status(&cluster);
        (shown["enis"].as_array()?.len() == 1).then_some(())
    });
    ends_well(running);
}

#[test]
fn f049_f053_a_node_says_what_keeps_addresses_away_and_when_it_is_over() {
    let world = World::of(TWO_SUBNETS);
    let cluster = cluster(&world);
    let _reach = cluster.reach(NODE);
    let root = root(&world);
    let denied = Selector { caller: Some(NODE.to_owned()), ..Selector::default() };
    let fault = world.fault(Fault::IamDeny {}, denied);
    let running = agent(&world, &cluster, &root);
    says(&cluster, "Ec2Allowed", "False Denied");
    says(&cluster, "Ready", "False Denied");
    assert_eq!(capacity(&cluster), None, "nobody knows how much room there is");
    ends_well(running);
    world.ask().fault_clear(Some(fault)).unwrap();

    let running = agent(&world, &cluster, &root);
    says(&cluster, "Ready", "True AllHealthy");
    offers(&cluster, "18");
    let silent = Selector { caller: Some(NODE.to_owned()), ..Selector::default() };
    let fault = world.fault(Fault::ImdsDown {}, silent);
    says(&cluster, "MetadataReachable", "False MetadataUnreachable");
    says(&cluster, "Ready", "False MetadataUnreachable");
    assert_eq!(capacity(&cluster).as_deref(), Some("18"), "what is not known stays as it was");
    world.ask().fault_clear(Some(fault)).unwrap();
    says(&cluster, "Ready", "True AllHealthy");
    ends_well(running);
}
