//! Incomplete observations of a healthy volume report no problem.

use crate::volumes::fixture::{DATA, broken, healthy, pod, seconds, volume};
use crate::volumes::observation::Observation;
use crate::volumes::path::KUBELET;
use crate::volumes::{Reason, Table, Tracker};

fn reported(table: &Table, name: &str) -> Vec<Reason> {
    table.row(name).unwrap().problems.iter().map(|problem| problem.reason).collect()
}

fn data(table: &Table) -> Vec<Reason> {
    reported(table, volume(DATA).as_str())
}

/// The volume is mounted to be read, for a pod that only reads.
fn reading() -> Observation {
    let mut seen = broken(Reason::ReadOnly).0;
    seen.cluster().pods[0].claims[0].read_only = true;
    seen
}

#[test]
fn a_readers_mount_is_no_problem_while_it_is_unmounted() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), reading());
    let mut gone = reading();
    gone.cluster().pods.clear();
    gone.mounts().remove(3);
    assert_eq!(data(&tracker.step(seconds(10), gone)), []);
}

/// While mounts could not be read, it was unmounted and then mounted for a reader.
#[test]
fn a_readers_mount_is_no_problem_after_it_was_mounted_for_a_writer() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let mut read = reading();
    for mount in read.mounts().iter_mut().skip(2) {
        mount.read_only = true;
    }
    assert_eq!(data(&tracker.step(seconds(10), read.clone())), []);
    read.cluster().pods.clear();
    read.mounts().remove(3);
    assert_eq!(data(&tracker.step(seconds(20), read.clone())), []);
    read.mounts()[2].read_only = false;
    assert_eq!(data(&tracker.step(seconds(30), read)), [Reason::ReadOnly], "it became so");
}

#[test]
fn a_read_only_mount_of_an_unknown_pod_may_be_intended() {
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), healthy());
    let mut reader = reading();
    reader.mounts()[3].point = reader.mounts()[3].point.replace("redis-0", "reader");
    reader.cluster().pods[0] = pod("redis-0");
    assert_eq!(data(&tracker.step(seconds(10), reader.clone())), []);
    reader.cluster().pods[0].uid = "uid-reader".parse().unwrap();
    assert_eq!(data(&tracker.step(seconds(20), reader)), [Reason::ReadOnly], "it wants to write");
}

#[test]
fn a_pod_whose_mount_is_on_a_device_without_a_serial_may_have_its_volume() {
    let mut blind = healthy();
    blind.devices()[1].serial = None;
    let mut tracker = Tracker::new(KUBELET);
    tracker.step(seconds(0), blind.clone());
    let table = tracker.step(seconds(3600), blind);
    assert_eq!(data(&table), [Reason::DeviceMissing]);
    assert_eq!(reported(&table, "nvme1n1"), [Reason::SerialUnreadable]);
}
