//! What the node's files say.

use firecamp_preflight::facts::{Fact, LinkPolicy, Networkd};
use firecamp_preflight::{Kind, Reason, Weight, judge, passes, summary};

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
    let told = one(&dropping, Kind::NetworkdTolerant);
    assert_eq!((told.reason, told.weight()), (Reason::NetworkdDropsAddresses, Weight::Warns));
    assert!(told.message.contains("ens0 by /etc/systemd/network/80-ec2.network"));
    let keeping =
        |networkd| reason(&managed(LinkPolicy::Keeps(file()), networkd), Kind::NetworkdTolerant);
    assert_eq!(keeping(all), Reason::NetworkdDropsRoutes);
    assert_eq!(keeping(none), Reason::NothingStripped);
    let unmanaged = managed(LinkPolicy::Unmanaged, all);
    assert_eq!(reason(&unmanaged, Kind::NetworkdTolerant), Reason::NothingStripped);
}

#[test]
fn f064_net_utils_in_force_is_a_warning() {
    let facts = with(|facts| facts.node.net_utils = Fact::Known(Some("99-x.rules".to_owned())));
    let told = one(&facts, Kind::NetUtilsAbsent);
    assert_eq!((told.reason, told.weight()), (Reason::NetUtilsActs, Weight::Warns));
    assert!(told.message.contains("99-x.rules is in force") && told.message.contains("Mask"));
}

#[test]
fn rights_on_the_node_that_are_missing_block() {
    let facts = with(|facts| {
        facts.node.net_admin = Fact::Known(false);
        let Fact::Known(dir) = &mut facts.node.run_dir else { unreachable!() };
        dir.writable = false;
    });
    assert_eq!(reason(&facts, Kind::NetAdminHeld), Reason::NotHeld);
    assert_eq!(reason(&facts, Kind::RunDirReady), Reason::NotWritable);
    let all = summary(&judge(&facts));
    assert!(all.message.contains("NetAdminHeld (NotHeld), RunDirReady (NotWritable)"), "{all:?}");
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
