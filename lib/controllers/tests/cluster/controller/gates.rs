//! Gated pods, which do not wait for the next pass of the whole cluster.

use firecamp_controllers::leader::{
    ClusterEvent, Effect, Event, GatedPod, ObjectEvent, Operation, PassStep, StepResult, View,
    timing,
};
use firecamp_core::record::State;

use super::super::support::{ADDRESS, ClusterFixture, claim, identity, live, member, owner};
use super::fixture::{Agent, SECOND, Seen, started, step, time};

fn pod(claims: &[&str]) -> GatedPod {
    let claims = claims.iter().map(|claim| (*claim).to_owned()).collect();
    GatedPod { id: identity("pod-2"), other_gates: Vec::new(), zone: None, claims }
}

fn appears(agent: &mut Agent, pod: GatedPod) -> Seen {
    let event = ClusterEvent::GatedPods(ObjectEvent::Set(member("redis-0"), Some(pod)));
    agent.handle(Event::Cluster(Box::new(event)))
}

/// The leader of a cluster with a member whose address is parked. It has made a pass.
fn leading() -> Agent {
    let view: View = ClusterFixture::with_member(State::Parked).view;
    let mut agent = Agent::leading(&view);
    agent.pod = Some(live("pod-1", Some(owner("set-1"))));
    drop(agent.run(SECOND));
    agent
}

fn removes_gate(effect: &Effect) -> bool {
    let Effect::Start(PassStep::Perform(operation, _)) = effect else { return false };
    matches!(**operation, Operation::RemoveZoneGate { .. })
}

fn begins_pass(effect: &Effect) -> bool {
    matches!(effect, Effect::Start(PassStep::Identify))
}

#[test]
fn a_pod_that_appears_between_two_passes_loses_its_gate_at_once() {
    let mut agent = leading();
    assert_eq!(appears(&mut agent, pod(&["data"])), []);
    let now = agent.now.0;
    let seen = agent.run(SECOND);
    assert!(
        matches!(&seen[0].1, Effect::Start(PassStep::ReadVolumes(of, claims))
            if *of == member("redis-0") && *claims == ["data"]),
        "{seen:?}"
    );
    assert_eq!(time(&seen, removes_gate), Some(now), "{seen:?}");
    assert_eq!(started(&seen)[0].1.address, Some(ADDRESS));
    assert_eq!(time(&seen, begins_pass), None, "nothing else is done");
}

#[test]
fn gated_pods_do_not_delay_the_next_pass_of_the_cluster() {
    let mut agent = leading();
    let begun = agent.now;
    let mut seen = Seen::new();
    while time(&seen, begins_pass).is_none() {
        drop(appears(&mut agent, pod(&[])));
        seen = agent.run(SECOND);
        assert!(agent.now.since(begun) <= timing::PASS_EVERY + SECOND);
    }
    assert!(agent.now.since(begun) >= timing::PASS_EVERY / 2, "and none is early");
}

#[test]
fn an_operation_on_a_gate_that_failed_is_repeated_with_the_next_pass() {
    let mut agent = leading();
    drop(appears(&mut agent, pod(&[])));
    assert!(time(&agent.run(SECOND), removes_gate).is_some());
    // The pod is still gated: the operation failed.
    let seen = agent.run(timing::PASS_EVERY);
    assert_eq!(time(&seen, removes_gate), time(&seen, begins_pass));
    assert_eq!(seen.iter().filter(|(_, effect)| removes_gate(effect)).count(), 1);
}

#[test]
fn a_pod_that_appears_during_an_operation_is_next() {
    let mut agent = leading();
    agent.operations = None;
    drop(appears(&mut agent, pod(&[])));
    assert_eq!(started(&agent.run(SECOND)).len(), 1);
    let event = ObjectEvent::Set(member("redis-1"), Some(pod(&[])));
    let event = Event::Cluster(Box::new(ClusterEvent::GatedPods(event)));
    assert_eq!(agent.handle(event), []);
    assert_eq!(started(&agent.run(SECOND)).len(), 0, "one operation at a time");
    drop(agent.handle(step(StepResult::Performed(Vec::new()))));
    assert_eq!(started(&agent.run(SECOND)).len(), 1);
}

#[test]
fn a_changed_claim_matters_only_while_a_pod_is_gated() {
    let mut agent = leading();
    let changes = |agent: &mut Agent| {
        let claim = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
        let event = ClusterEvent::Claims(ObjectEvent::Set(member("redis-0"), Some(claim)));
        assert_eq!(agent.handle(Event::Cluster(Box::new(event))), []);
        agent.run(SECOND)
    };
    assert_eq!(changes(&mut agent), []);
    drop(appears(&mut agent, pod(&[])));
    drop(agent.run(SECOND));
    let seen = changes(&mut agent);
    assert!(time(&seen, removes_gate).is_some(), "{seen:?}");
}

#[test]
fn a_list_of_claims_begins_a_pass_of_gated_pods_only_at_its_end() {
    let mut agent = leading();
    drop(appears(&mut agent, pod(&["data"])));
    drop(agent.run(SECOND));
    let tell = |agent: &mut Agent, event| {
        assert_eq!(agent.handle(Event::Cluster(Box::new(event))), []);
        agent.run(SECOND)
    };
    let reads = |effect: &Effect| matches!(effect, Effect::Start(PassStep::ReadVolumes(..)));
    let claim = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
    for event in ObjectEvent::list([(member("redis-0"), Some(claim))]) {
        let is_end = matches!(event, ObjectEvent::Listed);
        let seen = tell(&mut agent, ClusterEvent::Claims(event));
        assert_eq!(time(&seen, reads).is_some(), is_end, "{seen:?}");
    }
    // An unscheduled pod without the gate, in a list of all of them.
    let other = ClusterEvent::GatedPods(ObjectEvent::Deleted(member("web-0")));
    assert_eq!(tell(&mut agent, other), []);
    let all = ClusterEvent::GatedPods(ObjectEvent::Listed);
    let seen = tell(&mut agent, all);
    assert!(time(&seen, reads).is_some(), "{seen:?}");
}
