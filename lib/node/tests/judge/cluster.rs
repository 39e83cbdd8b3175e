//! Checks of the Node object and of source NAT.

use firecamp_core::choose_interface::EniRule;
use firecamp_node::preflight::facts::{Chain, Fact, Facts, KubeNode, Nat, Snat};
use firecamp_node::preflight::{Kind, Reason, Severity, judge, passes};

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
        let reported = one(&facts, Kind::NodeAddressPinned);
        assert_eq!(
            (reported.reason, reported.severity()),
            (Reason::NodeAddressOfPool, Severity::Blocking)
        );
        assert!(
            reported
                .message
                .starts_with("Node node-1 has InternalIP 10.0.1.105, an address of a pool."),
            "{reported:?}"
        );
        assert!(reported.message.contains("--node-ip") && !passes(&judge(&facts)));
    }
}

#[test]
fn f070_the_nodes_own_address_may_lie_in_the_range_of_a_pool() {
    let facts = with(|facts| {
        let whole = vec![([10, 0, 1, 4].into(), [10, 0, 1, 254].into())];
        facts.purpose.subnets = Some([(parsed(A), whole)].into());
    });
    assert_eq!(reason(&facts, Kind::NodeAddressPinned), Reason::Pinned);
}

#[test]
fn f070_a_kubelet_without_node_ip_is_a_warning_if_members_share_its_interface() {
    let free = || node(&["10.0.1.10"], false);
    let reported = one(&free(), Kind::NodeAddressPinned);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::NodeAddressNotPinned, Severity::Warning)
    );
    let mut own = free();
    own.purpose.rule = EniRule::DeviceIndex(1);
    own.purpose.subnets = Some(pools(&[B]));
    assert_eq!(reason(&own, Kind::NodeAddressPinned), Reason::Pinned, "an interface of its own");
    assert_eq!(reason(&node(&["10.0.1.10"], true), Kind::NodeAddressPinned), Reason::Pinned);
}

#[test]
fn f070_an_internal_ip_that_is_not_the_primary_is_a_warning() {
    let reported = one(&node(&["10.0.1.10", "10.0.9.9"], true), Kind::NodeAddressPinned);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::NodeAddressForeign, Severity::Warning)
    );
    let wanted = "InternalIP 10.0.1.10, 10.0.9.9; its primary address is 10.0.1.10";
    assert!(reported.message.contains(wanted), "{}", reported.message);
    assert_eq!(reason(&node(&[], true), Kind::NodeAddressPinned), Reason::NodeAddressForeign);
    let nobody = with(|facts| facts.in_cluster.node = Fact::Known(None));
    assert_eq!(reason(&nobody, Kind::NodeAddressPinned), Reason::Unknown);
}

fn snat(external: bool, excluded: &str) -> Fact<Option<Snat>> {
    Fact::Known(Some(Snat { external, excluded: excluded.to_owned() }))
}

fn chains(names: &[&str], legacy: bool) -> Fact<Nat> {
    let chain = |name: &&str| Chain { table: "nat".to_owned(), name: (*name).to_owned() };
    Fact::Known(Nat { chains: names.iter().map(chain).collect(), legacy })
}

#[test]
fn f067_snat_of_the_cni_is_found_by_its_settings_or_its_chain() {
    let by_settings = with(|facts| facts.in_cluster.snat = snat(false, "10.9.0.0/16"));
    let reported = one(&by_settings, Kind::SourceAddressPreserved);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::SourceAddressRewritten, Severity::Warning)
    );
    assert!(reported.message.contains("without SNAT: 10.9.0.0/16"), "{}", reported.message);
    let by_chain = with(|facts| {
        facts.in_cluster.snat = Fact::NotChecked;
        facts.node.nat = chains(&["AWS-SNAT-CHAIN-0", "KUBE-POSTROUTING"], false);
    });
    let reported = one(&by_chain, Kind::SourceAddressPreserved);
    assert_eq!(reported.reason, Reason::SourceAddressRewritten);
    assert!(reported.message.contains("AWS-SNAT-CHAIN-0 in table nat"), "{}", reported.message);
    let external = with(|facts| facts.in_cluster.snat = snat(true, ""));
    assert_eq!(reason(&external, Kind::SourceAddressPreserved), Reason::Preserved);
}

#[test]
fn f067_snat_chains_are_named_except_those_of_kube_proxy() {
    let with_nat = |nat| with(|facts| facts.node.nat = nat);
    let reported = one(
        &with_nat(chains(&["KUBE-POSTROUTING", "POSTROUTING"], false)),
        Kind::SourceAddressPreserved,
    );
    assert_eq!((reported.reason, reported.severity()), (Reason::SourceNatFound, Severity::Warning));
    assert!(
        reported.message.starts_with("nf_tables applies SNAT in POSTROUTING in table nat."),
        "{reported:?}"
    );
    let reason = |nat| reason(&with_nat(nat), Kind::SourceAddressPreserved);
    assert_eq!(reason(chains(&["KUBE-POSTROUTING"], false)), Reason::Preserved);
    let of = |table: &str| {
        let chain = Chain { table: table.to_owned(), name: "masquerading".to_owned() };
        Fact::Known(Nat { chains: vec![chain], legacy: false })
    };
    assert_eq!(reason(of("kube-proxy")), Reason::Preserved, "its mode nftables");
    assert_eq!(reason(of("mine")), Reason::SourceNatFound);
    assert_eq!(reason(chains(&[], true)), Reason::Unknown, "iptables-legacy is unreadable");
    assert_eq!(reason(Fact::Failed("not permitted".to_owned())), Reason::Unknown);
    let neither = with(|facts| {
        facts.node.nat = Fact::NotChecked;
        facts.in_cluster.snat = Fact::NotChecked;
    });
    assert!(judge(&neither).iter().all(|one| one.kind != Kind::SourceAddressPreserved));
    let unread = with(|facts| facts.in_cluster.snat = Fact::Failed("forbidden".to_owned()));
    assert_eq!(one(&unread, Kind::SourceAddressPreserved).message, "forbidden");
}
