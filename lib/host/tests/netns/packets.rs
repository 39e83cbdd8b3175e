//! Real packets between the node and its router.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use firecamp_testkit::netns::Net;

use crate::fixture::{ADDRESS, Node, holder};

/// A host behind the router.
const CLIENT: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);
const TIMEOUT: Duration = Duration::from_secs(5);

fn socket(net: &Net, address: Ipv4Addr, port: u16) -> UdpSocket {
    let socket = net.run(|| UdpSocket::bind((address, port))).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// The number of packets that this namespace has dropped because of their source address.
fn filtered(net: &Net) -> u64 {
    let text = net.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("TcpExt:")).collect();
    let place = lines[0].split(' ').position(|name| name == "IPReversePathFilter").unwrap();
    lines[1].split(' ').nth(place).unwrap().parse().unwrap()
}

/// Waits until this namespace has dropped another packet.
fn drops_one_more(net: &Net, before: u64) {
    for _attempt in 0..500 {
        if filtered(net) > before {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("the packet was not dropped");
}

/// The router delivers the address to the second ENI and, like a VPC, drops packets from it that
/// arrive over another ENI.
fn vpc(node: &Node) {
    node.router.add_address("lo", CLIENT, 32, None);
    for port in ["port0", "port1"] {
        node.router.set_sysctl(&format!("net/ipv4/conf/{port}/rp_filter"), "1");
    }
    // In a VPC, no filter drops ARP requests.
    for (net, link) in [(&node.net, "eth0"), (&node.router, "port1")] {
        net.set_sysctl(&format!("net/ipv4/conf/{link}/arp_announce"), "2");
    }
    for (key, value) in [("all/rp_filter", "0"), ("eth0/rp_filter", "0"), ("eth1/rp_filter", "0")] {
        node.net.set_sysctl(&format!("net/ipv4/conf/{key}"), value);
    }
}

pub(crate) fn f065_a_packet_from_the_address_leaves_by_its_own_eni() {
    let node = Node::configured();
    vpc(&node);
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.add(&target, &pod).unwrap();
    let member = socket(&node.net, ADDRESS, 6379);
    let client = socket(&node.router, CLIENT, 7777);

    let before = filtered(&node.router);
    member.send_to(b"over the primary ENI", (CLIENT, 7777)).unwrap();
    drops_one_more(&node.router, before);

    node.route(&target, &pod).unwrap();
    member.send_to(b"by its own", (CLIENT, 7777)).unwrap();
    let mut bytes = [0; 64];
    let (length, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"by its own");
    assert_eq!(from, (ADDRESS, 6379).into());
}

pub(crate) fn f066_a_packet_to_the_address_is_accepted_under_strict_filtering() {
    let node = Node::configured();
    vpc(&node);
    node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "1");
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.add(&target, &pod).unwrap();
    let member = socket(&node.net, ADDRESS, 6379);
    let client = socket(&node.router, CLIENT, 7777);

    let before = filtered(&node.net);
    client.send_to(b"dropped", (ADDRESS, 6379)).unwrap();
    drops_one_more(&node.net, before);

    node.route(&target, &pod).unwrap();
    client.send_to(b"accepted", (ADDRESS, 6379)).unwrap();
    let mut bytes = [0; 64];
    let (length, from) = member.recv_from(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"accepted");
    member.send_to(b"answered", from).unwrap();
    let (length, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..length], from), (&b"answered"[..], (ADDRESS, 6379).into()));

    node.detach(ADDRESS, &pod);
    let again = node.net.run(|| UdpSocket::bind((ADDRESS, 6380)));
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
}
