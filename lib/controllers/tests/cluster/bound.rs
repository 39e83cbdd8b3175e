//! The condition `Bound` of claims.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    ConditionChange, ConditionKind, ObservedClaim, ObservedStaticIp, Operation, SeenConditions,
};
use firecamp_core::ids::Member;
use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use super::support::{
    ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, member, owner, pool,
};

const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 99);
const AWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);

/// The claim updates of half an hour of passes, none of which is written.
fn reported(fixture: &mut ClusterFixture) -> Vec<(Member, Condition)> {
    fixture.now = fixture.now.plus(MINUTE / 2);
    let operations = fixture.pass();
    operations.into_iter().filter_map(of_a_claim).collect()
}

fn of_a_claim(operation: Operation) -> Option<(Member, Condition)> {
    let Operation::UpdateClaimStatus { member: whose, id, change } = operation else {
        return None;
    };
    let ConditionChange::Set(condition) = change else { panic!("{change:?}") };
    assert_eq!(condition.kind, "Bound");
    assert_eq!(id.uid.as_str(), format!("claim-{}", whose.name()));
    Some((whose, condition))
}

/// The condition of redis-0 after two passes, and after one.
fn of_redis(fixture: &mut ClusterFixture) -> (Option<Condition>, Option<Condition>) {
    let mut bound = || {
        let all = reported(fixture);
        let redis = all.into_iter().find(|(whose, _)| *whose == member("redis-0"));
        redis.map(|(_, condition)| condition)
    };
    let first = bound();
    (bound(), first)
}

/// Stores the conditions, as the API server does.
fn write(fixture: &mut ClusterFixture) -> usize {
    let all = reported(fixture);
    for (whose, condition) in all.clone() {
        let seen = fixture.view.claims.get_mut(&whose).unwrap().as_mut().unwrap();
        seen.conditions = SeenConditions::from([dated(condition)].as_slice());
    }
    all.len()
}

fn dated(condition: Condition) -> Condition {
    Condition { last_transition_time: Some("2026-11-20T15:00:00Z".to_owned()), ..condition }
}

fn requesting(name: &str, requested: Option<Ipv4Addr>, at: Option<Ipv4Addr>) -> ObservedClaim {
    let mut seen = claim(name, at, Some(owner("set-1")));
    seen.claim.requested = requested;
    seen
}

/// A StaticIP that is parked, and whose.
fn kept(at: Ipv4Addr, name: &str) -> ObservedStaticIp {
    address(at, name, Some(attachment(State::Parked, "pod-1", "n1")))
}

#[test]
fn a_bound_claim_reports_address_and_zone_immediately() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    let (_, first) = of_redis(&mut fixture);
    let condition = first.unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "Bound"));
    assert!(condition.message.contains("10.0.1.50") && condition.message.contains("us-east-1a"));
    assert_eq!(condition.observed_generation, Some(4));
    assert_eq!(condition.last_transition_time, None, "the moment of writing");
}

#[test]
fn a_bound_claim_is_written_once_and_not_after_a_restart_or_move() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    assert_eq!(write(&mut fixture), 1);
    for (state, pod, node) in [
        (State::Parked, "pod-1", "n1"),
        (State::Attaching, "pod-2", "n1"),
        (State::Attached, "pod-2", "n1"),
        (State::Releasing, "pod-2", "n1"),
        (State::Released, "pod-2", "n1"),
        (State::Attached, "pod-3", "n2"),
    ] {
        fixture.put(address(ADDRESS, "redis-0", Some(attachment(state, pod, node))));
        assert_eq!(write(&mut fixture) + write(&mut fixture), 0, "{state:?}");
    }
}

type Case = (&'static str, ObservedClaim, fn(&mut ClusterFixture));

/// Every way to lack an address, with its reason.
fn unbound() -> Vec<(&'static str, &'static str, Case)> {
    let redis = |requested, at| requesting("redis-0", requested, at);
    let full: fn(&mut ClusterFixture) = |fixture| {
        let small = pool("pool", &[("10.0.1.51", "10.0.1.51")]);
        fixture.view.pools.insert("pool".parse().unwrap(), Some(small));
        fixture.put(kept(SECOND, "redis-9"));
    };
    let others: fn(&mut ClusterFixture) = |fixture| fixture.put(kept(SECOND, "redis-9"));
    let own: fn(&mut ClusterFixture) = |fixture| fixture.put(kept(SECOND, "redis-0"));
    let none: fn(&mut ClusterFixture) = |_fixture| {};
    let no_pool: fn(&mut ClusterFixture) = |fixture| fixture.view.pools.clear();
    vec![
        ("AwaitingFirstStart", "pool pool", ("no address", redis(None, None), none)),
        ("AwaitingFirstStart", "gets 10.0.1.51", ("requested", redis(Some(SECOND), None), none)),
        ("PoolNotFound", "StaticIPPool pool", ("no pool", redis(Some(SECOND), None), no_pool)),
        ("PoolNotFound", "StaticIPPool pool", ("nor object", redis(None, Some(SECOND)), no_pool)),
        ("NoFreeAddress", "pool pool", ("a full pool", redis(None, None), full)),
        ("NoFreeAddress", "pool pool", ("another's, full", redis(None, Some(SECOND)), full)),
        (
            "AddressUnavailable",
            "belongs to prod/redis-9",
            ("requested, another's", redis(Some(SECOND), None), others),
        ),
        (
            "AddressUnavailable",
            "belongs to prod/redis-9",
            ("requested and lost to another", redis(Some(SECOND), Some(SECOND)), others),
        ),
        (
            "AddressUnavailable",
            "set spec.address",
            ("requested, already its own", redis(Some(SECOND), None), own),
        ),
        (
            "AddressUnavailable",
            "no range of pool pool",
            ("requested, out of range", redis(Some(OUTSIDE), None), none),
        ),
        (
            "AddressUnavailable",
            "no range of pool pool",
            ("no object, nor a range", redis(None, Some(OUTSIDE)), none),
        ),
        (
            "AddressOfAnotherMember",
            "prod/redis-9",
            ("another's", redis(None, Some(SECOND)), others),
        ),
        ("StaticIPNotFound", "10.0.1.51", ("no object", redis(None, Some(SECOND)), none)),
        ("StaticIPNotFound", "10.0.9.9", ("nor a subnet", redis(None, Some(AWAY)), none)),
        (
            "StaticIPNotFound",
            "10.0.1.51",
            ("requested and bound", redis(Some(SECOND), Some(SECOND)), none),
        ),
    ]
}

#[test]
fn an_unbound_claim_reports_its_reason_after_two_passes() {
    for (reason, words, (name, seen, change)) in unbound() {
        let mut fixture = ClusterFixture::new();
        fixture.claim(seen);
        change(&mut fixture);
        let (second, first) = of_redis(&mut fixture);
        assert_eq!(first, None, "{name}: a StaticIP comes moments after its claim");
        let condition = second.unwrap_or_else(|| panic!("{name}: no condition"));
        assert_eq!(
            (condition.status.as_str(), condition.reason.as_str()),
            ("False", reason),
            "{name}"
        );
        assert!(condition.message.contains(words), "{name}: {}", condition.message);
    }
}

#[test]
fn unreadable_objects_change_no_status() {
    let unread: [fn(&mut ClusterFixture); 4] = [
        |fixture| drop(fixture.view.claims.insert(member("redis-0"), None)),
        |fixture| drop(fixture.view.addresses.insert(ADDRESS, None)),
        |fixture| {
            fixture.view.pools.insert("pool".parse().unwrap(), None);
            fixture.claim(requesting("redis-0", None, Some(SECOND)));
        },
        |fixture| {
            fixture.view.addresses.insert(SECOND, None);
            fixture.claim(requesting("redis-0", Some(SECOND), None));
        },
    ];
    for (index, change) in unread.into_iter().enumerate() {
        let mut fixture = ClusterFixture::with_member(State::Attached);
        change(&mut fixture);
        assert_eq!(of_redis(&mut fixture), (None, None), "{index}");
    }
}

#[test]
fn a_claim_that_another_operation_changes_is_updated_in_the_next_pass() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    fixture.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(of_redis(&mut fixture), (None, None), "its owner is recorded first");
    let mut seen = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
    seen.id.deleting = true;
    fixture.claim(seen);
    assert_eq!(of_redis(&mut fixture), (None, None), "it is being deleted");
    fixture.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    assert_eq!(of_redis(&mut fixture).0.unwrap().reason, "Bound");
}

#[test]
fn the_transition_time_follows_the_status_and_foreign_conditions_stay() {
    let condition = |kind: &str, status: &str, reason: &str| Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    let audited = condition("Audited", "True", "ByHand");
    let waiting = dated(condition("Bound", "False", "AwaitingFirstStart"));
    let before = [audited.clone(), waiting.clone()];
    let applied = |status: &str, reason: &str| {
        ConditionChange::Set(condition("Bound", status, reason)).applied(&before)
    };
    let lost = Condition { reason: "PoolNotFound".to_owned(), ..waiting };
    assert_eq!(applied("False", "PoolNotFound"), [audited.clone(), lost], "False as before");
    let bound = condition("Bound", "True", "Bound");
    assert_eq!(applied("True", "Bound"), [audited.clone(), bound.clone()], "True from now on");
    assert_eq!(ConditionChange::Set(bound.clone()).applied(&[]), [bound]);
    let change = ConditionChange::Remove(ConditionKind::Bound);
    assert_eq!(change.applied(&before), [audited]);
}

#[test]
fn a_condition_without_a_time_is_written_again() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    let condition = of_redis(&mut fixture).0.unwrap();
    for (seen, is_written) in [(condition.clone(), true), (dated(condition), false)] {
        let claim = fixture.view.claims.get_mut(&member("redis-0")).unwrap().as_mut().unwrap();
        claim.conditions = SeenConditions::from([seen].as_slice());
        assert_eq!(of_redis(&mut fixture).0.is_some(), is_written);
    }
}

#[test]
fn a_changed_spec_is_reported_with_its_new_generation() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    assert_eq!(write(&mut fixture), 1);
    fixture.view.claims.get_mut(&member("redis-0")).unwrap().as_mut().unwrap().generation += 1;
    let (_, first) = of_redis(&mut fixture);
    assert_eq!(first.unwrap().observed_generation, Some(5));
}

#[test]
fn each_of_many_claims_gets_its_turn_though_every_write_fails() {
    let mut fixture = ClusterFixture::new();
    let all: Vec<Member> = (0..450).map(|index| member(&format!("redis-{index}"))).collect();
    for whose in &all {
        fixture.claim(requesting(whose.name(), None, None));
    }
    assert!(reported(&mut fixture).is_empty());
    let turns: Vec<Vec<Member>> = (0..3)
        .map(|_| reported(&mut fixture).into_iter().map(|(whose, _)| whose).collect())
        .collect();
    assert!(turns.iter().all(|turn| turn.len() == 200), "a pass writes so many");
    let mut met: Vec<Member> = turns.into_iter().flatten().collect();
    met.sort();
    met.dedup();
    assert_eq!(met.len(), 450, "and none waits for another one");
}
