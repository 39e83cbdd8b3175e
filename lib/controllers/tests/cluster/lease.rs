//! Leader election.

use std::time::Duration;

use firecamp_controllers::leader::{
    Candidate, Ec2Observation, LeaseWrite, ObservedLease, Terms, timing,
};
use firecamp_core::time::Moment;

use super::support::parsed;

const START: Moment = Moment(Duration::from_secs(1000));

fn at(seconds: u64) -> Moment {
    START.plus(Duration::from_secs(seconds))
}

fn lease(version: &str, holder: Option<&str>) -> ObservedLease {
    ObservedLease {
        version: parsed(version),
        holder: holder.map(str::to_owned),
        duration: timing::LEASE,
        transitions: 4,
        acquired: Some("then".to_owned()),
        ec2: Ec2Observation::default(),
    }
}

fn terms(write: Option<LeaseWrite>) -> Terms {
    match write.unwrap() {
        LeaseWrite::Create(terms) | LeaseWrite::Replace(_, terms) => terms,
    }
}

#[test]
fn a_missing_lease_is_created() {
    let mut me = Candidate::new("me".to_owned());
    assert!(matches!(me.decide(None, START), Some(LeaseWrite::Create(_))));
    assert!(!me.holds(START), "not before the write has succeeded");
    me.renewed(START);
    assert!(me.holds(START));
}

#[test]
fn a_released_lease_is_acquired_immediately() {
    let mut me = Candidate::new("me".to_owned());
    let taken = terms(me.decide(Some(&lease("7", None)), START));
    assert_eq!((taken.holder.as_deref(), taken.transitions, taken.acquired), (Some("me"), 5, None));
}

#[test]
fn f094_a_lease_is_acquired_only_after_it_was_unchanged_for_its_whole_duration() {
    let mut me = Candidate::new("me".to_owned());
    let theirs = lease("7", Some("you"));
    assert_eq!(me.decide(Some(&theirs), START), None);
    assert_eq!(me.decide(Some(&theirs), at(59)), None);
    assert!(me.decide(Some(&theirs), at(60)).is_some());
    let mut me = Candidate::new("me".to_owned());
    assert_eq!(me.decide(Some(&theirs), START), None);
    assert_eq!(me.decide(Some(&lease("8", Some("you"))), at(50)), None, "it was renewed");
    assert_eq!(me.decide(Some(&lease("8", Some("you"))), at(100)), None);
    assert!(me.decide(Some(&lease("8", Some("you"))), at(110)).is_some());
}

#[test]
fn an_excessive_lease_duration_is_capped() {
    let mut me = Candidate::new("me".to_owned());
    let long = ObservedLease { duration: Duration::from_hours(9_000), ..lease("7", Some("you")) };
    assert_eq!(me.decide(Some(&long), START), None);
    assert!(me.decide(Some(&long), at(600)).is_some());
    let mut me = Candidate::new("me".to_owned());
    let none = ObservedLease { duration: Duration::ZERO, ..lease("7", Some("you")) };
    assert_eq!(me.decide(Some(&none), START), None);
    assert_eq!(me.decide(Some(&none), at(59)), None);
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_can_acquire_the_lease() {
    let (mut me, mut you) = (Candidate::new("me".to_owned()), Candidate::new("you".to_owned()));
    assert!(me.decide(None, START).is_some());
    me.renewed(START);
    // You see the renewal as early as you can: at the moment in which it was sent.
    let mine = lease("7", Some("me"));
    let mut second = 0;
    while you.decide(Some(&mine), at(second)).is_none() {
        second += 1;
    }
    assert!(!me.holds(at(second)));
    let stopped = timing::RENEW_DEADLINE.as_secs();
    assert!(stopped < second, "{stopped} {second}");
    assert!(me.holds(at(stopped - 1)) && !me.holds(at(stopped)));
}

#[test]
fn a_leader_renews_without_a_transition() {
    let mut me = Candidate::new("me".to_owned());
    let again = terms(me.decide(Some(&lease("7", Some("me"))), START));
    assert_eq!((again.transitions, again.acquired.as_deref()), (4, Some("then")));
}

#[test]
fn a_leader_that_observes_another_holder_stops_immediately() {
    let mut me = Candidate::new("me".to_owned());
    me.renewed(START);
    assert!(me.holds(at(1)));
    assert_eq!(me.decide(Some(&lease("9", Some("you"))), at(1)), None);
    assert!(!me.holds(at(1)));
    me.renewed(START);
    me.refused();
    assert!(!me.holds(at(1)));
}

#[test]
fn only_the_own_lease_is_released() {
    let mut me = Candidate::new("me".to_owned());
    me.renewed(START);
    let back = terms(me.resign(&lease("7", Some("me"))));
    assert_eq!(back.holder, None);
    assert!(!me.holds(START));
    assert_eq!(me.resign(&lease("7", Some("you"))), None);
}
