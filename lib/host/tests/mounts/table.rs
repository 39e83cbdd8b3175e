//! The volume table of real mounts.

use std::fs;

use firecamp_host::volumes::Places;
use firecamp_node::volumes::observation::Mount;
use firecamp_node::volumes::{Reason, VolumesKind};
use nix::mount::{MsFlags, mount, umount};

use crate::node::{KUBELET, LONG, Node, created_dir, fill, fill_inodes, freeze, point, tmpfs};

const NONE: Option<&str> = None;

fn bind(from: &str, to: &str) {
    mount(Some(from), to, NONE, MsFlags::MS_BIND, NONE).unwrap();
}

/// Makes this mount read-only.
fn freeze_mount(point: &str) {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(NONE, point, NONE, flags, NONE).unwrap();
}

pub(crate) fn mount_point_with_special_characters_is_listed_and_queried() {
    let node = Node::new();
    let point = created_dir("/run/a b\tc\nd\\040e # ä");
    tmpfs("my own source", &point, "size=1m");
    let mount = node.mount_at(&point);
    assert_eq!((mount.source.as_str(), mount.fstype.as_str()), ("my own source", "tmpfs"));
    assert_eq!(node.space(&mount).unwrap().bytes.total, 1 << 20);
}

pub(crate) fn several_mounts_of_one_filesystem_are_one_volume() {
    let mut node = Node::new();
    let first = point();
    tmpfs("vol", &first, "size=1m");
    created_dir(&format!("{first}/part"));
    let second =
        created_dir(&format!("{KUBELET}/pods/redis-1/volumes/kubernetes.io~csi/pvc-1/mount"));
    bind(&first, &second);
    bind(&first, &second);
    let part = created_dir(&format!("{KUBELET}/pods/redis-0/volume-subpaths/pvc-1/redis/0"));
    bind(&format!("{first}/part"), &part);
    let token =
        created_dir(&format!("{KUBELET}/pods/redis-0/volumes/kubernetes.io~projected/token"));
    tmpfs("tmpfs", &token, "size=1m");
    let table = node.table();
    assert_eq!(table.volumes.len(), 1, "{table:?}");
    let points: Vec<_> = table.volumes[0].mounts.iter().map(|m| m.point.as_str()).collect();
    assert_eq!(points, [first.as_str(), &second, &part]);
    assert_eq!(table.volumes[0].claim.as_deref(), Some("prod/data"));
    assert_eq!(node.reasons("pvc-1"), [Reason::PodGone], "redis-1 does not run on this node");
}

pub(crate) fn a_filesystem_that_becomes_read_only_is_reported() {
    let mut node = Node::new();
    let point = point();
    tmpfs("vol", &point, "size=1m");
    assert_eq!(node.reasons("pvc-1"), []);
    freeze(&point);
    assert_eq!(node.reasons("pvc-1"), [Reason::ReadOnly]);
    assert!(node.mount_at(&point).filesystem_read_only);
}

pub(crate) fn a_read_only_mount_differs_from_a_read_only_filesystem() {
    let mut node = Node::new();
    let point = point();
    tmpfs("vol", &point, "size=1m");
    let elsewhere = created_dir("/run/elsewhere");
    bind(&point, &elsewhere);
    freeze_mount(&elsewhere);
    let mount = node.mount_at(&elsewhere);
    assert!(mount.read_only && !mount.filesystem_read_only);
    assert_eq!(node.reasons("pvc-1"), [], "the member does not use this mount");
    freeze_mount(&point);
    assert_eq!(node.reasons("pvc-1"), [Reason::ReadOnly]);
}

pub(crate) fn a_full_volume_is_reported_until_space_is_freed() {
    let mut node = Node::new();
    let point = point();
    tmpfs("vol", &point, "size=4m");
    assert_eq!(node.reasons("pvc-1"), []);
    let filler = fill(&node, &point, 90);
    assert_eq!(node.reasons("pvc-1"), [Reason::AlmostFull]);
    fs::remove_file(filler).unwrap();
    assert_eq!(node.reasons("pvc-1"), []);
}

pub(crate) fn a_volume_that_runs_out_of_inodes_is_reported() {
    let mut node = Node::new();
    let point = point();
    tmpfs("vol", &point, "size=4m,nr_inodes=200");
    fill_inodes(&node, &point, 90);
    assert_eq!(node.reasons("pvc-1"), [Reason::InodesAlmostFull]);
    assert_eq!(node.row("pvc-1").space.unwrap().inodes_total, 200);
}

pub(crate) fn f086_a_member_without_its_mount_is_reported() {
    let mut node = Node::new();
    let point = point();
    assert_eq!(node.reasons("pvc-1"), [Reason::NotMounted]);
    tmpfs("vol", &point, "size=1m");
    assert_eq!(node.reasons("pvc-1"), []);
    umount(point.as_str()).unwrap();
    assert_eq!(node.reasons("pvc-1"), [Reason::NotMounted]);
}

pub(crate) fn hidden_or_unmounted_filesystem_is_not_confused_with_another() {
    let node = Node::new();
    let point = point();
    tmpfs("lower", &point, "size=1m");
    let lower = node.mount_at(&point);
    tmpfs("upper", &point, "size=2m");
    assert_eq!(node.space(&lower).unwrap_err().kind, VolumesKind::Gone);
    assert_eq!(node.space(&node.mount_at(&point)).unwrap().bytes.total, 2 << 20);
    umount(point.as_str()).unwrap();
    assert_eq!(node.space(&lower).unwrap().bytes.total, 1 << 20);
    umount(point.as_str()).unwrap();
    assert_eq!(node.space(&lower).unwrap_err().kind, VolumesKind::Gone, "not the filesystem below");
    fs::remove_dir(&point).unwrap();
    assert_eq!(node.space(&lower).unwrap_err().kind, VolumesKind::Gone);
}

pub(crate) fn mount_points_are_resolved_below_the_configured_root() {
    let places = Places { root: "/run/host".into(), ..Places::default() };
    let node = Node::at(places, LONG);
    tmpfs("vol", &created_dir("/run/host/data"), "size=1m");
    let mount = node.mount_at("/run/host/data");
    let inside = Mount { point: "/data".to_owned(), ..mount };
    assert_eq!(node.space(&inside).unwrap().bytes.total, 1 << 20);
}
