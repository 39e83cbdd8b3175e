//! Kernel events of mounts.

use firecamp_node::volumes::{Change, Volumes};
use nix::mount::umount;

use crate::node::{LONG, Node, SHORT, created_dir, freeze, tmpfs};

/// Starts to wait, and cancels before a change.
fn cancelled_wait(node: &Node) {
    node.runtime.block_on(async {
        tokio::select! {
            biased;
            change = node.volumes.changed(LONG) => panic!("{change:?}"),
            () = tokio::task::yield_now() => {}
        }
    });
}

pub(crate) fn mount_remount_and_unmount_are_changes() {
    let node = Node::new();
    let point = created_dir("/run/x");
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

pub(crate) fn a_change_without_a_waiter_wakes_the_next_waiter() {
    let node = Node::new();
    let point = created_dir("/run/x");
    tmpfs("x", &point, "");
    node.mounts();
    assert_eq!(node.changed(LONG), Change::Mounts, "reading the table consumes no event");
}

pub(crate) fn a_cancelled_wait_loses_no_change() {
    let node = Node::new();
    let point = created_dir("/run/x");
    for _time in 0..50 {
        cancelled_wait(&node);
        tmpfs("x", &point, "");
        assert_eq!(node.changed(LONG), Change::Mounts);
        cancelled_wait(&node);
        umount(point.as_str()).unwrap();
        assert_eq!(node.changed(LONG), Change::Mounts);
    }
}

pub(crate) fn changes_end_after_a_burst_of_mounts() {
    let node = Node::new();
    let point = created_dir("/run/x");
    for _time in 0..200 {
        tmpfs("x", &point, "");
    }
    assert_eq!(node.changed(LONG), Change::Mounts);
    let mut reported = 1;
    while node.changed(SHORT) == Change::Mounts {
        reported += 1;
    }
    assert!(reported <= 200, "{reported} events of 200 changes");
    assert_eq!(node.changed(SHORT), Change::Nothing);
}
