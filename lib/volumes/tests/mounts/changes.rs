//! The kernel's notices of mounts.

use firecamp_volumes::Change;
use nix::mount::umount;

use crate::node::{LONG, Node, SHORT, freeze, made, tmpfs};

pub(crate) fn a_mount_a_remount_and_an_unmount_are_told() {
    let node = Node::new();
    let point = made("/run/x");
    assert_eq!(node.changed(SHORT), Change::Nothing);
    tmpfs("x", &point, "");
    assert_eq!(node.changed(LONG), Change::Mounts);
    assert_eq!(node.changed(SHORT), Change::Nothing);
    freeze(&point);
    assert_eq!(node.changed(LONG), Change::Mounts);
    umount(point.as_str()).unwrap();
    assert_eq!(node.changed(LONG), Change::Mounts);
    assert_eq!(node.changed(SHORT), Change::Nothing);
}

pub(crate) fn a_change_while_nobody_waits_is_told_to_the_next_who_does() {
    let node = Node::new();
    let point = made("/run/x");
    tmpfs("x", &point, "");
    node.mounts();
    assert_eq!(node.changed(LONG), Change::Mounts, "reading the table takes no notice away");
}

pub(crate) fn giving_up_waiting_loses_no_change() {
    let node = Node::new();
    let point = made("/run/x");
    for _time in 0..50 {
        node.wait_in_vain();
        tmpfs("x", &point, "");
        assert_eq!(node.changed(LONG), Change::Mounts);
        node.wait_in_vain();
        umount(point.as_str()).unwrap();
        assert_eq!(node.changed(LONG), Change::Mounts);
    }
}

pub(crate) fn many_changes_are_told_and_then_none() {
    let node = Node::new();
    let point = made("/run/x");
    for _time in 0..200 {
        tmpfs("x", &point, "");
    }
    assert_eq!(node.changed(LONG), Change::Mounts);
    let mut told = 1;
    while node.changed(SHORT) == Change::Mounts {
        told += 1;
    }
    assert!(told <= 200, "{told} notices of 200 changes");
    assert_eq!(node.changed(SHORT), Change::Nothing);
}
