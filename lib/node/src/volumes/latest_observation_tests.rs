//! Lists that were not read together.

use crate::volumes::fixture::{
    DATA, global, healthy, in_pod, mount, number, nvme, seconds, used, volume,
};
use crate::volumes::observation::Observation;
use crate::volumes::path::KUBELET;
use crate::volumes::{Table, Tracker};

/// Volume 2 has come where volume 1 was: the same name and number, another serial.
fn replaced() -> Observation {
    let mut seen = healthy();
    seen.devices()[1] = nvme(1, &volume(2));
    let mounts = seen.mounts();
    mounts[2] = mount(number(259, 16), &global("0b"));
    mounts[3] = mount(number(259, 16), &format!("{}/mount", in_pod("redis-9", "csi", "pvc-9")));
    seen.cloud().attachments[1].volume = volume(2);
    seen
}

fn points(table: &Table, name: u64) -> Vec<String> {
    let row = table.row(volume(name).as_str());
    row.map(|row| row.mounts.iter().map(|one| one.point.clone()).collect()).unwrap_or_default()
}

#[test]
fn f084_mounts_read_without_devices_do_not_belong_to_replaced_devices() {
    let mut tracker = Tracker::new(KUBELET);
    let before = points(&tracker.step(seconds(0), healthy()), DATA);
    let mut blind = replaced();
    blind.node.devices = None;
    blind.node.space.insert(number(259, 16), used(95, 10));
    let table = tracker.step(seconds(15), blind);
    let row = table.row(volume(DATA).as_str()).unwrap();
    assert_eq!((row.mounts.len(), row.problems.len()), (0, 0), "{row:?}");
    let table = tracker.step(seconds(30), replaced());
    assert_eq!((before.len(), points(&table, 2).len()), (2, 2));
}

#[test]
fn f084_devices_read_without_mounts_get_no_mounts_of_replaced_devices() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let mut blind = replaced();
    blind.node.mounts = None;
    let table = tracker.step(seconds(15), blind);
    assert_eq!(points(&table, 2), [""; 0]);
    assert_eq!(points(&table, 0), ["/"], "what has not moved stays");
}

#[test]
fn a_known_mount_counts_while_devices_are_unreadable() {
    let mut tracker = Tracker::new(KUBELET);
    let table = tracker.step(seconds(0), healthy());
    let mut blind = healthy();
    blind.node.devices = None;
    assert_eq!(tracker.step(seconds(15), blind), table);
    let mut full = healthy();
    full.node.devices = None;
    full.node.space.insert(number(259, 16), used(95, 10));
    let reported = tracker.step(seconds(30), full);
    assert_eq!(reported.row(volume(DATA).as_str()).unwrap().problems.len(), 1);
}
