//! Addresses: idempotence, exactness, ownership, source addresses.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use firecamp_core::failure::HostKind;
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::ports::{KernelTarget, KernelView, MemberFile};
use firecamp_host::{AddressTags, FileOptions, StaticIpFile};
use firecamp_testkit::netns::Net;

use crate::fixture::{ADDRESS, MAIN, Node, PRIMARY, PRIMARY_GATEWAY, RUN, fails, holder, with};

const OURS: &str = "10.0.1.10/32 dev eth0 proto 201";

pub(crate) fn f004_adding_again_changes_nothing_and_leaves_one_address() {
    let node = Node::new();
    let target = node.on_primary();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true));
    let before = node.net.everything();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(false), "the same life");
    assert_eq!(node.add(&target, &holder("pod", 2)), Ok(false), "the pod's next life");
    assert_eq!(node.net.everything(), before);
    assert_eq!(with(&before, "10.0.1.10/32 dev"), [OURS]);
}

pub(crate) fn f023_a_removal_for_an_old_epoch_changes_nothing() {
    let node = Node::new();
    let target = node.on_second();
    node.attach(&target, &holder("old", 7));
    node.attach(&target, &holder("new", 8));
    let before = node.net.everything();
    let (old, words) = (holder("old", 7), ["pod old", "epoch 8, held by pod new"]);
    fails(node.remove(ADDRESS, &old), HostKind::Superseded, &words);
    fails(node.unroute(ADDRESS, &old), HostKind::Superseded, &words);
    fails(node.add(&target, &old), HostKind::Superseded, &words);
    fails(node.route(&target, &old), HostKind::Superseded, &words);
    assert_eq!(node.net.everything(), before);
    node.detach(ADDRESS, &holder("new", 8));
    fails(node.add(&target, &old), HostKind::Superseded, &["released by pod new"]);
}

pub(crate) fn f111_a_late_removal_of_the_pods_first_life_changes_nothing() {
    let node = Node::new();
    let target = node.on_primary();
    node.add(&target, &holder("pod", 1)).unwrap();
    node.add(&target, &holder("pod", 2)).unwrap();
    fails(node.remove(ADDRESS, &holder("pod", 1)), HostKind::Superseded, &["epoch 2"]);
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), [OURS]);
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));
    fails(node.add(&target, &holder("pod", 2)), HostKind::Superseded, &["released"]);
}

pub(crate) fn f024_only_the_exact_address_is_removed() {
    let node = Node::new();
    node.net.veth("eth2", &node.router, "port2");
    let at = |last| Ipv4Addr::new(10, 0, 0, last);
    let neighbours = [("eth0", at(1)), ("eth1", at(10)), ("eth2", at(100))];
    for (link, address) in neighbours {
        let target = KernelTarget { address, mac: node.mac(link), routing: None };
        node.add(&target, &holder("pod", 1)).unwrap();
    }
    node.net.add_address("eth2", at(1), 24, None);
    node.net.add_address("eth1", at(11), 32, None);
    let mut expected = node.net.addresses();
    assert_eq!(node.remove(at(1), &holder("pod", 1)), Ok(true));
    expected.retain(|line| line != "10.0.0.1/32 dev eth0 proto 201");
    assert_eq!(node.net.addresses(), expected);
    assert_eq!(node.remove(at(1), &holder("pod", 1)), Ok(false), "nothing of ours is left");
    assert_eq!(node.remove(at(11), &holder("pod", 1)), Ok(false), "a foreign /32");
    assert_eq!(node.net.addresses(), expected);
}

pub(crate) fn f064_a_foreign_address_counts_as_present_and_stays() {
    for tag in [None, Some(17)] {
        let node = Node::new();
        node.net.add_address("eth0", ADDRESS, 32, tag);
        let before = node.net.addresses();
        let target = node.on_primary();
        assert_eq!(node.add(&target, &holder("pod", 1)), Ok(false));
        let seen = node.see(&target);
        assert!(seen.address && !seen.tagged, "{seen:?}");
        assert_eq!(node.remove(ADDRESS, &holder("pod", 1)), Ok(false));
        assert_eq!(node.net.addresses(), before);
        node.net.delete_link("eth0");
        node.net.delete_link("eth1");
        std::fs::remove_dir_all(crate::fixture::RUN).unwrap();
    }
}

fn sources(net: &Net) -> Vec<Option<Ipv4Addr>> {
    let destinations = [
        [10, 0, 0, 1],
        [10, 0, 0, 9],
        [10, 0, 1, 1],
        [10, 0, 1, 11],
        [10, 9, 9, 9],
        [169, 254, 169, 254],
        [169, 254, 169, 123],
        [172, 16, 0, 1],
        [8, 8, 8, 8],
        [192, 0, 2, 1],
    ];
    destinations.map(|bytes| net.source_for(bytes.into())).to_vec()
}

/// Routes as on a real node: the metadata service on the link itself, a peer network behind the
/// router.
fn more_routes(node: &Node) {
    node.net.add_route(([169, 254, 169, 254].into(), 32), None, "eth0", MAIN);
    node.net.add_route(([172, 16, 0, 0].into(), 12), Some(PRIMARY_GATEWAY), "eth0", MAIN);
}

pub(crate) fn f069_the_nodes_source_addresses_stay_as_they_were() {
    let node = Node::new();
    more_routes(&node);
    let before = sources(&node.net);
    assert_eq!(before, vec![Some(PRIMARY); 10]);
    let inside = Ipv4Addr::new(10, 0, 0, 3);
    let target = KernelTarget { address: inside, ..node.on_primary() };
    node.add(&target, &holder("pod", 1)).unwrap();
    node.attach(&node.on_second(), &holder("pod", 1));
    assert_eq!(sources(&node.net), before);
    node.remove(inside, &holder("pod", 1)).unwrap();
    node.detach(ADDRESS, &holder("pod", 1));
    assert_eq!(sources(&node.net), before);
}

pub(crate) fn f069_the_address_survives_the_deletion_of_a_primary() {
    let node = Node::new();
    let inside = Ipv4Addr::new(10, 0, 0, 10);
    let target = KernelTarget { address: inside, ..node.on_primary() };
    node.add(&target, &holder("pod", 1)).unwrap();
    let before = node.net.addresses();
    let sources_before = sources(&node.net);
    node.net.delete_address("eth0", PRIMARY, 24);
    assert_eq!(with(&node.net.addresses(), "10.0.0.10").len(), 1);
    node.net.add_address("eth0", PRIMARY, 24, None);
    let default = (Ipv4Addr::UNSPECIFIED, 0);
    if with(&node.net.routes(), "254: default").is_empty() {
        node.net.add_route(default, Some(PRIMARY_GATEWAY), "eth0", MAIN);
    }
    assert_eq!(node.net.addresses(), before);
    assert_eq!(sources(&node.net), sources_before, "as DHCP does it when it renews");
}

pub(crate) fn f101_a_hostile_file_names_an_address_that_nobody_touches() {
    let node = Node::new();
    let target = node.on_primary();
    node.add(&target, &holder("pod", 1)).unwrap();
    std::fs::create_dir("/run/data").unwrap();
    let file = StaticIpFile::new("/run/data/conf".as_ref(), FileOptions::default());
    let path = file.path();
    let write = || async {
        file.probe().await.unwrap();
        file.stage(ADDRESS).await.unwrap();
        file.publish().await.unwrap();
        file.sync().await.unwrap();
    };
    node.net.block_on(write);
    std::fs::write(&path, PRIMARY.to_string()).unwrap();
    let mut expected = node.net.everything();
    expected.retain(|line| !line.contains("10.0.1.10"));
    assert_eq!(node.remove(ADDRESS, &holder("pod", 1)), Ok(true));
    assert_eq!(node.net.everything(), expected, "the node's own address is where it was");
    node.net.block_on(write);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), ADDRESS.to_string());
}

pub(crate) fn an_address_is_permanent_global_and_without_broadcast() {
    use firecamp_testkit::netns::raw::{AddressAttribute, AddressFlags, AddressScope};

    let node = Node::new();
    node.add(&node.on_primary(), &holder("pod", 1)).unwrap();
    let ours = |message: &&_| firecamp_testkit::netns::raw::local(message) == Some(ADDRESS);
    let messages = node.net.address_messages();
    let message = messages.iter().find(ours).unwrap();
    assert_eq!(message.header.scope, AddressScope::Universe);
    for attribute in &message.attributes {
        let broadcast = matches!(attribute, AddressAttribute::Broadcast(_));
        assert!(!broadcast, "it has a broadcast address");
        if let AddressAttribute::Flags(flags) = attribute {
            assert_eq!(*flags, AddressFlags::Permanent);
        }
        if let AddressAttribute::CacheInfo(times) = attribute {
            assert_eq!((times.ifa_valid, times.ifa_preferred), (u32::MAX, u32::MAX));
        }
    }
}

pub(crate) fn an_address_of_ours_on_another_link_moves_to_the_enis_link() {
    let node = Node::new();
    node.add(&node.on_primary(), &holder("pod", 1)).unwrap();
    node.attach(&node.on_second(), &holder("pod", 2));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth1 proto 201"]);

    node.net.add_address("eth0", ADDRESS, 32, None);
    assert_eq!(node.add(&node.on_second(), &holder("pod", 2)), Ok(false), "a foreign one stays");
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
}

pub(crate) fn a_kernel_without_tags_removes_only_what_is_on_record() {
    let mut node = Node::new();
    node.host = node.host.with_address_tags(AddressTags::Ignored);
    let target = node.on_primary();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
    assert!(node.see(&target).tagged, "the record makes it ours");
    assert_eq!(node.add(&target, &holder("pod", 2)), Ok(false));
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));

    node.net.add_address("eth0", ADDRESS, 32, None);
    assert_eq!(node.add(&target, &holder("pod", 3)), Ok(false), "a foreign one");
    assert!(!node.see(&target).tagged);
    assert_eq!(node.remove(ADDRESS, &holder("pod", 3)), Ok(false));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
}

pub(crate) fn what_is_seen_is_what_is_there() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    let eth1 = KernelView { link: Some("eth1".to_owned()), link_up: true, ..KernelView::default() };
    assert_eq!(node.see(&target), eth1);
    node.add(&target, &pod).unwrap();
    let recorded = Some(LockRecord { holder: pod.clone(), hold: Hold::Held });
    let added = KernelView { address: true, tagged: true, recorded, ..eth1.clone() };
    assert_eq!(node.see(&target), added);
    node.route(&target, &pod).unwrap();
    assert_eq!(node.see(&target), KernelView { routing: true, ..added });
    node.detach(ADDRESS, &pod);
    let recorded = Some(LockRecord { holder: pod, hold: Hold::Released });
    let eth1 = KernelView { recorded, ..eth1 };
    assert_eq!(node.see(&target), eth1);
    node.net.down("eth1");
    assert_eq!(node.see(&target), KernelView { link_up: false, ..eth1 });
    node.net.delete_link("eth1");
    assert_eq!(node.see(&target), KernelView::default());
}

pub(crate) fn an_assign_that_is_noted_is_told_to_the_next_process() {
    let node = Node::new();
    let target = node.on_primary();
    let up = node.look(&target).assigned.unwrap();
    node.note(PRIMARY);
    assert!(node.look(&target).assigned.unwrap() >= up, "another address's is none of its");
    node.note(ADDRESS);
    let noted = node.look(&target).assigned.unwrap();
    assert!(noted < Duration::from_secs(30) && noted < up, "{noted:?}");
    let path = Path::new(RUN).join("assigned").join(ADDRESS.to_string());
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(node.look(&target).assigned, Some(Duration::ZERO), "just now, for all one knows");
    node.note(ADDRESS);
    assert!(node.look(&target).assigned.unwrap() < up, "a new note covers the old one");
}

pub(crate) fn f024_the_same_address_with_another_prefix_is_another_address() {
    let node = Node::new();
    let target = node.on_primary();
    node.net.add_address("eth0", ADDRESS, 24, None);
    let before = node.net.addresses();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true));
    let both = ["10.0.1.10/24 dev eth0", OURS];
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), both);
    assert_eq!(node.remove(ADDRESS, &holder("pod", 1)), Ok(true));
    assert_eq!(node.net.addresses(), before);
}
