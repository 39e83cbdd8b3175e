//! Checks of the node's files and kernel.

use firecamp_core::failure::CloudKind;
use firecamp_node::preflight::facts::{Fact, ForeignRule, LinkPolicy, Networkd};
use firecamp_node::preflight::{Kind, Reason, Severity, judge, passes, summary};

use crate::fixture::*;

#[test]
fn f063_networkd_that_manages_a_used_link_is_a_warning_with_the_file() {
    let managed = |policy: LinkPolicy, networkd: Networkd| {
        with(|facts| {
            facts.node.networkd = Fact::Known(Some(networkd));
            let Fact::Known(links) = &mut facts.node.links else { unreachable!() };
            links[0].networkd = policy;
        })
    };
    let (all, none) = (
        Networkd { manages_routes: true, manages_rules: true },
        Networkd { manages_routes: false, manages_rules: false },
    );
    let file = || "/etc/systemd/network/80-ec2.network".to_owned();
    let dropping = managed(LinkPolicy::Drops(file()), none);
    let reported = one(&dropping, Kind::NetworkdPreservesConfig);
    assert_eq!(
        (reported.reason, reported.severity()),
        (Reason::NetworkdDropsAddresses, Severity::Warning)
    );
    assert!(reported.message.contains("ens0 by /etc/systemd/network/80-ec2.network"));
    let keeping = |networkd| {
        reason(&managed(LinkPolicy::Keeps(file()), networkd), Kind::NetworkdPreservesConfig)
    };
    assert_eq!(keeping(all), Reason::NetworkdDropsRoutes);
    assert_eq!(keeping(none), Reason::ConfigPreserved);
    let unmanaged = managed(LinkPolicy::Unmanaged, all);
    assert_eq!(reason(&unmanaged, Kind::NetworkdPreservesConfig), Reason::ConfigPreserved);
}

#[test]
fn an_endpoint_that_cannot_listen_blocks_the_node() {
    let listens = |endpoint| with(|facts| facts.endpoint = endpoint);
    let facts = listens(Fact::Failed("Address already in use".to_owned()));
    let reported = one(&facts, Kind::EndpointServed);
    assert_eq!((reported.reason, reported.severity()), (Reason::NotListening, Severity::Blocking));
    assert!(reported.message.starts_with("Address already in use"), "{}", reported.message);
    assert!(!passes(&judge(&facts)));
    let so = |fact| reason(&listens(fact), Kind::EndpointServed);
    assert_eq!(so(Fact::Known(true)), Reason::Listening);
    assert_eq!(so(Fact::Known(false)), Reason::NoEndpoint);
    let without = judge(&listens(Fact::NotChecked));
    assert!(without.iter().all(|one| one.kind != Kind::EndpointServed));
}

#[test]
fn a_secondary_interface_that_network_manager_manages_is_a_warning_with_its_name() {
    let managed = |links: &[&str]| {
        let links = links.iter().map(|link| (*link).to_owned()).collect();
        one(&with(|facts| facts.node.network_manager = Fact::Known(links)), Kind::EnisUnmanaged)
    };
    let reported = managed(&["ens0", "ens1", "ens2"]);
    let (reason, severity) = (Reason::ManagedByNetworkManager, Severity::Warning);
    assert_eq!((reported.reason, reported.severity()), (reason, severity));
    // ens0 is the primary interface, and ens2 is not an interface of the instance.
    let words = "NetworkManager manages ens1. List the interfaces in unmanaged-devices";
    assert!(reported.message.starts_with(words), "{}", reported.message);
    assert_eq!(managed(&["ens0", "ens2"]).reason, Reason::Unmanaged);
    assert_eq!(managed(&[]).reason, Reason::Unmanaged);
}

#[test]
fn what_network_manager_manages_is_unknown_where_it_cannot_be_read() {
    let facts = with(|facts| facts.node.network_manager = Fact::Failed("not mounted".to_owned()));
    assert_eq!(reason(&facts, Kind::EnisUnmanaged), Reason::Unknown);
    let managed = Fact::Known(["ens1".to_owned()].into());
    let facts = with(|facts| {
        facts.node.network_manager = managed;
        facts.identity = Fact::Failed(failure(CloudKind::Transient));
    });
    assert_eq!(reason(&facts, Kind::EnisUnmanaged), Reason::Unknown);
}

#[test]
fn f064_active_net_utils_is_a_warning() {
    let facts = with(|facts| facts.node.net_utils = Fact::Known(Some("99-x.rules".to_owned())));
    let reported = one(&facts, Kind::NetUtilsAbsent);
    assert_eq!((reported.reason, reported.severity()), (Reason::NetUtilsActive, Severity::Warning));
    assert!(
        reported.message.contains("99-x.rules of amazon-ec2-net-utils is active")
            && reported.message.contains("Mask")
    );
}

#[test]
fn missing_capabilities_and_write_access_block() {
    let facts = with(|facts| {
        facts.node.net_admin = Fact::Known(false);
        let Fact::Known(dir) = &mut facts.node.run_dir else { unreachable!() };
        dir.writable = false;
    });
    assert_eq!(reason(&facts, Kind::NetAdminCapability), Reason::CapabilityMissing);
    assert_eq!(reason(&facts, Kind::RunDirReady), Reason::NotWritable);
    let all = summary(&judge(&facts));
    assert!(
        all.message.contains("NetAdminCapability (CapabilityMissing), RunDirReady (NotWritable)"),
        "{all:?}"
    );
}

#[test]
fn locks_that_outlive_a_boot_are_a_warning() {
    let facts = with(|facts| {
        let Fact::Known(dir) = &mut facts.node.run_dir else { unreachable!() };
        dir.filesystem = "ext4".to_owned();
    });
    assert_eq!(reason(&facts, Kind::RunDirReady), Reason::NotTmpfs);
    assert!(passes(&judge(&facts)));
}

#[test]
fn f067_a_foreign_rule_that_matches_an_address_of_a_pool_is_named() {
    let rule = |priority, from: Option<(&str, u8)>, to: Option<(&str, u8)>, table| ForeignRule {
        priority,
        from: from.map(|(address, length)| (parsed(address), length)),
        to: to.map(|(address, length)| (parsed(address), length)),
        table,
    };
    let reported = |rule| {
        one(&with(|facts| facts.node.rules = Fact::Known(vec![rule])), Kind::NoConflictingRules)
    };
    let leaked = reported(rule(1536, Some(("10.0.1.105", 32)), None, Some(2)));
    assert_eq!((leaked.reason, leaked.severity()), (Reason::ConflictingRule, Severity::Warning));
    assert!(leaked.message.starts_with("1536: from 10.0.1.105 lookup 2."), "{}", leaked.message);
    let caught = |rule| reported(rule).reason == Reason::ConflictingRule;
    assert!(caught(rule(512, None, Some(("10.0.1.105", 32)), Some(254))), "to a dead pod");
    assert!(!caught(rule(512, None, Some(("10.0.1.99", 32)), Some(254))), "of no pool");
    assert!(caught(rule(100, Some(("10.0.1.0", 24)), None, Some(9))), "it comes before ours");
    assert!(!caught(rule(900, Some(("10.0.1.0", 24)), None, Some(9))), "ours comes first");
    assert!(!caught(rule(100, Some(("10.0.0.0", 8)), None, Some(254))), "it leads as usual");
    assert!(caught(rule(100, Some(("10.0.0.0", 8)), None, None)), "it refuses, perhaps");
    assert!(!caught(rule(0, None, None, Some(255))), "it is for everything");
}

#[test]
fn unreadable_rules_are_unknown() {
    let facts = with(|facts| facts.node.rules = Fact::Failed("silent".to_owned()));
    assert_eq!(reason(&facts, Kind::NoConflictingRules), Reason::Unknown);
    let no_pools = with(|facts| facts.purpose.subnets = None);
    assert_eq!(reason(&no_pools, Kind::NoConflictingRules), Reason::NotChecked);
}
