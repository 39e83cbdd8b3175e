//! Addresses in the networks of pods: behind a bridge, and behind a veth of their own.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::path::Path;

use firecamp_core::failure::HostKind;
use firecamp_core::ports::HostNet as _;
use firecamp_host::{AddressTags, PodNetworks};
use firecamp_testkit::netns::Net;

use crate::fixture::{ADDRESS, GATEWAY, MAIN, RUN, SECOND, TABLE, fails, holder};
use crate::pod_fixture::{
    CLIENT, Cni, ENDPOINT, Fixture, NAMESPACES, NEXT_HOP, OTHER_ADDRESS, OTHER_POD, POD, SERVICE,
    dials, end, own_side, v4,
};

fn reached_and_source(cni: Cni) {
    let fixture = Fixture::new(cni);
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &holder("pod", 1));
    let router = &fixture.node.router;
    assert_eq!(dials(router, &pod.net, ADDRESS), GATEWAY, "by the router's own address");
    assert_eq!(dials(&pod.net, router, CLIENT), ADDRESS);
    assert_eq!(dials(&fixture.node.net, &pod.net, POD), own_side(&fixture), "probes");
    fixture.detach(&holder("pod", 1));
    assert!(!pod.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()), "the address is gone");
}

pub(crate) fn address_of_a_pod_on_a_bridge_is_reached_from_the_vpc_and_is_its_source_there() {
    reached_and_source(Cni::Bridge);
}

pub(crate) fn address_of_a_pod_on_a_veth_is_reached_from_the_vpc_and_is_its_source_there() {
    reached_and_source(Cni::Veth);
}

pub(crate) fn cluster_and_link_local_addresses_see_the_pods_own_address() {
    let fixture = Fixture::new(Cni::Bridge);
    let (pod, other) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.attach(&pod, &holder("pod", 1));
    assert_eq!(dials(&pod.net, &fixture.node.net, SERVICE), POD, "a Service");
    assert_eq!(dials(&pod.net, &other.net, OTHER_POD), POD, "another pod");
    assert_eq!(dials(&pod.net, &fixture.node.net, ENDPOINT), POD, "the endpoint");
    assert_eq!(dials(&other.net, &pod.net, POD), OTHER_POD);
    // From a pod without an address to a member's: the answer takes the same way back.
    assert_eq!(dials(&other.net, &pod.net, ADDRESS), OTHER_POD);
    // The pod asks again, with the address in its network.
    fixture.connect(&pod, "pod").unwrap();
}

/// One has `hostUsers: false`.
pub(crate) fn members_on_one_node_reach_each_other_at_their_addresses() {
    let fixture = Fixture::new(Cni::Veth);
    let one = fixture.pod("1", POD);
    let two = fixture.pod_in(Net::of_other_users(), "2", OTHER_POD);
    fixture.attach(&one, &holder("pod-1", 1));
    fixture.attach_at(&two, &holder("pod-2", 1), OTHER_ADDRESS);
    assert_eq!(dials(&one.net, &two.net, OTHER_ADDRESS), ADDRESS);
    assert_eq!(dials(&two.net, &one.net, ADDRESS), OTHER_ADDRESS);
}

pub(crate) fn f126_an_address_is_never_added_to_the_node_for_a_pod_with_its_own_network() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    fixture.note(std::slice::from_ref(&by.pod), &[]);
    fails(fixture.add(&target, &by), HostKind::Refused, &["pod", "not known"]);
    assert!(!fixture.complete(&target));
    // Nor by an agent that serves such pods no longer, after a reboot.
    std::fs::remove_dir_all(Path::new(RUN).join("pods")).unwrap();
    let later = fixture.host.clone().with_pod_networks(None);
    let own = [by.pod.clone()].into();
    fixture.node.net.block_on(|| later.note_pods(&own, &own)).unwrap();
    let added = fixture.node.net.block_on(|| later.add_address(&target, &by));
    fails(added, HostKind::Refused, &["pod", "not known"]);
    // A direct-mode process on the same node reads the same files.
    fails(fixture.node.add(&target, &by), HostKind::Refused, &["pod", "not known"]);
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &by);
    fails(fixture.node.add(&target, &by), HostKind::Refused, &["does not serve"]);
    let bound = fixture.node.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok());
    assert!(!bound, "the node does not have the address");
}

pub(crate) fn f128_connection_names_its_namespace_and_a_forged_one_is_refused() {
    let fixture = Fixture::new(Cni::Bridge);
    let (pod, other) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.connect(&pod, "pod").unwrap();
    // Nobody has this connection.
    let (peer, own) = (SocketAddrV4::new(POD, 4711), SocketAddrV4::new(ENDPOINT, 9814));
    fails(fixture.find("x", (peer, own)), HostKind::Refused, &["pod x", "no network namespace"]);
    // Another pod gives itself the address of the first one.
    other.net.add_address("lo", POD, 32, None);
    let refused = fixture.connect(&pod, "pod");
    fails(refused, HostKind::Refused, &["2 network namespaces have the address 10.244.1.5"]);
    // What a pod does to its own routes refuses nobody else.
    other.net.delete_address("lo", POD, 32);
    other.net.prohibit((POD, 32));
    fixture.connect(&pod, "pod").unwrap();
    // The node's own namespace is never a pod's.
    let listener = fixture.node.net.run(|| TcpListener::bind((ENDPOINT, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let client = fixture.node.net.run(|| TcpStream::connect(at)).unwrap();
    let ends = (v4(client.local_addr().unwrap()), v4(at));
    fails(fixture.find("x", ends), HostKind::Refused, &["no network namespace"]);
}

/// Another pod leads the packets of the first one through itself, as with forged ARP.
pub(crate) fn f128_pod_whose_packets_another_one_relays_gets_the_address_and_the_relay_does_not() {
    let fixture = Fixture::new(Cni::Bridge);
    let (pod, relay) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    relay.net.set_sysctl("net/ipv4/ip_forward", "1");
    let mac = relay.net.mac("eth0");
    fixture.node.net.add_neighbour("cni0", POD, mac);
    pod.net.add_neighbour("eth0", NEXT_HOP, mac);
    fixture.attach(&pod, &holder("pod", 1));
    let counters = relay.net.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap());
    let of_ip: Vec<&str> = counters.lines().filter(|line| line.starts_with("Ip:")).collect();
    let forwarded: u64 = of_ip[1].split_whitespace().nth(6).unwrap().parse().unwrap();
    assert!(forwarded >= 4, "the relay is on the way: {counters}");
    let has = |net: &Net| net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok());
    assert_eq!([has(&pod.net), has(&relay.net)], [true, false]);
    assert_eq!(dials(&fixture.node.router, &pod.net, ADDRESS), GATEWAY);
}

pub(crate) fn f128_namespace_file_that_is_used_again_is_not_the_pods() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &by);
    end(&fixture, &pod);
    let stranger = Net::new();
    stranger.veth("eth0", &fixture.node.net, "veth9");
    stranger.add_address("eth0", POD, 24, None);
    stranger.show_at(&pod.file);
    assert!(!fixture.complete(&target));
    fails(fixture.add(&target, &by), HostKind::Refused, &["namespace is gone"]);
    assert!(!stranger.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()), "a stranger's pod");
    stranger.add_address("lo", ADDRESS, 32, None);
    let _used = stranger.run(|| TcpListener::bind((ADDRESS, 0))).unwrap();
    let counted = fixture.node.net.block_on(|| fixture.host.sockets(ADDRESS)).unwrap();
    assert_eq!(counted.listeners, 0, "a stranger's sockets");
}

pub(crate) fn f129_new_sandbox_of_the_same_pod_gets_the_address() {
    let fixture = Fixture::new(Cni::Bridge);
    let first = fixture.pod("1", POD);
    fixture.attach(&first, &holder("pod", 1));
    end(&fixture, &first);
    assert!(!fixture.complete(&fixture.node.on_second()));
    let second = fixture.pod("2", OTHER_POD);
    fixture.attach(&second, &holder("pod", 2));
    assert_eq!(dials(&fixture.node.router, &second.net, ADDRESS), GATEWAY);
}

pub(crate) fn f129_what_the_end_of_a_sandbox_removes_is_not_missing() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, pod) = ([fixture.node.on_second()], fixture.pod("1", POD));
    fixture.attach(&pod, &holder("pod", 1));
    let view = || fixture.node.net.block_on(|| fixture.host.views(&target)).remove(0).unwrap();
    pod.net.delete_address("eth0", ADDRESS, 32);
    assert!(view().link.is_some() && !view().is_complete(), "it is restored");
    // The plugin removes the pod's interface before the runtime removes the namespace.
    pod.net.delete_link("eth0");
    assert_eq!(view().link, None);
}

/// The new holder's record is written, and the process ends before it has removed the address from
/// the pod that had it.
pub(crate) fn f131_address_that_a_crash_left_in_an_old_pod_is_found_and_removed() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, new_holder) = (fixture.node.on_second(), holder("new", 2));
    let (old, new) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.attach(&old, &holder("old", 1));
    fixture.connect(&new, "new").unwrap();
    // Nothing can be added to a pod without a default route, after the record was written.
    let anywhere = (Ipv4Addr::UNSPECIFIED, 0);
    new.net.delete_route(anywhere, MAIN);
    fails(fixture.add(&target, &new_holder), HostKind::Refused, &["no default route"]);
    assert!(!fixture.complete(&target));
    new.net.add_route(anywhere, Some(NEXT_HOP), "eth0", MAIN);
    fixture.add(&target, &new_holder).unwrap();
    assert!(fixture.complete(&target));
    assert!(!old.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()), "the old pod lost it");
    // The same with a release: what is left in a pod counts as in the kernel.
    fixture.detach(&new_holder);
    old.net.add_address("eth0", ADDRESS, 32, Some(201));
    let snapshot = fixture.node.net.block_on(|| fixture.host.kernel_snapshot()).unwrap();
    assert!(snapshot.kernel.contains_key(&ADDRESS), "{snapshot:?}");
    fixture.detach(&new_holder);
    assert!(!old.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()));
    // Files are kept as long as their networks exist.
    fixture.note(&[], &[]);
    old.net.add_address("eth0", ADDRESS, 32, Some(201));
    let snapshot = fixture.node.net.block_on(|| fixture.host.kernel_snapshot()).unwrap();
    assert!(snapshot.kernel.contains_key(&ADDRESS), "{snapshot:?}");
    end(&fixture, &old);
    end(&fixture, &new);
    fixture.note(&[], &[]);
    assert_eq!(std::fs::read_dir(Path::new(RUN).join("pods")).unwrap().count(), 0);
}

pub(crate) fn a_range_that_is_configured_no_longer_is_removed() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &by);
    let ranges = vec!["10.244.0.0/16".parse().unwrap()];
    let networks = PodNetworks { namespaces: NAMESPACES.into(), ranges };
    let later = fixture.host.clone().with_pod_networks(Some(networks));
    let complete = || fixture.node.net.block_on(|| later.observe(&target)).unwrap().is_complete();
    assert!(!complete());
    assert!(fixture.node.net.block_on(|| later.add_address(&target, &by)).unwrap());
    assert!(complete());
    assert_eq!(dials(&pod.net, &fixture.node.router, GATEWAY), ADDRESS);
    assert_eq!(pod.net.source_for(SERVICE), Some(ADDRESS), "Services are no range any more");
}

pub(crate) fn f152_moving_between_the_node_and_a_pod_leaves_nothing_behind() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, router) = (fixture.node.on_second(), &fixture.node.router);
    // A pod with hostNetwork, in direct mode.
    fixture.node.attach(&target, &holder("direct", 1));
    assert_eq!(dials(router, &fixture.node.net, ADDRESS), GATEWAY);
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &holder("pod", 2));
    assert_eq!(dials(router, &pod.net, ADDRESS), GATEWAY);
    assert!(!fixture.node.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()));
    // And back, by a process that cannot enter namespaces.
    fixture.node.attach(&target, &holder("direct-again", 3));
    assert_eq!(dials(router, &fixture.node.net, ADDRESS), GATEWAY);
    assert!(!fixture.complete(&target), "the agent sees what is left in the pod");
    assert!(fixture.add(&target, &holder("direct-again", 3)).unwrap());
    assert!(fixture.complete(&target));
    assert!(!pod.net.run(|| TcpListener::bind((ADDRESS, 0)).is_ok()), "the pod lost it");
    fixture.node.detach(ADDRESS, &holder("direct-again", 3));
    let left = fixture.node.net.block_on(|| fixture.host.left()).unwrap();
    assert_eq!((left.rules, left.routes, left.addresses), (Vec::new(), Vec::new(), Vec::new()));
}

pub(crate) fn f153_agent_restores_what_others_removed_inside_and_outside() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &by);
    let half = (Ipv4Addr::new(128, 0, 0, 0), 1);
    let removals: [(&str, &dyn Fn()); 4] = [
        ("address", &|| pod.net.delete_address("eth0", ADDRESS, 32)),
        ("half of the default route", &|| pod.net.delete_route(half, MAIN)),
        ("route to the pod", &|| fixture.node.net.delete_route((ADDRESS, 32), MAIN)),
        ("route of the ENI", &|| fixture.node.net.delete_route((Ipv4Addr::UNSPECIFIED, 0), TABLE)),
    ];
    for (what, remove) in removals {
        remove();
        assert!(!fixture.complete(&target), "{what} is missed");
        assert!(fixture.add(&target, &by).unwrap(), "{what} is restored");
        assert!(fixture.complete(&target), "{what}");
        assert!(!fixture.add(&target, &by).unwrap(), "{what}: once");
    }
    assert_eq!(dials(&fixture.node.router, &pod.net, ADDRESS), GATEWAY);
}

pub(crate) fn sockets_are_counted_in_the_pod() {
    let fixture = Fixture::new(Cni::Bridge);
    let pod = fixture.pod("1", POD);
    fixture.attach(&pod, &holder("pod", 1));
    let count = || fixture.node.net.block_on(|| fixture.host.sockets(ADDRESS)).unwrap();
    assert_eq!(count().listeners, 0);
    let listener = pod.net.run(|| TcpListener::bind((ADDRESS, 0))).unwrap();
    assert_eq!(count().listeners, 1);
    let client = fixture.node.router.run(|| TcpStream::connect(listener.local_addr().unwrap()));
    assert_eq!(count().connections, 1);
    drop((client, listener));
}

pub(crate) fn f130_a_pod_that_answers_arp_for_the_address_gets_no_packets() {
    let fixture = Fixture::new(Cni::Bridge);
    let (pod, other) = (fixture.pod("1", POD), fixture.pod("2", OTHER_POD));
    fixture.attach(&pod, &holder("pod", 1));
    // The other pod answers ARP for the address as well.
    other.net.add_address("eth0", ADDRESS, 32, None);
    other.net.set_sysctl("net/ipv4/conf/eth0/arp_notify", "1");
    other.net.down("eth0");
    other.net.up("eth0");
    for _attempt in 0..20 {
        assert_eq!(dials(&fixture.node.router, &pod.net, ADDRESS), GATEWAY);
    }
}

/// Linux answers for the endpoint's address on every link.
pub(crate) fn f134_clients_of_the_endpoint_on_other_machines_are_told_from_pods() {
    let fixture = Fixture::new(Cni::Veth);
    let (Fixture { node, host, .. }, pod) = (&fixture, fixture.pod("1", POD));
    fixture.attach(&pod, &holder("pod", 1));
    let listener = node.net.run(|| TcpListener::bind((ENDPOINT, 0))).unwrap();
    let at = listener.local_addr().unwrap();
    let is_elsewhere = |from: &Net| {
        let _client = from.run(|| TcpStream::connect(at)).unwrap();
        let source = *v4(listener.accept().unwrap().1).ip();
        (source, node.net.block_on(|| host.is_elsewhere(source)).unwrap())
    };
    let by_route = (ENDPOINT, 32);
    node.router.add_route(by_route, Some(SECOND), "port1", MAIN);
    assert_eq!(is_elsewhere(&node.router), (GATEWAY, true), "by a route to the node");
    node.router.delete_route(by_route, MAIN);
    node.router.add_route(by_route, None, "port1", MAIN);
    assert_eq!(is_elsewhere(&node.router), (GATEWAY, true), "by ARP");
    assert_eq!(is_elsewhere(&pod.net), (POD, false));
    assert_eq!(is_elsewhere(&node.net), (ENDPOINT, false), "a pod with hostNetwork");
}

pub(crate) fn kernel_that_keeps_no_tags_is_refused_for_a_pod() {
    let fixture = Fixture::new(Cni::Bridge);
    let pod = fixture.pod("1", POD);
    let older = fixture.host.clone().with_address_tags(AddressTags::Ignored);
    let fixture = Fixture { host: older, ..fixture };
    fails(fixture.connect(&pod, "pod"), HostKind::Refused, &["Linux 5.18 or later"]);
}

pub(crate) fn f132_a_pod_is_served_once_the_interface_has_an_address_of_its_own() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    let pod = fixture.pod("1", POD);
    fixture.connect(&pod, "pod").unwrap();
    fixture.node.net.delete_address("eth1", SECOND, 24);
    fails(fixture.add(&target, &by), HostKind::NoLink, &["eth1 has no IPv4 address of its own"]);
    assert_eq!(fixture.node.raise(target.mac), Ok(true));
    fixture.add(&target, &by).unwrap();
    assert!(fixture.complete(&target));
    assert_eq!(dials(&pod.net, &fixture.node.router, CLIENT), ADDRESS);
    assert_eq!(dials(&fixture.node.router, &pod.net, ADDRESS), GATEWAY);
}

/// A kernel may have neither macvlan nor ipvlan: a bridge of the pod's own stands for them.
pub(crate) fn f154_a_pod_without_a_veth_or_without_ipv4_is_refused_and_nothing_changes() {
    let fixture = Fixture::new(Cni::Bridge);
    let (target, by) = (fixture.node.on_second(), holder("pod", 1));
    let pod = fixture.pod("1", POD);
    fixture.connect(&pod, "pod").unwrap();
    let refused = |why: &str| {
        let now = || [fixture.node.net.everything(), pod.net.everything()];
        let before = now();
        fails(fixture.add(&target, &by), HostKind::Refused, &["network of pod pod", why]);
        assert_eq!(now(), before);
    };
    let has = |own: Ipv4Addr| {
        pod.net.add_address("eth0", own, 24, None);
        pod.net.add_route((Ipv4Addr::UNSPECIFIED, 0), Some(NEXT_HOP), "eth0", MAIN);
    };
    pod.net.delete_address("eth0", POD, 24);
    refused("no default route with a gateway");
    has(OTHER_POD);
    refused("eth0 of its default route does not have 10.244.1.5");
    pod.net.delete_link("eth0");
    pod.net.bridge("eth0");
    pod.net.up("eth0");
    has(POD);
    refused("eth0 is not connected to this node by a veth");
}
