//! When terms begin and end.

use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::leader::{
    Call, Ec2Call, Ec2Observation, Effect, Event, LeaseWrite, Report, Terms, View, timing,
};
use firecamp_core::failure::{CloudKind, RegistryKind};
use firecamp_core::time::Moment;

use super::super::support::MINUTE;
use super::fixture::{
    Agent, Api, SECOND, has, observed, read_id, reads_lease, starts_step, time, two_pools,
    unready_node, write_id,
};

#[test]
fn leader_renews_the_lease_long_before_it_expires() {
    let mut agent = Agent::leading(&View::default());
    let seen = agent.run(MINUTE * 30);
    assert!(!has(&seen, &Effect::EndTerm));
    let reads = seen.iter().filter(|(_, effect)| reads_lease(effect)).map(|(at, _)| *at);
    let mut last = Duration::ZERO;
    for read in reads {
        assert_eq!(read, last + timing::RENEW_EVERY);
        last = read;
    }
    assert!(agent.now.0 <= last + timing::RENEW_EVERY);
}

#[test]
fn candidate_checks_the_lease_of_another_leader_at_random_intervals() {
    for (random, interval) in [(0.0, MINUTE), (0.5, MINUTE + MINUTE / 4)] {
        let mut agent = Agent::new();
        let terms = Terms {
            holder: Some("other".to_owned()),
            duration: timing::LEASE * 9,
            transitions: 1,
            acquired: None,
            ec2: Ec2Observation::default(),
        };
        agent.lease = Some(observed(terms, 7));
        let seen = agent.handle(Event::Tick(random));
        assert!(time(&seen, reads_lease).is_some() && !has(&seen, &Effect::BeginTerm));
        assert_eq!(agent.controller.next_tick(), Some(Moment(interval)));
    }
}

#[test]
fn failed_renewal_is_repeated_and_does_not_end_the_term() {
    let mut agent = Agent::leading(&View::default());
    agent.api = Api::Fails(RegistryKind::Unavailable);
    let seen = agent.run(timing::RENEW_EVERY);
    assert!(!has(&seen, &Effect::EndTerm));
    agent.api = Api::Answers;
    let seen = agent.run(SECOND * 5);
    assert_eq!(time(&seen, reads_lease), Some(timing::RENEW_EVERY + SECOND * 5));
    assert!(!has(&agent.run(MINUTE), &Effect::EndTerm));
}

#[test]
fn conflict_of_a_renewal_ends_the_term_at_once() {
    for kind in [RegistryKind::Conflict, RegistryKind::AlreadyExists, RegistryKind::NotFound] {
        let mut agent = Agent::leading(&View::default());
        agent.api = Api::Fails(kind);
        let seen = agent.run(timing::RENEW_EVERY);
        let ended = seen.ends_with(&[
            (timing::RENEW_EVERY, Effect::EndTerm),
            (timing::RENEW_EVERY, Effect::Report(Report::TermEnded)),
        ]);
        assert!(ended, "{seen:?}");
        agent.api = Api::Answers;
        let seen = agent.run(timing::LEASE_CHECK_EVERY);
        let again = timing::RENEW_EVERY + timing::LEASE_CHECK_EVERY;
        assert_eq!(time(&seen, |_| true), Some(again), "a candidate again: {seen:?}");
    }
}

#[test]
fn answer_to_a_read_after_the_term_does_not_renew_the_lease() {
    let mut agent = Agent::leading(&View::default());
    agent.api = Api::Silent;
    let seen = agent.run(timing::RENEW_DEADLINE);
    let ended = |effect: &Effect| *effect == Effect::Report(Report::TermEnded);
    assert_eq!(time(&seen, ended), Some(timing::RENEW_DEADLINE));
    agent.api = Api::Answers;
    let late = Event::LeaseRead(read_id(&seen), Ok(agent.lease.clone()));
    assert_eq!(agent.handle(late), Vec::new());
}

#[test]
fn answer_to_a_write_after_the_term_does_not_renew_the_lease() {
    let mut agent = Agent::leading(&View::default());
    agent.api = Api::SilentWrites;
    let seen = agent.run(timing::RENEW_DEADLINE);
    assert!(has(&seen, &Effect::EndTerm));
    agent.api = Api::Answers;
    assert_eq!(agent.handle(Event::LeaseWritten(write_id(&seen), Ok(()))), Vec::new());
    let seen = agent.run(MINUTE / 2);
    assert!(!has(&seen, &Effect::BeginTerm), "{seen:?}");
}

/// The leader releases the Lease in this time, and then pauses.
fn gives_the_lease_back(agent: &mut Agent, between: (Duration, Duration)) {
    let seen = agent.run(between.1);
    let at = time(&seen, |effect| *effect == Effect::Report(Report::Ec2Unreachable));
    let at = at.unwrap_or_else(|| panic!("{seen:?}"));
    assert!(at >= between.0, "{at:?}");
    let released = seen.iter().filter(|(when, _)| *when == at).map(|(_, effect)| effect);
    let order: Vec<_> = released.skip_while(|effect| **effect != Effect::EndTerm).collect();
    assert!(matches!(
        &*order,
        [
            Effect::EndTerm,
            Effect::Report(Report::TermEnded),
            Effect::Report(Report::Ec2Unreachable),
            Effect::ReadLease(_),
            Effect::WriteLease(_, LeaseWrite::Replace(_, Terms { holder: None, .. })),
        ]
    ));
    let rest = agent.run(MINUTE * 4);
    let next = seen.iter().chain(&rest).find(|(when, _)| *when > at).unwrap();
    assert!(reads_lease(&next.1));
    assert_eq!(next.0, at + timing::EC2_UNREACHABLE_PAUSE);
}

#[test]
fn leader_whose_queries_ec2_does_not_answer_releases_the_lease_and_pauses() {
    let mut agent = Agent::leading(&unready_node());
    agent.interfaces = None;
    gives_the_lease_back(&mut agent, (timing::EC2_UNREACHABLE, MINUTE * 12));
}

#[test]
fn leader_whose_changes_ec2_does_not_answer_releases_the_lease_and_pauses() {
    let mut agent = Agent::leading(&two_pools());
    let sent = Ec2Call::Sent(Call::Change, Duration::ZERO);
    agent.operations = Some(vec![sent, Ec2Call::Ended(Call::Change, Some(CloudKind::Auth))]);
    gives_the_lease_back(&mut agent, (timing::EC2_UNREACHABLE, MINUTE * 12));
}

#[test]
fn leader_whose_changes_ec2_answers_keeps_the_lease() {
    let mut agent = Agent::leading(&two_pools());
    let sent = Ec2Call::Sent(Call::Change, Duration::ZERO);
    for failure in [None, Some(CloudKind::Throttled)] {
        agent.operations = Some(vec![sent, Ec2Call::Ended(Call::Change, failure)]);
        assert!(!has(&agent.run(MINUTE * 30), &Effect::EndTerm));
    }
}

#[test]
fn new_term_starts_with_an_empty_cache() {
    let mut agent = Agent::leading(&two_pools());
    agent.api = Api::Fails(RegistryKind::Conflict);
    assert!(has(&agent.run(timing::RENEW_EVERY), &Effect::EndTerm));
    agent.api = Api::Answers;
    let seen = agent.run(MINUTE * 5);
    assert!(has(&seen, &Effect::BeginTerm), "{seen:?}");
    assert!(!starts_step(&seen), "{seen:?}");
    agent.list(&two_pools());
    assert!(starts_step(&agent.run(SECOND)));
}
