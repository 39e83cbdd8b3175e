//! What the cluster says of the node, and who rewrites sources.

use firecamp_core::node::EniRule;
use firecamp_node::preflight::facts::{Chain, Fact, Facts, KubeNode, Nat, Snat};
use firecamp_node::preflight::{Kind, Reason, Weight, judge, passes};

use crate::fixture::*;

/// A Node with these InternalIPs, whose kubelet was given `--node-ip` or not.
fn node(internal: &[&str], fixed: bool) -> Facts {
    let internal = internal.iter().map(|address| parsed(address)).collect();
    with(|facts| {
        let node = KubeNode { name: "node-1".to_owned(), internal, fixed };
        facts.in_cluster.node = Fact::Known(Some(node));
    })
}

#[test]
fn f070_an_internal_ip_of_a_pool_blocks_and_is_named() {
    for internal in [&["10.0.1.105"][..], &["10.0.1.10", "10.0.1.105"]] {
        let facts = node(internal, true);
        let told = one(&facts, Kind::NodeAddressFixed);
        assert_eq!((told.reason, told.weight()), (Reason::NodeAddressOfPool, Weight::Blocks));
        assert!(told.message.starts_with("Node node-1 has InternalIP 10.0.1.105."), "{told:?}");
        assert!(told.message.contains("--node-ip") && !passes(&judge(&facts)));
    }
}

#[test]
fn f070_the_nodes_own_address_may_lie_in_the_range_of_a_pool() {
    let facts = with(|facts| {
        let whole = vec![([10, 0, 1, 4].into(), [10, 0, 1, 254].into())];
        facts.purpose.subnets = Some([(parsed(A), whole)].into());
    });
    assert_eq!(reason(&facts, Kind::NodeAddressFixed), Reason::Fixed);
}

#[test]
fn f070_a_kubelet_that_may_choose_is_a_warning_where_members_share_its_interface() {
    let free = || node(&["10.0.1.10"], false);
    let told = one(&free(), Kind::NodeAddressFixed);
    assert_eq!((told.reason, told.weight()), (Reason::NodeAddressFree, Weight::Warns));
    let mut own = free();
    own.purpose.rule = EniRule::DeviceIndex(1);
    own.purpose.subnets = Some(pools(&[B]));
    assert_eq!(reason(&own, Kind::NodeAddressFixed), Reason::Fixed, "an interface of its own");
    assert_eq!(reason(&node(&["10.0.1.10"], true), Kind::NodeAddressFixed), Reason::Fixed);
}

#[test]
fn f070_an_internal_ip_that_is_not_the_primary_is_a_warning() {
    let told = one(&node(&["10.0.1.10", "10.0.9.9"], true), Kind::NodeAddressFixed);
    assert_eq!((told.reason, told.weight()), (Reason::NodeAddressForeign, Weight::Warns));
    let wanted = "InternalIP 10.0.1.10, 10.0.9.9, its primary address is 10.0.1.10";
    assert!(told.message.contains(wanted), "{}", told.message);
    assert_eq!(reason(&node(&[], true), Kind::NodeAddressFixed), Reason::NodeAddressForeign);
    let nobody = with(|facts| facts.in_cluster.node = Fact::Known(None));
    assert_eq!(reason(&nobody, Kind::NodeAddressFixed), Reason::NotKnown);
}

fn snat(external: bool, excluded: &str) -> Fact<Option<Snat>> {
    Fact::Known(Some(Snat { external, excluded: excluded.to_owned() }))
}

fn chains(names: &[&str], legacy: bool) -> Fact<Nat> {
    let chain = |name: &&str| Chain { table: "nat".to_owned(), name: (*name).to_owned() };
    Fact::Known(Nat { chains: names.iter().map(chain).collect(), legacy })
}

#[test]
fn f067_the_cnis_rewriting_of_sources_is_told_by_its_settings_or_by_its_chain() {
    let by_settings = with(|facts| facts.in_cluster.snat = snat(false, "10.9.0.0/16"));
    let told = one(&by_settings, Kind::SourceKept);
    assert_eq!((told.reason, told.weight()), (Reason::SourcesRewritten, Weight::Warns));
    assert!(told.message.contains("spared: 10.9.0.0/16"), "{}", told.message);
    let by_chain = with(|facts| {
        facts.in_cluster.snat = Fact::NotAsked;
        facts.node.nat = chains(&["AWS-SNAT-CHAIN-0", "KUBE-POSTROUTING"], false);
    });
    let told = one(&by_chain, Kind::SourceKept);
    assert_eq!(told.reason, Reason::SourcesRewritten);
    assert!(told.message.contains("AWS-SNAT-CHAIN-0 in table nat"), "{}", told.message);
    let external = with(|facts| facts.in_cluster.snat = snat(true, ""));
    assert_eq!(reason(&external, Kind::SourceKept), Reason::SourcesKept);
}

#[test]
fn f067_other_chains_that_rewrite_sources_are_named_but_kube_proxys_is_none() {
    let with_nat = |nat| with(|facts| facts.node.nat = nat);
    let told =
        one(&with_nat(chains(&["KUBE-POSTROUTING", "POSTROUTING"], false)), Kind::SourceKept);
    assert_eq!((told.reason, told.weight()), (Reason::SourceNatFound, Weight::Warns));
    assert!(told.message.starts_with("nf_tables has POSTROUTING in table nat."), "{told:?}");
    let reason = |nat| reason(&with_nat(nat), Kind::SourceKept);
    assert_eq!(reason(chains(&["KUBE-POSTROUTING"], false)), Reason::SourcesKept);
    let of = |table: &str| {
        let chain = Chain { table: table.to_owned(), name: "masquerading".to_owned() };
        Fact::Known(Nat { chains: vec![chain], legacy: false })
    };
    assert_eq!(reason(of("kube-proxy")), Reason::SourcesKept, "its mode nftables");
    assert_eq!(reason(of("mine")), Reason::SourceNatFound);
    assert_eq!(reason(chains(&[], true)), Reason::NotKnown, "nobody reads the older form");
    assert_eq!(reason(Fact::Failed("not permitted".to_owned())), Reason::NotKnown);
    let neither = with(|facts| {
        facts.node.nat = Fact::NotAsked;
        facts.in_cluster.snat = Fact::NotAsked;
    });
    assert!(judge(&neither).iter().all(|one| one.kind != Kind::SourceKept));
    let unread = with(|facts| facts.in_cluster.snat = Fact::Failed("forbidden".to_owned()));
    assert_eq!(one(&unread, Kind::SourceKept).message, "forbidden");
}
