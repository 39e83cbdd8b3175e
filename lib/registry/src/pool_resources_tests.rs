use firecamp_core::record::{OrphanPolicy, PoolSubnet, ReleasePolicy};

use super::*;

fn pool(name: &str, resource: &str, subnets: &[u8]) -> Pool {
    let subnet = |number: &u8| PoolSubnet {
        subnet: format!("subnet-0000000{number}").parse().unwrap(),
        cidr: format!("10.0.{number}.0/24").parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        ranges: Vec::new(),
    };
    Pool {
        name: name.parse().unwrap(),
        release_policy: ReleasePolicy::Keep,
        orphaned: OrphanPolicy::Report,
        resource: format!("{EXTENDED_RESOURCE}{resource}").parse().unwrap(),
        subnets: subnets.iter().map(subnet).collect(),
    }
}

/// Each faulty pool, its reason, and the value that the message asks for. The pools were created
/// in this order.
fn faults(pools: &[Pool]) -> Vec<(String, &'static str, String)> {
    let times: Vec<String> = (0..pools.len()).map(|n| format!("2026-11-20T15:00:0{n}Z")).collect();
    let created = times.iter().map(|time| Some(time.as_str()));
    let faults = resource_faults(created.zip(pools));
    let shown = |(name, fault): (PoolName, ResourceFault)| {
        let message = fault.to_string();
        let (_, wanted) = message.rsplit_once("set spec.resource to ").unwrap();
        (name.to_string(), fault.reason(), wanted.to_owned())
    };
    faults.into_iter().map(shown).collect()
}

fn one(name: &str, reason: &'static str, wanted: &str) -> Vec<(String, &'static str, String)> {
    vec![(name.to_owned(), reason, format!("{EXTENDED_RESOURCE}{wanted}"))]
}

#[test]
fn pools_that_share_a_subnet_need_one_resource() {
    assert_eq!(faults(&[pool("a", "", &[1]), pool("b", "", &[1, 2])]), []);
    let two = [pool("b", "-x", &[1]), pool("a", "", &[1, 2])];
    assert_eq!(faults(&two), one("a", "ResourceDiffers", "-x"), "the later one, whatever its name");
}

#[test]
fn pools_that_share_no_subnet_need_different_resources() {
    assert_eq!(faults(&[pool("a", "", &[1]), pool("b", "-b", &[2])]), []);
    let two = [pool("b", "", &[1]), pool("a", "", &[2])];
    assert_eq!(faults(&two), one("a", "ResourceNotUnique", "-a"));
    let dotted = faults(&[pool("b", "", &[1]), pool("a.b", "", &[2])]);
    assert_eq!(dotted[0].2, "a name of its own, firecamp.io/static-ip-SUFFIX", "not a label");
}

#[test]
fn pools_of_the_same_second_are_ordered_by_name() {
    let (b, a) = (pool("b", "-b", &[1]), pool("a", "-a", &[1]));
    let time = Some("2026-11-20T15:00:00Z");
    let faults = resource_faults([(time, &b), (time, &a)]);
    assert_eq!(faults.into_keys().collect::<Vec<_>>(), ["b".parse().unwrap()]);
}

#[test]
fn a_pool_that_joins_the_subnets_of_two_pools_needs_their_resource() {
    let (a, b, both) = (pool("a", "", &[1]), pool("b", "", &[2]), pool("both", "", &[1, 2]));
    assert_eq!(faults(&[a.clone(), b.clone()]), one("b", "ResourceNotUnique", "-b"));
    assert_eq!(faults(&[a.clone(), b, both.clone()]), [], "now all three share subnets");
    let own = pool("b", "-b", &[2]);
    assert_eq!(faults(&[a, own, both]), one("b", "ResourceDiffers", ""));
}

#[test]
fn of_pools_that_share_a_subnet_any_free_resource_is_proposed() {
    let pools = [pool("a", "", &[1]), pool("b", "", &[2]), pool("c", "-c", &[2])];
    assert_eq!(faults(&pools), one("b", "ResourceNotUnique", "-c"));
}

#[test]
fn the_proposed_values_lead_to_no_fault() {
    let mut pools = vec![
        pool("a", "", &[1, 2]),
        pool("b", "-b", &[2]),
        pool("c", "", &[3]),
        pool("d", "", &[3, 4]),
        pool("e", "-x", &[5]),
        pool("f", "-x", &[6]),
    ];
    for round in 0..3 {
        let faults = faults(&pools);
        assert_eq!(faults.is_empty(), round > 0, "{faults:?}");
        for (name, _, wanted) in faults {
            let pool = pools.iter_mut().find(|pool| pool.name.as_str() == name).unwrap();
            pool.resource = wanted.parse().unwrap();
        }
    }
}
