//! Whether a claim has its address, as it is told.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{AddressSeen, ClaimSeen, Duty};
use firecamp_core::ids::Member;
use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use super::support::{ADDRESS, MINUTE, Town, address, attachment, claim, member, owner, pool};

const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 99);
const AWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);

/// What is said of claims in half an hour of passes, none of which is written.
fn told(town: &mut Town) -> Vec<(Member, Vec<Condition>)> {
    town.now = town.now.plus(MINUTE / 2);
    let duties = town.pass();
    duties.into_iter().filter_map(of_a_claim).collect()
}

fn of_a_claim(duty: Duty) -> Option<(Member, Vec<Condition>)> {
    let Duty::TellClaim { member: whose, id, conditions } = duty else { return None };
    assert_eq!(id.uid.as_str(), format!("claim-{}", whose.name()));
    Some((whose, conditions))
}

/// What is said of redis-0 after two passes, and after one.
fn of_redis(town: &mut Town) -> (Option<Condition>, Option<Condition>) {
    let mut bound = || {
        let all = told(town);
        let redis = all.into_iter().find(|(whose, _)| *whose == member("redis-0"));
        redis.and_then(|(_, all)| all.into_iter().find(|one| one.kind == "Bound"))
    };
    let first = bound();
    (bound(), first)
}

/// Writes down what was said, as the API server does.
fn write(town: &mut Town) -> usize {
    let all = told(town);
    for (whose, mut conditions) in all.clone() {
        for condition in &mut conditions {
            condition.last_transition_time.get_or_insert_with(|| "2026-11-20T15:00:00Z".to_owned());
        }
        town.view.claims.get_mut(&whose).unwrap().as_mut().unwrap().conditions = conditions;
    }
    all.len()
}

fn asks(name: &str, requested: Option<Ipv4Addr>, at: Option<Ipv4Addr>) -> ClaimSeen {
    let mut seen = claim(name, at, Some(owner("set-1")));
    seen.claim.requested = requested;
    seen
}

/// A StaticIP that is parked, and whose.
fn kept(at: Ipv4Addr, name: &str) -> AddressSeen {
    address(at, name, Some(attachment(State::Parked, "pod-1", "n1")))
}

#[test]
fn a_claim_that_has_its_address_says_so_at_once_with_address_and_zone() {
    let mut town = Town::with_member(State::Attached);
    let (_, first) = of_redis(&mut town);
    let said = first.unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("True", "Bound"));
    assert!(said.message.contains("10.0.1.50") && said.message.contains("us-east-1a"));
    assert_eq!(said.observed_generation, Some(4));
    assert_eq!(said.last_transition_time, None, "the moment of writing");
}

#[test]
fn it_is_written_once_and_neither_a_restart_nor_a_move_writes_it_again() {
    let mut town = Town::with_member(State::Attached);
    assert_eq!(write(&mut town), 1);
    for (state, pod, node) in [
        (State::Parked, "pod-1", "n1"),
        (State::Attaching, "pod-2", "n1"),
        (State::Attached, "pod-2", "n1"),
        (State::Releasing, "pod-2", "n1"),
        (State::Released, "pod-2", "n1"),
        (State::Attached, "pod-3", "n2"),
    ] {
        town.put(address(ADDRESS, "redis-0", Some(attachment(state, pod, node))));
        assert_eq!(write(&mut town) + write(&mut town), 0, "{state:?}");
    }
}

type Case = (&'static str, ClaimSeen, fn(&mut Town));

/// Whatever a member can lack, and by which reason.
fn lacks() -> Vec<(&'static str, &'static str, Case)> {
    let redis = |requested, at| asks("redis-0", requested, at);
    let full: fn(&mut Town) = |town| {
        let small = pool("pool", &[("10.0.1.51", "10.0.1.51")]);
        town.view.pools.insert("pool".parse().unwrap(), Some(small));
        town.put(kept(SECOND, "redis-9"));
    };
    let others: fn(&mut Town) = |town| town.put(kept(SECOND, "redis-9"));
    let own: fn(&mut Town) = |town| town.put(kept(SECOND, "redis-0"));
    let none: fn(&mut Town) = |_town| {};
    let no_pool: fn(&mut Town) = |town| town.view.pools.clear();
    vec![
        ("AwaitingFirstStart", "pool pool", ("nothing", redis(None, None), none)),
        ("AwaitingFirstStart", "takes 10.0.1.51", ("a wish", redis(Some(SECOND), None), none)),
        ("PoolNotFound", "StaticIPPool pool", ("no pool", redis(Some(SECOND), None), no_pool)),
        ("PoolNotFound", "StaticIPPool pool", ("nor object", redis(None, Some(SECOND)), no_pool)),
        ("NoFreeAddress", "pool pool", ("a full pool", redis(None, None), full)),
        ("NoFreeAddress", "pool pool", ("another's, full", redis(None, Some(SECOND)), full)),
        (
            "AddressUnavailable",
            "belongs to prod/redis-9",
            ("a wish for another's", redis(Some(SECOND), None), others),
        ),
        (
            "AddressUnavailable",
            "belongs to prod/redis-9",
            ("a lost race for it", redis(Some(SECOND), Some(SECOND)), others),
        ),
        (
            "AddressUnavailable",
            "name it in spec.address",
            ("a wish for what is kept", redis(Some(SECOND), None), own),
        ),
        (
            "AddressUnavailable",
            "no range of pool pool",
            ("a wish beside the ranges", redis(Some(OUTSIDE), None), none),
        ),
        (
            "AddressUnavailable",
            "no range of pool pool",
            ("no object, nor a range", redis(None, Some(OUTSIDE)), none),
        ),
        ("AddressOfOther", "prod/redis-9", ("another's", redis(None, Some(SECOND)), others)),
        ("AddressMissing", "10.0.1.51", ("no object", redis(None, Some(SECOND)), none)),
        ("AddressMissing", "10.0.9.9", ("nor a subnet", redis(None, Some(AWAY)), none)),
        ("AddressMissing", "10.0.1.51", ("as asked", redis(Some(SECOND), Some(SECOND)), none)),
    ]
}

#[test]
fn a_claim_without_an_address_says_why_after_two_passes() {
    for (reason, words, (name, seen, change)) in lacks() {
        let mut town = Town::new();
        town.claim(seen);
        change(&mut town);
        let (second, first) = of_redis(&mut town);
        assert_eq!(first, None, "{name}: a StaticIP comes moments after its claim");
        let said = second.unwrap_or_else(|| panic!("{name}: nothing is said"));
        assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", reason), "{name}");
        assert!(said.message.contains(words), "{name}: {}", said.message);
    }
}

#[test]
fn what_cannot_be_read_changes_nothing_that_was_said() {
    let unread: [fn(&mut Town); 4] = [
        |town| drop(town.view.claims.insert(member("redis-0"), None)),
        |town| drop(town.view.addresses.insert(ADDRESS, None)),
        |town| {
            town.view.pools.insert("pool".parse().unwrap(), None);
            town.claim(asks("redis-0", None, Some(SECOND)));
        },
        |town| {
            town.view.addresses.insert(SECOND, None);
            town.claim(asks("redis-0", Some(SECOND), None));
        },
    ];
    for (index, change) in unread.into_iter().enumerate() {
        let mut town = Town::with_member(State::Attached);
        change(&mut town);
        assert_eq!(of_redis(&mut town), (None, None), "{index}");
    }
}

#[test]
fn a_claim_that_another_duty_changes_is_told_of_afterwards() {
    let mut town = Town::with_member(State::Attached);
    town.claim(claim("redis-0", Some(ADDRESS), None));
    assert_eq!(of_redis(&mut town), (None, None), "its owner is recorded first");
    let mut seen = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
    seen.id.deleting = true;
    town.claim(seen);
    assert_eq!(of_redis(&mut town), (None, None), "it goes");
    town.claim(claim("redis-0", Some(ADDRESS), Some(owner("set-1"))));
    assert_eq!(of_redis(&mut town).0.unwrap().reason, "Bound");
}

#[test]
fn the_time_moves_with_the_status_alone_and_what_others_say_stays() {
    let mut town = Town::new();
    let mut seen = asks("redis-0", None, None);
    let audited = Condition {
        kind: "Audited".to_owned(),
        status: "True".to_owned(),
        reason: "ByHand".to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    seen.conditions = vec![audited.clone()];
    town.claim(seen.clone());
    assert_eq!(write(&mut town) + write(&mut town), 1);
    let time = |town: &Town| {
        let all = &town.view.claims[&member("redis-0")].as_ref().unwrap().conditions;
        assert_eq!(all.first().map(|one| one.kind.as_str()), Some("Audited"));
        all[1].last_transition_time.clone()
    };
    assert_eq!(time(&town).as_deref(), Some("2026-11-20T15:00:00Z"));
    let before = town.view.claims[&member("redis-0")].as_ref().unwrap().conditions.clone();
    town.view.pools.clear();
    let (second, _first) = of_redis(&mut town);
    let said = second.unwrap();
    assert_eq!(said.reason, "PoolNotFound");
    assert_eq!(said.last_transition_time, before[1].last_transition_time, "False as before");
    town.put(kept(ADDRESS, "redis-0"));
    let bound = ClaimSeen { conditions: before, ..asks("redis-0", None, Some(ADDRESS)) };
    town.claim(bound);
    let (_, first) = of_redis(&mut town);
    assert_eq!(first.unwrap().last_transition_time, None, "True from now on");
}

#[test]
fn a_spec_that_changes_is_told_of_with_its_new_generation() {
    let mut town = Town::with_member(State::Attached);
    assert_eq!(write(&mut town), 1);
    town.view.claims.get_mut(&member("redis-0")).unwrap().as_mut().unwrap().generation += 1;
    let (_, first) = of_redis(&mut town);
    assert_eq!(first.unwrap().observed_generation, Some(5));
}

#[test]
fn of_many_claims_each_has_its_turn_though_none_can_be_written() {
    let mut town = Town::new();
    let all: Vec<Member> = (0..450).map(|index| member(&format!("redis-{index}"))).collect();
    for whose in &all {
        town.claim(asks(whose.name(), None, None));
    }
    assert!(told(&mut town).is_empty());
    let turns: Vec<Vec<Member>> =
        (0..3).map(|_| told(&mut town).into_iter().map(|(whose, _)| whose).collect()).collect();
    assert!(turns.iter().all(|turn| turn.len() == 200), "a pass writes so many");
    let mut met: Vec<Member> = turns.into_iter().flatten().collect();
    met.sort();
    met.dedup();
    assert_eq!(met.len(), 450, "and none waits for another one");
}
