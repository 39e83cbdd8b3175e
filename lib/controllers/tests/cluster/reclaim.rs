//! Addresses whose claim is gone.

use firecamp_controllers::leader::{AddressSeen, Duty, is_orphan};
use firecamp_core::ids::Member;
use firecamp_core::record::{Mark, Mutation, State};
use firecamp_registry::api::{AddressPhase, ReclaimPolicy, StaticIPStatus};

use super::support::{ADDRESS, MINUTE, Town, address, attachment, claim, gone, parsed};

fn orphaned(state: Option<State>) -> Town {
    let mut town = Town::new();
    let attachment = state.map(|state| attachment(state, "pod-1", "n1"));
    town.view
        .nodes
        .insert(parsed("n1"), Some(firecamp_controllers::leader::NodeLife::Ready.into()));
    town.put(address(ADDRESS, "redis-0", attachment));
    town.pod("redis-0", gone());
    town
}

fn retain(town: &mut Town) {
    town.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap().reclaim =
        ReclaimPolicy::Retain;
}

fn told(duties: Vec<Duty>) -> Option<StaticIPStatus> {
    duties.into_iter().find_map(|duty| {
        let Duty::TellAddress { status, .. } = duty else { return None };
        Some(status)
    })
}

fn is_unassign(duty: &Duty) -> bool {
    matches!(duty, Duty::Unassign { .. })
}

fn is_drop(duty: &Duty) -> bool {
    matches!(duty, Duty::DropAddress { .. })
}

#[test]
fn an_address_without_a_claim_leaves_ec2_before_its_object_goes() {
    let mut town = orphaned(Some(State::Parked));
    let duties = town.during(MINUTE);
    assert!(duties.is_empty(), "too early: {duties:?}");
    let duties = town.during(MINUTE * 2);
    assert!(!duties.is_empty() && duties.iter().all(is_unassign), "{duties:?}");
    town.put(address(ADDRESS, "redis-0", Some(attachment(State::Released, "pod-1", "n1"))));
    let duties = town.after(MINUTE);
    assert!(duties.is_empty(), "the record has only just changed: {duties:?}");
    let duties = town.during(MINUTE * 2);
    assert!(!duties.is_empty() && duties.iter().all(is_drop), "{duties:?}");
}

/// As an agent adopts it: parked, and nobody's.
fn adopted() -> Town {
    let mut town = orphaned(None);
    let mut seen = address(ADDRESS, "redis-0", Some(attachment(State::Parked, "unclaimed", "n1")));
    seen.record.member = Member::nobody(ADDRESS);
    town.put(seen);
    town
}

#[test]
fn an_adopted_address_leaves_ec2_as_any_other_that_no_claim_names() {
    let mut town = adopted();
    let duties = town.during(MINUTE);
    assert!(duties.is_empty(), "too early: {duties:?}");
    let duties = town.during(MINUTE * 2);
    assert!(!duties.is_empty() && duties.iter().all(is_unassign), "{duties:?}");
}

#[test]
fn with_retain_an_adopted_address_stays_and_its_status_names_no_member() {
    let mut town = adopted();
    retain(&mut town);
    assert!(town.during(MINUTE * 30).is_empty());
    let status = told(town.pass()).unwrap();
    let [condition] = status.conditions.as_slice() else { panic!("{status:?}") };
    assert!(condition.message.contains("it was adopted"), "{condition:?}");
    assert!(condition.message.contains("delete this StaticIP"), "{condition:?}");
    assert!(!condition.message.contains("create the claim"), "{condition:?}");
}

#[test]
fn an_address_that_was_never_taken_goes_at_once() {
    let duties = orphaned(None).during(MINUTE * 3);
    assert!(!duties.is_empty() && duties.iter().all(is_drop), "{duties:?}");
}

/// As an import records what the original had on a machine that is no node.
fn reserved() -> AddressSeen {
    let mut seen = address(ADDRESS, "redis-0", None);
    seen.record.reserved_on = Some(parsed("eni-0000000b"));
    seen
}

#[test]
fn an_address_that_was_only_reserved_goes_without_a_call_as_its_pool_or_a_person_wants() {
    let mut town = orphaned(None);
    town.put(reserved());
    let duties = town.during(MINUTE * 3);
    assert!(!duties.is_empty() && duties.iter().all(is_drop), "{duties:?}");

    let mut town = orphaned(None);
    retain(&mut town);
    let mut deleted = reserved();
    deleted.id.deleting = true;
    town.put(deleted);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    let duties = town.during(MINUTE * 3);
    let is_freed = |duty: &Duty| matches!(duty, Duty::FreeAddress { .. });
    assert!(!duties.is_empty() && duties.iter().all(is_freed), "{duties:?}");
}

#[test]
fn an_address_of_which_a_call_may_be_under_way_stays_though_nobody_holds_it() {
    let mut town = orphaned(None);
    let mut seen = reserved();
    let (eni, run) = (parsed("eni-0000000c"), parsed("run"));
    seen.record.unsettled.insert(Mark { mutation: Mutation::Assign, eni, run });
    town.put(seen);
    let duties = town.during(MINUTE * 30);
    assert!(duties.iter().all(|duty| matches!(duty, Duty::TellAddress { .. })), "{duties:?}");
}

#[test]
fn an_unfinished_release_is_finished() {
    let duties = orphaned(Some(State::Releasing)).during(MINUTE * 3);
    assert!(!duties.is_empty() && duties.iter().all(is_unassign), "{duties:?}");
}

#[test]
fn f076_an_address_that_is_held_is_not_reclaimed() {
    for state in [State::Attaching, State::Attached] {
        let duties = orphaned(Some(state)).during(MINUTE * 30);
        assert!(duties.is_empty(), "{state:?}: {duties:?}");
    }
}

#[test]
fn with_retain_nothing_is_lost_and_the_status_says_what_a_person_can_do() {
    let mut town = orphaned(Some(State::Parked));
    retain(&mut town);
    assert!(town.during(MINUTE * 30).is_empty());
    let status = told(town.pass()).unwrap();
    assert_eq!(status.phase, Some(AddressPhase::Released));
    let [condition] = status.conditions.as_slice() else { panic!("{status:?}") };
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ClaimGone"));
    assert!(condition.message.contains("create the claim with spec.address 10.0.1.50"));
    // Once it is written, with its time, there is nothing to say any more.
    let mut status = status;
    status.conditions[0].last_transition_time = Some("2026-11-20T15:00:00Z".to_owned());
    let mut seen = address(ADDRESS, "redis-0", Some(attachment(State::Parked, "pod-1", "n1")));
    seen.status = status;
    town.put(seen);
    assert_eq!(told(town.pass()), None);
    // A claim names it again.
    town.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(told(town.pass()), Some(StaticIPStatus::default()));
}

#[test]
fn a_pool_that_is_gone_or_cannot_be_read_retains() {
    let mut town = orphaned(Some(State::Parked));
    town.view.pools.insert(parsed("pool"), None);
    assert!(town.during(MINUTE * 30).is_empty());
    town.view.pools.clear();
    assert!(town.during(MINUTE * 30).is_empty());
}

#[test]
fn a_claim_that_cannot_be_read_is_not_gone() {
    let mut town = orphaned(Some(State::Parked));
    town.view.claims.insert(super::support::member("redis-0"), None);
    assert!(town.during(MINUTE * 30).is_empty());
}

#[test]
fn a_claim_that_names_another_address_leaves_this_one_an_orphan() {
    let other = claim("redis-0", Some(parsed("10.0.1.51")), None);
    assert!(is_orphan(ADDRESS, Some(&other)));
    assert!(!is_orphan(ADDRESS, Some(&claim("redis-0", None, None))), "it may come to name it");
    assert!(!is_orphan(ADDRESS, Some(&claim("redis-0", Some(ADDRESS), None))));
    assert!(is_orphan(ADDRESS, None));
}

/// The member's address, whose object somebody deleted though the member still has its claim.
fn deleted(state: Option<State>) -> Town {
    let mut town = orphaned(state);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    let mut seen = address(ADDRESS, "redis-0", state.map(|it| attachment(it, "pod-1", "n1")));
    seen.id.deleting = true;
    seen.finalizers.push("example.com/backup".to_owned());
    town.put(seen);
    town
}

#[test]
fn f076_an_object_that_somebody_deletes_stays_while_a_pod_holds_its_address_and_says_so() {
    for state in [State::Attaching, State::Attached] {
        let mut town = deleted(Some(state));
        let duties = town.during(MINUTE * 30);
        assert!(duties.is_empty(), "{state:?}: {duties:?}");
        let status = told(town.pass()).unwrap();
        let [condition] = status.conditions.as_slice() else { panic!("{status:?}") };
        assert_eq!((condition.kind.as_str(), condition.reason.as_str()), ("Deletable", "Held"));
    }
}

#[test]
fn f076_a_deleted_object_goes_only_once_its_address_is_out_of_ec2_for_long() {
    for state in [State::Parked, State::Releasing] {
        let duties = deleted(Some(state)).during(MINUTE * 3);
        assert!(!duties.is_empty() && duties.iter().all(is_unassign), "{duties:?}");
    }
    for state in [None, Some(State::Released)] {
        let mut town = deleted(state);
        assert!(town.during(MINUTE).is_empty(), "too early");
        let duties = town.during(MINUTE * 2);
        assert!(!duties.is_empty());
        for duty in duties {
            let Duty::FreeAddress { address: ADDRESS, rest, .. } = duty else { panic!("{duty:?}") };
            assert_eq!(rest, ["example.com/backup"], "the finalizers of others are not ours");
        }
    }
}

#[test]
fn a_deleted_object_without_our_finalizer_is_left_to_others() {
    let mut town = deleted(Some(State::Released));
    for seen in town.view.addresses.values_mut().flatten() {
        seen.finalizers = vec!["example.com/backup".to_owned()];
    }
    assert!(town.during(MINUTE * 30).is_empty());
}
