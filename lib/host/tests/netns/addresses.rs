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
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(false), "the same epoch");
    assert_eq!(node.add(&target, &holder("pod", 2)), Ok(false), "the pod's next incarnation");
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

pub(crate) fn f111_late_removal_by_an_earlier_incarnation_changes_nothing() {
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
    assert_eq!(node.remove(at(1), &holder("pod", 1)), Ok(false), "it is already removed");
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
        let view = node.view(&target);
        assert!(view.address && !view.tagged, "{view:?}");
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

/// Routes as on a real node: the metadata service on the link, and a peer network behind the
/// router.
fn more_routes(node: &Node) {
    node.net.add_route(([169, 254, 169, 254].into(), 32), None, "eth0", MAIN);
    node.net.add_route(([172, 16, 0, 0].into(), 12), Some(PRIMARY_GATEWAY), "eth0", MAIN);
}

pub(crate) fn f069_source_addresses_of_the_node_do_not_change() {
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

pub(crate) fn f069_static_address_survives_the_deletion_of_the_primary_address() {
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
    assert_eq!(sources(&node.net), sources_before, "like a DHCP renewal");
}

pub(crate) fn f101_content_of_a_manipulated_file_changes_no_other_address() {
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
    assert_eq!(node.net.everything(), expected, "the node's own address is unchanged");
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
        assert!(!broadcast, "{ADDRESS} has a broadcast address");
        if let AddressAttribute::Flags(flags) = attribute {
            assert_eq!(*flags, AddressFlags::Permanent);
        }
        if let AddressAttribute::CacheInfo(times) = attribute {
            assert_eq!((times.ifa_valid, times.ifa_preferred), (u32::MAX, u32::MAX));
        }
    }
}

pub(crate) fn own_address_on_another_link_moves_to_the_link_of_the_eni() {
    let node = Node::new();
    node.add(&node.on_primary(), &holder("pod", 1)).unwrap();
    node.attach(&node.on_second(), &holder("pod", 2));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth1 proto 201"]);

    node.net.add_address("eth0", ADDRESS, 32, None);
    assert_eq!(node.add(&node.on_second(), &holder("pod", 2)), Ok(false), "a foreign one stays");
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
}

pub(crate) fn on_a_kernel_without_tags_only_recorded_addresses_are_removed() {
    let mut node = Node::new();
    node.host = node.host.with_address_tags(AddressTags::Ignored);
    let target = node.on_primary();
    assert_eq!(node.add(&target, &holder("pod", 1)), Ok(true));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
    assert!(node.view(&target).tagged, "the record identifies it as FireCamp's");
    assert_eq!(node.add(&target, &holder("pod", 2)), Ok(false));
    assert_eq!(node.remove(ADDRESS, &holder("pod", 2)), Ok(true));

    node.net.add_address("eth0", ADDRESS, 32, None);
    assert_eq!(node.add(&target, &holder("pod", 3)), Ok(false), "a foreign one");
    assert!(!node.view(&target).tagged);
    assert_eq!(node.remove(ADDRESS, &holder("pod", 3)), Ok(false));
    assert_eq!(with(&node.net.addresses(), "10.0.1.10"), ["10.0.1.10/32 dev eth0"]);
}

pub(crate) fn kernel_view_follows_every_change() {
    let node = Node::new();
    let (target, pod) = (node.on_second(), holder("pod", 1));
    let eth1 = KernelView { link: Some("eth1".to_owned()), link_up: true, ..KernelView::default() };
    assert_eq!(node.view(&target), eth1);
    node.add(&target, &pod).unwrap();
    let recorded = Some(LockRecord { holder: pod.clone(), hold: Hold::Held });
    let added = KernelView { address: true, tagged: true, recorded, ..eth1.clone() };
    assert_eq!(node.view(&target), added);
    node.route(&target, &pod).unwrap();
    assert_eq!(node.view(&target), KernelView { routing: true, ..added });
    node.detach(ADDRESS, &pod);
    let recorded = Some(LockRecord { holder: pod, hold: Hold::Released });
    let eth1 = KernelView { recorded, ..eth1 };
    assert_eq!(node.view(&target), eth1);
    node.net.down("eth1");
    assert_eq!(node.view(&target), KernelView { link_up: false, ..eth1 });
    node.net.delete_link("eth1");
    assert_eq!(node.view(&target), KernelView::default());
}

pub(crate) fn recorded_assign_time_is_visible_to_later_reads() {
    let node = Node::new();
    let target = node.on_primary();
    let up = node.view_with_assign_time(&target).assigned.unwrap();
    node.note_assign(PRIMARY);
    assert!(
        node.view_with_assign_time(&target).assigned.unwrap() >= up,
        "the time of another address does not count"
    );
    node.note_assign(ADDRESS);
    let age = node.view_with_assign_time(&target).assigned.unwrap();
    assert!(age < Duration::from_secs(30) && age < up, "{age:?}");
    let path = Path::new(RUN).join("assigned").join(ADDRESS.to_string());
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(
        node.view_with_assign_time(&target).assigned,
        Some(Duration::ZERO),
        "an invalid file counts as just written"
    );
    node.note_assign(ADDRESS);
    assert!(
        node.view_with_assign_time(&target).assigned.unwrap() < up,
        "a new time replaces the old one"
    );
}

pub(crate) fn f024_same_address_with_another_prefix_is_left_alone() {
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
