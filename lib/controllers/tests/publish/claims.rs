//! What is said of the claims of this node's pods, and when it is taken back.

use std::time::Duration;

use firecamp_controllers::publish::{Facts, Subject};
use firecamp_core::ids::Member;
use firecamp_node::volumes::{Hindrance, PodVolumes, Reason, Served};
use firecamp_registry::api::Condition;
use firecamp_testkit::sim::{Break, Op, Script};

use super::support::{MINUTE, Node, well};

const CLAIM: &str = "VolumeReady";

fn member() -> Member {
    "prod/redis-0".parse().unwrap()
}

fn claim() -> Subject {
    Subject::Claim(member())
}

fn stuck() -> Served {
    Served::No(Hindrance {
        volume: "vol-0123456789abcdef0".to_owned(),
        claim: "data-redis-0".to_owned(),
        reason: Reason::StuckAttaching,
        message: "EC2 is attaching it as /dev/sdf and does not finish".to_owned(),
        lasted: Some(Duration::from_secs(90)),
    })
}

fn pod(served: Served) -> Option<Vec<PodVolumes>> {
    let (namespace, name) = ("prod".to_owned(), "redis-0".to_owned());
    Some(vec![PodVolumes { namespace, name, uid: "pod-1".parse().unwrap(), served }])
}

fn facts(served: Served) -> Facts {
    Facts { pods: pod(served), ..well() }
}

/// A node of the member's pod, and its claim, after a minute.
fn node(served: Served) -> Node {
    let mut node = Node::new(facts(served));
    node.api.set_claim(&member());
    node.run(MINUTE);
    node
}

fn said(node: &Node) -> Option<Condition> {
    node.api.conditions(&claim()).into_iter().find(|one| one.kind == CLAIM)
}

fn status(node: &Node) -> String {
    said(node).map_or("nothing".to_owned(), |one| format!("{} {}", one.status, one.reason))
}

#[test]
fn f081_a_claim_says_which_volume_is_stuck_where_in_what_state_since_when_and_what_to_do() {
    let mut node = Node::new(facts(stuck()));
    node.api.set_claim(&member());
    node.second = 10 * MINUTE;
    node.run(MINUTE);
    let said = said(&node).unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "StuckAttaching"));
    assert_eq!(
        said.message,
        "node-1 (i-0000000a): volume vol-0123456789abcdef0 (PersistentVolumeClaim data-redis-0, \
         attaching): EC2 is attaching it as /dev/sdf and does not finish. Look for the instance's \
         limit of volumes and for a device name that is taken; the EBS driver detaches and starts \
         over. Since 2026-11-20T00:08:30Z."
    );
    assert_eq!(said.observed_generation, Some(1));
    assert_eq!(said.last_transition_time.as_deref(), Some("2026-11-20T00:10:00Z"));
}

#[test]
fn f081_what_stands_is_not_written_again_however_long_it_lasts() {
    let mut node = node(stuck());
    let (before, first) = (node.api.posted().conditions, said(&node));
    for minutes in 1..30 {
        // The agent's looks know ever better how long it has lasted.
        let mut served = stuck();
        if let Served::No(hindrance) = &mut served {
            hindrance.lasted = Some(Duration::from_secs(97 + minutes * MINUTE));
        }
        node.facts.pods = pod(served);
        node.run(MINUTE);
    }
    assert_eq!((node.api.posted().conditions, said(&node)), (before, first));
}

#[test]
fn f081_a_restart_writes_nothing_while_it_lasts_and_says_that_it_is_over() {
    let mut node = node(stuck());
    let (before, first) = (node.api.posted().writes(), said(&node));
    node.restart();
    let mut resumed = stuck();
    if let Served::No(hindrance) = &mut resumed {
        hindrance.lasted = None;
    }
    node.facts.pods = pod(resumed);
    node.run(10 * MINUTE);
    assert_eq!((node.api.posted().writes(), said(&node)), (before, first));
    node.restart();
    node.facts.pods = pod(Served::Wholly);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
}

#[test]
fn f081_another_volume_that_is_stuck_for_the_same_reason_is_named() {
    let mut node = node(stuck());
    let first = said(&node).unwrap();
    let mut other = stuck();
    if let Served::No(hindrance) = &mut other {
        hindrance.volume = "vol-0123456789abcdef1".to_owned();
    }
    node.facts.pods = pod(other);
    node.run(MINUTE);
    let now = said(&node).unwrap();
    assert!(now.message.contains("vol-0123456789abcdef1"), "{}", now.message);
    assert_eq!(now.last_transition_time, first.last_transition_time);
}

#[test]
fn f081_a_claim_whose_pods_never_lacked_a_volume_carries_nothing_and_is_not_written() {
    for served in [Served::Wholly, Served::NotYet] {
        let mut node = node(served);
        let before = node.api.posted().reads;
        node.run(MINUTE);
        assert_eq!((status(&node).as_str(), node.api.posted().reads), ("nothing", before));
    }
}

#[test]
fn f081_a_pod_that_has_its_volumes_again_is_said_so_once_and_of_the_spec_that_was_seen() {
    let mut node = node(stuck());
    node.api.set_claim(&member());
    node.facts.pods = pod(Served::NotYet);
    node.run(MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
    node.facts.pods = pod(Served::Wholly);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
    assert_eq!(said(&node).unwrap().observed_generation, Some(2));
    let before = node.api.posted();
    node.run(4 * MINUTE);
    assert_eq!(node.api.posted().writes(), before.writes());
}

#[test]
fn f081_what_was_said_of_a_pod_that_left_is_taken_back_after_a_minute() {
    let mut node = node(stuck());
    node.facts.pods = Some(Vec::new());
    node.run(58);
    assert_eq!(status(&node), "False StuckAttaching");
    node.run(10);
    assert_eq!(status(&node), "nothing");
}

#[test]
fn f081_what_another_node_says_by_then_stands() {
    let mut node = node(stuck());
    let other =
        Condition { message: "node-2 (i-2): volume …".to_owned(), ..said(&node).unwrap() };
    node.api.set_conditions(&claim(), vec![other.clone()]);
    node.facts.pods = Some(Vec::new());
    node.run(5 * MINUTE);
    assert_eq!(said(&node), Some(other));
}

#[test]
fn f081_a_pod_that_came_from_another_node_lacks_its_volume_until_it_has_it() {
    let mut other = Node::new(facts(stuck()));
    other.api.set_claim(&member());
    other.run(MINUTE);
    let left =
        Condition { message: "node-2 (i-2): volume …".to_owned(), ..said(&other).unwrap() };
    let mut node = node(Served::NotYet);
    node.api.set_conditions(&claim(), vec![left.clone()]);
    node.run(MINUTE);
    assert_eq!(said(&node), Some(left.clone()));
    node.facts.pods = pod(stuck());
    node.run(MINUTE);
    let now = said(&node).unwrap();
    assert!(now.message.starts_with("node-1 ("), "{}", now.message);
    assert_eq!(now.last_transition_time, left.last_transition_time);
    node.facts.pods = pod(Served::Wholly);
    node.run(MINUTE);
    assert_eq!(status(&node), "True Mounted");
}

#[test]
fn f081_pods_that_nobody_could_list_are_not_gone() {
    let mut node = node(stuck());
    node.facts.pods = None;
    node.run(10 * MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
}

#[test]
fn f081_a_claim_that_is_made_only_later_is_told_within_minutes() {
    let mut node = Node::new(facts(stuck()));
    node.run(MINUTE);
    assert_eq!(status(&node), "nothing");
    node.api.set_claim(&member());
    node.run(5 * MINUTE);
    assert_eq!(status(&node), "False StuckAttaching");
}

#[test]
fn f081_what_others_say_of_the_claim_is_kept() {
    let mut node = node(Served::NotYet);
    let audited = Condition {
        kind: "Audited".to_owned(),
        status: "True".to_owned(),
        reason: "ByHand".to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: None,
    };
    node.api.set_conditions(&claim(), vec![audited.clone()]);
    for served in [Some(stuck()), Some(Served::Wholly), Some(stuck()), None] {
        node.facts.pods = served.map_or(Some(Vec::new()), pod);
        node.run(3 * MINUTE);
        assert_eq!(node.api.conditions(&claim())[0], audited);
    }
    assert_eq!(node.api.conditions(&claim()), [audited]);
}

/// The first write of the claim fails, without its effect and with it.
#[test]
fn f081_a_write_that_fails_or_whose_answer_is_lost_is_made_up_for() {
    for how in [Break::Before, Break::After] {
        let script = Script::new().breaking(Op::ReplaceConditions, 1, how);
        let mut node = Node::with(facts(stuck()), script.clone());
        node.api.set_claim(&member());
        node.run(2 * MINUTE);
        assert_eq!((script.fired(), status(&node).as_str()), (1, "False StuckAttaching"));
        node.facts.pods = pod(Served::Wholly);
        node.run(MINUTE);
        assert_eq!(status(&node), "True Mounted");
    }
}

#[test]
fn before_the_instance_is_known_nothing_is_said_of_claims() {
    let mut node = Node::new(Facts { instance: None, ..facts(stuck()) });
    node.api.set_claim(&member());
    node.run(MINUTE);
    assert_eq!(status(&node), "nothing");
}
