//! From an account and a node to facts.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made has failed its test")]

use firecamp_core::ids::InstanceId;
use firecamp_core::node::{NodeIdentity, TypeLimits, VolumeLimit};
use firecamp_node::preflight::facts::{Fact, Purpose, Reservation, Right};
use firecamp_node::preflight::{Ask, Kind, Reason, gather, judge};
use firecamp_testkit::sim::{Account, Break, FaultyChecks, Op, Script, SimChecks};

fn own() -> InstanceId {
    InstanceId::new("i-0000000a").unwrap()
}

fn limits() -> TypeLimits {
    let volumes = Some(VolumeLimit { count: 28, shared: true });
    TypeLimits { name: "m5.large".to_owned(), enis: 3, addresses: 10, volumes }
}

fn account() -> SimChecks {
    let identity = NodeIdentity {
        instance: own(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".parse().unwrap(),
        region: "us-east-1".to_owned(),
        enis: vec![],
    };
    let instances = [(own().to_string(), (identity, vec![]))].into();
    let types = [("m5.large".to_owned(), limits())].into();
    SimChecks::new(own(), Account { instances, types, ..Account::default() })
}

fn purpose() -> Purpose {
    Purpose { cluster: Some("prod".parse().unwrap()), ..Purpose::default() }
}

fn with_pool() -> Purpose {
    let range = ([10, 0, 1, 100].into(), [10, 0, 1, 120].into());
    let subnets = [("subnet-0000000a".parse().unwrap(), vec![range])];
    Purpose { subnets: Some(subnets.into()), ..purpose() }
}

#[tokio::test]
async fn of_no_instance_a_dry_run_still_tells_whether_volumes_may_be_listed() {
    let sim = account();
    let script = Script::new().breaking(Op::Identity, 1, Break::Before);
    let broken = FaultyChecks::new(sim.clone(), script);
    let facts = gather(&broken, &sim, purpose(), Ask::Everything).await;
    assert_eq!((facts.volumes, sim.account().calls), (Fact::NotAsked, 1));
    let rights: Vec<Right> = facts.rights.keys().copied().collect();
    assert_eq!(rights, [Right::DescribeVolumes]);
}

#[tokio::test]
async fn f055_the_reservations_of_each_pools_subnet_are_asked_for_and_judged() {
    let sim = account();
    let reserved = |block: &str| {
        let all = vec![Reservation { block: block.parse().unwrap(), explicit: true }];
        sim.account().reservations.insert("subnet-0000000a".to_owned(), all);
    };
    let reason = async || {
        let conditions = judge(&gather(&sim, &sim, with_pool(), Ask::Everything).await);
        conditions.iter().find(|one| one.kind == Kind::RangesReserved).unwrap().reason
    };
    assert_eq!(reason().await, Reason::NotReserved);
    reserved("10.0.1.96/27");
    assert_eq!(reason().await, Reason::Reserved);
}

#[tokio::test]
async fn f085_slots_are_counted_from_the_type_and_what_is_attached() {
    let sim = account();
    sim.account().volumes.insert(own().to_string(), 28);
    let conditions = judge(&gather(&sim, &sim, purpose(), Ask::Everything).await);
    let slots = conditions.iter().find(|one| one.kind == Kind::VolumeSlotsCounted).unwrap();
    assert_eq!(slots.reason, Reason::SlotsGone, "{}", slots.message);
}

#[tokio::test]
async fn without_leave_to_ask_no_call_of_ec2_is_made() {
    let sim = account();
    let facts = gather(&sim, &sim, purpose(), Ask::Nothing).await;
    assert_eq!(sim.account().calls, 0);
    assert_eq!((facts.interfaces, facts.rights.len()), (Fact::NotAsked, 0));
    assert_eq!(facts.identity.known().map(|it| it.instance.clone()), Some(own()));
}

#[tokio::test]
async fn everything_costs_three_looks_where_there_is_no_subnet_to_compare() {
    let sim = account();
    let facts = gather(&sim, &sim, purpose(), Ask::Everything).await;
    assert_eq!(sim.account().calls, 3);
    let rights: Vec<Right> = facts.rights.keys().copied().collect();
    let [interfaces, volumes, types] =
        [Right::DescribeNetworkInterfaces, Right::DescribeVolumes, Right::DescribeInstanceTypes];
    assert_eq!(rights, [interfaces, volumes, types]);
    assert_eq!(facts.limits, Fact::Known(limits()));
    assert_eq!(facts.peers, Fact::Known(vec![]));
}

#[tokio::test]
async fn f053_a_policy_that_denies_is_found_by_listing_and_by_dry_run() {
    let moving = [Right::AssignPrivateIpAddresses, Right::UnassignPrivateIpAddresses];
    for right in Right::ALL.into_iter().filter(|right| !moving.contains(right)) {
        let sim = account();
        sim.account().denied.insert(right);
        let conditions = judge(&gather(&sim, &sim, with_pool(), Ask::Everything).await);
        let allowed = conditions.iter().find(|one| one.kind == Kind::Ec2Allowed).unwrap();
        let harmless = right.is_optional();
        let wanted = if harmless { Reason::OptionalDenied } else { Reason::Denied };
        assert_eq!(allowed.reason, wanted, "{right}");
        assert!(allowed.message.contains(&right.to_string()), "{}", allowed.message);
    }
}

#[tokio::test]
async fn what_breaks_is_told_as_failed_and_the_rest_is_found_all_the_same() {
    for (op, kind) in [
        (Op::Identity, Kind::MetadataReachable),
        (Op::Interfaces, Kind::Ec2Allowed),
        (Op::TypeLimits, Kind::Ec2Allowed),
        (Op::Attached, Kind::Ec2Allowed),
        (Op::Attached, Kind::VolumeSlotsCounted),
        (Op::Reservations, Kind::RangesReserved),
    ] {
        let sim = account();
        let script = Script::new().breaking(op, 1, Break::Before);
        let broken = FaultyChecks::new(sim.clone(), script.clone());
        let conditions = judge(&gather(&broken, &sim, with_pool(), Ask::Everything).await);
        assert_eq!(script.fired(), 1, "{op:?}");
        let told = conditions.iter().find(|one| one.kind == kind).unwrap();
        assert!(told.message.contains("broken by the script"), "{op:?}: {}", told.message);
    }
}
