//! FireCamp's table of nf_tables: whose source addresses it keeps, and which redirects it drops.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use firecamp_core::ports::{HostNet as _, KernelTarget};
use firecamp_host::Cleared;
use firecamp_node::preflight::KernelChecks as _;
use firecamp_testkit::netns::Net;

use crate::fixture::{ADDRESS, GATEWAY, MAIN, PRIMARY, SECOND, holder};
use crate::others::{delete_table, has_table, keeps, make_older, masquerade};
use crate::pod_fixture::{
    CLIENT, Cni, ENDPOINT, Fixture, NEXT_HOP, OTHER_ADDRESS, OTHER_POD, POD, Pod, dials,
};

pub(crate) fn f133_a_plugin_that_rewrites_sources_does_not_rewrite_a_members() {
    let fixture = Fixture::new(Cni::Veth);
    let (pod, other) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    let Fixture { node, .. } = &fixture;
    let (uplinks, back) = (["eth0", "eth1"].map(|name| node.net.index(name)), "10.244.1.0");
    node.net.run(|| uplinks.map(masquerade));
    node.router.add_route((back.parse().unwrap(), 24), Some(PRIMARY), "port0", MAIN);
    fixture.attach(&pod, &holder("pod", 1));
    assert_eq!(dials(&pod.net, &node.router, CLIENT), ADDRESS);
    assert_eq!(dials(&other.net, &node.router, CLIENT), PRIMARY, "the plugin's rule works");
    let target = node.on_second();
    node.net.run(|| delete_table("firecamp_members"));
    assert!(!fixture.complete(&target), "a deleted table is noticed");
    assert_eq!(fixture.add(&target, &holder("pod", 1)), Ok(true));
    assert_eq!(dials(&pod.net, &node.router, CLIENT), ADDRESS);
    assert!(node.net.run(|| keeps(ADDRESS)));
    fixture.detach(&holder("pod", 1));
    assert!(!node.net.run(|| keeps(ADDRESS)), "no longer, once it is released");
    let seen = node.net.block_on(|| async { fixture.host.source_nat().await.unwrap() });
    assert_eq!(seen.len(), 1, "the plugin's chain alone is reported: {seen:?}");
    assert!(node.net.run(has_table));
    let cleared = node.net.block_on(|| fixture.host.clear(ENDPOINT, None)).unwrap();
    assert_eq!(
        (cleared, node.net.run(has_table)),
        (Cleared::Gone, false),
        "it goes with the endpoint"
    );
}

pub(crate) fn f133_a_plugin_that_rewrites_sources_does_not_hide_clients() {
    let fixture = Fixture::new(Cni::Veth);
    let pod = fixture.pod("1", POD);
    let Fixture { node, .. } = &fixture;
    let link = node.net.index("veth1");
    node.net.run(|| masquerade(link));
    fixture.attach(&pod, &holder("pod", 1));
    assert_eq!(dials(&node.router, &pod.net, ADDRESS), GATEWAY);
    node.net.run(|| delete_table("firecamp_members"));
    assert_eq!(dials(&node.router, &pod.net, ADDRESS), NEXT_HOP, "the plugin's rule works");
}

pub(crate) fn f133_the_source_is_kept_on_the_interface_that_has_the_address_now() {
    let fixture = Fixture::new(Cni::Veth);
    let (pod, by) = (fixture.pod("1", POD), holder("pod", 1));
    let Fixture { node, .. } = &fixture;
    let uplinks = ["eth0", "eth1"].map(|name| node.net.index(name));
    node.net.run(|| uplinks.map(masquerade));
    fixture.attach(&pod, &by);
    let target = node.on_primary();
    assert!(!fixture.complete(&target), "it is kept on the other interface");
    fixture.node.net.block_on(|| fixture.host.remove_routing(ADDRESS, &by)).unwrap();
    let by = holder("pod", 2);
    fixture.add(&target, &by).unwrap();
    assert!(fixture.complete(&target));
    // This router answers through the other interface.
    node.router.set_sysctl("net/ipv4/conf/port0/rp_filter", "0");
    assert_eq!(dials(&pod.net, &node.router, CLIENT), ADDRESS);
}

/// Whether a pod that sends to the member before it moves to another node reaches it there.
fn follows(
    fixture: &Fixture,
    visitor: &Pod,
    (member, epoch): (&Pod, u64),
    prepare: impl FnOnce(),
) -> bool {
    let (by, router) = (holder(member.name(), epoch), &fixture.node.router);
    fixture.attach(member, &by);
    prepare();
    let socket = |net: &Net, own| net.run(|| UdpSocket::bind((own, 0))).unwrap();
    let (here, from) = (socket(&member.net, ADDRESS), socket(&visitor.net, visitor.own));
    from.connect(here.local_addr().unwrap()).unwrap();
    // The kernel sends the second redirect, which takes effect, 20 ms after the first.
    for _ in 0..4 {
        from.send(b"ping").unwrap();
        assert_eq!(here.recv_from(&mut [0; 4]).unwrap().1, from.local_addr().unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    fixture.detach(&by);
    router.add_address("lo", ADDRESS, 32, None);
    let there = router.run(|| TcpListener::bind((ADDRESS, 0))).unwrap();
    let (at, soon) = (there.local_addr().unwrap(), Duration::from_secs(1));
    let followed = visitor.net.run(|| TcpStream::connect_timeout(&at, soon)).is_ok();
    router.delete_address("lo", ADDRESS, 32);
    followed
}

pub(crate) fn f150_a_pod_beside_a_member_that_moves_away_reaches_it_there() {
    let fixture = Fixture::new(Cni::Bridge);
    let Fixture { node, .. } = &fixture;
    for link in ["all", "cni0"] {
        node.net.set_sysctl(&format!("net/ipv4/conf/{link}/send_redirects"), "1");
    }
    node.router.add_route((Ipv4Addr::new(10, 244, 1, 0), 24), Some(SECOND), "port1", MAIN);
    let member = |name, last| fixture.pod(name, Ipv4Addr::new(10, 244, 1, last));
    let [visitor, other, third] = [("v", 20), ("w", 21), ("x", 22)].map(|(n, at)| member(n, at));
    let without = || node.net.run(|| delete_table("firecamp_members"));
    let moved = follows(&fixture, &visitor, (&member("1", 11), 1), without);
    assert!(!moved, "without FireCamp's rule the pod follows the redirect");
    assert!(follows(&fixture, &other, (&member("2", 12), 2), || {}));
    let upgrade = || {
        node.net.run(make_older);
        assert!(!fixture.complete(&node.on_second()), "the agent notices that its rule is absent");
        assert_eq!(fixture.add(&node.on_second(), &holder("3", 3)), Ok(true));
    };
    assert!(follows(&fixture, &third, (&member("3", 13), 3), upgrade));
}

pub(crate) fn two_pods_share_one_table() {
    let fixture = Fixture::new(Cni::Bridge);
    let (one, two) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.attach(&one, &holder("pod-1", 1));
    fixture.attach_at(&two, &holder("pod-2", 1), OTHER_ADDRESS);
    fixture.detach(&holder("pod-1", 1));
    assert_eq!(dials(&fixture.node.router, &two.net, OTHER_ADDRESS), GATEWAY);
    let other = KernelTarget { address: OTHER_ADDRESS, ..fixture.node.on_second() };
    assert!(fixture.complete(&other), "its routes stay");
}
