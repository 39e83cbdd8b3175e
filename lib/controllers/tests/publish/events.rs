//! Events: transitions, each once.

use firecamp_controllers::publish::facts::Check;
use firecamp_controllers::publish::{About, Facts, Notice, Publisher, Shortage, Step};

use super::support::{ADDRESS, MINUTE, Node, healthy_facts, name, timestamp};

#[test]
fn an_event_is_about_the_pod_and_names_the_static_ip() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    node.notice(Notice::Restored(ADDRESS));
    node.run(5);
    let events = node.api.events();
    let uid = "pod-1".to_owned();
    let pod = About::Pod { namespace: "prod".to_owned(), name: "redis-0".to_owned(), uid };
    assert_eq!((events.len(), events[0].reason), (1, "AddressRestored"));
    assert_eq!((&events[0].about, events[0].related), (&pod, Some(ADDRESS)));
    assert_eq!((events[0].warns, events[0].action), (false, "Restore"));
    assert_eq!(events[0].at, timestamp(60));
}

#[test]
fn early_notices_are_emitted_for_the_pod_once_records_are_known() {
    let mut node = Node::new(Facts { addresses: None, ..healthy_facts() });
    node.run(2);
    node.notice(Notice::Restored(ADDRESS));
    node.run(MINUTE);
    assert_eq!(node.reasons(), [""; 0], "its record is not known yet");
    node.facts = healthy_facts();
    node.run(5);
    let events = node.api.events();
    assert_eq!((events.len(), events[0].reason), (1, "AddressRestored"));
    assert!(matches!(&events[0].about, About::Pod { name, .. } if name == "redis-0"));
    assert_eq!(events[0].at, timestamp(2), "at the time when it was done");
}

#[test]
fn f135_pod_without_an_address_gets_a_warning() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    let (member, pod) = ("prod/redis-7".parse().unwrap(), "pod-7".parse().unwrap());
    node.notice(Notice::WithoutAddress(member, pod));
    node.run(5);
    let events = node.api.events();
    let (namespace, name) = ("prod".to_owned(), "redis-7".to_owned());
    let pod = About::Pod { namespace, name, uid: "pod-7".to_owned() };
    assert_eq!((events[0].reason, &events[0].about), ("PodWithoutAddress", &pod));
    assert!(events[0].warns);
    assert!(events[0].note.contains("node-1"), "{}", events[0].note);
}

#[test]
fn an_eviction_is_about_the_static_ip_and_a_shortage_about_the_waiting_pod() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    node.notice(Notice::Evicted(ADDRESS));
    node.notice(Notice::NotReserved(Shortage {
        member: "prod/redis-7".parse().unwrap(),
        pod: "pod-7".parse().unwrap(),
        parked: ADDRESS,
        subnet: "subnet-0000000a".parse().unwrap(),
    }));
    node.run(5);
    let events = node.api.events();
    assert_eq!(node.reasons(), ["AddressEvicted", "AddressNotReserved"]);
    assert_eq!((&events[0].about, events[0].warns), (&About::StaticIp(ADDRESS), false));
    let (namespace, name) = ("prod".to_owned(), "redis-7".to_owned());
    let pod = About::Pod { namespace, name, uid: "pod-7".to_owned() };
    assert_eq!((&events[1].about, events[1].warns), (&pod, true));
    assert_eq!(events[1].related, Some(ADDRESS));
    for text in ["prod/redis-7", "10.0.1.50", "subnet-0000000a", "node-1", "Create one"] {
        assert!(events[1].note.contains(text), "{}", events[1].note);
    }
}

#[test]
fn repeated_reasserts_emit_one_event_in_five_minutes() {
    let mut node = Node::new(healthy_facts());
    node.run(MINUTE);
    for _ in 0..30 {
        node.notice(Notice::Reasserted(ADDRESS));
        node.run(20);
    }
    assert_eq!(node.reasons(), ["AddressReasserted", "AddressReasserted"]);
}

#[test]
fn a_failing_check_emits_one_event_and_one_more_when_it_passes() {
    let check = |good| Check {
        kind: "MetadataReachable".to_owned(),
        good: Some(good),
        blocks: true,
        reason: if good { "Reachable" } else { "HopLimit" }.to_owned(),
        message: "the hop limit is 1".to_owned(),
    };
    let mut node = Node::new(Facts { checks: vec![check(true)], ..healthy_facts() });
    node.run(MINUTE);
    assert_eq!(node.reasons(), [""; 0]);
    node.facts.checks = vec![check(false)];
    node.run(MINUTE);
    assert_eq!(node.node_condition("MetadataReachable"), "False HopLimit");
    assert_eq!(node.node_condition("Ready"), "False HopLimit");
    node.facts.checks = vec![check(true)];
    node.run(MINUTE);
    assert_eq!(node.reasons(), ["PreflightFailed", "PreflightPassed"]);
}

#[test]
fn pending_events_are_bounded_and_the_latest_are_kept() {
    let mut publisher = Publisher::offline(name());
    let facts = healthy_facts();
    publisher.take(facts.clone(), node_time(0), &timestamp(0));
    for minute in 0..100 {
        let at = node_time(minute * 6 * MINUTE);
        publisher.take(facts.clone(), at, &timestamp(minute * 6 * MINUTE));
        publisher.notice(Notice::Restored(ADDRESS), at);
    }
    let mut reported = Vec::new();
    while let Some(step) = publisher.next(node_time(0)) {
        let Step::EmitEvent(event) = &step else { panic!("{step:?}") };
        reported.push(event.at.clone());
        publisher.done(&step, Ok(firecamp_controllers::publish::Done::Success), (node_time(0), 0));
    }
    assert_eq!((reported.len(), reported.last()), (64, Some(&timestamp(99 * 6 * MINUTE))));
}

fn node_time(second: u64) -> firecamp_core::time::Moment {
    firecamp_core::time::Moment(std::time::Duration::from_secs(second))
}
