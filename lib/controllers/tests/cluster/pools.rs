//! The status of pools.

use firecamp_controllers::leader::{NodeReadiness, ObservedNode, ObservedPool, Operation};
use firecamp_registry::api::{Condition, StaticIPPoolStatus};

use super::support::{ClusterFixture, address, parsed, pool};

fn reported(fixture: &mut ClusterFixture, name: &str) -> Option<StaticIPPoolStatus> {
    fixture.pass().into_iter().find_map(|operation| {
        let Operation::UpdatePoolStatus { pool, status, .. } = operation else { return None };
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
fn a_pool_counts_total_allocated_and_free_addresses() {
    let mut fixture = ClusterFixture::new();
    fixture.put(address(parsed("10.0.1.50"), "redis-0", None));
    fixture.view.addresses.insert(parsed("10.0.1.51"), None);
    let status = reported(&mut fixture, "pool").unwrap();
    assert_eq!((status.total, status.allocated, status.free), (10, 2, 8));
    assert_eq!(says(&status, "Ready"), is("True", "Usable"));
    assert_eq!(says(&status, "RangesDisjoint"), is("True", "Disjoint"));
    assert_eq!(says(&status, "RangesInSubnets"), is("True", "SubnetsAgree"));
    assert_eq!(says(&status, "AddressesInRanges"), is("True", "InRanges"));
    assert_eq!(condition(&status, "Ready").observed_generation, Some(3));
}

#[test]
fn addresses_reserved_by_ec2_are_not_counted() {
    let mut fixture = ClusterFixture::new();
    let whole = pool("pool", &[("10.0.1.0", "10.0.1.255")]);
    fixture.view.pools.insert(parsed("pool"), Some(whole));
    assert_eq!(reported(&mut fixture, "pool").unwrap().total, 251);
}

#[test]
fn a_status_is_written_once_and_again_only_when_something_changed() {
    let mut fixture = ClusterFixture::new();
    let mut status = reported(&mut fixture, "pool").unwrap();
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
    let seen = fixture.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    seen.status = Some(status);
    // A foreign condition without a time is no news of ours, and stays.
    seen.status.as_mut().unwrap().conditions[0].last_transition_time = Some("then".to_owned());
    assert_eq!(reported(&mut fixture, "pool"), None);
    fixture.put(address(parsed("10.0.1.50"), "redis-0", None));
    let again = reported(&mut fixture, "pool").unwrap();
    assert_eq!(again.free, 9);
    assert_eq!(again.conditions[0].kind, foreign.kind);
    let since = condition(&again, "Ready").last_transition_time.as_deref();
    assert_eq!(since, Some("2026-11-20T15:00:00Z"), "it was ready all the time");
}

#[test]
fn a_pool_without_a_free_address_is_not_ready() {
    let mut fixture = ClusterFixture::new();
    fixture.view.pools.insert(parsed("pool"), Some(pool("pool", &[("10.0.1.50", "10.0.1.50")])));
    fixture.put(address(parsed("10.0.1.50"), "redis-0", None));
    assert_eq!(says(&reported(&mut fixture, "pool").unwrap(), "Ready"), is("False", "Exhausted"));
}

#[test]
fn overlapping_pools_name_each_other() {
    let mut fixture = ClusterFixture::new();
    let other = pool("other", &[("10.0.1.20", "10.0.1.52")]);
    fixture.view.pools.insert(parsed("other"), Some(other));
    for (one, two) in [("pool", "other"), ("other", "pool")] {
        let status = reported(&mut fixture, one).unwrap();
        assert_eq!(says(&status, "RangesDisjoint"), is("False", "Overlapping"));
        let message = &condition(&status, "RangesDisjoint").message;
        assert!(message.contains(&format!("pool {two} (10.0.1.50 to 10.0.1.52)")), "{message}");
    }
}

#[test]
fn a_cidr_block_that_differs_from_ec2_makes_a_pool_not_ready() {
    let mut fixture = ClusterFixture::new();
    fixture.site.subnets.insert(parsed("subnet-0000000a"), parsed("10.0.1.0/28"));
    let status = reported(&mut fixture, "pool").unwrap();
    assert_eq!(says(&status, "RangesInSubnets"), is("False", "SubnetDiffers"));
    assert_eq!(says(&status, "Ready"), is("False", "SubnetDiffers"));
}

/// A pool of one subnet that was created at this second.
fn created(name: &str, second: u32, resource: &str, subnet: &str) -> ObservedPool {
    let mut observed = pool(name, &[("10.0.1.20", "10.0.1.29")]);
    observed.created = Some(format!("2026-11-20T15:00:{second:02}Z"));
    observed.pool.resource = parsed(resource);
    observed.pool.subnets[0].subnet = parsed(subnet);
    observed
}

#[test]
fn the_later_of_two_pools_with_the_wrong_resource_is_not_ready_and_says_what_to_set() {
    const DEFAULT: &str = "firecamp.io/static-ip";
    const OTHER: &str = "firecamp.io/static-ip-x";
    const HERE: &str = "subnet-0000000a";
    const THERE: &str = "subnet-0000000b";
    for (resource, subnet, fault) in [
        (DEFAULT, THERE, Some(("ResourceNotUnique", "firecamp.io/static-ip-a"))),
        (OTHER, HERE, Some(("ResourceDiffers", DEFAULT))),
        (DEFAULT, HERE, None),
        (OTHER, THERE, None),
    ] {
        let mut fixture = ClusterFixture::new();
        for observed in [created("z", 1, DEFAULT, HERE), created("a", 2, resource, subnet)] {
            fixture.view.pools.insert(observed.pool.name.clone(), Some(observed));
        }
        fixture.view.pools.remove(&parsed("pool"));
        let earlier = reported(&mut fixture, "z").unwrap();
        assert_eq!(says(&earlier, "Ready"), is("True", "Usable"), "{resource} {subnet}");
        let later = reported(&mut fixture, "a").unwrap();
        let Some((reason, wanted)) = fault else {
            assert_eq!(says(&later, "Ready"), is("True", "Usable"), "{resource} {subnet}");
            continue;
        };
        assert_eq!(says(&later, "Ready"), is("False", reason));
        let message = &condition(&later, "Ready").message;
        assert!(message.ends_with(&format!("set spec.resource to {wanted}")), "{message}");
    }
}

#[test]
fn an_unobserved_subnet_is_unknown() {
    let mut fixture = ClusterFixture::new();
    fixture.site.subnets.clear();
    let status = reported(&mut fixture, "pool").unwrap();
    assert_eq!(says(&status, "RangesInSubnets"), is("Unknown", "SubnetsNotVerified"));
    assert_eq!(says(&status, "Ready"), is("True", "Usable"));
}

#[test]
fn an_address_outside_of_the_ranges_is_named() {
    let mut fixture = ClusterFixture::new();
    fixture.put(address(parsed("10.0.1.99"), "redis-0", None));
    let status = reported(&mut fixture, "pool").unwrap();
    assert_eq!(says(&status, "AddressesInRanges"), is("False", "AddressesOutOfRange"));
    assert!(condition(&status, "AddressesInRanges").message.contains("10.0.1.99"));
    assert_eq!(status.allocated, 0, "it is none of those that the pool may hand out");
}

fn node(zone: &str, lifecycle: NodeReadiness) -> Option<ObservedNode> {
    Some(ObservedNode { lifecycle, zone: Some(parsed(zone)), instance: None })
}

#[test]
fn f092_a_zone_without_a_ready_node_is_reported_until_it_recovers() {
    let mut fixture = ClusterFixture::new();
    let said =
        |fixture: &mut ClusterFixture| says(&reported(fixture, "pool").unwrap(), "ZonesAvailable");
    assert_eq!(said(&mut fixture), is("Unknown", "ZonesUnknown"), "no Node has a zone label");
    fixture.view.nodes.insert(parsed("here"), node("us-east-1b", NodeReadiness::Ready));
    assert_eq!(said(&mut fixture), is("True", "ZonesReady"), "no member needs the pool's zone");
    fixture.put(address(parsed("10.0.1.50"), "redis-0", None));
    assert_eq!(said(&mut fixture), is("False", "ZoneNotReady"), "a member has its address there");
    for lifecycle in [NodeReadiness::NotReady, NodeReadiness::OutOfService] {
        fixture.view.nodes.insert(parsed("n1"), node("us-east-1a", lifecycle));
        let status = reported(&mut fixture, "pool").unwrap();
        assert_eq!(says(&status, "ZonesAvailable"), is("False", "ZoneNotReady"), "{lifecycle:?}");
        assert!(condition(&status, "ZonesAvailable").message.contains("us-east-1a"));
        assert_eq!(says(&status, "Ready"), is("True", "Usable"), "its addresses can be handed out");
    }
    fixture.view.nodes.insert(parsed("n2"), node("us-east-1a", NodeReadiness::Ready));
    assert_eq!(said(&mut fixture), is("True", "ZonesReady"), "one is enough");
    fixture.view.nodes.insert(parsed("n3"), None);
    assert_eq!(said(&mut fixture), is("Unknown", "ZonesUnknown"), "a Node cannot be read");
}
