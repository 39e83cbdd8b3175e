//! The end of the process.

use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::leader::{Effect, Report, StepResult, View, timing};

use super::fixture::{Agent, Api, SECOND, has, reads_lease, started, step, time, two_pools};

/// How long running work, and then the release of the Lease, may delay the end of the process.
const LAST_CALL: Duration = Duration::from_millis(300);

#[test]
fn stopped_leader_releases_the_lease_at_once() {
    let mut agent = Agent::leading(&two_pools());
    drop(agent.run(SECOND));
    assert!(agent.holder().is_some());
    let seen = agent.stop();
    let now = agent.now.0;
    assert_eq!(seen[..2], [(now, Effect::EndTerm), (now, Effect::Report(Report::TermEnded))]);
    assert_eq!(agent.holder(), None);
    assert!(agent.controller.is_idle());
    assert_eq!(agent.controller.next_tick(), None);
}

#[test]
fn stopped_leader_waits_for_its_operation_before_it_releases_the_lease() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    drop(agent.run(SECOND));
    assert_eq!(agent.stop(), [(agent.now.0, Effect::EndTerm)]);
    assert!(!agent.controller.is_idle());
    let seen = agent.handle(step(StepResult::Performed(Vec::new())));
    assert!(started(&seen).is_empty() && agent.holder().is_none());
    assert!(agent.controller.is_idle());
}

#[test]
fn stopped_leader_drops_a_slow_operation_and_releases_the_lease() {
    let mut agent = Agent::leading(&two_pools());
    agent.operations = None;
    drop(agent.run(SECOND));
    drop(agent.stop());
    let seen = agent.run(LAST_CALL);
    assert_eq!(seen[0], (SECOND + LAST_CALL, Effect::DropOperation));
    assert!(agent.holder().is_none() && agent.controller.is_idle());
}

#[test]
fn stopped_leader_gives_up_a_silent_api_server() {
    let mut agent = Agent::leading(&View::default());
    agent.api = Api::Silent;
    drop(agent.run(timing::RENEW_EVERY));
    assert_eq!(agent.stop(), [(agent.now.0, Effect::EndTerm)]);
    assert!(time(&agent.run(LAST_CALL), reads_lease).is_some(), "it tries to release the Lease");
    assert!(!agent.controller.is_idle());
    let seen = agent.run(LAST_CALL);
    assert!(has(&seen, &Effect::Report(Report::LeaseNotReleasedInTime)));
    assert!(agent.controller.is_idle());
}

#[test]
fn stopped_candidate_ends_at_once() {
    let mut agent = Agent::new();
    assert_eq!(agent.stop(), Vec::new());
    assert!(agent.controller.is_idle());
}
