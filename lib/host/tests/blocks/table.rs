//! The volume table of real block devices.

use std::fs;

use firecamp_host::volumes::Places;
use firecamp_node::volumes::{Change, Reason};
use nix::mount::umount;

use crate::disk::Disk;
use crate::node::{LONG, Node, SHORT, fill, fill_inodes, freeze, point};

fn is_reported(fstype: &str) {
    let mut node = Node::new();
    let point = point();
    let disk = Disk::mounted("disk", fstype, &point);
    let row = node.row("pvc-1");
    assert_eq!(row.filesystem.as_deref(), Some(fstype));
    assert_eq!(row.device.as_deref(), Some(disk.name().as_str()));
    let size = fs::metadata("/run/disk.img").unwrap().len();
    assert_eq!(row.size, Some(size));
    let space = row.space.unwrap();
    assert!(space.bytes_total > size / 2 && space.bytes_total <= size, "{space:?} of {size}");
    assert!(space.bytes_free > 0 && space.inodes_total > 0 && space.inodes_free > 0);
    assert_eq!(row.problems, []);
    let (view, failures) = node.observe();
    assert_eq!(failures, []);
    let device = view.devices.unwrap().into_iter().find(|d| d.name == disk.name()).unwrap();
    assert_eq!(device.number, node.mount_at(&point).device);
}

pub(crate) fn an_ext4_volume_is_reported_with_its_device_and_free_space() {
    is_reported("ext4");
}

pub(crate) fn an_xfs_volume_is_reported_with_its_device_and_free_space() {
    is_reported("xfs");
}

pub(crate) fn f084_nvme_serial_identifies_the_volume() {
    let point = point();
    let disk = Disk::mounted("disk", "ext4", &point);
    let sys = disk.as_nvme("vol0123456789abcdef0");
    let mut node = Node::at(Places { sys: sys.into(), ..Places::default() }, LONG);
    let row = node.row("vol-0123456789abcdef0");
    assert_eq!(row.device.as_deref(), Some("nvme1n1"));
    assert_eq!(row.persistent_volume.as_deref(), Some("pvc-1"));
    assert_eq!(row.mounts[0].point, point);
    assert!(row.space.is_some());
}

pub(crate) fn a_partition_belongs_to_the_volume_of_its_disk() {
    let disk = Disk::partitioned("disk", &point());
    let row = Node::new().row("pvc-1");
    assert_eq!(row.device.as_deref(), Some(disk.name().as_str()), "the disk, not the partition");
}

pub(crate) fn a_remounted_ext4_or_xfs_is_reported() {
    for fstype in ["ext4", "xfs"] {
        let mut node = Node::new();
        let point = point();
        let _disk = Disk::mounted(fstype, fstype, &point);
        assert_eq!(node.reasons("pvc-1"), [], "{fstype}");
        freeze(&point);
        assert_eq!(node.changed(LONG), Change::Mounts, "{fstype}");
        assert_eq!(node.reasons("pvc-1"), [Reason::ReadOnly], "{fstype}");
        umount(point.as_str()).unwrap();
    }
}

pub(crate) fn an_ext4_error_is_reported_although_no_mount_changes() {
    let mut node = Node::new();
    let point = point();
    let disk = Disk::mounted("disk", "ext4", &point);
    assert_eq!(node.reasons("pvc-1"), []);
    disk.break_ext4();
    assert!(fs::write(format!("{point}/x"), "x").is_err(), "the filesystem is read-only now");
    assert_eq!(node.reasons("pvc-1"), [Reason::ReadOnly]);
}

fn fills_up(fstype: &str) {
    let mut node = Node::new();
    let point = point();
    let _disk = Disk::mounted("disk", fstype, &point);
    assert_eq!(node.reasons("pvc-1"), []);
    // XFS frees some of the space that it has preallocated when the file is closed.
    let filler = fill(&node, &point, 96);
    assert_eq!(node.reasons("pvc-1"), [Reason::AlmostFull]);
    fs::remove_file(filler).unwrap();
    nix::unistd::sync();
    assert_eq!(node.reasons("pvc-1"), []);
}

pub(crate) fn an_ext4_that_fills_up_is_reported() {
    fills_up("ext4");
}

pub(crate) fn an_xfs_that_fills_up_is_reported() {
    fills_up("xfs");
}

pub(crate) fn an_ext4_without_inodes_is_reported() {
    let mut node = Node::new();
    let point = point();
    let _disk = Disk::mounted("disk", "ext4", &point);
    fill_inodes(&node, &point, 90);
    assert_eq!(node.reasons("pvc-1"), [Reason::InodesAlmostFull]);
}

pub(crate) fn attaching_and_detaching_a_device_is_a_change() {
    let node = Node::new();
    let quiet = || while node.changed(SHORT) != Change::Nothing {};
    quiet();
    let disk = Disk::new("disk", 8);
    assert_eq!(node.changed(LONG), Change::Devices);
    let names = || {
        let devices = node.observe().0.devices.unwrap();
        devices.into_iter().map(|device| device.name).collect::<Vec<_>>()
    };
    let name = disk.name();
    assert!(names().contains(&name));
    quiet();
    drop(disk);
    assert_eq!(node.changed(LONG), Change::Devices);
    let gone = || !names().contains(&name);
    while !gone() {
        assert_eq!(node.changed(LONG), Change::Devices, "{name} is still listed");
    }
}
