//! Long runs leak nothing.

use std::fs;

use firecamp_core::ports::HostNet;

use crate::fixture::{ADDRESS, Node, holder};

const CYCLES: u64 = 10_000;
/// What an allocator may retain over 10,000 cycles. A leak of 100 bytes per cycle exceeds it.
const KILOBYTES: u64 = 1_000;

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn cycle(node: &Node, target: &firecamp_core::ports::KernelTarget, epoch: u64) {
    let pod = holder("pod", epoch);
    assert!(node.host.add_address(target, &pod).await.unwrap());
    assert!(node.host.add_routing(target, &pod).await.unwrap());
    assert!(node.host.remove_address(ADDRESS, &pod).await.unwrap());
    assert!(node.host.remove_routing(ADDRESS, &pod).await.unwrap());
}

pub(crate) fn f110_ten_thousand_cycles_leak_nothing() {
    let node = Node::new();
    let target = node.on_second();
    let (before, links) = (node.net.everything(), node.net.links());
    node.net.block_on(|| async {
        for epoch in 1..=100 {
            cycle(&node, &target, epoch).await;
        }
        let (open, kilobytes) = (descriptors(), resident_kilobytes());
        for epoch in 101..=CYCLES {
            cycle(&node, &target, epoch).await;
        }
        assert_eq!(descriptors(), open);
        let grown = resident_kilobytes().saturating_sub(kilobytes);
        assert!(grown < KILOBYTES, "the process has grown by {grown} kB");
    });
    assert_eq!((node.net.everything(), node.net.links()), (before, links));
}
