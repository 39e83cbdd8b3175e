//! From an account and a node to facts.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made has failed its test")]

use firecamp_core::ids::InstanceId;
use firecamp_core::node::{NodeIdentity, TypeLimits, VolumeLimit};
use firecamp_preflight::facts::{Fact, Purpose, Right};
use firecamp_preflight::{Ask, Kind, Reason, gather, judge};
use firecamp_sim::{Account, Break, FaultyChecks, Op, Script, SimChecks};

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

#[tokio::test]
async fn without_leave_to_ask_no_call_of_ec2_is_made() {
    let sim = account();
    let facts = gather(&sim, &sim, purpose(), Ask::Nothing).await;
    assert_eq!(sim.account().calls, 0);
    assert_eq!((facts.interfaces, facts.rights.len()), (Fact::NotAsked, 0));
    assert_eq!(facts.identity.known().map(|it| it.instance.clone()), Some(own()));
}

#[tokio::test]
async fn everything_costs_two_looks_and_one_dry_run_where_there_is_no_subnet_to_compare() {
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
    for right in Right::ALL.into_iter().filter(|right| right.has_dry_run()) {
        let sim = account();
        sim.account().denied.insert(right);
        let conditions = judge(&gather(&sim, &sim, purpose(), Ask::Everything).await);
        let allowed = conditions.iter().find(|one| one.kind == Kind::Ec2Allowed).unwrap();
        assert_eq!(allowed.reason, Reason::Denied, "{right}");
        assert!(allowed.message.contains(&right.to_string()), "{}", allowed.message);
    }
}

#[tokio::test]
async fn what_breaks_is_told_as_failed_and_the_rest_is_found_all_the_same() {
    for (op, kind) in [
        (Op::Identity, Kind::MetadataReachable),
        (Op::Interfaces, Kind::Ec2Allowed),
        (Op::TypeLimits, Kind::Ec2Allowed),
        (Op::Permission, Kind::Ec2Allowed),
    ] {
        let sim = account();
        let script = Script::new().breaking(op, 1, Break::Before);
        let broken = FaultyChecks::new(sim.clone(), script.clone());
        let conditions = judge(&gather(&broken, &sim, purpose(), Ask::Everything).await);
        assert_eq!(script.fired(), 1, "{op:?}");
        let told = conditions.iter().find(|one| one.kind == kind).unwrap();
        assert!(told.message.contains("broken by the script"), "{op:?}: {}", told.message);
    }
}
