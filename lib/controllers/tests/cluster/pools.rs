//! What is reported of pools.

use firecamp_controllers::leader::{Duty, NodeLife, NodeSeen};
use firecamp_registry::api::{Condition, StaticIPPoolStatus};

use super::support::{Town, address, parsed, pool};

fn told(town: &mut Town, name: &str) -> Option<StaticIPPoolStatus> {
    town.pass().into_iter().find_map(|duty| {
        let Duty::TellPool { pool, status, .. } = duty else { return None };
        (pool.as_str() == name).then_some(status)
    })
}

fn condition<'a>(status: &'a StaticIPPoolStatus, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|it| it.kind == kind).unwrap()
}

fn says(status: &StaticIPPoolStatus, kind: &str) -> (String, String) {
    let condition = condition(status, kind);
    (condition.status.clone(), condition.reason.clone())
}

fn is(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn a_pool_counts_what_it_may_hand_out_what_is_taken_and_what_is_left() {
    let mut town = Town::new();
    town.put(address(parsed("10.0.1.50"), "redis-0", None));
    town.view.addresses.insert(parsed("10.0.1.51"), None);
    let status = told(&mut town, "pool").unwrap();
    assert_eq!((status.total, status.allocated, status.free), (10, 2, 8));
    assert_eq!(says(&status, "Ready"), is("True", "Usable"));
    assert_eq!(says(&status, "RangesDisjoint"), is("True", "Disjoint"));
    assert_eq!(says(&status, "RangesInSubnets"), is("True", "SubnetsAgree"));
    assert_eq!(says(&status, "AddressesInRanges"), is("True", "InRanges"));
    assert_eq!(condition(&status, "Ready").observed_generation, Some(3));
}

#[test]
fn addresses_that_ec2_keeps_are_not_counted() {
    let mut town = Town::new();
    let whole = pool("pool", &[("10.0.1.0", "10.0.1.255")]);
    town.view.pools.insert(parsed("pool"), Some(whole));
    assert_eq!(told(&mut town, "pool").unwrap().total, 251);
}

#[test]
fn a_status_is_written_once_and_again_only_when_something_changed() {
    let mut town = Town::new();
    let mut status = told(&mut town, "pool").unwrap();
    for condition in &mut status.conditions {
        condition.last_transition_time = Some("2026-11-20T15:00:00Z".to_owned());
    }
    let foreign = Condition {
        kind: "Mine".to_owned(),
        status: "True".to_owned(),
        reason: "ISaySo".to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    status.conditions.insert(0, foreign.clone());
    let seen = town.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    seen.status = Some(status);
    // A foreign condition without a time is no news of ours, and stays.
    seen.status.as_mut().unwrap().conditions[0].last_transition_time = Some("then".to_owned());
    assert_eq!(told(&mut town, "pool"), None);
    town.put(address(parsed("10.0.1.50"), "redis-0", None));
    let again = told(&mut town, "pool").unwrap();
    assert_eq!(again.free, 9);
    assert_eq!(again.conditions[0].kind, foreign.kind);
    let since = condition(&again, "Ready").last_transition_time.as_deref();
    assert_eq!(since, Some("2026-11-20T15:00:00Z"), "it was ready all the time");
}

#[test]
fn a_pool_without_a_free_address_is_not_ready() {
    let mut town = Town::new();
    town.view.pools.insert(parsed("pool"), Some(pool("pool", &[("10.0.1.50", "10.0.1.50")])));
    town.put(address(parsed("10.0.1.50"), "redis-0", None));
    assert_eq!(says(&told(&mut town, "pool").unwrap(), "Ready"), is("False", "Exhausted"));
}

#[test]
fn pools_with_addresses_in_common_name_each_other() {
    let mut town = Town::new();
    let other = pool("other", &[("10.0.1.20", "10.0.1.52")]);
    town.view.pools.insert(parsed("other"), Some(other));
    for (one, two) in [("pool", "other"), ("other", "pool")] {
        let status = told(&mut town, one).unwrap();
        assert_eq!(says(&status, "RangesDisjoint"), is("False", "Overlapping"));
        let message = &condition(&status, "RangesDisjoint").message;
        assert!(message.contains(&format!("pool {two} (10.0.1.50 to 10.0.1.52)")), "{message}");
    }
}

#[test]
fn a_block_that_ec2_does_not_have_makes_a_pool_useless() {
    let mut town = Town::new();
    town.site.subnets.insert(parsed("subnet-0000000a"), parsed("10.0.1.0/28"));
    let status = told(&mut town, "pool").unwrap();
    assert_eq!(says(&status, "RangesInSubnets"), is("False", "SubnetDiffers"));
    assert_eq!(says(&status, "Ready"), is("False", "SubnetDiffers"));
}

#[test]
fn a_subnet_that_nobody_saw_is_not_known() {
    let mut town = Town::new();
    town.site.subnets.clear();
    let status = told(&mut town, "pool").unwrap();
    assert_eq!(says(&status, "RangesInSubnets"), is("Unknown", "SubnetsNotSeen"));
    assert_eq!(says(&status, "Ready"), is("True", "Usable"));
}

#[test]
fn an_address_outside_of_the_ranges_is_named() {
    let mut town = Town::new();
    town.put(address(parsed("10.0.1.99"), "redis-0", None));
    let status = told(&mut town, "pool").unwrap();
    assert_eq!(says(&status, "AddressesInRanges"), is("False", "StrayAddresses"));
    assert!(condition(&status, "AddressesInRanges").message.contains("10.0.1.99"));
    assert_eq!(status.allocated, 0, "it is none of those that the pool may hand out");
}

fn node(zone: &str, life: NodeLife) -> Option<NodeSeen> {
    Some(NodeSeen { life, zone: Some(parsed(zone)) })
}

#[test]
fn f092_a_zone_without_a_node_that_is_ready_is_told_until_it_is_back() {
    let mut town = Town::new();
    let said = |town: &mut Town| says(&told(town, "pool").unwrap(), "ZonesAvailable");
    assert_eq!(said(&mut town), is("Unknown", "ZonesNotKnown"), "no Node tells its zone");
    town.view.nodes.insert(parsed("here"), node("us-east-1b", NodeLife::Ready));
    assert_eq!(said(&mut town), is("True", "ZonesUp"), "nobody needs the pool's zone");
    town.put(address(parsed("10.0.1.50"), "redis-0", None));
    assert_eq!(said(&mut town), is("False", "ZoneDown"), "a member has its address there");
    for life in [NodeLife::NotReady, NodeLife::OutOfService] {
        town.view.nodes.insert(parsed("n1"), node("us-east-1a", life));
        let status = told(&mut town, "pool").unwrap();
        assert_eq!(says(&status, "ZonesAvailable"), is("False", "ZoneDown"), "{life:?}");
        assert!(condition(&status, "ZonesAvailable").message.contains("us-east-1a"));
        assert_eq!(says(&status, "Ready"), is("True", "Usable"), "its addresses can be handed out");
    }
    town.view.nodes.insert(parsed("n2"), node("us-east-1a", NodeLife::Ready));
    assert_eq!(said(&mut town), is("True", "ZonesUp"), "one is enough");
    town.view.nodes.insert(parsed("n3"), None);
    assert_eq!(said(&mut town), is("Unknown", "ZonesNotKnown"), "a Node cannot be read");
}
