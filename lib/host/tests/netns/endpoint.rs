//! The link of the agent's endpoint.

use std::net::{Ipv4Addr, TcpListener};

use firecamp_core::contract::endpoint::LINK;
use firecamp_core::failure::HostFailure;
use firecamp_host::Cleared;

use crate::fixture::{Node, with};

const AT: Ipv4Addr = Ipv4Addr::new(169, 254, 196, 96);

fn ensure(node: &Node) -> Result<bool, HostFailure> {
    node.net.block_on(|| node.host.ensure_endpoint(AT))
}

pub(crate) fn endpoint_gets_a_link_of_its_own_once() {
    let node = Node::new();
    let before = node.net.everything();
    assert_eq!(ensure(&node), Ok(true));
    let after = node.net.everything();
    let added: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(added.iter().all(|line| line.contains(LINK) || line.contains("169.254")), "{added:?}");
    assert_eq!(ensure(&node), Ok(false), "nothing is left to do");
    assert_eq!(node.net.everything(), after);
    node.net.delete_address(LINK, AT, 32);
    assert_eq!(ensure(&node), Ok(true), "an address that was removed is added");
    assert_eq!(node.net.everything(), after);
    node.net.delete_link(LINK);
    assert_eq!(ensure(&node), Ok(true), "a link that was removed is created");
    assert_eq!(node.net.everything(), after);
    drop(node.net.run(|| TcpListener::bind((AT, 9814)).unwrap()));
    node.net.down(LINK);
    assert_eq!(ensure(&node), Ok(true), "a link that is down is set up");
}

pub(crate) fn endpoint_takes_no_address_and_no_link_of_others() {
    let node = Node::new();
    node.net.add_address("eth1", AT, 32, None);
    let refused = ensure(&node).unwrap_err().detail;
    assert!(refused.contains("eth1 has the address"), "{refused}");
    node.net.delete_address("eth1", AT, 32);
    node.net.veth(LINK, &node.router, "other");
    let before = node.net.everything();
    let refused = ensure(&node).unwrap_err().detail;
    assert!(refused.contains("is not FireCamp's"), "{refused}");
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn endpoint_is_no_address_of_a_member_and_cleanup_removes_it() {
    let node = Node::new();
    let before = node.net.everything();
    ensure(&node).unwrap();
    let seen = node.net.block_on(|| node.host.kernel_snapshot()).unwrap();
    assert!(seen.kernel.is_empty() && !seen.wider.contains(&AT), "{seen:?}");
    let left = node.net.block_on(|| node.host.left()).unwrap();
    assert!(left.addresses.iter().any(|one| one.address == AT), "{left:?}");
    assert_eq!(crate::cleanup::clean(&node), [Cleared::Gone]);
    assert_eq!(node.net.everything(), before);
    assert_eq!(with(&node.net.links(), LINK), Vec::<String>::new());
}
