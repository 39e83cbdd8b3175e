//! Events: transitions, each once.

use firecamp_controllers::publish::facts::Check;
use firecamp_controllers::publish::{About, Facts, Notice, Publisher, Step};

use super::support::{ADDRESS, MINUTE, Node, name, wall, well};

#[test]
fn an_event_is_about_the_pod_and_names_the_static_ip() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    node.notice(Notice::Restored(ADDRESS));
    node.run(5);
    let events = node.api.events();
    let uid = "pod-1".to_owned();
    let pod = About::Pod { namespace: "prod".to_owned(), name: "redis-0".to_owned(), uid };
    assert_eq!((events.len(), events[0].reason), (1, "AddressRestored"));
    assert_eq!((&events[0].about, events[0].related), (&pod, Some(ADDRESS)));
    assert_eq!((events[0].warns, events[0].action), (false, "Restore"));
    assert_eq!(events[0].at, wall(60));
}

#[test]
fn what_is_done_before_the_records_are_known_is_told_at_the_pod_once_they_are() {
    let mut node = Node::new(Facts { addresses: None, ..well() });
    node.run(2);
    node.notice(Notice::Restored(ADDRESS));
    node.run(MINUTE);
    assert_eq!(node.reasons(), [""; 0], "nobody knows whose it is");
    node.facts = well();
    node.run(5);
    let events = node.api.events();
    assert_eq!((events.len(), events[0].reason), (1, "AddressRestored"));
    assert!(matches!(&events[0].about, About::Pod { name, .. } if name == "redis-0"));
    assert_eq!(events[0].at, wall(2), "at the time when it was done");
}

#[test]
fn what_is_reasserted_again_and_again_is_told_once_in_five_minutes() {
    let mut node = Node::new(well());
    node.run(MINUTE);
    for _ in 0..30 {
        node.notice(Notice::Reasserted(ADDRESS));
        node.run(20);
    }
    assert_eq!(node.reasons(), ["AddressReasserted", "AddressReasserted"]);
}

#[test]
fn a_check_that_fails_is_told_once_and_once_more_when_it_passes() {
    let check = |good| Check {
        kind: "MetadataReachable".to_owned(),
        good: Some(good),
        blocks: true,
        reason: if good { "Reachable" } else { "HopLimit" }.to_owned(),
        message: "the hop limit is 1".to_owned(),
    };
    let mut node = Node::new(Facts { checks: vec![check(true)], ..well() });
    node.run(MINUTE);
    assert_eq!(node.reasons(), [""; 0]);
    node.facts.checks = vec![check(false)];
    node.run(MINUTE);
    assert_eq!(node.node_said("MetadataReachable"), "False HopLimit");
    assert_eq!(node.node_said("Ready"), "False HopLimit");
    node.facts.checks = vec![check(true)];
    node.run(MINUTE);
    assert_eq!(node.reasons(), ["PreflightFailed", "PreflightPassed"]);
}

#[test]
fn events_that_wait_for_the_api_are_bounded_and_the_latest_are_kept() {
    let mut publisher = Publisher::offline(name());
    let facts = well();
    publisher.take(facts.clone(), node_time(0), &wall(0));
    for minute in 0..100 {
        let at = node_time(minute * 6 * MINUTE);
        publisher.take(facts.clone(), at, &wall(minute * 6 * MINUTE));
        publisher.notice(Notice::Restored(ADDRESS), at);
    }
    let mut told = Vec::new();
    while let Some(step) = publisher.next(node_time(0)) {
        let Step::Tell(event) = &step else { panic!("{step:?}") };
        told.push(event.at.clone());
        publisher.done(&step, Ok(firecamp_controllers::publish::Done::Well), (node_time(0), 0));
    }
    assert_eq!((told.len(), told.last()), (64, Some(&wall(99 * 6 * MINUTE))));
}

fn node_time(second: u64) -> firecamp_core::time::Moment {
    firecamp_core::time::Moment(std::time::Duration::from_secs(second))
}
