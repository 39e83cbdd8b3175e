//! A large cluster: many objects of one kind delay nothing else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_controllers::leader::{NodeReadiness, Operation};
use firecamp_core::record::State;
use firecamp_registry::api::ReclaimPolicy;

use super::support::{
    ClusterFixture, MINUTE, address, attachment, claim, gone, live, member, owner, parsed,
};

const MEMBERS: u8 = 120;

/// An address of the crowd, and its member's name.
fn one(index: u8) -> (Ipv4Addr, String) {
    (Ipv4Addr::new(10, 0, 1, 60 + index), format!("redis-{index}"))
}

/// An address of a member on this node, whose pod is gone, and its machine, too.
fn lost(fixture: &mut ClusterFixture, at: Ipv4Addr, name: &str, node: &str) {
    fixture.put(address(at, name, Some(attachment(State::Attached, &format!("pod-{name}"), node))));
    fixture.claim(claim(name, Some(at), None));
    fixture.pod(name, gone());
    fixture.answers.held.insert(at, false);
}

fn addresses(operations: &[Operation]) -> BTreeSet<Ipv4Addr> {
    let address = |operation: &Operation| match operation {
        Operation::Release { address, .. }
        | Operation::Unassign { address, .. }
        | Operation::DeleteStaticIp { address, .. }
        | Operation::RemoveFinalizer { address, .. }
        | Operation::UpdateStaticIpStatus { address, .. } => Some(*address),
        Operation::RecordOwner { .. }
        | Operation::DeleteClaim { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::RemoveZoneGate { .. }
        | Operation::ReportZoneConflict { .. }
        | Operation::DrainInterface(_)
        | Operation::DetachInterface { .. }
        | Operation::DeleteInterface(_)
        | Operation::UpdateClaimStatus { .. }
        | Operation::UpdatePoolStatus { .. } => None,
    };
    operations.iter().filter_map(address).collect()
}

#[test]
fn f077_pods_on_record_at_a_dead_node_delay_no_other_release() {
    let mut fixture = ClusterFixture::new();
    fixture.view.nodes.insert(parsed("dead"), Some(NodeReadiness::NotReady.into()));
    for (at, name) in (0..MEMBERS).map(one) {
        lost(&mut fixture, at, &name, "dead");
        fixture.pod(&name, live(&format!("pod-{name}"), None));
    }
    let last = Ipv4Addr::new(10, 0, 1, 250);
    lost(&mut fixture, last, "kafka-0", "gone");
    let asked = fixture.planner.ask(&fixture.view, &fixture.site);
    assert!(asked.owners.len() < usize::from(MEMBERS), "each pass looks up only some of them");
    let released = addresses(&fixture.during(MINUTE * 10));
    assert_eq!(released, BTreeSet::from([last]));
}

#[test]
fn each_address_of_a_dead_node_is_released_within_minutes() {
    let mut fixture = ClusterFixture::new();
    for (at, name) in (0..50).map(one) {
        lost(&mut fixture, at, &name, "gone");
    }
    let released = addresses(&fixture.during(MINUTE * 5));
    assert_eq!(released.len(), 50);
}

#[test]
fn orphans_delay_neither_releases_nor_pools_and_each_is_reported() {
    let mut fixture = ClusterFixture::new();
    let many: Vec<Ipv4Addr> = (0..450_u32)
        .map(|index| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 2, 0)) + index))
        .collect();
    for at in &many {
        let name = format!("gone-{}", u32::from(*at));
        fixture.put(address(*at, &name, Some(attachment(State::Parked, "pod-x", "here"))));
    }
    let dead = Ipv4Addr::new(10, 0, 9, 9);
    lost(&mut fixture, dead, "redis-0", "gone");
    let pool = fixture.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    pool.reclaim = ReclaimPolicy::Retain;
    let (mut met, mut last) = (BTreeSet::new(), Vec::new());
    for _ in 0..12 {
        fixture.now = fixture.now.plus(MINUTE);
        last = fixture.pass();
        assert!(last.len() < 260, "a pass is bounded: {} operations", last.len());
        met.extend(addresses(&last));
    }
    assert!(matches!(last.first(), Some(Operation::Release { address, .. }) if *address == dead));
    let pools =
        last.iter().position(|operation| matches!(operation, Operation::UpdatePoolStatus { .. }));
    let reported = last
        .iter()
        .position(|operation| matches!(operation, Operation::UpdateStaticIpStatus { .. }));
    assert!(pools.is_some() && pools < reported, "pools come before what there may be much of");
    assert_eq!(met.len(), many.len() + 1, "and none waits for another one");
}

#[test]
fn orphans_are_unassigned_in_batches() {
    let mut fixture = ClusterFixture::new();
    for (at, name) in (0..MEMBERS).map(one) {
        fixture.put(address(at, &name, Some(attachment(State::Parked, "pod-x", "here"))));
    }
    let (mut met, mut most) = (BTreeSet::new(), 0);
    for _ in 0..8 {
        let operations = fixture.after(MINUTE);
        assert!(
            operations.iter().all(|operation| matches!(operation, Operation::Unassign { .. })),
            "{operations:?}"
        );
        most = most.max(operations.len());
        met.extend(addresses(&operations));
    }
    assert_eq!((met.len(), most), (usize::from(MEMBERS), 50));
}

#[test]
fn unneeded_claims_are_deleted_though_other_pods_are_unreadable() {
    let mut fixture = ClusterFixture::new();
    let names: Vec<String> = (0..700).map(|index| format!("redis-{index}")).collect();
    for name in &names {
        fixture.claim(claim(name, None, Some(owner("set-1"))));
    }
    let last = names.last().unwrap();
    fixture.pod(last, gone());
    let dropped: BTreeSet<_> = fixture
        .during(MINUTE * 6)
        .into_iter()
        .filter_map(|operation| {
            let Operation::DeleteClaim { member, .. } = operation else { return None };
            Some(member)
        })
        .collect();
    assert_eq!(dropped, BTreeSet::from([member(last)]));
}
