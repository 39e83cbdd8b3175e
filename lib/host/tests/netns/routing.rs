//! Rules, tables, routes and link settings of addresses on a secondary ENI.

use std::net::Ipv4Addr;

use firecamp_core::failure::HostKind;
use firecamp_core::ports::KernelTarget;

use crate::fixture::{ADDRESS, GATEWAY, Node, TABLE, fails, holder, with};

const RULE: &str = "from 10.0.1.10/32 lookup 20001 priority 700 proto 201";
const ROUTES: [&str; 2] =
    ["20001: 10.0.1.1/32 dev eth1 proto 201", "20001: default via 10.0.1.1 dev eth1 proto 201"];

fn is_complete(node: &Node) {
    assert_eq!(with(&node.net.rules(), "10.0.1.10"), [RULE]);
    assert_eq!(with(&node.net.routes(), "20001:"), ROUTES);
    assert!(node.view(&node.on_second()).routing);
}

pub(crate) fn f004_routing_added_again_changes_nothing() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.add(&target, &pod).unwrap();
    assert_eq!(node.route(&target, &pod), Ok(true));
    is_complete(&node);
    let before = node.net.everything();
    assert_eq!(node.route(&target, &pod), Ok(false));
    assert_eq!(node.route(&target, &holder("pod", 2)), Ok(false));
    assert_eq!(node.net.everything(), before);
    assert_eq!(
        node.route(&node.on_primary(), &holder("pod", 2)),
        Ok(false),
        "the primary ENI needs no routing"
    );
}

pub(crate) fn f004_partial_routing_is_completed() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.attach(&target, &pod);
    let whole = node.net.everything();
    let parts: [fn(&Node); 3] = [
        |node| node.net.delete_rule(ADDRESS, TABLE, 700, 201),
        |node| node.net.delete_route((Ipv4Addr::UNSPECIFIED, 0), TABLE),
        |node| {
            node.net.delete_route((Ipv4Addr::UNSPECIFIED, 0), TABLE);
            node.net.delete_route((GATEWAY, 32), TABLE);
        },
    ];
    for remove in parts {
        remove(&node);
        assert!(!node.view(&target).routing, "the missing part is reported");
        assert_eq!(node.route(&target, &pod), Ok(true));
        assert_eq!(node.net.everything(), whole);
    }
}

pub(crate) fn f065_two_enis_in_one_subnet_answer_arp_only_for_their_own_addresses() {
    let node = Node::new();
    let key = |name: &str| node.net.sysctl(&format!("net/ipv4/conf/eth1/{name}"));
    node.attach(&node.on_second(), &holder("pod", 1));
    assert_eq!((key("arp_ignore"), key("arp_announce")), ("0".to_owned(), "0".to_owned()));
    node.net.add_address("eth0", [10, 0, 1, 4].into(), 24, None);
    assert_eq!(node.route(&node.on_second(), &holder("pod", 1)), Ok(true));
    assert_eq!((key("arp_ignore"), key("arp_announce")), ("1".to_owned(), "2".to_owned()));
    let primary = node.net.sysctl("net/ipv4/conf/eth0/arp_ignore");
    assert_eq!(primary, "0", "FireCamp does not change the other link");
    assert_eq!(node.route(&node.on_second(), &holder("pod", 1)), Ok(false));
}

pub(crate) fn f066_strict_filtering_of_the_link_or_of_all_becomes_loose() {
    for strict in ["eth1", "all"] {
        let node = Node::new();
        node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "0");
        node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "0");
        node.net.set_sysctl(&format!("net/ipv4/conf/{strict}/rp_filter"), "1");
        let (target, pod) = (node.on_second(), holder("pod", 1));
        node.add(&target, &pod).unwrap();
        assert_eq!(node.route(&target, &pod), Ok(true));
        assert_eq!(node.net.sysctl("net/ipv4/conf/eth1/rp_filter"), "2");
        assert!(node.view(&target).routing);
        node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "1");
        node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "0");
        assert!(!node.view(&target).routing, "strict filtering is reported");
        node.net.delete_link("eth0");
        node.net.delete_link("eth1");
        node.detach(ADDRESS, &pod);
        std::fs::remove_dir_all(crate::fixture::RUN).unwrap();
    }
}

pub(crate) fn f066_loose_or_disabled_filtering_is_not_changed() {
    let node = Node::new();
    node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "0");
    node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "0");
    node.attach(&node.on_second(), &holder("pod", 1));
    assert_eq!(node.net.sysctl("net/ipv4/conf/eth1/rp_filter"), "0");
    node.net.set_sysctl("net/ipv4/conf/eth1/rp_filter", "1");
    node.net.set_sysctl("net/ipv4/conf/all/rp_filter", "2");
    assert_eq!(
        node.route(&node.on_second(), &holder("pod", 1)),
        Ok(false),
        "the higher value counts"
    );
    assert_eq!(node.net.sysctl("net/ipv4/conf/eth1/rp_filter"), "1");
}

pub(crate) fn removal_leaves_everything_foreign_in_place() {
    let node = Node::configured();
    let elsewhere = (Ipv4Addr::new(10, 50, 0, 0), 16);
    node.net.add_rule(ADDRESS, TABLE, 700, 17);
    node.net.add_rule(ADDRESS, TABLE, 1536, 4);
    node.net.add_rule([10, 0, 1, 100].into(), TABLE, 700, 17);
    node.net.add_route(elsewhere, None, "eth1", TABLE);
    node.net.add_route(elsewhere, None, "eth1", 10_001);
    let before = node.net.everything();
    node.attach(&node.on_second(), &holder("pod", 1));
    assert_eq!(with(&node.net.rules(), "proto 201"), [RULE]);
    node.detach(ADDRESS, &holder("pod", 1));
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn routes_stay_while_another_address_needs_the_table() {
    let node = Node::configured();
    let neighbour = Ipv4Addr::new(10, 0, 1, 100);
    let (one, other) = (node.on_second(), KernelTarget { address: neighbour, ..node.on_second() });
    node.attach(&one, &holder("pod-a", 1));
    node.attach(&other, &holder("pod-b", 1));
    node.detach(ADDRESS, &holder("pod-a", 1));
    assert_eq!(with(&node.net.routes(), "20001:"), ROUTES);
    assert!(node.view(&other).routing);
    node.detach(neighbour, &holder("pod-b", 1));
    assert_eq!(with(&node.net.everything(), "proto 201"), Vec::<String>::new());
}

pub(crate) fn a_foreign_route_in_the_table_is_an_error_that_names_it() {
    let node = Node::new();
    node.net.add_route(([10, 0, 1, 0].into(), 24), None, "eth1", TABLE);
    node.net.add_route((Ipv4Addr::UNSPECIFIED, 0), Some([10, 0, 1, 2].into()), "eth1", TABLE);
    let target = node.on_second();
    node.add(&target, &holder("pod", 1)).unwrap();
    let words = ["table 20001", "0.0.0.0/0 via 10.0.1.2"];
    fails(node.route(&target, &holder("pod", 1)), HostKind::Refused, &words);
    assert_eq!(with(&node.net.rules(), "10.0.1.10"), Vec::<String>::new(), "no partial routing");
    let default = with(&node.net.routes(), "20001: default");
    assert_eq!(default, ["20001: default via 10.0.1.2 dev eth1 proto 3"]);
}

pub(crate) fn an_equal_foreign_route_is_success_and_stays() {
    let node = Node::configured();
    node.net.add_route((GATEWAY, 32), None, "eth1", TABLE);
    node.net.add_route((Ipv4Addr::UNSPECIFIED, 0), Some(GATEWAY), "eth1", TABLE);
    let before = node.net.everything();
    node.attach(&node.on_second(), &holder("pod", 1));
    assert!(node.view(&node.on_second()).routing);
    assert_eq!(with(&node.net.routes(), "20001:"), with(&before, "20001:"));
    node.detach(ADDRESS, &holder("pod", 1));
    assert_eq!(node.net.everything(), before);
}

pub(crate) fn a_rule_for_an_old_table_is_replaced() {
    let node = Node::configured();
    let mut old = node.on_second();
    old.routing.as_mut().unwrap().table = 20_002;
    node.attach(&old, &holder("pod", 1));
    node.net.add_route((Ipv4Addr::new(10, 0, 1, 2), 32), None, "eth1", 20_001);
    node.attach(&node.on_second(), &holder("pod", 2));
    assert_eq!(with(&node.net.rules(), "10.0.1.10"), [RULE]);
    node.detach(ADDRESS, &holder("pod", 2));
    assert_eq!(with(&node.net.everything(), "proto 201"), Vec::<String>::new());
}

pub(crate) fn routes_left_by_an_interrupted_removal_are_removed() {
    let node = Node::configured();
    let pod = holder("pod", 1);
    node.attach(&node.on_second(), &pod);
    node.remove(ADDRESS, &pod).unwrap();
    node.net.delete_rule(ADDRESS, TABLE, 700, 201);
    assert_eq!(with(&node.net.routes(), "20001:"), ROUTES);
    assert_eq!(node.unroute(ADDRESS, &pod), Ok(true));
    assert_eq!(with(&node.net.everything(), "proto 201"), Vec::<String>::new());
    assert_eq!(node.unroute(ADDRESS, &pod), Ok(false));
}

pub(crate) fn adding_again_restores_a_link_that_was_set_down() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    node.attach(&target, &pod);
    node.net.down("eth1");
    assert_eq!(with(&node.net.routes(), "20001:"), Vec::<String>::new());
    assert!(!node.view(&target).routing);
    assert_eq!(node.route(&target, &pod), Ok(true), "the link and its routes");
    is_complete(&node);
}
