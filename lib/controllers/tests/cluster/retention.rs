//! The retention of claims of unneeded members.

use firecamp_controllers::leader::{DeletionReason, ObservedPod, Operation, Owner};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::State;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy};

use super::support::{
    ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, gone, live, member, owner, parsed,
    uid,
};

fn dropped(operations: &[Operation]) -> Option<DeletionReason> {
    operations.iter().find_map(|operation| {
        let Operation::DeleteClaim { member: whose, id, why, .. } = operation else { return None };
        assert_eq!((whose, &id.uid), (&member("redis-0"), &uid("claim-redis-0")));
        Some(*why)
    })
}

/// The UID of the owner that is to be recorded.
fn owned(operations: &[Operation]) -> Option<&str> {
    operations.iter().find_map(|operation| {
        let Operation::RecordOwner { owner, .. } = operation else { return None };
        Some(owner.as_ref().map_or("none", |owner| owner.uid.as_str()))
    })
}

/// Released, its pod gone, and its StatefulSet scaled to nothing.
fn scaled() -> ClusterFixture {
    let mut fixture = ClusterFixture::with_member(State::Parked);
    fixture.set("set-1", 0);
    fixture.pod("redis-0", gone());
    fixture
}

fn policy(fixture: &mut ClusterFixture, when_deleted: ClaimRetention, when_scaled: ClaimRetention) {
    let pool = fixture.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    pool.retention = ClaimRetentionPolicy { when_deleted, when_scaled };
}

#[test]
fn a_claim_is_deleted_after_a_scale_down_two_passes_and_a_grace_period() {
    let mut fixture = scaled();
    assert_eq!(dropped(&fixture.after(MINUTE)), None);
    assert_eq!(dropped(&fixture.after(MINUTE)), None);
    assert_eq!(dropped(&fixture.after(MINUTE)), Some(DeletionReason::ScaledDown));
}

#[test]
fn a_claim_is_deleted_with_its_stateful_set() {
    let mut fixture = scaled();
    fixture.no_set();
    assert_eq!(dropped(&fixture.during(MINUTE * 3)), Some(DeletionReason::SetDeleted));
}

#[test]
fn when_deleted_and_when_scaled_apply_independently() {
    let mut fixture = scaled();
    policy(&mut fixture, ClaimRetention::Delete, ClaimRetention::Retain);
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
    let mut fixture = scaled();
    fixture.no_set();
    policy(&mut fixture, ClaimRetention::Retain, ClaimRetention::Delete);
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
    let mut fixture = scaled();
    policy(&mut fixture, ClaimRetention::Retain, ClaimRetention::Retain);
    assert!(
        fixture.planner.ask(&fixture.view, &fixture.site).pods.is_empty(),
        "no query is made for it"
    );
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_without_a_recorded_owner_stays_whatever_its_name() {
    let mut fixture = scaled();
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
    fixture.no_set();
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_stays_if_its_pool_is_gone_or_unreadable() {
    let mut fixture = scaled();
    fixture.view.pools.insert(parsed("pool"), None);
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
    fixture.view.pools.clear();
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_stays_while_any_pod_of_its_name_exists() {
    let ending = PodLifecycle::Terminating(None);
    for lifecycle in [PodLifecycle::Running, ending, PodLifecycle::Terminal] {
        let mut fixture = scaled();
        let view =
            PodView::Present { pod: parsed("pod-1"), node: None, lifecycle, controller: None };
        fixture.pod("redis-0", ObservedPod { view, controller: Some(owner("set-1")) });
        assert_eq!(dropped(&fixture.during(MINUTE * 30)), None, "{lifecycle:?}");
    }
}

#[test]
fn a_claim_stays_while_its_address_is_not_released() {
    for state in [State::Attaching, State::Attached, State::Releasing] {
        let mut fixture = scaled();
        fixture.put(address(ADDRESS, "redis-0", Some(attachment(state, "pod-1", "n1"))));
        assert_eq!(dropped(&fixture.during(MINUTE * 30)), None, "{state:?}");
        fixture.view.addresses.insert(ADDRESS, None);
        assert_eq!(dropped(&fixture.during(MINUTE * 30)), None, "unread");
    }
}

#[test]
fn an_unreadable_pod_is_not_absent() {
    let mut fixture = scaled();
    fixture.answers.pods.clear();
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn scaling_up_again_in_time_deletes_nothing() {
    let mut fixture = scaled();
    assert_eq!(dropped(&fixture.during(MINUTE)), None);
    fixture.set("set-1", 1);
    assert_eq!(dropped(&fixture.after(MINUTE * 5)), None);
    fixture.set("set-1", 0);
    assert_eq!(dropped(&fixture.after(MINUTE)), None, "its grace period starts over");
}

#[test]
fn ordinals_may_start_above_zero() {
    let mut fixture = scaled();
    fixture.set("set-1", 3);
    for set in fixture.view.sets.values_mut().flatten() {
        set.first = 5;
    }
    assert_eq!(dropped(&fixture.during(MINUTE * 3)), Some(DeletionReason::ScaledDown));
}

#[test]
fn f079_a_recreated_stateful_set_of_the_same_name_deletes_no_claim_of_the_first() {
    for replicas in [0, 1, 3] {
        let mut fixture = scaled();
        fixture.set("set-2", replicas);
        assert_eq!(dropped(&fixture.during(MINUTE * 30)), None, "{replicas}");
    }
}

#[test]
fn f079_a_pod_of_a_new_stateful_set_updates_the_owner_of_its_claim() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.set("set-2", 1);
    fixture.pod("redis-0", live("pod-1", Some(owner("set-2"))));
    assert_eq!(owned(&fixture.after(MINUTE)), Some("set-2"));
    fixture.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-2"))));
    assert_eq!(owned(&fixture.during(MINUTE * 3)), None, "it is on record");
}

#[test]
fn a_stateful_set_deleted_with_cascade_orphan_keeps_claims_while_its_pods_live() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.no_set();
    fixture.pod("redis-0", live("pod-1", None));
    let operations = fixture.during(MINUTE * 3);
    assert_eq!(dropped(&operations), None);
    assert_eq!(owned(&operations), Some("none"));
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    // A person deletes the pod, later.
    fixture.put(address(ADDRESS, "redis-0", Some(attachment(State::Parked, "pod-1", "n1"))));
    fixture.pod("redis-0", gone());
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}

#[test]
fn the_owner_is_read_from_the_live_pod_that_holds_the_address() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(owned(&fixture.after(MINUTE)), Some("set-1"));
    // Another pod of the name proves nothing about the holder of the address.
    fixture.pod("redis-0", live("pod-2", Some(owner("set-1"))));
    assert_eq!(owned(&fixture.after(MINUTE)), None);
}

#[test]
fn f105_the_owner_is_recorded_whatever_the_retention_policy() {
    let keep = ClaimRetention::Retain;
    let mut fixture = ClusterFixture::with_member(State::Attached);
    policy(&mut fixture, keep, keep);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(owned(&fixture.after(MINUTE)), Some("set-1"));
    // The set was made again under its name: the record follows.
    fixture.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    fixture.set("set-2", 1);
    fixture.pod("redis-0", live("pod-1", Some(owner("set-2"))));
    assert_eq!(owned(&fixture.after(MINUTE)), Some("set-2"));
}

#[test]
fn f105_with_retained_claims_an_orphaned_pod_clears_no_owner() {
    let keep = ClaimRetention::Retain;
    let mut fixture = ClusterFixture::with_member(State::Attached);
    policy(&mut fixture, keep, keep);
    fixture.no_set();
    fixture.pod("redis-0", live("pod-1", None));
    assert_eq!(owned(&fixture.during(MINUTE * 3)), None);
    assert!(fixture.planner.ask(&fixture.view, &fixture.site).pods.is_empty(), "it was read once");
}

#[test]
fn the_owner_reads_per_pass_are_limited() {
    let mut fixture = ClusterFixture::new();
    fixture.set("set-1", 600);
    for number in 0..600_u32 {
        let (name, at) = (format!("redis-{number}"), (u32::from(ADDRESS) + number).into());
        fixture.put(address(at, &name, Some(attachment(State::Attached, "pod-1", "here"))));
        fixture.claim(claim(&name, Some(at), None));
        fixture.pod(&name, live("pod-1", Some(owner("set-1"))));
    }
    let operations = fixture.after(MINUTE);
    assert_eq!(operations.len(), 500);
    for operation in operations {
        let Operation::RecordOwner { member, owner, .. } = operation else {
            panic!("{operation:?}")
        };
        let at = fixture.view.claims[&member].as_ref().and_then(|seen| seen.claim.address);
        fixture.claim(claim(member.name(), at, owner));
    }
    assert_eq!(fixture.after(MINUTE).len(), 100, "then come the others");
}

#[test]
fn an_owner_whose_name_does_not_match_the_member_is_ignored() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    let other = Owner { name: parsed("redi"), uid: uid("set-9") };
    fixture.pod("redis-0", live("pod-1", Some(other)));
    assert_eq!(owned(&fixture.after(MINUTE)), None);
}

#[test]
fn the_owner_of_a_pod_is_read_once() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    fixture.pod("redis-0", live("pod-1", None));
    assert_eq!(owned(&fixture.after(MINUTE)), None);
    assert!(fixture.planner.ask(&fixture.view, &fixture.site).pods.is_empty());
    fixture.put(address(ADDRESS, "redis-0", Some(attachment(State::Attached, "pod-2", "n1"))));
    assert!(!fixture.planner.ask(&fixture.view, &fixture.site).pods.is_empty(), "another pod is");
}

#[test]
fn an_unreadable_stateful_set_keeps_all_its_members() {
    let mut fixture = scaled();
    for set in fixture.view.sets.values_mut() {
        *set = None;
    }
    assert_eq!(dropped(&fixture.during(MINUTE * 30)), None);
}
