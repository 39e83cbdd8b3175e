//! Stale `VolumeReady` conditions of pods that are gone.

use firecamp_controllers::leader::{ObservedPod, Operation, without_volume_wait};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use super::support::{
    ADDRESS, ClusterFixture, MINUTE, claim, gone, live, member, owner, parsed, uid,
};

fn condition(kind: &str, status: &str, message: &str) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: "StuckAttaching".to_owned(),
        message: message.to_owned(),
        last_transition_time: None,
        observed_generation: Some(1),
    }
}

/// Sets the condition of the claim of redis-0.
fn set_condition(fixture: &mut ClusterFixture, conditions: &[Condition]) {
    let seen = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
    let conditions = conditions.into();
    fixture.claim(firecamp_controllers::leader::ObservedClaim { conditions, ..seen });
}

/// Member redis-0 waits for a volume, and has no pod any more.
fn waiting() -> ClusterFixture {
    let mut fixture = ClusterFixture::with_member(State::Parked);
    set_condition(&mut fixture, &[condition("VolumeReady", "False", "n1 (i-1): volume v")]);
    fixture.pod("redis-0", gone());
    fixture
}

fn is_ended(operations: &[Operation]) -> bool {
    operations.iter().any(|operation| {
        let Operation::ClearVolumeWait { member: whose, id } = operation else { return false };
        assert_eq!((whose, &id.uid), (&member("redis-0"), &uid("claim-redis-0")));
        true
    })
}

#[test]
fn f081_the_condition_of_a_gone_pod_is_cleared_after_two_passes_and_a_grace_period() {
    let mut fixture = waiting();
    assert!(!is_ended(&fixture.after(MINUTE)));
    assert!(!is_ended(&fixture.after(MINUTE)));
    assert!(is_ended(&fixture.after(MINUTE)));
    let mut fixture = waiting();
    assert!(!is_ended(&fixture.after(MINUTE)));
    assert!(
        is_ended(&fixture.after(MINUTE * 10)),
        "two passes are enough once it has been so long"
    );
}

#[test]
fn f081_the_condition_of_a_present_pod_is_left_to_its_agent() {
    for (node, lifecycle) in [
        (None, PodLifecycle::Running),
        (Some("n1"), PodLifecycle::Running),
        (Some("n2"), PodLifecycle::Running),
        (Some("n1"), PodLifecycle::Terminating(None)),
        (Some("n1"), PodLifecycle::Terminal),
    ] {
        let mut fixture = waiting();
        let view = PodView::Present {
            pod: parsed("pod-2"),
            node: node.map(parsed),
            lifecycle,
            controller: None,
        };
        fixture.pod("redis-0", ObservedPod { view, controller: Some(owner("set-1")) });
        assert!(!is_ended(&fixture.during(MINUTE * 30)));
    }
}

#[test]
fn f081_an_unreadable_pod_is_not_absent() {
    let mut fixture = waiting();
    fixture.answers.pods.clear();
    assert!(!is_ended(&fixture.during(MINUTE * 30)));
}

#[test]
fn f081_a_pod_that_appears_in_between_restarts_the_grace_period() {
    let mut fixture = waiting();
    assert!(!is_ended(&fixture.during(MINUTE)));
    fixture.pod("redis-0", live("pod-2", Some(owner("set-1"))));
    assert!(!is_ended(&fixture.after(MINUTE)));
    fixture.pod("redis-0", gone());
    assert!(!is_ended(&fixture.after(MINUTE)));
    assert!(!is_ended(&fixture.after(MINUTE)));
    assert!(is_ended(&fixture.after(MINUTE)));
}

#[test]
fn f081_a_changed_condition_restarts_the_grace_period() {
    let mut fixture = waiting();
    for turn in 0..20 {
        let message = format!("n1 (i-1): volume v{turn}");
        set_condition(&mut fixture, &[condition("VolumeReady", "False", &message)]);
        assert!(!is_ended(&fixture.after(MINUTE)));
    }
}

#[test]
fn no_pod_is_read_for_a_claim_without_a_volume_wait() {
    for conditions in [
        vec![],
        vec![condition("VolumeReady", "True", "n1 has mounted all volumes of the pod")],
        vec![condition("Audited", "False", "by hand")],
    ] {
        let mut fixture = waiting();
        set_condition(&mut fixture, &conditions);
        assert!(fixture.planner.ask(&fixture.view, &fixture.site).pods.is_empty());
        assert!(!is_ended(&fixture.during(MINUTE * 30)));
    }
}

#[test]
fn foreign_conditions_of_a_claim_stay() {
    let (audited, wait) = (condition("Audited", "True", ""), condition("VolumeReady", "False", ""));
    let mut seen = claim("redis-0", None, None);
    assert_eq!(without_volume_wait(&seen), None);
    let all = [audited.clone(), wait];
    seen.conditions = all.as_slice().into();
    let change = without_volume_wait(&seen).unwrap();
    assert_eq!(change.applied(&all), [audited]);
    seen.id.deleting = true;
    assert_eq!(without_volume_wait(&seen), None, "its claim is being deleted");
}
