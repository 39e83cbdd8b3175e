//! The leader's memory with many members stays below the limit in the chart.

use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_checks::deploy::objects;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::member::Member;
use crate::support::test_box::TestBox;
use crate::support::within;

/// Members of the whole cluster.
const MEMBERS: u32 = 10_000;
/// A busy machine needs long to list so many objects.
const PATIENCE: Duration = Duration::from_mins(3);
/// The UID of their StatefulSet.
const SET_UID: &str = "5e75e75e-75e7-45e7-85e7-5e75e75e75e7";
/// Bytes of `managedFields` in each object.
const MANAGED_FIELDS: usize = 1_200;

/// Adds members like this one on another node.
fn add_members(cluster: &Cluster<'_>, address: &Value, claim: &Value) {
    let fields =
        json!([{ "manager": "firecamp-init", "fieldsV1": { "of": "f".repeat(MANAGED_FIELDS) } }]);
    let set = json!({ "metadata": { "uid": SET_UID }, "spec": { "replicas": MEMBERS } });
    cluster.api.set("statefulsets", (Some("demo"), "web"), set);
    let owner = json!({ "firecamp.io/statefulset": "web", "firecamp.io/statefulset-uid": SET_UID });
    for number in 0..MEMBERS {
        let member = format!("web-{number}");
        let own = format!("10.0.{}.{}", 16 + number / 250, number % 250);
        let metadata = json!({ "uid": format!("{number:036}"), "managedFields": fields });
        let mut claim = claim.clone();
        claim["metadata"] = metadata.clone();
        claim["metadata"]["annotations"] = owner.clone();
        claim["spec"]["address"] = json!(own);
        cluster.api.set("staticipclaims", (Some("demo"), &member), claim);
        let mut address = address.clone();
        address["metadata"] = metadata;
        let spec = &mut address["spec"];
        spec["address"] = json!(own);
        spec["cidr"] = json!("10.0.0.0/16");
        spec["claimRef"] = json!({ "namespace": "demo", "name": member });
        spec["attachment"]["podUID"] = json!(format!("{number:036}"));
        spec["attachment"]["nodeName"] = json!("node-b");
        spec["reservedOn"] = spec["attachment"]["eni"].clone();
        cluster.api.set("staticips", (None, &own), address);
    }
}

/// The memory limit in the chart, in KiB.
fn limit() -> u64 {
    let values = objects("deploy/chart/firecamp/values.yaml").unwrap().remove(0);
    let limit = values["resources"]["limits"]["memory"].as_str().unwrap();
    limit.strip_suffix("Mi").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn leader_of_ten_thousand_members_uses_less_than_half_of_its_memory_limit() {
    let test_box = TestBox::start();
    let cluster = Cluster::start(&test_box);
    let _a = cluster.connect("node-a");
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", "node-a");
    cluster.set_pod(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.add_holder(&pod, &started);
    let [address] = &cluster.api.all("staticips")[..] else { panic!("not exactly one StaticIP") };
    let [claim] = &cluster.api.all("staticipclaims")[..] else {
        panic!("not exactly one StaticIPClaim")
    };
    add_members(&cluster, address, claim);
    let agent = cluster.agent("node-a");
    // Each agent watches the addresses of its node; the leader watches all.
    let count = |what: &str| cluster.api.requests().iter().filter(|it| *it == what).count();
    let lists = || (count("WATCH staticips/*") / 2).min(count("WATCH staticipclaims/*"));
    within(PATIENCE, "the leader lists all objects", || (lists() >= 1).then_some(()));
    let once = agent.peak_kib();
    // Memory peaks when a new list arrives while the old one is still in memory.
    for _again in 0..2 {
        let before = lists();
        cluster.api.end_watches(Ending::Expired);
        within(PATIENCE, "the leader lists all objects again", || (lists() > before).then_some(()));
    }
    let peak = agent.peak_kib();
    println!("{MEMBERS} members: {once} KiB after the first list, {peak} KiB after further lists");
    assert!(2 * peak < limit(), "the leader used {peak} KiB of {} KiB", limit());
}
