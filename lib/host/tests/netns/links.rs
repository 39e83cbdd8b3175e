//! The choice of the ENI's link, and its setup.

use firecamp_core::failure::HostKind;

use crate::fixture::{ADDRESS, Node, SECOND, fails, holder, with};

/// The second ENI's own address, as FireCamp adds it.
const OWN: &str = "10.0.1.4/32 dev eth1 proto 201";

pub(crate) fn f015_a_rename_between_two_operations_changes_nothing() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.add(&target, &pod).unwrap();
    node.net.down("eth1");
    node.net.rename("eth1", "enp0s6");
    node.net.up("enp0s6");
    // The name now belongs to another link.
    node.net.veth("eth1", &node.router, "decoy");
    let decoy = node.net.mac("eth1");
    assert_eq!(node.add(&target, &pod), Ok(false));
    assert_eq!(node.route(&target, &pod), Ok(true));
    assert_eq!(node.view(&target).link.as_deref(), Some("enp0s6"));
    assert!(node.view(&target).routing);
    assert_eq!(with(&node.net.everything(), "dev eth1"), Vec::<String>::new());
    node.detach(ADDRESS, &pod);
    assert_eq!(with(&node.net.everything(), "10.0.1.10"), Vec::<String>::new());
    assert_eq!(node.net.mac("eth1"), decoy);
}

pub(crate) fn f015_link_that_reappears_with_another_index_is_found() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.attach(&target, &pod);
    let before = (node.net.index("eth1"), node.net.everything());
    let mac = node.net.mac("eth1");
    node.net.delete_link("eth1");
    node.net.veth("eth1", &node.router, "port1");
    node.net.set_mac("eth1", mac);
    assert_ne!(node.net.index("eth1"), before.0);
    assert!(!node.view(&target).address);
    node.attach(&target, &pod);
    assert_eq!(node.net.everything(), before.1);
}

pub(crate) fn f068_link_that_is_down_is_set_up_with_the_mtu_of_the_primary() {
    let node = Node::new();
    node.net.set_mtu("eth0", 9001);
    node.net.down("eth1");
    let target = node.on_second();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true));
    assert!(node.view(&target).link_up);
    assert_eq!(node.net.mtu("eth1"), 9001);
    node.net.down("eth1");
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true), "only the link was down");
    assert!(node.view(&target).link_up);
}

pub(crate) fn f068_unconfigured_eni_is_set_up_with_its_own_address_and_the_primary_mtu() {
    let node = Node::new();
    node.net.set_mtu("eth0", 9001);
    node.net.down("eth1");
    let mac = node.mac("eth1");
    let link = |node: &Node| node.links().into_iter().find(|link| link.mac == mac).unwrap();
    assert_eq!((link(&node).up, link(&node).bare), (false, true));
    let before = node.net.everything();
    assert_eq!(node.raise(mac), Ok(true));
    assert_eq!((link(&node).up, link(&node).bare), (true, false));
    assert_eq!(node.net.mtu("eth1"), 9001);
    assert!(node.net.addresses().contains(&OWN.to_owned()), "the ENI's own");
    assert_eq!(node.raise(mac), Ok(false), "the link is already set up");
    node.net.delete_address("eth1", SECOND, 32);
    assert_eq!(node.net.everything(), before, "nothing else was added");
}

pub(crate) fn f132_interface_with_a_members_address_alone_gets_its_own() {
    let node = Node::new();
    node.attach(&node.on_second(), &holder("pod", 1));
    let mac = node.mac("eth1");
    assert!(node.links().into_iter().any(|link| link.mac == mac && link.bare));
    assert_eq!(node.raise(mac), Ok(true));
    assert!(node.net.addresses().contains(&OWN.to_owned()));
    let snapshot = node.net.block_on(|| node.host.kernel_snapshot()).unwrap();
    let known: Vec<_> = snapshot.kernel.keys().copied().collect();
    assert!(known.contains(&ADDRESS) && !known.contains(&SECOND), "it is no member's: {known:?}");
}

pub(crate) fn f068_configured_link_stays_down() {
    let node = Node::new();
    node.net.add_address("eth1", [10, 0, 1, 4].into(), 24, None);
    node.net.down("eth1");
    assert_eq!(node.raise(node.mac("eth1")), Ok(false));
    let link = node.links().into_iter().find(|link| link.name == "eth1").unwrap();
    assert_eq!((link.up, link.bare), (false, false));
}

pub(crate) fn f068_eni_that_is_attached_again_has_a_new_link_index() {
    let node = Node::new();
    let (mac, first) = (node.net.mac("eth1"), node.net.index("eth1"));
    node.net.delete_link("eth1");
    assert!(node.links().iter().all(|link| link.name != "eth1"));
    let gone = node.raise(firecamp_core::ids::Mac::from_bytes(mac)).unwrap_err();
    assert_eq!(gone.kind, HostKind::NoLink);
    node.net.veth("eth7", &node.router, "port7");
    node.net.set_mac("eth7", mac);
    node.net.down("eth7");
    let link = node.links().into_iter().find(|link| link.name == "eth7").unwrap();
    assert_ne!(link.index, first);
    assert_eq!(node.raise(link.mac), Ok(true));
}

pub(crate) fn a_configured_link_keeps_its_mtu() {
    let node = Node::new();
    node.net.set_mtu("eth0", 9001);
    node.add(&node.on_second(), &holder("pod", 1)).unwrap();
    assert_eq!(node.net.mtu("eth1"), 1500, "a link that is up counts as configured");
    node.net.add_address("eth1", [10, 0, 1, 4].into(), 24, None);
    node.net.down("eth1");
    node.add(&node.on_second(), &holder("pod", 1)).unwrap();
    assert_eq!(node.net.mtu("eth1"), 1500, "a link with a foreign address counts as configured");
}

pub(crate) fn a_virtual_link_with_the_same_mac_is_not_chosen() {
    let node = Node::new();
    node.net.bridge("br0");
    node.net.set_mac("br0", node.net.mac("eth1"));
    node.net.up("br0");
    node.attach(&node.on_second(), &holder("pod", 1));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth1 proto 201"]);
    assert_eq!(with(&node.net.everything(), "br0"), Vec::<String>::new());
}

pub(crate) fn two_devices_with_one_mac_are_refused_by_name() {
    let node = Node::new();
    node.net.veth("eth2", &node.router, "port2");
    node.net.set_mac("eth2", node.net.mac("eth1"));
    let before = node.net.everything();
    let words = ["eth1, eth2 all have it"];
    fails(node.add(&node.on_second(), &holder("pod", 1)), HostKind::NoLink, &words);
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn a_port_of_a_bridge_is_refused_by_name() {
    let node = Node::new();
    node.net.bridge("br0");
    node.net.set_master("eth1", Some("br0"));
    node.net.set_mac("br0", node.net.mac("eth1"));
    let before = node.net.everything();
    let words = ["eth1 is a port of br0"];
    fails(node.add(&node.on_second(), &holder("pod", 1)), HostKind::NoLink, &words);
    assert_eq!(node.net.everything(), before);
    node.net.set_master("eth1", None);
    assert_eq!(node.add(&node.on_second(), &holder("pod", 1)), Ok(true));
}

pub(crate) fn a_mac_without_a_link_changes_nothing() {
    let node = Node::new();
    let target = node.on_second();
    node.net.delete_link("eth1");
    let before = node.net.everything();
    let pod = holder("pod", 1);
    let mac = target.mac.to_string();
    fails(node.add(&target, &pod), HostKind::NoLink, &[&mac]);
    fails(node.route(&target, &pod), HostKind::NoLink, &[&mac]);
    assert_eq!(node.net.everything(), before);
    assert_eq!(node.remove(ADDRESS, &pod), Ok(false), "removal needs no link");
    assert_eq!(node.unroute(ADDRESS, &pod), Ok(false));
}
