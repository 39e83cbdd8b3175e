//! Gathers facts from AWS and the node.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made has failed its test")]

use firecamp_core::ids::InstanceId;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits, VolumeLimit};
use firecamp_node::preflight::facts::{AttachedVolumes, Fact, Purpose, Reservation, Right};
use firecamp_node::preflight::{Ec2Checks, Kind, Reason, gather, judge};
use firecamp_node::volumes::observation::{Attachment, AttachmentState};
use firecamp_testkit::sim::{Account, Break, FaultyChecks, Instance, Op, Script, SimEc2};

fn own() -> InstanceId {
    InstanceId::new("i-0000000a").unwrap()
}

fn limits() -> TypeLimits {
    let volumes = Some(VolumeLimit { count: 28, shared: true });
    TypeLimits { name: "m5.large".to_owned(), enis: 3, addresses: 10, volumes }
}

fn account() -> SimEc2 {
    let identity = NodeIdentity {
        instance: own(),
        instance_type: "m5.large".to_owned(),
        zone: "us-east-1a".parse().unwrap(),
        region: "us-east-1".to_owned(),
        enis: vec![],
    };
    let instance = Instance { identity: Some(identity), ..Instance::default() };
    let instances = [(own().to_string(), instance)].into();
    let types = [("m5.large".to_owned(), limits())].into();
    SimEc2::new(own(), Account { instances, types, ..Account::default() })
}

fn volume(_number: u32) -> Attachment {
    Attachment {
        volume: "vol-0123456789abcdef0".parse().unwrap(),
        state: AttachmentState::Attached,
        age: None,
        label: "/dev/sdf".to_owned(),
        delete_on_termination: false,
        zone: "us-east-1a".parse().unwrap(),
        bytes: 1 << 30,
    }
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
async fn without_an_instance_id_a_dry_run_tests_describe_volumes() {
    let sim = account();
    let script = Script::new().breaking(Op::Identity, 1, Break::Before);
    let broken = FaultyChecks::new(sim.clone(), script);
    let facts = gather(&broken, &sim, purpose(), Ec2Checks::All).await;
    assert_eq!((facts.volumes, sim.reads()), (Fact::NotChecked, 1));
    let rights: Vec<Right> = facts.rights.keys().copied().collect();
    assert_eq!(rights, [Right::DescribeVolumes]);
}

#[tokio::test]
async fn f055_the_reservations_of_each_pool_subnet_are_read_and_checked() {
    let sim = account();
    let reserved = |block: &str| {
        let all = vec![Reservation { block: block.parse().unwrap(), explicit: true }];
        sim.account().reservations.insert("subnet-0000000a".to_owned(), all);
    };
    let reason = async || {
        let conditions = judge(&gather(&sim, &sim, with_pool(), Ec2Checks::All).await);
        conditions.iter().find(|one| one.kind == Kind::RangesReserved).unwrap().reason
    };
    assert_eq!(reason().await, Reason::NotReserved);
    reserved("10.0.1.96/27");
    assert_eq!(reason().await, Reason::Reserved);
}

#[tokio::test]
async fn f085_slots_are_counted_from_the_instance_type_and_the_attachments() {
    let sim = account();
    sim.own(|own| own.volumes = (0..28).map(volume).collect());
    let conditions = judge(&gather(&sim, &sim, purpose(), Ec2Checks::All).await);
    let slots = conditions.iter().find(|one| one.kind == Kind::VolumeSlotsCounted).unwrap();
    assert_eq!(slots.reason, Reason::SlotsExhausted, "{}", slots.message);
}

#[tokio::test]
async fn f085_volumes_of_the_launch_are_counted_apart() {
    let sim = account();
    let root = Attachment { delete_on_termination: true, ..volume(0) };
    sim.own(|own| own.volumes = vec![root, volume(1), volume(2)]);
    let facts = gather(&sim, &sim, purpose(), Ec2Checks::All).await;
    assert_eq!(facts.volumes, Fact::Known(AttachedVolumes { count: 3, of_launch: 1 }));
}

#[tokio::test]
async fn with_ec2_checks_skipped_no_ec2_call_is_made() {
    let sim = account();
    let facts = gather(&sim, &sim, purpose(), Ec2Checks::Skip).await;
    assert_eq!(sim.reads(), 0);
    assert_eq!((facts.interfaces, facts.rights.len()), (Fact::NotChecked, 0));
    assert_eq!(facts.identity.known().map(|it| it.instance.clone()), Some(own()));
}

#[tokio::test]
async fn a_preflight_without_subnets_makes_three_ec2_calls() {
    let sim = account();
    let facts = gather(&sim, &sim, purpose(), Ec2Checks::All).await;
    assert_eq!(sim.reads(), 3);
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
        let conditions = judge(&gather(&sim, &sim, with_pool(), Ec2Checks::All).await);
        let allowed = conditions.iter().find(|one| one.kind == Kind::Ec2Allowed).unwrap();
        let harmless = right.is_optional();
        let wanted = if harmless { Reason::OptionalDenied } else { Reason::Denied };
        assert_eq!(allowed.reason, wanted, "{right}");
        assert!(allowed.message.contains(&right.to_string()), "{}", allowed.message);
    }
}

#[tokio::test]
async fn a_failed_read_fails_alone() {
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
        let conditions = judge(&gather(&broken, &sim, with_pool(), Ec2Checks::All).await);
        assert_eq!(script.fired(), 1, "{op:?}");
        let reported = conditions.iter().find(|one| one.kind == kind).unwrap();
        assert!(
            reported.message.contains("injected by the script"),
            "{op:?}: {}",
            reported.message
        );
    }
}
