//! Stops, starts, reboots.

use std::time::Duration;

use firecamp_vpc::{Act, NodeState};

use crate::lab::{Lab, NODE_1};

#[test]
fn a_reboot_keeps_everything_and_is_another_boot() {
    let mut lab = Lab::fast();
    let eni = lab.create("");
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "200");
    lab.settle();
    let before = lab.node("node-1");
    lab.act(&Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 });
    let after = lab.node("node-1");
    assert_eq!((before.boots, after.boots), (0, 1));
    assert_eq!((before.enis, after.state), (after.enis, NodeState::Running));
    lab.act(&Act::Stop { node: "node-1".to_owned() });
    let reboot = Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 };
    assert!(lab.world.act(lab.now, &reboot).is_err(), "it does not run");
    lab.act(&Act::Start { node: "node-1".to_owned() });
    assert_eq!(lab.node("node-1").boots, 2);
    lab.act(&Act::Start { node: "node-1".to_owned() });
    assert_eq!(lab.node("node-1").boots, 2, "it runs already");
}

#[test]
fn after_a_reboot_the_metadata_may_lack_every_eni_but_the_primary() {
    let mut lab = Lab::fast();
    let macs: Vec<String> = lab.node("node-2").enis.into_iter().map(|eni| eni.mac).collect();
    lab.act(&Act::Reboot { node: "node-2".to_owned(), imds_missing_ms: 30_000 });
    let listed = |lab: &mut Lab| {
        let (_, text) = lab.metadata("node-2", "network/interfaces/macs/");
        macs.iter().map(|mac| text.contains(mac)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&mut lab), [true, false]);
    lab.pass(Duration::from_secs(31));
    assert_eq!(listed(&mut lab), [true, true]);
}
