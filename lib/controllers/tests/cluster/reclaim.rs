//! Addresses whose claim is gone.

use firecamp_controllers::leader::{
    ConditionChange, ConditionKind, ObservedStaticIp, Operation, SeenConditions, is_orphan,
};
use firecamp_core::ids::Member;
use firecamp_core::record::{Mutation, PendingMutation, State};
use firecamp_registry::api::{AddressPhase, ReclaimPolicy};

use super::support::{ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, gone, parsed};

fn orphaned(state: Option<State>) -> ClusterFixture {
    let mut fixture = ClusterFixture::new();
    let attachment = state.map(|state| attachment(state, "pod-1", "n1"));
    fixture
        .view
        .nodes
        .insert(parsed("n1"), Some(firecamp_controllers::leader::NodeReadiness::Ready.into()));
    fixture.put(address(ADDRESS, "redis-0", attachment));
    fixture.pod("redis-0", gone());
    fixture
}

fn retain(fixture: &mut ClusterFixture) {
    fixture.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap().reclaim =
        ReclaimPolicy::Retain;
}

fn reported(operations: Vec<Operation>) -> Option<(Option<AddressPhase>, ConditionChange)> {
    operations.into_iter().find_map(|operation| {
        let Operation::UpdateStaticIpStatus { phase, change, .. } = operation else { return None };
        Some((phase, change))
    })
}

fn is_unassign(operation: &Operation) -> bool {
    matches!(operation, Operation::Unassign { .. })
}

fn is_drop(operation: &Operation) -> bool {
    matches!(operation, Operation::DeleteStaticIp { .. })
}

#[test]
fn an_orphan_is_unassigned_before_its_static_ip_is_deleted() {
    let mut fixture = orphaned(Some(State::Parked));
    let operations = fixture.during(MINUTE);
    assert!(operations.is_empty(), "too early: {operations:?}");
    let operations = fixture.during(MINUTE * 2);
    assert!(!operations.is_empty() && operations.iter().all(is_unassign), "{operations:?}");
    fixture.put(address(ADDRESS, "redis-0", Some(attachment(State::Released, "pod-1", "n1"))));
    let operations = fixture.after(MINUTE);
    assert!(operations.is_empty(), "the record has only just changed: {operations:?}");
    let operations = fixture.during(MINUTE * 2);
    assert!(!operations.is_empty() && operations.iter().all(is_drop), "{operations:?}");
}

/// An adopted address: parked and orphaned.
fn adopted() -> ClusterFixture {
    let mut fixture = orphaned(None);
    let mut seen = address(ADDRESS, "redis-0", Some(attachment(State::Parked, "orphaned", "n1")));
    seen.record.member = Member::orphaned(ADDRESS);
    fixture.put(seen);
    fixture
}

#[test]
fn an_adopted_address_is_unassigned_like_any_orphan() {
    let mut fixture = adopted();
    let operations = fixture.during(MINUTE);
    assert!(operations.is_empty(), "too early: {operations:?}");
    let operations = fixture.during(MINUTE * 2);
    assert!(!operations.is_empty() && operations.iter().all(is_unassign), "{operations:?}");
}

#[test]
fn with_retain_an_adopted_address_stays_and_its_status_names_no_member() {
    let mut fixture = adopted();
    retain(&mut fixture);
    assert!(fixture.during(MINUTE * 30).is_empty());
    let (_phase, change) = reported(fixture.pass()).unwrap();
    let ConditionChange::Set(condition) = change else { panic!("{change:?}") };
    assert!(condition.message.contains("adopted from EC2"), "{condition:?}");
    assert!(condition.message.contains("delete this StaticIP"), "{condition:?}");
    assert!(!condition.message.contains("create the claim"), "{condition:?}");
}

#[test]
fn an_address_that_was_never_acquired_is_deleted_immediately() {
    let operations = orphaned(None).during(MINUTE * 3);
    assert!(!operations.is_empty() && operations.iter().all(is_drop), "{operations:?}");
}

/// As an import records what the original had on a machine that is no node.
fn reserved() -> ObservedStaticIp {
    let mut seen = address(ADDRESS, "redis-0", None);
    seen.record.reserved_on = Some(parsed("eni-0000000b"));
    seen
}

#[test]
fn a_never_acquired_address_is_deleted_without_an_ec2_call() {
    let mut fixture = orphaned(None);
    fixture.put(reserved());
    let operations = fixture.during(MINUTE * 3);
    assert!(!operations.is_empty() && operations.iter().all(is_drop), "{operations:?}");

    let mut fixture = orphaned(None);
    retain(&mut fixture);
    let mut deleted = reserved();
    deleted.id.deleting = true;
    fixture.put(deleted);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    let operations = fixture.during(MINUTE * 3);
    let is_freed = |operation: &Operation| matches!(operation, Operation::RemoveFinalizer { .. });
    assert!(!operations.is_empty() && operations.iter().all(is_freed), "{operations:?}");
}

#[test]
fn an_unheld_address_with_a_pending_mutation_stays() {
    let mut fixture = orphaned(None);
    let mut seen = reserved();
    let (eni, run) = (parsed("eni-0000000c"), parsed("run"));
    seen.record.pending_mutations.insert(PendingMutation { mutation: Mutation::Assign, eni, run });
    fixture.put(seen);
    let operations = fixture.during(MINUTE * 30);
    assert!(
        operations
            .iter()
            .all(|operation| matches!(operation, Operation::UpdateStaticIpStatus { .. })),
        "{operations:?}"
    );
}

#[test]
fn an_unfinished_release_is_finished() {
    let operations = orphaned(Some(State::Releasing)).during(MINUTE * 3);
    assert!(!operations.is_empty() && operations.iter().all(is_unassign), "{operations:?}");
}

#[test]
fn f076_a_held_address_is_not_reclaimed() {
    for state in [State::Attaching, State::Attached] {
        let operations = orphaned(Some(state)).during(MINUTE * 30);
        assert!(operations.is_empty(), "{state:?}: {operations:?}");
    }
}

#[test]
fn with_retain_nothing_is_deleted_and_the_status_lists_the_actions() {
    let mut fixture = orphaned(Some(State::Parked));
    retain(&mut fixture);
    assert!(fixture.during(MINUTE * 30).is_empty());
    let (phase, change) = reported(fixture.pass()).unwrap();
    assert_eq!(phase, Some(AddressPhase::Released));
    let ConditionChange::Set(mut condition) = change else { panic!("{change:?}") };
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ClaimNotFound"));
    assert!(condition.message.contains("create the claim with spec.address 10.0.1.50"));
    // Once it is written, with its time, nothing is left to update.
    condition.last_transition_time = Some("2026-11-20T15:00:00Z".to_owned());
    let mut seen = address(ADDRESS, "redis-0", Some(attachment(State::Parked, "pod-1", "n1")));
    seen.phase = phase;
    seen.conditions = SeenConditions::from([condition].as_slice());
    fixture.put(seen);
    assert_eq!(reported(fixture.pass()), None);
    // A claim names it again.
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    let removal = ConditionChange::Remove(ConditionKind::Claimed);
    assert_eq!(reported(fixture.pass()), Some((None, removal)));
}

#[test]
fn a_missing_or_unreadable_pool_retains() {
    let mut fixture = orphaned(Some(State::Parked));
    fixture.view.pools.insert(parsed("pool"), None);
    assert!(fixture.during(MINUTE * 30).is_empty());
    fixture.view.pools.clear();
    assert!(fixture.during(MINUTE * 30).is_empty());
}

#[test]
fn an_unreadable_claim_is_not_absent() {
    let mut fixture = orphaned(Some(State::Parked));
    fixture.view.claims.insert(super::support::member("redis-0"), None);
    assert!(fixture.during(MINUTE * 30).is_empty());
}

#[test]
fn a_claim_that_names_another_address_orphans_this_one() {
    let other = claim("redis-0", Some(parsed("10.0.1.51")), None);
    assert!(is_orphan(ADDRESS, Some(&other)));
    assert!(!is_orphan(ADDRESS, Some(&claim("redis-0", None, None))), "it may come to name it");
    assert!(!is_orphan(ADDRESS, Some(&claim("redis-0", Some(ADDRESS), None))));
    assert!(is_orphan(ADDRESS, None));
}

/// The member's address, whose StaticIP a user deleted while the member still has its claim.
fn deleted(state: Option<State>) -> ClusterFixture {
    let mut fixture = orphaned(state);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    let mut seen = address(ADDRESS, "redis-0", state.map(|it| attachment(it, "pod-1", "n1")));
    seen.id.deleting = true;
    seen.finalizers.push("example.com/backup".to_owned());
    fixture.put(seen);
    fixture
}

#[test]
fn f076_a_deleted_static_ip_stays_while_a_pod_uses_its_address_and_reports_it() {
    for state in [State::Attaching, State::Attached] {
        let mut fixture = deleted(Some(state));
        let operations = fixture.during(MINUTE * 30);
        assert!(operations.is_empty(), "{state:?}: {operations:?}");
        let (_phase, change) = reported(fixture.pass()).unwrap();
        let ConditionChange::Set(condition) = change else { panic!("{change:?}") };
        assert_eq!((condition.kind.as_str(), condition.reason.as_str()), ("Deletable", "InUse"));
    }
}

#[test]
fn f076_a_deleted_static_ip_is_removed_only_after_its_address_has_been_unassigned_for_long() {
    for state in [State::Parked, State::Releasing] {
        let operations = deleted(Some(state)).during(MINUTE * 3);
        assert!(!operations.is_empty() && operations.iter().all(is_unassign), "{operations:?}");
    }
    for state in [None, Some(State::Released)] {
        let mut fixture = deleted(state);
        assert!(fixture.during(MINUTE).is_empty(), "too early");
        let operations = fixture.during(MINUTE * 2);
        assert!(!operations.is_empty());
        for operation in operations {
            let Operation::RemoveFinalizer { address: ADDRESS, rest, .. } = operation else {
                panic!("{operation:?}")
            };
            assert_eq!(rest, ["example.com/backup"], "the finalizers of others are not ours");
        }
    }
}

#[test]
fn a_deleted_static_ip_without_our_finalizer_is_left_alone() {
    let mut fixture = deleted(Some(State::Released));
    for seen in fixture.view.addresses.values_mut().flatten() {
        seen.finalizers = vec!["example.com/backup".to_owned()];
    }
    assert!(fixture.during(MINUTE * 30).is_empty());
}
