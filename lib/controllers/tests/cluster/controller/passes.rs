//! Passes: queries and operations.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    ClusterEvent, Effect, Event, ObjectEvent, ObservedPool, Operation, PassStep, Report,
    StepResult, timing,
};
use firecamp_core::failure::RegistryKind;
use firecamp_core::record::State;
use firecamp_registry::api::{ClaimRetention, ClaimRetentionPolicy};

use super::super::support::{
    ADDRESS, ClusterFixture, MINUTE, address, attachment, claim, live, member, owner, parsed, pool,
};
use super::fixture::{
    Agent, Api, SECOND, has, started, starts_step, step, time, two_pools, write_id,
};

#[test]
fn renewals_continue_while_an_operation_runs() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    let seen = agent.run(MINUTE * 5);
    assert_eq!(started(&seen).len(), 1);
    assert!(!has(&seen, &Effect::EndTerm), "{seen:?}");
}

#[test]
fn no_operation_starts_after_the_term() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    assert_eq!(started(&agent.run(SECOND)).len(), 1);
    agent.api = Api::Fails(RegistryKind::Conflict);
    let seen = agent.run(timing::RENEW_EVERY);
    assert!(has(&seen, &Effect::EndTerm));
    assert!(!has(&seen, &Effect::Report(Report::TermEnded)), "an operation still runs");
    assert_eq!(time(&agent.run(MINUTE * 5), |_| true), None, "it is no candidate meanwhile");
    let seen = agent.handle(step(StepResult::Performed(Vec::new())));
    assert_eq!(seen, [(agent.now.0, Effect::Report(Report::TermEnded))]);
    assert_eq!(started(&agent.run(timing::LEASE_CHECK_EVERY)), []);
}

#[test]
fn no_operation_starts_while_the_lease_is_in_doubt() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    assert_eq!(started(&agent.run(SECOND)).len(), 1);
    // A user has deleted the Lease, and the leader creates it again.
    (agent.lease, agent.api) = (None, Api::SilentWrites);
    let seen = agent.run(timing::RENEW_EVERY);
    agent.operations = Some(Vec::new());
    let ended = agent.handle(step(StepResult::Performed(Vec::new())));
    assert!(started(&ended).is_empty(), "{ended:?}");
    assert_eq!(agent.handle(step(StepResult::InterfacesListed(None))), Vec::new());
    agent.api = Api::Answers;
    assert_eq!(agent.handle(Event::LeaseWritten(write_id(&seen), Ok(()))), Vec::new());
    assert_eq!(started(&agent.run(timing::PASS_EVERY)).len(), 2, "the next pass plans again");
}

#[test]
fn slow_pass_stops_and_the_next_one_plans_again() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    let first = started(&agent.run(SECOND));
    drop(agent.run(timing::PASS_BOUND));
    let seen = agent.handle(step(StepResult::Performed(Vec::new())));
    let [(_, Effect::Report(Report::PassOverdue(_))), _list, (_, Effect::Report(ended))] = &*seen
    else {
        panic!("{seen:?}");
    };
    assert_eq!(*ended, Report::PassEnded(timing::PASS_BOUND));
    agent.handle(step(StepResult::InterfacesListed(None)));
    agent.operations = Some(Vec::new());
    let again = started(&agent.run(timing::PASS_EVERY));
    assert_eq!((&again[..1], again.len()), (&first[..], 2));
}

#[test]
fn pass_skips_the_queries_for_which_there_is_no_time() {
    let mut view = ClusterFixture::new().view;
    for (number, last) in (0..).zip(50..55) {
        let (at, name) = (Ipv4Addr::new(10, 0, 1, last), format!("redis-{number}"));
        let held = attachment(State::Attached, "pod", "lost");
        view.addresses.insert(at, Some(address(at, &name, Some(held)).into()));
        view.claims.insert(member(&name), Some(claim(&name, Some(at), None).into()));
    }
    let mut agent = Agent::leading(&view);
    agent.query_time = SECOND * 8;
    let seen = agent.run(SECOND);
    let count =
        |wanted: fn(&Effect) -> bool| seen.iter().filter(|(_, effect)| wanted(effect)).count();
    let owners = count(|effect| matches!(effect, Effect::Start(PassStep::ReadOwner(..))));
    let pods = count(|effect| matches!(effect, Effect::Start(PassStep::ReadPod(_))));
    assert_eq!((owners, pods), (2, 2), "half of the time is for pods: {seen:?}");
}

#[test]
fn each_operation_uses_the_current_content_of_the_cache() {
    let mut fixture = ClusterFixture::with_member(State::Attached);
    for (at, name) in [(ADDRESS, "redis-0"), (Ipv4Addr::new(10, 0, 1, 51), "redis-1")] {
        fixture.put(address(at, name, Some(attachment(State::Attached, "pod-1", "n1"))));
        fixture.claim(claim(name, Some(at), None));
    }
    let mut agent = Agent::leading(&fixture.view);
    agent.pod = Some(live("pod-1", Some(owner("set-1"))));
    agent.operations = None;
    let first = started(&agent.run(SECOND));
    let retention = pool("pool", &[]).retention;
    assert_eq!((first.len(), first[0].1.retention), (1, retention));
    let retention = ClaimRetentionPolicy { when_scaled: ClaimRetention::Retain, ..retention };
    let changed = ObservedPool { retention, ..pool("pool", &[]) };
    let event = ClusterEvent::Pools(ObjectEvent::Set(parsed("pool"), Some(changed)));
    assert_eq!(agent.handle(Event::Cluster(Box::new(event))), Vec::new());
    let second = started(&agent.handle(step(StepResult::Performed(Vec::new()))));
    assert!(matches!(&second[0].0, Operation::RecordOwner { .. }), "{second:?}");
    assert_eq!(second[0].1.retention, retention);
}

#[test]
fn no_pass_starts_while_a_kind_is_unavailable() {
    let mut agent = Agent::leading(&two_pools());
    let event =
        |current| Event::Cluster(Box::new(ClusterEvent::Sets(ObjectEvent::Current(current))));
    drop(agent.handle(event(false)));
    assert!(!starts_step(&agent.run(MINUTE)));
    drop(agent.handle(event(true)));
    assert!(starts_step(&agent.run(SECOND)));
}
