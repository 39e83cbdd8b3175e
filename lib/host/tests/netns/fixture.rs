//! A node with ENIs: veth pairs whose other ends are in a router's namespace.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::{Epoch, Mac, PodUid};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView, Routing};
use firecamp_host::{HostTimeouts, LinuxHost};
use firecamp_node::kernel::ObservedLink;
use firecamp_testkit::netns::Net;

/// The member's address.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
/// The node's own address on its primary ENI.
pub(crate) const PRIMARY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);
/// The node's own address on its second ENI, if it has one.
pub(crate) const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 4);
/// The router of the primary ENI's subnet.
pub(crate) const PRIMARY_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The router of the second ENI's subnet.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
/// Table of the second ENI.
pub(crate) const TABLE: u32 = 20_001;
/// The main table.
pub(crate) const MAIN: u32 = 254;
/// The lock directory in a case's own `/run`.
pub(crate) const RUN: &str = "/run/firecamp";

/// A node whose primary ENI `eth0` has an address and the default route, and whose second ENI
/// `eth1` is up and bare.
pub(crate) struct Node {
    pub(crate) net: Net,
    pub(crate) router: Net,
    pub(crate) host: LinuxHost,
}

impl Node {
    pub(crate) fn new() -> Self {
        let (net, router) = (Net::current(), Net::new());
        net.veth("eth0", &router, "port0");
        net.veth("eth1", &router, "port1");
        net.add_address("eth0", PRIMARY, 24, None);
        net.add_route((Ipv4Addr::UNSPECIFIED, 0), Some(PRIMARY_GATEWAY), "eth0", MAIN);
        router.add_address("port0", PRIMARY_GATEWAY, 24, None);
        router.add_address("port1", GATEWAY, 24, None);
        let host = LinuxHost::new(Path::new(RUN), timeouts());
        Self { net, router, host }
    }

    /// A node whose second ENI also has its own primary address. When the last address of a link is
    /// removed, the kernel drops all routes of that link; here that does not happen.
    pub(crate) fn configured() -> Self {
        let node = Self::new();
        node.net.add_address("eth1", SECOND, 24, None);
        node
    }

    pub(crate) fn mac(&self, link: &str) -> Mac {
        Mac::from_bytes(self.net.mac(link))
    }

    /// The address on the primary ENI.
    pub(crate) fn on_primary(&self) -> KernelTarget {
        KernelTarget { address: ADDRESS, mac: self.mac("eth0"), routing: None }
    }

    /// The address on the second ENI.
    pub(crate) fn on_second(&self) -> KernelTarget {
        let subnet = "10.0.1.0/24".parse().unwrap();
        let routing = Some(Routing { table: TABLE, gateway: GATEWAY, subnet });
        KernelTarget { address: ADDRESS, mac: self.mac("eth1"), routing }
    }

    pub(crate) fn add(&self, target: &KernelTarget, holder: &Holder) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.add_address(target, holder))
    }

    pub(crate) fn links(&self) -> Vec<ObservedLink> {
        self.net.block_on(|| self.host.links()).unwrap()
    }

    pub(crate) fn raise(&self, mac: Mac) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.raise(mac, SECOND))
    }

    pub(crate) fn route(&self, target: &KernelTarget, by: &Holder) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.add_routing(target, by))
    }

    pub(crate) fn remove(&self, address: Ipv4Addr, by: &Holder) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.remove_address(address, by))
    }

    pub(crate) fn unroute(&self, address: Ipv4Addr, by: &Holder) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.remove_routing(address, by))
    }

    pub(crate) fn withhold(&self, address: Ipv4Addr, by: &Holder) -> Result<bool, HostFailure> {
        self.net.block_on(|| self.host.withhold(address, by))
    }

    pub(crate) fn view(&self, target: &KernelTarget) -> KernelView {
        KernelView { assigned: None, ..self.view_with_assign_time(target) }
    }

    /// What the host observes, including the time since the last recorded Assign.
    pub(crate) fn view_with_assign_time(&self, target: &KernelTarget) -> KernelView {
        self.net.block_on(|| self.host.observe(target)).unwrap()
    }

    /// Records an Assign of the address.
    pub(crate) fn note_assign(&self, address: Ipv4Addr) {
        self.net.block_on(|| self.host.note_assign(address)).unwrap();
    }

    /// Adds address and routing.
    pub(crate) fn attach(&self, target: &KernelTarget, holder: &Holder) {
        self.add(target, holder).unwrap();
        self.route(target, holder).unwrap();
    }

    /// Removes address and routing.
    pub(crate) fn detach(&self, address: Ipv4Addr, holder: &Holder) {
        self.remove(address, holder).unwrap();
        self.unroute(address, holder).unwrap();
    }
}

pub(crate) fn timeouts() -> HostTimeouts {
    HostTimeouts { lock: Duration::from_millis(100), ..HostTimeouts::default() }
}

pub(crate) fn holder(pod: &str, epoch: u64) -> Holder {
    Holder { pod: PodUid::new(pod).unwrap(), epoch: Epoch(epoch) }
}

/// Expects a failure of this kind whose text contains all of `words`.
pub(crate) fn fails<T: std::fmt::Debug>(
    result: Result<T, HostFailure>,
    kind: HostKind,
    words: &[&str],
) {
    let failure = result.expect_err("it should fail");
    assert_eq!(failure.kind, kind, "{failure}");
    for word in words {
        assert!(failure.detail.contains(word), "{word:?} is not in: {failure}");
    }
}

/// The lines that contain the text.
pub(crate) fn with(lines: &[String], text: &str) -> Vec<String> {
    lines.iter().filter(|line| line.contains(text)).cloned().collect()
}
