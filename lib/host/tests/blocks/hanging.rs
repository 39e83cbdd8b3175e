//! A filesystem whose server never answers, like an NFS server that is down: FUSE without a server
//! process.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::time::Duration;

use firecamp_host::volumes::Places;
use firecamp_node::volumes::{Reason, VolumesKind};
use nix::mount::{MsFlags, mount};
use tokio::time::Instant;

use crate::node::{Node, created_dir, point, tmpfs};

const WITHIN: Duration = Duration::from_millis(200);

/// Mounts the filesystem; requests hang until the returned file is closed.
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

pub(crate) fn f051_hanging_filesystem_is_reported_and_delays_no_other() {
    let mut node = Node::at(Places::default(), WITHIN);
    let server = silent(&point());
    let fine = created_dir("/run/kubelet/pods/redis-0/volumes/kubernetes.io~csi/other/mount");
    tmpfs("other", &fine, "size=1m");
    let start = Instant::now();
    assert_eq!(node.reasons("pvc-1"), [Reason::NotResponding]);
    assert!(start.elapsed() < WITHIN * 10, "two observations took {:?}", start.elapsed());
    assert!(node.row("other").space.is_some(), "the other filesystem is queried");
    let failures = node.observe().1;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].kind, VolumesKind::NotResponding);
    assert!(failures[0].detail.contains("still no answer"), "{failures:?}");
    // Now requests fail instead of hanging.
    drop(server);
    let deadline = Instant::now() + Duration::from_secs(30);
    while node.observe().1[0].kind == VolumesKind::NotResponding {
        assert!(Instant::now() < deadline, "the filesystem must be queried again");
    }
}

pub(crate) fn f051_hundred_queries_of_a_hanging_filesystem_block_one_thread() {
    let node = Node::at(Places::default(), WITHIN);
    let _server = silent(&point());
    for _observation in 0..100 {
        assert_eq!(node.observe().1.len(), 1);
    }
    // The main thread, the one that hangs, and an idle one.
    assert_eq!(threads(), 3);
}
