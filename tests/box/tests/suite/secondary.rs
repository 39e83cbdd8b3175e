//! An address on a secondary ENI: a link that is down, policy routing, and a router that drops
//! packets that leave by another ENI.

use crate::support::member::Member;
use crate::support::test_box::TestBox;

/// Two nodes, each with a second ENI in the same subnet whose link is down.
pub(crate) const TWO_ENIS: &str = r#"
cluster = "prod"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0a000000000000001"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[nodes]]
name = "node-a"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.11"
[[nodes.enis]]
id = "eni-0000000000000a001"
subnet = "a"
device_index = 1
address = "10.0.1.21"
[[nodes]]
name = "node-b"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.12"
[[nodes.enis]]
id = "eni-0000000000000b001"
subnet = "a"
device_index = 1
address = "10.0.1.22"
[[clients]]
name = "client"
subnet = "a"
address = "10.0.1.200"
"#;

#[test]
fn f065_f068_secondary_eni_is_brought_up_and_replies_leave_by_it() {
    let test_box = TestBox::of(TWO_ENIS);
    let mut member = Member::new(&test_box, "redis-0");
    let before = test_box.kernel("node-a");
    let first = member.pod("pod-1", "node-a");
    let ended = first.init().arg("--eni=1").end();
    let started = first.started(&ended);
    assert_eq!(started.report["eni"], "eni-0000000000000a001");
    member.add_holder(&first, &started);
    let server = member.start_service(&first, &started);
    member.assert_healthy(&first, &started);
    let address = member.address();
    let kernel = test_box.kernel("node-a");
    let with = |text: &str| kernel.iter().any(|line| line.contains(text));
    assert!(with(&format!("from {address}/32 lookup 20001 priority 700 proto 201")), "{kernel:#?}");
    assert!(with("20001: default via 10.0.1.1"), "{kernel:#?}");

    // The stop container removes everything but leaves the link up.
    drop(server);
    first.stop("release").end().succeeded();
    let after = test_box.kernel("node-a");
    let ours = |lines: &[String]| lines.iter().filter(|l| l.contains("proto 201")).count();
    assert_eq!(ours(&after), 0, "{after:#?}");
    let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
    assert!(gone.is_empty(), "{gone:?} is missing from {after:#?}");

    // The member moves to the second ENI of another node.
    let second = member.pod("pod-2", "node-b");
    let ended = second.init().arg("--eni=1").end();
    let started = second.started(&ended);
    assert_eq!(started.report["eni"], "eni-0000000000000b001");
    member.add_holder(&second, &started);
    let _server = member.start_service(&second, &started);
    member.assert_healthy(&second, &started);
}

#[test]
fn f065_stop_of_one_member_keeps_the_route_table_shared_on_a_secondary_eni() {
    let test_box = TestBox::of(TWO_ENIS);
    let mut members: Vec<_> = (0..2)
        .map(|ordinal| {
            let mut member = Member::new(&test_box, &format!("redis-{ordinal}"));
            let pod = member.pod(&format!("pod-{ordinal}"), "node-a");
            let ended = pod.init().arg("--eni=1").end();
            let started = pod.started(&ended);
            member.add_holder(&pod, &started);
            let server = member.start_service(&pod, &started);
            (member, pod, started, server)
        })
        .collect();
    let (_, gone, _, server) = members.remove(0);
    drop(server);
    gone.stop("release").end().succeeded();
    let (member, pod, started, _server) = &members[0];
    member.client().wait_for_answer_of(&pod.uid, test_box.clock().now_us());
    member.assert_healthy(pod, started);
}
