//! Which sockets count as use of an address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use firecamp_core::ports::{HostNet, KernelTarget, SocketScope, SocketUse};

use crate::fixture::{ADDRESS, MAIN, Node, holder};

const IDLE: SocketUse = SocketUse { listeners: 0, connections: 0, datagrams: 0 };

/// A node with the address on its primary ENI.
fn node() -> Node {
    let node = Node::new();
    node.add(&node.on_primary(), &holder("pod", 1)).unwrap();
    node
}

fn used(node: &Node) -> SocketUse {
    node.net.block_on(|| node.host.sockets(ADDRESS)).unwrap()
}

/// Waits for this count.
fn becomes(node: &Node, wanted: SocketUse) {
    for _attempt in 0..500 {
        if used(node) == wanted {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(used(node), wanted);
}

/// Whether a TCP socket with this local address is in this state (`/proc/net/tcp`).
fn in_state(state: &str) -> bool {
    let local = format!("{:08X}:", u32::from_ne_bytes(ADDRESS.octets()));
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    text.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[1].starts_with(&local) && words[3] == state
    })
}

pub(crate) fn listeners_connections_and_datagrams_are_counted_for_the_exact_address() {
    let node = node();
    assert_eq!(used(&node), IDLE);
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    assert_eq!(used(&node), SocketUse { listeners: 1, ..IDLE });
    assert!(used(&node).idle(SocketScope::Connections));
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap();
    // The kernel chose the address for both ends, so two sockets use it.
    assert_eq!(used(&node), SocketUse { listeners: 1, connections: 2, datagrams: 0 });
    let datagram = UdpSocket::bind((ADDRESS, 0)).unwrap();
    assert_eq!(used(&node).datagrams, 1);
    drop(listener);
    assert_eq!(used(&node), SocketUse { listeners: 0, connections: 2, datagrams: 1 });
    drop((stream, accepted, datagram));
    becomes(&node, IDLE);
}

pub(crate) fn dual_stack_sockets_count_for_the_address() {
    let node = node();
    let any = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    assert_eq!(used(&node), IDLE, "a wildcard listener does not count");
    let port = any.local_addr().unwrap().port();
    let client = TcpStream::connect((ADDRESS, port)).unwrap();
    let (accepted, _) = any.accept().unwrap();
    assert!(accepted.local_addr().unwrap().is_ipv6());
    assert_eq!(used(&node), SocketUse { connections: 2, ..IDLE });
    let mapped = ADDRESS.to_ipv6_mapped();
    let listener = TcpListener::bind((mapped, 0)).unwrap();
    let datagram = UdpSocket::bind((mapped, 0)).unwrap();
    assert_eq!(used(&node), SocketUse { listeners: 1, connections: 2, datagrams: 1 });
    drop((client, accepted, listener, datagram));
    becomes(&node, IDLE);
}

pub(crate) fn time_wait_is_not_use() {
    let node = node();
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    drop(client);
    drop(accepted);
    drop(listener);
    becomes(&node, IDLE);
    assert!(in_state("06"), "no socket is in TIME_WAIT");
}

pub(crate) fn a_half_open_connection_is_use() {
    const REMOTE: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 9);
    let node = node();
    for key in ["all", "eth0"] {
        node.net.set_sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0");
    }
    // Answers to the remote host go to a neighbour that does not exist.
    node.net.add_route((REMOTE, 32), Some([10, 0, 0, 99].into()), "eth0", MAIN);
    node.router.add_address("lo", REMOTE, 32, None);
    node.router.add_route((ADDRESS, 32), None, "port0", MAIN);
    let listener = TcpListener::bind((ADDRESS, 6379)).unwrap();
    let router = node.router.clone();
    let dial = move || {
        router.block_on(|| async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from((REMOTE, 0))).unwrap();
            let connect = socket.connect(SocketAddr::from((ADDRESS, 6379)));
            tokio::time::timeout(Duration::from_secs(3), connect).await.is_err()
        })
    };
    let client = thread::spawn(dial);
    becomes(&node, SocketUse { listeners: 1, connections: 1, datagrams: 0 });
    assert!(in_state("03"), "the connection is not in SYN_RECV");
    assert!(client.join().unwrap(), "the connection must time out");
    drop(listener);
    becomes(&node, IDLE);
}

pub(crate) fn wildcards_and_neighbours_are_not_use() {
    let node = node();
    let neighbour = Ipv4Addr::new(10, 0, 1, 100);
    let target = KernelTarget { address: neighbour, ..node.on_primary() };
    node.add(&target, &holder("pod", 1)).unwrap();
    let listener = TcpListener::bind((neighbour, 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let datagrams = (
        UdpSocket::bind((neighbour, 0)).unwrap(),
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap(),
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap(),
    );
    let any = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    assert_eq!(used(&node), IDLE);
    drop((listener, stream, datagrams, any));
}
