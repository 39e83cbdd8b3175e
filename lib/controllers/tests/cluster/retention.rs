//! Claims of members that nobody wants.

use firecamp_controllers::leader::{Duty, Owner, PodSeen, Unwanted};
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::State;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy};

use super::support::{
    ADDRESS, MINUTE, Town, address, attachment, claim, gone, live, member, owner, parsed, uid,
};

fn dropped(duties: &[Duty]) -> Option<Unwanted> {
    duties.iter().find_map(|duty| {
        let Duty::DropClaim { member: whose, id, why, .. } = duty else { return None };
        assert_eq!((whose, &id.uid), (&member("redis-0"), &uid("claim-redis-0")));
        Some(*why)
    })
}

/// The UID of the owner that is to be recorded.
fn owned(duties: &[Duty]) -> Option<&str> {
    duties.iter().find_map(|duty| {
        let Duty::Own { owner, .. } = duty else { return None };
        Some(owner.as_ref().map_or("nobody", |owner| owner.uid.as_str()))
    })
}

/// Released, its pod gone, and its StatefulSet scaled to nothing.
fn scaled() -> Town {
    let mut town = Town::with_member(State::Parked);
    town.set("set-1", 0);
    town.pod("redis-0", gone());
    town
}

fn policy(town: &mut Town, when_deleted: ClaimRetention, when_scaled: ClaimRetention) {
    let pool = town.view.pools.get_mut(&parsed("pool")).unwrap().as_mut().unwrap();
    pool.retention = ClaimRetentionPolicy { when_deleted, when_scaled };
}

#[test]
fn a_claim_goes_after_a_scale_down_two_passes_and_a_while() {
    let mut town = scaled();
    assert_eq!(dropped(&town.after(MINUTE)), None);
    assert_eq!(dropped(&town.after(MINUTE)), None);
    assert_eq!(dropped(&town.after(MINUTE)), Some(Unwanted::ScaledDown));
}

#[test]
fn a_claim_goes_with_its_stateful_set() {
    let mut town = scaled();
    town.no_set();
    assert_eq!(dropped(&town.during(MINUTE * 3)), Some(Unwanted::SetDeleted));
}

#[test]
fn each_half_of_the_policy_decides_about_its_own_case_alone() {
    let mut town = scaled();
    policy(&mut town, ClaimRetention::Delete, ClaimRetention::Retain);
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
    let mut town = scaled();
    town.no_set();
    policy(&mut town, ClaimRetention::Retain, ClaimRetention::Delete);
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
    let mut town = scaled();
    policy(&mut town, ClaimRetention::Retain, ClaimRetention::Retain);
    assert!(town.planner.ask(&town.view, &town.site).pods.is_empty(), "nothing is asked for it");
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_without_a_recorded_owner_stays_whatever_its_name_says() {
    let mut town = scaled();
    town.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
    town.no_set();
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_of_a_pool_that_is_gone_or_cannot_be_read_stays() {
    let mut town = scaled();
    town.view.pools.insert(parsed("pool"), None);
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
    town.view.pools.clear();
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}

#[test]
fn a_claim_stays_while_any_pod_of_its_name_is_there() {
    let ending = Life::Terminating(None);
    for life in [Life::Running, ending, Life::Terminal] {
        let mut town = scaled();
        let view = PodView::Present { pod: parsed("pod-1"), node: None, life, controller: None };
        town.pod("redis-0", PodSeen { view, controller: Some(owner("set-1")) });
        assert_eq!(dropped(&town.during(MINUTE * 30)), None, "{life:?}");
    }
}

#[test]
fn a_claim_stays_while_its_address_is_not_released() {
    for state in [State::Attaching, State::Attached, State::Releasing] {
        let mut town = scaled();
        town.put(address(ADDRESS, "redis-0", Some(attachment(state, "pod-1", "n1"))));
        assert_eq!(dropped(&town.during(MINUTE * 30)), None, "{state:?}");
        town.view.addresses.insert(ADDRESS, None);
        assert_eq!(dropped(&town.during(MINUTE * 30)), None, "unread");
    }
}

#[test]
fn a_pod_that_cannot_be_read_is_not_gone() {
    let mut town = scaled();
    town.answers.pods.clear();
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}

#[test]
fn scaling_up_again_in_time_loses_nothing() {
    let mut town = scaled();
    assert_eq!(dropped(&town.during(MINUTE)), None);
    town.set("set-1", 1);
    assert_eq!(dropped(&town.after(MINUTE * 5)), None);
    town.set("set-1", 0);
    assert_eq!(dropped(&town.after(MINUTE)), None, "its time begins anew");
}

#[test]
fn ordinals_may_begin_elsewhere() {
    let mut town = scaled();
    town.set("set-1", 3);
    for set in town.view.sets.values_mut().flatten() {
        set.first = 5;
    }
    assert_eq!(dropped(&town.during(MINUTE * 3)), Some(Unwanted::ScaledDown));
}

#[test]
fn f079_a_stateful_set_made_again_with_the_same_name_takes_no_claim_from_the_first() {
    for replicas in [0, 1, 3] {
        let mut town = scaled();
        town.set("set-2", replicas);
        assert_eq!(dropped(&town.during(MINUTE * 30)), None, "{replicas}");
    }
}

#[test]
fn f079_a_pod_of_the_new_stateful_set_gives_its_claim_the_new_owner() {
    let mut town = Town::with_member(State::Attached);
    town.set("set-2", 1);
    town.pod("redis-0", live("pod-1", Some(owner("set-2"))));
    assert_eq!(owned(&town.after(MINUTE)), Some("set-2"));
    town.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-2"))));
    assert_eq!(owned(&town.during(MINUTE * 3)), None, "it is on record");
}

#[test]
fn a_stateful_set_deleted_with_cascade_orphan_loses_nothing_while_its_pods_live_on() {
    let mut town = Town::with_member(State::Attached);
    town.no_set();
    town.pod("redis-0", live("pod-1", None));
    let duties = town.during(MINUTE * 3);
    assert_eq!(dropped(&duties), None);
    assert_eq!(owned(&duties), Some("nobody"));
    town.claim(claim("redis-0", Some(ADDRESS), None));
    // A person deletes the pod, later.
    town.put(address(ADDRESS, "redis-0", Some(attachment(State::Parked, "pod-1", "n1"))));
    town.pod("redis-0", gone());
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}

#[test]
fn the_owner_is_learnt_from_the_live_pod_that_holds_the_address() {
    let mut town = Town::with_member(State::Attached);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(owned(&town.after(MINUTE)), Some("set-1"));
    // Another pod of the name says nothing about who holds the address.
    town.pod("redis-0", live("pod-2", Some(owner("set-1"))));
    assert_eq!(owned(&town.after(MINUTE)), None);
}

#[test]
fn f105_the_owner_is_learnt_whatever_becomes_of_the_claim() {
    let keep = ClaimRetention::Retain;
    let mut town = Town::with_member(State::Attached);
    policy(&mut town, keep, keep);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(owned(&town.after(MINUTE)), Some("set-1"));
    // The set was made again under its name: the record follows.
    town.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    town.set("set-2", 1);
    town.pod("redis-0", live("pod-1", Some(owner("set-2"))));
    assert_eq!(owned(&town.after(MINUTE)), Some("set-2"));
}

#[test]
fn f105_where_claims_are_kept_a_pod_that_its_set_left_behind_frees_none_of_them() {
    let keep = ClaimRetention::Retain;
    let mut town = Town::with_member(State::Attached);
    policy(&mut town, keep, keep);
    town.no_set();
    town.pod("redis-0", live("pod-1", None));
    assert_eq!(owned(&town.during(MINUTE * 3)), None);
    assert!(town.planner.ask(&town.view, &town.site).pods.is_empty(), "it was asked once");
}

#[test]
fn only_so_many_pods_are_asked_in_one_pass_to_whom_they_belong() {
    let mut town = Town::new();
    town.set("set-1", 600);
    for number in 0..600_u32 {
        let (name, at) = (format!("redis-{number}"), (u32::from(ADDRESS) + number).into());
        town.put(address(at, &name, Some(attachment(State::Attached, "pod-1", "here"))));
        town.claim(claim(&name, Some(at), None));
        town.pod(&name, live("pod-1", Some(owner("set-1"))));
    }
    let duties = town.after(MINUTE);
    assert_eq!(duties.len(), 500);
    for duty in duties {
        let Duty::Own { member, owner, .. } = duty else { panic!("{duty:?}") };
        let at = town.view.claims[&member].as_ref().and_then(|seen| seen.claim.address);
        town.claim(claim(member.name(), at, owner));
    }
    assert_eq!(town.after(MINUTE).len(), 100, "then come the others");
}

#[test]
fn an_owner_whose_members_have_other_names_is_none() {
    let mut town = Town::with_member(State::Attached);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    let other = Owner { name: "redi".to_owned(), uid: uid("set-9") };
    town.pod("redis-0", live("pod-1", Some(other)));
    assert_eq!(owned(&town.after(MINUTE)), None);
}

#[test]
fn a_pod_is_asked_for_its_owner_once() {
    let mut town = Town::with_member(State::Attached);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    town.pod("redis-0", live("pod-1", None));
    assert_eq!(owned(&town.after(MINUTE)), None);
    assert!(town.planner.ask(&town.view, &town.site).pods.is_empty());
    town.put(address(ADDRESS, "redis-0", Some(attachment(State::Attached, "pod-2", "n1"))));
    assert!(!town.planner.ask(&town.view, &town.site).pods.is_empty(), "another pod is");
}

#[test]
fn a_stateful_set_that_cannot_be_read_wants_all_its_members() {
    let mut town = scaled();
    for set in town.view.sets.values_mut() {
        *set = None;
    }
    assert_eq!(dropped(&town.during(MINUTE * 30)), None);
}
