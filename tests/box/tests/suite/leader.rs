//! The leader among many members: what it needs is far within what the chart allows.

use std::time::Duration;

use firecamp_apiserver::Ending;
use firecamp_checks::deploy::objects;
use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::member::Member;
use crate::support::within;
use crate::support::world::World;

/// Members of the whole cluster.
const MEMBERS: u32 = 10_000;
/// A busy machine may take its time for so many.
const LONG: Duration = Duration::from_mins(3);
/// Of the StatefulSet that has them.
const SET_UID: &str = "5e75e75e-75e7-45e7-85e7-5e75e75e75e7";
/// What an API server keeps beside an object of who wrote which of its fields.
const KEPT: usize = 1_200;

/// A number of members like this one, elsewhere.
fn more(cluster: &Cluster<'_>, address: &Value, claim: &Value) {
    let fields = json!([{ "manager": "firecamp-init", "fieldsV1": { "of": "f".repeat(KEPT) } }]);
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

/// The limit of the chart, in KiB.
fn limit() -> u64 {
    let values = objects("deploy/chart/firecamp/values.yaml").unwrap().remove(0);
    let limit = values["resources"]["limits"]["memory"].as_str().unwrap();
    limit.strip_suffix("Mi").unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn the_leases_holder_of_ten_thousand_members_needs_half_of_what_it_may_use() {
    let world = World::start();
    let cluster = Cluster::start(&world);
    let _a = cluster.reach("node-a");
    let mut member = Member::new(&world, "redis-0");
    let pod = member.pod("pod-1", "node-a");
    cluster.shows(&pod);
    let started = pod.started(&cluster.init(&pod).end());
    member.is_held_by(&pod, &started);
    let [address] = &cluster.api.all("staticips")[..] else { panic!("no address") };
    let [claim] = &cluster.api.all("staticipclaims")[..] else { panic!("no claim") };
    more(&cluster, address, claim);
    let agent = cluster.agent("node-a");
    // The agent watches the addresses of its node, and its leader all of them.
    let asked = |what: &str| cluster.api.requests().iter().filter(|it| *it == what).count();
    let seen = || (asked("WATCH staticips/*") / 2).min(asked("WATCH staticipclaims/*"));
    within(LONG, "everything is listed", || (seen() >= 1).then_some(()));
    let once = agent.peak_kib();
    // A list that comes while the last one is still known is the most that there is at once.
    for _again in 0..2 {
        let before = seen();
        cluster.api.end_watches(Ending::Expired);
        within(LONG, "everything is listed anew", || (seen() > before).then_some(()));
    }
    let peak = agent.peak_kib();
    println!("{MEMBERS} members: {once} KiB, and {peak} KiB after lists anew");
    assert!(2 * peak < limit(), "{peak} KiB of {} KiB", limit());
}
