//! A filesystem whose server never answers, as an NFS server that is gone: FUSE with nobody
//! behind it.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::time::Duration;

use firecamp_host::volumes::Places;
use firecamp_node::volumes::{Reason, VolumesKind};
use nix::mount::{MsFlags, mount};
use tokio::time::Instant;

use crate::node::{Node, made, point, tmpfs};

const WITHIN: Duration = Duration::from_millis(200);

/// Mounts it; it hangs until the file is closed.
fn silent(at: &str) -> File {
    let server = OpenOptions::new().read(true).write(true).open("/dev/fuse").unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let source = Some("gluster-1:/data");
    let flags = MsFlags::empty();
    mount(source, at, Some("fuse.glusterfs"), flags, Some(options.as_str())).unwrap();
    server
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

pub(crate) fn f051_a_filesystem_that_never_answers_is_reported_and_holds_up_nothing() {
    let mut node = Node::at(Places::default(), WITHIN);
    let server = silent(&point());
    let fine = made("/run/kubelet/pods/redis-0/volumes/kubernetes.io~csi/other/mount");
    tmpfs("other", &fine, "size=1m");
    let begun = Instant::now();
    assert_eq!(node.reasons("pvc-1"), [Reason::NotResponding]);
    assert!(begun.elapsed() < WITHIN * 10, "two looks took {:?}", begun.elapsed());
    assert!(node.row("other").space.is_some(), "the other one is asked");
    let failures = node.look().1;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].kind, VolumesKind::NotResponding);
    assert!(failures[0].detail.contains("still no answer"), "{failures:?}");
    // The mount is as good as gone, and says so instead of hanging.
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(30);
    while node.look().1[0].kind == VolumesKind::NotResponding {
        assert!(Instant::now() < deadline, "asked again once it answers");
    }
}

pub(crate) fn f051_a_hundred_looks_at_it_hold_one_thread() {
    let node = Node::at(Places::default(), WITHIN);
    let _server = silent(&point());
    for _look in 0..100 {
        assert_eq!(node.look().1.len(), 1);
    }
    // This one, the one that hangs, and one that waits for the next question.
    assert_eq!(threads(), 3);
}
