//! Idempotence and isolation: the same pod twice, a renamed link, other members' addresses, and
//! fifty pod lifecycles.

use std::net::Ipv4Addr;

use firecamp_core::ids::{Member as MemberId, PoolName};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Write};

use crate::support::member::{Cost, Member};
use crate::support::test_box::{NAMESPACE, TestBox};

#[test]
fn f004_second_init_run_of_the_same_pod_succeeds_and_never_removes_the_address() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let pod = member.pod("pod-1", "node-a");
    let up = member.bring_up(&pod);
    let mut watch = test_box.tool("node-a", &["watch", &member.address().to_string()]);
    watch.wait_for_output("watching\n");
    let (since, kernel) = (test_box.last_call(), test_box.kernel("node-a"));
    // Its service keeps running.
    let again = pod.run_init();
    assert_eq!(again.report["path"], "same-node");
    assert_eq!(test_box.kernel("node-a"), kernel);
    assert!(!watch.out().contains("removed"), "{}", watch.out());
    assert_eq!(Cost::of(&member.ec2_calls(since), "").mutating, 0);
    member.client().wait_for_answer_of("pod-1", again.at_us);
    member.assert_healthy(&pod, &again);
    drop(up.server);
    pod.stop("release").end().succeeded();
}

#[test]
fn f015_stop_finds_a_link_renamed_since_init() {
    let test_box = TestBox::start();
    let mut member = Member::new(&test_box, "redis-0");
    let before = test_box.kernel("node-a");
    let pod = member.pod("pod-1", "node-a");
    let up = member.bring_up(&pod);
    let eni = up.started.report["eni"].as_str().unwrap().to_owned();
    let truth = test_box.control().truth().unwrap();
    let all = truth.nodes.iter().flat_map(|node| &node.enis);
    let link = all.clone().find(|e| e.id == eni).unwrap().link.clone().unwrap();
    let rename = |from: &str, to: &str| {
        let ended = test_box.tool("node-a", &["rename", from, to]).end();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
    };
    rename(&link, "renamed0");
    let again = pod.run_init();
    assert_eq!(again.report["path"], "same-node");
    drop(up.server);
    pod.stop("release").end().succeeded();
    rename("renamed0", &link);
    assert_eq!(test_box.kernel("node-a"), before);
}

/// A subnet for addresses whose texts have a common prefix.
const WIDE: &str = r#"
cluster = "prod"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0a000000000000001"
cidr = "10.0.0.0/20"
zone = "us-east-1a"
[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.4xlarge"
address = "10.0.1.11"
[[clients]]
name = "client"
subnet = "a"
address = "10.0.2.200"
"#;

const WIDE_POOL: &str = "apiVersion: firecamp.io/v1alpha1
kind: StaticIPPool
metadata:
  name: main
spec:
  releasePolicy: Keep
  subnets:
  - subnet: subnet-0a000000000000001
    cidr: 10.0.0.0/20
    zone: us-east-1a
    ranges:
    - {start: 10.0.1.1, end: 10.0.1.100}
...
";

#[test]
fn f024_stop_of_one_member_keeps_other_addresses_with_the_same_text_prefix() {
    let test_box = TestBox::of(WIDE);
    std::fs::write(test_box.registry_dir().join("staticippools/main.yaml"), WIDE_POOL).unwrap();
    let registry = test_box.registry();
    let mut members = Vec::new();
    for (ordinal, last) in [1, 10, 100].into_iter().enumerate() {
        let name = format!("redis-{ordinal}");
        let claim = Claim {
            member: MemberId::new(NAMESPACE, &name).unwrap(),
            pool: PoolName::new("main").unwrap(),
            requested: Some(Ipv4Addr::new(10, 0, 1, last)),
            address: None,
            set: None,
        };
        TestBox::block_on(registry.write(&Write::CreateClaim(claim))).unwrap();
        let mut member = Member::new(&test_box, &name);
        let pod = member.pod(&format!("pod-{ordinal}"), "node-a");
        let up = member.bring_up(&pod);
        assert_eq!(member.address(), Ipv4Addr::new(10, 0, 1, last));
        members.push((member, pod, up));
    }
    let before = test_box.kernel("node-a");
    let (first, pod, up) = members.remove(0);
    drop(up.server);
    pod.stop("release").end().succeeded();
    // Only its address and the kernel's own local route to it are gone.
    let text = format!("{}/32", first.address());
    let rest: Vec<_> = before.into_iter().filter(|line| !line.contains(&text)).collect();
    assert_eq!(test_box.kernel("node-a"), rest);
    for (member, pod, up) in &members {
        member.client().wait_for_answer_of(&pod.uid, test_box.clock().now_us());
        member.assert_healthy(pod, &up.started);
    }
}

#[test]
fn f110_fifty_pod_lifecycles_leave_no_address_rule_or_route_behind() {
    let test_box = TestBox::start();
    let before = test_box.kernel("node-a");
    let member = Member::new(&test_box, "redis-0");
    for lifecycle in 0..50 {
        let pod = member.pod(&format!("pod-{lifecycle}"), "node-a");
        let started = pod.run_init();
        assert_eq!(started.report["epoch"], lifecycle + 1);
        pod.stop("release").end().succeeded();
    }
    assert_eq!(test_box.kernel("node-a"), before);
    let address = member.pod("any", "node-a").file().unwrap().parse().unwrap();
    test_box.assert_always_on_an_eni(address);
    assert_eq!(
        Cost::of(&test_box.ec2_calls(address, 0), "").mutating,
        1,
        "only the first start assigns"
    );
    // For each address there are the lock file and the record of its Assign.
    let kept = test_box.tool("node-a", &["list", "/run/firecamp"]).end().out;
    assert_eq!(kept.lines().filter(|line| line.contains("10.0.1.")).count(), 2, "{kept}");
}
