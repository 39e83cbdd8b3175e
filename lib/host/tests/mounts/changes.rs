//! The kernel's notices of mounts.

use firecamp_node::volumes::{Change, Volumes};
use nix::mount::umount;

use crate::node::{LONG, Node, SHORT, freeze, made, tmpfs};

/// Begins to wait, and gives up before anything came.
fn wait_in_vain(node: &Node) {
    node.runtime.block_on(async {
        tokio::select! {
            biased;
            change = node.volumes.changed(LONG) => panic!("{change:?}"),
            () = tokio::task::yield_now() => {}
        }
    });
}

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
        wait_in_vain(&node);
        tmpfs("x", &point, "");
        assert_eq!(node.changed(LONG), Change::Mounts);
        wait_in_vain(&node);
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
    let mut reported = 1;
    while node.changed(SHORT) == Change::Mounts {
        reported += 1;
    }
    assert!(reported <= 200, "{reported} notices of 200 changes");
    assert_eq!(node.changed(SHORT), Change::Nothing);
}
