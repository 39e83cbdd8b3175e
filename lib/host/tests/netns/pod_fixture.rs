//! A node with pods that have networks of their own.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ids::PodUid;
use firecamp_core::ports::{Holder, HostNet as _, KernelTarget};
use firecamp_host::{LinuxHost, PodNetworks};
use firecamp_testkit::netns::Net;

use crate::fixture::{ADDRESS, MAIN, Node, RUN, timeouts};

pub(crate) const NAMESPACES: &str = "/run/netns";
/// The agent's endpoint.
pub(crate) const ENDPOINT: Ipv4Addr = Ipv4Addr::new(169, 254, 196, 96);
/// A client elsewhere in the VPC.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);
/// The next hop of pods.
pub(crate) const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 1);
pub(crate) const POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 5);
pub(crate) const OTHER_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 6);
pub(crate) const OTHER_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);
/// An address in the range of Services, which this node has.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);

/// How the CNI plugin connects pods.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cni {
    Bridge,
    Veth,
}

/// A node with pods and an agent's endpoint, in a VPC.
pub(crate) struct Fixture {
    pub(crate) node: Node,
    pub(crate) cni: Cni,
    pub(crate) host: LinuxHost,
}

/// A pod's network.
pub(crate) struct Pod {
    pub(crate) net: Net,
    pub(crate) file: PathBuf,
    pub(crate) own: Ipv4Addr,
}

impl Fixture {
    pub(crate) fn new(cni: Cni) -> Self {
        let node = Node::configured();
        node.router.add_address("lo", CLIENT, 32, None);
        node.router.set_sysctl("net/ipv4/ip_forward", "1");
        node.router.set_sysctl("net/ipv4/conf/port1/rp_filter", "1");
        node.router.set_sysctl("net/ipv4/conf/port0/rp_filter", "1");
        node.net.set_sysctl("net/ipv4/ip_forward", "1");
        for address in [ADDRESS, OTHER_ADDRESS] {
            node.router.add_neighbour("port1", address, node.net.mac("eth1"));
        }
        node.net.add_address("lo", ENDPOINT, 32, None);
        node.net.add_address("lo", SERVICE, 32, None);
        std::fs::create_dir(NAMESPACES).unwrap();
        node.net.show_at(&Path::new(NAMESPACES).join("node"));
        std::fs::write(Path::new(NAMESPACES).join("left-over"), "").unwrap();
        if cni == Cni::Bridge {
            node.net.bridge("cni0");
            node.net.up("cni0");
            node.net.add_address("cni0", NEXT_HOP, 24, None);
        }
        let host = LinuxHost::new(Path::new(RUN), timeouts());
        let ranges = vec!["10.244.0.0/16".parse().unwrap(), "10.96.0.0/12".parse().unwrap()];
        let networks = PodNetworks { namespaces: NAMESPACES.into(), ranges };
        Self { node, cni, host: host.with_pod_networks(Some(networks)) }
    }

    /// A pod that the CNI plugin connects as its kind does.
    pub(crate) fn pod(&self, name: &str, own: Ipv4Addr) -> Pod {
        self.pod_in(Net::new(), name, own)
    }

    pub(crate) fn pod_in(&self, net: Net, name: &str, own: Ipv4Addr) -> Pod {
        let outside = format!("veth{name}");
        net.veth("eth0", &self.node.net, &outside);
        match self.cni {
            Cni::Bridge => {
                self.node.net.set_master(&outside, Some("cni0"));
                net.add_address("eth0", own, 24, None);
            }
            Cni::Veth => {
                net.add_address("eth0", own, 32, None);
                net.add_route((NEXT_HOP, 32), None, "eth0", MAIN);
                self.node.net.add_address(&outside, NEXT_HOP, 32, None);
                self.node.net.add_route((own, 32), None, &outside, MAIN);
            }
        }
        net.add_route((Ipv4Addr::UNSPECIFIED, 0), Some(NEXT_HOP), "eth0", MAIN);
        let file = Path::new(NAMESPACES).join(format!("cni-{name}"));
        net.show_at(&file);
        Pod { net, file, own }
    }

    /// What the agent does when a pod connects to its endpoint.
    pub(crate) fn connect(&self, pod: &Pod, uid: &str) -> Result<(), HostFailure> {
        let listener = self.node.net.run(|| TcpListener::bind((ENDPOINT, 0))).unwrap();
        let at = listener.local_addr().unwrap();
        let client = pod.net.run(|| TcpStream::connect(at)).unwrap();
        let (_server, from) = listener.accept().unwrap();
        assert_eq!(from.ip(), pod.own, "the endpoint sees the pod's own address");
        let found = self.find(uid, (v4(from), v4(at)));
        drop(client);
        found
    }

    pub(crate) fn find(
        &self,
        uid: &str,
        ends: (SocketAddrV4, SocketAddrV4),
    ) -> Result<(), HostFailure> {
        let uid = PodUid::new(uid).unwrap();
        let found = self.node.net.block_on(|| self.host.find_pod_network(&uid, ends));
        found?.map_err(|detail| HostFailure { kind: HostKind::Refused, detail })
    }

    pub(crate) fn note(&self, own: &[PodUid], present: &[PodUid]) {
        let [own, present] = [own, present].map(|all| all.iter().cloned().collect());
        self.node.net.block_on(|| self.host.note_pods(&own, &present)).unwrap();
    }

    pub(crate) fn add(&self, target: &KernelTarget, by: &Holder) -> Result<bool, HostFailure> {
        self.node.net.block_on(|| async {
            let added = self.host.add_address(target, by).await?;
            Ok(self.host.add_routing(target, by).await? || added)
        })
    }

    /// The pod asks for the address and gets it.
    pub(crate) fn attach(&self, pod: &Pod, by: &Holder) {
        self.attach_at(pod, by, ADDRESS);
    }

    pub(crate) fn attach_at(&self, pod: &Pod, by: &Holder, address: Ipv4Addr) {
        self.connect(pod, by.pod.as_str()).unwrap();
        let target = KernelTarget { address, ..self.node.on_second() };
        self.add(&target, by).unwrap();
        assert!(self.complete(&target), "{address} is complete");
    }

    pub(crate) fn complete(&self, target: &KernelTarget) -> bool {
        let view = self.node.net.block_on(|| self.host.observe(target)).unwrap();
        view.is_complete()
    }

    pub(crate) fn detach(&self, by: &Holder) {
        self.node.net.block_on(|| async {
            self.host.remove_address(ADDRESS, by).await.unwrap();
            self.host.remove_routing(ADDRESS, by).await.unwrap();
        });
    }
}

pub(crate) fn v4(of: SocketAddr) -> SocketAddrV4 {
    match of {
        SocketAddr::V4(of) => of,
        SocketAddr::V6(_) => panic!("IPv6"),
    }
}

/// A connection between two namespaces carries bytes both ways; returns the source that is seen.
pub(crate) fn dials(from: &Net, to: &Net, at: Ipv4Addr) -> Ipv4Addr {
    let listener = to.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = from.run(|| TcpStream::connect((at, port))).unwrap();
    let (mut server, source) = listener.accept().unwrap();
    let mut bytes = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut bytes).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong");
    *v4(source).ip()
}

/// The runtime deletes the network of a pod.
pub(crate) fn end(fixture: &Fixture, pod: &Pod) {
    nix::mount::umount(&pod.file).unwrap();
    std::fs::remove_file(&pod.file).unwrap();
    fixture.node.net.delete_link(&format!("veth{}", pod.name()));
}

impl Pod {
    pub(crate) fn name(&self) -> &str {
        self.file.to_str().unwrap().rsplit_once('-').unwrap().1
    }
}

/// The address from which the node talks to its pods.
pub(crate) fn own_side(fixture: &Fixture) -> Ipv4Addr {
    fixture.node.net.source_for(POD).unwrap()
}
