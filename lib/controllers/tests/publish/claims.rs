//! The condition `VolumeReady` of claims: when it is written and when it is removed.

use std::time::Duration;

use firecamp_controllers::publish::{Facts, Subject};
use firecamp_core::ids::Member;
use firecamp_node::volumes::{Blocker, PodVolumes, Reason, Served};
use firecamp_registry::api::Condition;
use firecamp_testkit::sim::{Break, Op, Script};

use super::support::{MINUTE, Node, healthy_facts};

const CLAIM: &str = "VolumeReady";

fn member() -> Member {
    "prod/redis-0".parse().unwrap()
}

fn claim() -> Subject {
    Subject::Claim(member())
}

fn stuck() -> Served {
    Served::Blocked(Blocker {
        volume: "vol-0123456789abcdef0".to_owned(),
        claim: "data-redis-0".to_owned(),
        reason: Reason::StuckAttaching,
        message: "EC2 has been attaching the volume as /dev/sdf and does not finish".to_owned(),
        lasted: Some(Duration::from_secs(90)),
    })
}

fn pod(served: Served) -> Option<Vec<PodVolumes>> {
    let (namespace, name) = ("prod".to_owned(), "redis-0".to_owned());
    Some(vec![PodVolumes { namespace, name, uid: "pod-1".parse().unwrap(), served }])
}

fn facts(served: Served) -> Facts {
    Facts { pods: pod(served), ..healthy_facts() }
}

/// A node of the member's pod, and its claim, after a minute.
fn node(served: Served) -> Node {
    let mut node = Node::new(facts(served));
    node.api.set_claim(&member());
    node.run(MINUTE);
    node
}

fn volume_ready(node: &Node) -> Option<Condition> {
    node.api.conditions(&claim()).into_iter().find(|one| one.kind == CLAIM)
}

fn status(node: &Node) -> String {
    volume_ready(node).map_or("nothing".to_owned(), |one| format!("{} {}", one.status, one.reason))
}

#[test]
fn f081_a_claim_reports_the_stuck_volume_with_state_time_and_advice() {
    let mut node = Node::new(facts(stuck()));
    node.api.set_claim(&member());
    node.second = 10 * MINUTE;
    node.run(MINUTE);
    let condition = volume_ready(&node).unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "StuckAttaching"));
    assert_eq!(
        condition.message,
        "node-1 (i-0000000a): volume vol-0123456789abcdef0 (PersistentVolumeClaim data-redis-0, \
         attaching): EC2 has been attaching the volume as /dev/sdf and does not finish. Check the \
         instance's volume limit and whether the device name is already in use; the EBS CSI driver \
         detaches the volume and retries. Since 2026-11-20T00:08:30Z."
    );
    assert_eq!(condition.observed_generation, Some(1));
    assert_eq!(condition.last_transition_time.as_deref(), Some("2026-11-20T00:10:00Z"));
}

#[test]
fn f081_an_unchanged_condition_is_not_written_again() {
    let mut node = node(stuck());
    let (before, first) = (node.api.posted().conditions, volume_ready(&node));
    for minutes in 1..30 {
        // The agent's looks know ever better how long it has lasted.
        let mut served = stuck();
        if let Served::Blocked(blocker) = &mut served {
            blocker.lasted = Some(Duration::from_secs(97 + minutes * MINUTE));
        }
        node.facts.pods = pod(served);
        node.run(MINUTE);
    }
    assert_eq!((node.api.posted().conditions, volume_ready(&node)), (before, first));
}

#[test]
fn f081_a_restart_writes_nothing_during_a_problem_and_reports_its_end() {
    let mut node = node(stuck());
    let (before, first) = (node.api.posted().writes(), volume_ready(&node));
    node.restart();
    let mut resumed = stuck();
    if let Served::Blocked(blocker) = &mut resumed {
        blocker.lasted = None;
    }
    node.facts.pods = pod(resumed);
    node.run(10 * MINUTE);
    assert_eq!((node.api.posted().writes(), volume_ready(&node)), (before, first));
    node.restart();
    node.facts.pods = pod(Served::Ready);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
}

#[test]
fn f081_another_volume_stuck_for_the_same_reason_is_named() {
    let mut node = node(stuck());
    let first = volume_ready(&node).unwrap();
    let mut other = stuck();
    if let Served::Blocked(blocker) = &mut other {
        blocker.volume = "vol-0123456789abcdef1".to_owned();
    }
    node.facts.pods = pod(other);
    node.run(MINUTE);
    let now = volume_ready(&node).unwrap();
    assert!(now.message.contains("vol-0123456789abcdef1"), "{}", now.message);
    assert_eq!(now.last_transition_time, first.last_transition_time);
}

#[test]
fn f081_a_claim_without_volume_problems_is_never_written() {
    for served in [Served::Ready, Served::Pending] {
        let mut node = node(served);
        let before = node.api.posted().reads;
        node.run(MINUTE);
        assert_eq!((status(&node).as_str(), node.api.posted().reads), ("nothing", before));
    }
}

#[test]
fn f081_recovered_volumes_are_reported_once_with_the_observed_generation() {
    let mut node = node(stuck());
    node.api.set_claim(&member());
    node.facts.pods = pod(Served::Pending);
    node.run(MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
    node.facts.pods = pod(Served::Ready);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
    assert_eq!(volume_ready(&node).unwrap().observed_generation, Some(2));
    let before = node.api.posted();
    node.run(4 * MINUTE);
    assert_eq!(node.api.posted().writes(), before.writes());
}

#[test]
fn f081_the_condition_of_a_pod_that_left_is_cleared_after_a_minute() {
    let mut node = node(stuck());
    node.facts.pods = Some(Vec::new());
    node.run(58);
    assert_eq!(status(&node), "False StuckAttaching");
    node.run(10);
    assert_eq!(status(&node), "nothing");
}

#[test]
fn f081_a_newer_condition_of_another_node_is_kept() {
    let mut node = node(stuck());
    let other = Condition {
        message: "node-2 (i-2): volume …".to_owned(),
        ..volume_ready(&node).unwrap()
    };
    node.api.set_conditions(&claim(), vec![other.clone()]);
    node.facts.pods = Some(Vec::new());
    node.run(5 * MINUTE);
    assert_eq!(volume_ready(&node), Some(other));
}

#[test]
fn f081_a_pod_from_another_node_lacks_its_volume_until_it_is_mounted() {
    let mut other = Node::new(facts(stuck()));
    other.api.set_claim(&member());
    other.run(MINUTE);
    let left = Condition {
        message: "node-2 (i-2): volume …".to_owned(),
        ..volume_ready(&other).unwrap()
    };
    let mut node = node(Served::Pending);
    node.api.set_conditions(&claim(), vec![left.clone()]);
    node.run(MINUTE);
    assert_eq!(volume_ready(&node), Some(left.clone()));
    node.facts.pods = pod(stuck());
    node.run(MINUTE);
    let now = volume_ready(&node).unwrap();
    assert!(now.message.starts_with("node-1 ("), "{}", now.message);
    assert_eq!(now.last_transition_time, left.last_transition_time);
    node.facts.pods = pod(Served::Ready);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
}

#[test]
fn f081_unlisted_pods_are_not_absent_after_a_failed_read() {
    let mut node = node(stuck());
    node.facts.pods = None;
    node.run(10 * MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
}

#[test]
fn f081_a_claim_created_later_is_updated_within_minutes() {
    let mut node = Node::new(facts(stuck()));
    node.run(MINUTE);
    assert_eq!(status(&node), "nothing");
    node.api.set_claim(&member());
    node.run(5 * MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
}

#[test]
fn f081_other_conditions_of_the_claim_are_kept() {
    let mut node = node(Served::Pending);
    let audited = Condition {
        kind: "Audited".to_owned(),
        status: "True".to_owned(),
        reason: "ByHand".to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    node.api.set_conditions(&claim(), vec![audited.clone()]);
    for served in [Some(stuck()), Some(Served::Ready), Some(stuck()), None] {
        node.facts.pods = served.map_or(Some(Vec::new()), pod);
        node.run(3 * MINUTE);
        assert_eq!(node.api.conditions(&claim())[0], audited);
    }
    assert_eq!(node.api.conditions(&claim()), [audited]);
}

/// The first write of the claim fails, without its effect and with it.
#[test]
fn f081_a_failed_or_unanswered_write_is_repeated() {
    for how in [Break::Before, Break::After] {
        let script = Script::new().breaking(Op::ReplaceConditions, 1, how);
        let mut node = Node::with(facts(stuck()), script.clone());
        node.api.set_claim(&member());
        node.run(2 * MINUTE);
        assert_eq!((script.fired(), status(&node).as_str()), (1, "False StuckAttaching"));
        node.facts.pods = pod(Served::Ready);
        node.run(MINUTE);
        assert_eq!(status(&node), "True Mounted");
    }
}

#[test]
fn nothing_is_reported_for_claims_before_the_instance_is_known() {
    let mut node = Node::new(Facts { instance: None, ..facts(stuck()) });
    node.api.set_claim(&member());
    node.run(MINUTE);
    assert_eq!(status(&node), "nothing");
}
