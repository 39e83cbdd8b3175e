//! What is said of the volumes of pods that are gone.

use firecamp_controllers::leader::{Duty, PodSeen, without_wait};
use firecamp_core::outside::{Life, PodView};
use firecamp_core::record::State;
use firecamp_registry::api::Condition;

use super::support::{ADDRESS, MINUTE, Town, claim, gone, live, member, owner, parsed, uid};

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

/// What is said of the claim of redis-0 from now on.
fn says(town: &mut Town, conditions: Vec<Condition>) {
    let seen = claim("redis-0", Some(ADDRESS), Some(owner("set-1")));
    town.claim(firecamp_controllers::leader::ClaimSeen { conditions, ..seen });
}

/// Member redis-0 waits for a volume, and has no pod any more.
fn waiting() -> Town {
    let mut town = Town::with_member(State::Parked);
    says(&mut town, vec![condition("VolumeReady", "False", "n1 (i-1): volume v")]);
    town.pod("redis-0", gone());
    town
}

fn is_ended(duties: &[Duty]) -> bool {
    duties.iter().any(|duty| {
        let Duty::EndWait { member: whose, id } = duty else { return false };
        assert_eq!((whose, &id.uid), (&member("redis-0"), &uid("claim-redis-0")));
        true
    })
}

#[test]
fn f081_what_is_said_of_a_pod_that_is_gone_is_taken_back_after_two_passes_and_a_while() {
    let mut town = waiting();
    assert!(!is_ended(&town.after(MINUTE)));
    assert!(!is_ended(&town.after(MINUTE)));
    assert!(is_ended(&town.after(MINUTE)));
    let mut town = waiting();
    assert!(!is_ended(&town.after(MINUTE)));
    assert!(is_ended(&town.after(MINUTE * 10)), "two passes are enough once it has been so long");
}

#[test]
fn f081_what_is_said_of_a_pod_that_is_there_is_for_the_agent_of_its_node() {
    for (node, life) in [
        (None, Life::Running),
        (Some("n1"), Life::Running),
        (Some("n2"), Life::Running),
        (Some("n1"), Life::Terminating(None)),
        (Some("n1"), Life::Terminal),
    ] {
        let mut town = waiting();
        let view = PodView::Present {
            pod: parsed("pod-2"),
            node: node.map(parsed),
            life,
            controller: None,
        };
        town.pod("redis-0", PodSeen { view, controller: Some(owner("set-1")) });
        assert!(!is_ended(&town.during(MINUTE * 30)));
    }
}

#[test]
fn f081_a_pod_that_cannot_be_read_is_not_gone() {
    let mut town = waiting();
    town.answers.pods.clear();
    assert!(!is_ended(&town.during(MINUTE * 30)));
}

#[test]
fn f081_a_pod_that_came_in_between_begins_the_wait_anew() {
    let mut town = waiting();
    assert!(!is_ended(&town.during(MINUTE)));
    town.pod("redis-0", live("pod-2", Some(owner("set-1"))));
    assert!(!is_ended(&town.after(MINUTE)));
    town.pod("redis-0", gone());
    assert!(!is_ended(&town.after(MINUTE)));
    assert!(!is_ended(&town.after(MINUTE)));
    assert!(is_ended(&town.after(MINUTE)));
}

#[test]
fn f081_what_is_said_anew_begins_anew() {
    let mut town = waiting();
    for turn in 0..20 {
        let message = format!("n1 (i-1): volume v{turn}");
        says(&mut town, vec![condition("VolumeReady", "False", &message)]);
        assert!(!is_ended(&town.after(MINUTE)));
    }
}

#[test]
fn nobody_is_asked_for_a_claim_that_does_not_wait() {
    for conditions in [
        vec![],
        vec![condition("VolumeReady", "True", "n1 has mounted all volumes of the pod")],
        vec![condition("Audited", "False", "by hand")],
    ] {
        let mut town = waiting();
        says(&mut town, conditions);
        assert!(town.planner.ask(&town.view, &town.site).pods.is_empty());
        assert!(!is_ended(&town.during(MINUTE * 30)));
    }
}

#[test]
fn what_others_say_of_a_claim_stays() {
    let (audited, wait) = (condition("Audited", "True", ""), condition("VolumeReady", "False", ""));
    let mut seen = claim("redis-0", None, None);
    assert_eq!(without_wait(&seen), None);
    seen.conditions = vec![audited.clone(), wait.clone()];
    assert_eq!(without_wait(&seen), Some(vec![audited]));
    seen.id.deleting = true;
    assert_eq!(without_wait(&seen), None, "it goes with its claim");
}
