use firecamp_core::time::Moment;
use firecamp_node::volumes::observation::{Amount, NodeView, Observation, Space};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Reason, Table, Tracker, observe};

use super::*;
use crate::sim::{Break, FaultyVolumes, Op, Script};

const DATA: DeviceNumber = DeviceNumber { major: 259, minor: 16 };
const POINT: &str = "/var/lib/kubelet/pods/uid-1/volumes/kubernetes.io~csi/pvc-1/mount";
const LONG: Duration = Duration::from_secs(30);

fn disk() -> BlockDevice {
    BlockDevice {
        name: "nvme1n1".to_owned(),
        number: DATA,
        bytes: 1 << 30,
        read_only: false,
        model: Some("Amazon Elastic Block Store".to_owned()),
        serial: Some("vol0123456789abcdef0".to_owned()),
        partitions: Vec::new(),
        below: Vec::new(),
        links: Vec::new(),
    }
}

fn at(point: &str) -> Mount {
    Mount {
        device: DATA,
        root: "/".to_owned(),
        point: point.to_owned(),
        fstype: "ext4".to_owned(),
        source: "/dev/nvme1n1".to_owned(),
        read_only: false,
        filesystem_read_only: false,
    }
}

fn space(free: u64) -> Usage {
    let bytes = Amount { total: 1000, free };
    Usage { bytes, inodes: Amount { total: 100, free: 90 } }
}

/// A node with one volume that is mounted for a pod.
fn node() -> SimVolumes {
    let node = SimVolumes::default();
    assert!(node.plug(disk()) && node.mount(at(POINT), space(500)));
    node
}

async fn observed(volumes: &impl Volumes) -> NodeView {
    observe(volumes, KUBELET).await.0
}

async fn table(tracker: &mut Tracker, second: u64, volumes: &impl Volumes) -> Table {
    let observed = Observation { node: observed(volumes).await, ..Observation::default() };
    tracker.step(Moment(Duration::from_secs(second)), observed)
}

#[tokio::test]
async fn operations_that_a_kernel_refuses_are_refused() {
    let node = node();
    assert!(!node.plug(disk()), "the name is in use");
    assert!(!node.plug(BlockDevice { name: "other".to_owned(), ..disk() }), "the number is");
    assert!(
        !node.mount(Mount { device: DeviceNumber { major: 8, minor: 0 }, ..at("/x") }, space(1))
    );
    assert!(!node.unmount("/x") && !node.unplug("x"));
    let nowhere = DeviceNumber { major: 8, minor: 0 };
    assert!(!node.fill(nowhere, space(1)) && !node.hang(nowhere, true) && !node.fail(nowhere));
    assert!(!node.remount_read_only(nowhere));
    let nfs = Mount { device: DeviceNumber { major: 0, minor: 60 }, ..at("/nfs") };
    assert!(node.mount(nfs, space(1)), "it needs no device");
}

#[tokio::test]
async fn each_change_is_visible_and_reported_once() {
    let node = SimVolumes::default();
    assert!(node.plug(disk()));
    assert_eq!(node.changed(LONG).await, Ok(Change::Devices));
    assert_eq!(node.changed(Duration::ZERO).await, Ok(Change::Nothing));
    assert!(node.mount(at(POINT), space(500)));
    assert!(node.mount(at(POINT), space(1)), "mounted again, with its own space");
    assert_eq!(node.changed(LONG).await, Ok(Change::Mounts));
    assert_eq!(node.changed(Duration::ZERO).await, Ok(Change::Nothing));
    let before = observed(&node).await;
    assert_eq!(before.devices, Some(Vec::from([disk()])));
    assert_eq!(before.space[&DATA], Space::Known(space(500)));
    node.reboot();
    let after = observed(&node).await;
    assert_eq!((after.mounts, after.devices), (Some(Vec::new()), before.devices));
    assert_eq!(node.changed(LONG).await, Ok(Change::Mounts));
}

#[tokio::test]
async fn a_change_wakes_a_waiting_reader() {
    let node = SimVolumes::default();
    let change = async {
        tokio::task::yield_now().await;
        assert!(node.plug(disk()));
    };
    let (reported, ()) = tokio::join!(node.changed(LONG), change);
    assert_eq!(reported, Ok(Change::Devices));
}

#[tokio::test]
async fn a_failed_filesystem_is_found_only_by_polling() {
    let node = node();
    let mut tracker = Tracker::new(KUBELET);
    assert_eq!(table(&mut tracker, 0, &node).await.volumes[0].problems, []);
    while node.changed(Duration::ZERO).await != Ok(Change::Nothing) {}
    assert!(node.fail(DATA));
    assert_eq!(node.changed(Duration::ZERO).await, Ok(Change::Nothing));
    let problems = table(&mut tracker, 1, &node).await.volumes[0].problems.clone();
    assert_eq!(problems[0].reason, Reason::ReadOnly);
}

#[tokio::test]
async fn f051_hanging_filesystem_is_reported_and_delays_no_other_filesystem() {
    let node = node();
    let nfs = DeviceNumber { major: 0, minor: 60 };
    let share = Mount { device: nfs, fstype: "nfs4".to_owned(), ..at("/srv/share") };
    assert!(node.mount(share, space(500)) && node.hang(nfs, true));
    let view = observed(&node).await;
    assert_eq!(view.space[&nfs], Space::NotResponding);
    assert_eq!(view.space[&DATA], Space::Known(space(500)));
    assert!(node.hang(nfs, false));
    assert_eq!(observed(&node).await.space[&nfs], Space::Known(space(500)));
}

#[tokio::test]
async fn a_failed_or_partial_observation_changes_no_table() {
    for op in [Op::Devices, Op::Mounts, Op::Space] {
        for how in [Break::Before, Break::After] {
            let script = Script::new().breaking(op, 2, how);
            let broken = FaultyVolumes::new(node(), script.clone());
            let mut tracker = Tracker::new(KUBELET);
            let before = table(&mut tracker, 0, &broken).await;
            assert_eq!(table(&mut tracker, 1000, &broken).await, before, "{op:?} {how:?}");
            assert_eq!(table(&mut tracker, 2000, &broken).await, before, "{op:?} {how:?}");
            assert_eq!(script.fired(), 1);
        }
    }
}

#[tokio::test]
async fn lost_and_duplicate_notifications_change_only_the_number_of_observations() {
    let script = Script::new().breaking(Op::Changed, 1, Break::After);
    let broken = FaultyVolumes::new(node(), script.clone());
    assert!(broken.changed(LONG).await.is_err());
    assert_eq!(broken.changed(LONG).await, Ok(Change::Devices), "there was another change");
    assert_eq!(
        observed(&broken).await.devices,
        Some(Vec::from([disk()])),
        "an observation needs no notification"
    );
    assert_eq!(script.fired(), 1);
}
