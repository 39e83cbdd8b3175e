//! Stops, starts and reboots.

use std::time::Duration;

use firecamp_vpc::{Act, NodeState};

use crate::test_vpc::{NODE_1, TestVpc};

#[test]
fn a_reboot_keeps_attachments_and_increments_the_boot_count() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("");
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "200");
    vpc.settle();
    let before = vpc.node("node-1");
    vpc.act(&Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 });
    let after = vpc.node("node-1");
    assert_eq!((before.boots, after.boots), (0, 1));
    assert_eq!((before.enis, after.state), (after.enis, NodeState::Running));
    vpc.act(&Act::Stop { node: "node-1".to_owned() });
    let reboot = Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 };
    assert!(vpc.simulator.act(vpc.now, &reboot).is_err(), "a stopped node cannot reboot");
    vpc.act(&Act::Start { node: "node-1".to_owned() });
    assert_eq!(vpc.node("node-1").boots, 2);
    vpc.act(&Act::Start { node: "node-1".to_owned() });
    assert_eq!(vpc.node("node-1").boots, 2, "a running node is not started again");
}

#[test]
fn after_a_reboot_the_metadata_may_list_only_the_primary_eni() {
    let mut vpc = TestVpc::fast();
    let macs: Vec<String> = vpc.node("node-2").enis.into_iter().map(|eni| eni.mac).collect();
    vpc.act(&Act::Reboot { node: "node-2".to_owned(), imds_missing_ms: 30_000 });
    let listed = |vpc: &mut TestVpc| {
        let (_, text) = vpc.metadata("node-2", "network/interfaces/macs/");
        macs.iter().map(|mac| text.contains(mac)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut vpc), [true, false]);
    vpc.pass(Duration::from_secs(31));
    assert_eq!(listed(&mut vpc), [true, true]);
}
