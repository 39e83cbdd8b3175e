//! DNSEndpoints: what ExternalDNS writes, and what DNS then answers.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{ClusterEvent, Event, LookupAnswer, NamesResult, ObjectEvent};

use super::super::super::support::ClusterFixture;
use super::super::fixture::SECOND;
use super::fixture::{Cluster, ip, name, pod_ip};

const MINUTE: Duration = Duration::from_mins(1);

/// Service redis-static wants its members in this zone.
fn in_zone(zone: &str) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.change_service("redis-static", |service| service.zone = Some(zone.to_owned()));
    cluster.run(SECOND);
    cluster
}

fn records(zone: &str, all: &[(u8, Ipv4Addr)]) -> Vec<(String, Ipv4Addr)> {
    all.iter().map(|(number, address)| (format!("redis-{number}.{zone}"), *address)).collect()
}

fn condition(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn the_default_zone_has_the_names_of_the_original() {
    let cluster = in_zone("default");
    let expected = records("test-firecamp.com", &[(0, ip(0)), (1, ip(1))]);
    assert_eq!(cluster.records("redis-static"), expected);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn a_zone_below_an_allowed_one_is_allowed_and_no_other() {
    assert_eq!(in_zone("db.example.com").records("redis-static").len(), 2);
    for zone in ["example.org", "badexample.com", "Example.com", "", "com"] {
        let cluster = in_zone(zone);
        assert_eq!(cluster.records("redis-static"), [], "{zone}");
        let expected = condition("False", "ZoneNotAllowed");
        assert_eq!(cluster.condition("redis-static"), expected, "{zone}");
        assert_eq!(cluster.endpoints().len(), 2, "the cluster's DNS has them anyway");
    }
}

#[test]
fn a_record_never_changes_while_the_address_stays() {
    let mut cluster = in_zone("default");
    let before = cluster.stored.borrow().records.clone();
    for pods in [&[(0, false), (1, true)][..], &[], &[(1, true)], &[(0, true), (1, true)]] {
        cluster.pods(pods);
        cluster.run(MINUTE * 2);
    }
    cluster.scale(0);
    cluster.run(MINUTE * 2);
    assert_eq!(cluster.stored.borrow().records, before);
}

#[test]
fn a_member_without_a_static_address_is_named_at_its_pod_once_that_has_started() {
    let mut cluster = Cluster::of(&[]);
    cluster.service("redis-static", |service| service.zone = Some("default".to_owned()));
    cluster.pods(&[(0, true), (1, false)]);
    cluster.run(SECOND);
    let zone = "test-firecamp.com";
    assert_eq!(cluster.records("redis-static"), records(zone, &[(0, pod_ip(0))]));
    cluster.pods(&[]);
    cluster.run(MINUTE * 5);
    let stays = records(zone, &[(0, pod_ip(0))]);
    assert_eq!(cluster.records("redis-static"), stays, "until its next start");
    cluster.pods_in("prod", &[(0, pod_ip(9), false)]);
    cluster.run(MINUTE * 5);
    assert_eq!(cluster.records("redis-static"), stays, "it has not started yet");
    cluster.pods_in("prod", &[(0, pod_ip(9), true)]);
    cluster.run(SECOND);
    assert_eq!(cluster.records("redis-static"), records(zone, &[(0, pod_ip(9))]));
    cluster.pods(&[]);
    cluster.scale(0);
    cluster.run(MINUTE * 5);
    assert_eq!(cluster.records("redis-static"), []);
}

#[test]
fn a_member_that_waits_for_its_static_address_is_not_named_at_its_pod() {
    let mut cluster = Cluster::of(&[]);
    cluster.service("redis-static", |service| {
        (service.zone, service.publishes_unready) = (Some("default".to_owned()), true);
    });
    cluster.pods(&[(0, false)]);
    cluster.run(SECOND);
    cluster.claims(0, None);
    cluster.pods(&[(0, true)]);
    cluster.run(SECOND);
    assert_eq!((cluster.records("redis-static"), cluster.endpoints()), (vec![], vec![]));
    cluster.claims(0, Some(ip(0)));
    cluster.run(SECOND);
    let expected = records("test-firecamp.com", &[(0, ip(0))]);
    assert_eq!(cluster.records("redis-static"), expected);
}

#[test]
fn of_two_namespaces_with_the_same_names_the_second_is_refused() {
    let mut cluster = in_zone("default");
    let zone = |service: &mut firecamp_controllers::leader::NamedService| {
        service.zone = Some("default".to_owned());
    };
    cluster.set_in("a", 1);
    cluster.pods_in("a", &[(0, pod_ip(5), true)]);
    // By its name it would be first.
    cluster.service_in("a", "redis-static", zone);
    cluster.run(MINUTE);
    let other = firecamp_controllers::leader::NamespacedName {
        namespace: "a".to_owned(),
        name: "redis-static".to_owned(),
    };
    let refused = cluster.stored.borrow().services[&other].conditions[0].clone();
    assert_eq!((refused.status.as_str(), refused.reason.as_str()), ("False", "NameCollision"));
    assert!(refused.message.contains("Service prod/redis-static"), "{refused:?}");
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
    assert!(!cluster.stored.borrow().records.contains_key(&other));
    // Once the first has another zone, the second has its names.
    cluster.change_service("redis-static", |service| service.zone = None);
    cluster.run(MINUTE * 2);
    assert_eq!(cluster.records("redis-static"), []);
    let stored = cluster.stored.borrow();
    assert_eq!(stored.services[&other].conditions[0].reason, "Published");
    let expected = [("redis-0.test-firecamp.com".to_owned(), pod_ip(5))];
    assert_eq!(stored.records[&other].records, expected.into());
}

#[test]
fn an_external_dns_that_does_not_read_the_records_is_reported() {
    let mut cluster = Cluster::new();
    cluster.stored.borrow_mut().external_dns = false;
    cluster.change_service("redis-static", |it| it.zone = Some("default".to_owned()));
    cluster.run(MINUTE * 2);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"), "yet");
    cluster.run(MINUTE * 2);
    let expected = condition("False", "RecordsNotProcessed");
    assert_eq!(cluster.condition("redis-static"), expected);
    let looked_up = cluster.stored.borrow().looked_up.len();
    assert_eq!(looked_up, 0, "a resolver would remember that the names do not exist");
}

#[test]
fn an_absent_definition_of_external_dns_is_reported_and_the_cluster_has_its_names() {
    let mut cluster = Cluster::without_external_dns();
    cluster.service("redis-static", |it| it.zone = Some("default".to_owned()));
    cluster.run(SECOND);
    let expected = condition("False", "DNSEndpointsUnavailable");
    assert_eq!(cluster.condition("redis-static"), expected);
    assert_eq!(cluster.endpoints().len(), 1);
    // It is installed.
    cluster.tell(ClusterEvent::Records(ObjectEvent::Current(true)));
    cluster.list_names();
    cluster.run(SECOND);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn an_api_server_that_is_away_for_a_moment_changes_no_condition() {
    let mut cluster = in_zone("default");
    cluster.run(MINUTE);
    cluster.tell(ClusterEvent::Records(ObjectEvent::Current(false)));
    cluster.pods(&[(0, true), (1, true)]);
    let seen = cluster.run(MINUTE * 2);
    assert_eq!(Cluster::changes(&seen), 1, "the EndpointSlice: {seen:?}");
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn the_next_leader_clears_no_deviation_before_it_has_looked() {
    let mut cluster = in_zone("default");
    let deviates = |service: &mut firecamp_controllers::leader::NamedService| {
        service.conditions[0].status = "False".to_owned();
        service.conditions[0].reason = "RecordNotFound".to_owned();
    };
    cluster.change_service("redis-static", deviates);
    cluster.run(Duration::from_secs(30));
    assert_eq!(cluster.condition("redis-static"), condition("False", "RecordNotFound"));
    cluster.run(MINUTE * 3);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn a_member_that_lost_its_address_to_another_one_is_not_named_there() {
    let mut cluster = in_zone("default");
    cluster.pods(&[]);
    cluster.unclaims(0);
    cluster.reclaims(0, Some("kafka-0"));
    cluster.run(SECOND);
    let expected = records("test-firecamp.com", &[(1, ip(1))]);
    assert_eq!(cluster.records("redis-static"), expected);
}

#[test]
fn a_zone_that_a_service_changes_to_is_not_taken_from_another_one() {
    let mut cluster = in_zone("z2.example.com");
    let other = firecamp_controllers::leader::NamespacedName {
        namespace: "a".to_owned(),
        name: "redis-static".to_owned(),
    };
    // It has published other names, and by its name it would be first.
    cluster.set_in("a", 1);
    let zone = |of: &str| Some(of.to_owned());
    cluster.service_in("a", "redis-static", |it| it.zone = zone("z1.example.com"));
    let id = super::super::super::support::identity("redis-static");
    let published = firecamp_controllers::leader::ObservedRecords {
        owner: Some(id.uid.clone()),
        id,
        generation: 1,
        processed: 1,
        is_altered: false,
        records: [("redis-0.z1.example.com".to_owned(), pod_ip(0))].into(),
    };
    cluster.stored.borrow_mut().put_records(other.clone(), published);
    cluster.run(SECOND);
    cluster.service_in("a", "redis-static", |it| it.zone = zone("z2.example.com"));
    cluster.run(MINUTE * 2);
    let refused = cluster.stored.borrow().services[&other].conditions[0].clone();
    assert_eq!(refused.reason, "NameCollision");
    assert_eq!(cluster.records("redis-static").len(), 2);
}

#[test]
fn a_service_without_members_blocks_nobody() {
    let mut cluster = Cluster::new();
    let zone = |service: &mut firecamp_controllers::leader::NamedService| {
        service.zone = Some("default".to_owned());
    };
    cluster.service_in("a", "redis-static", zone);
    cluster.change_service("redis-static", zone);
    cluster.run(SECOND);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn f008_a_name_is_looked_up_once_its_record_had_time_to_appear() {
    let mut cluster = in_zone("default");
    cluster.run(Duration::from_secs(50));
    assert_eq!(cluster.stored.borrow().looked_up.len(), 0);
    cluster.run(MINUTE * 2);
    let looked_up: BTreeSet<String> = cluster.stored.borrow().looked_up.iter().cloned().collect();
    let expected: Vec<_> = looked_up.iter().map(String::as_str).collect();
    assert_eq!(expected, ["redis-0.test-firecamp.com", "redis-1.test-firecamp.com"]);
}

#[test]
fn f009_what_dns_answers_otherwise_becomes_a_condition_until_it_is_right() {
    let name = "redis-1.test-firecamp.com";
    let other = LookupAnswer::Addresses(BTreeSet::from([pod_ip(7)]));
    let both = LookupAnswer::Addresses(BTreeSet::from([ip(1), pod_ip(7)]));
    let failed = LookupAnswer::Failed("Temporary failure in name resolution".to_owned());
    for (answer, status, reason, told) in [
        (other, "False", "RecordDiffers", "redis-1.test-firecamp.com has 10.244.0.7"),
        (both, "False", "RecordDiffers", "has 10.0.1.51, 10.244.0.7"),
        (LookupAnswer::NotFound, "False", "RecordNotFound", "does not exist"),
        (failed, "Unknown", "LookupFailed", "Temporary failure"),
    ] {
        let mut cluster = in_zone("default");
        cluster.stored.borrow_mut().dns.insert(name.to_owned(), answer);
        cluster.run(MINUTE * 3);
        assert_eq!(cluster.condition("redis-static"), condition(status, reason));
        let message = cluster.full_condition("redis-static").message;
        assert!(message.contains(told) && !message.contains("redis-0"), "{message}");
        cluster.stored.borrow_mut().dns.clear();
        cluster.run(MINUTE * 3);
        assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
    }
}

#[test]
fn after_a_failed_look_up_the_next_one_waits_ten_seconds() {
    let mut cluster = in_zone("default");
    for number in 0..2 {
        let name = format!("redis-{number}.test-firecamp.com");
        let failed = LookupAnswer::Failed("no answer".to_owned());
        cluster.stored.borrow_mut().dns.insert(name, failed);
    }
    cluster.run(MINUTE * 3);
    let before = cluster.stored.borrow().looked_up.len();
    cluster.run(MINUTE);
    let in_a_minute = cluster.stored.borrow().looked_up.len() - before;
    assert!((1..=6).contains(&in_a_minute), "{in_a_minute}");
}

#[test]
fn a_look_up_without_answer_delays_no_record() {
    let mut cluster = in_zone("default");
    cluster.hang_lookups();
    let seen = cluster.run(MINUTE * 2);
    assert_eq!(Cluster::lookups(&seen), 1, "one runs at a time");
    cluster.claims(2, Some(ip(2)));
    cluster.run(SECOND);
    let expected = records("test-firecamp.com", &[(0, ip(0)), (1, ip(1)), (2, ip(2))]);
    assert_eq!(cluster.records("redis-static"), expected);
}

#[test]
fn an_answer_says_nothing_about_a_record_that_changed_during_the_look_up() {
    let mut cluster = in_zone("default");
    cluster.hang_lookups();
    cluster.run(MINUTE * 2);
    let answer = LookupAnswer::Addresses(BTreeSet::from([ip(0)]));
    cluster.claims(0, Some(ip(7)));
    cluster.run(SECOND);
    assert_eq!(cluster.records("redis-static")[0].1, ip(7));
    let ended = Event::NamesStepEnded(NamesResult::LookedUp(Some(answer)));
    drop(cluster.agent.handle(ended));
    cluster.run(SECOND);
    assert_eq!(cluster.condition("redis-static"), condition("True", "Published"));
}

#[test]
fn a_zone_that_changes_moves_all_names_at_once() {
    let mut cluster = in_zone("default");
    let zone = Some("example.com".to_owned());
    cluster.change_service("redis-static", |service| service.zone = zone);
    cluster.run(SECOND);
    let expected = records("example.com", &[(0, ip(0)), (1, ip(1))]);
    assert_eq!(cluster.records("redis-static"), expected);
}

#[test]
fn a_service_that_is_deleted_leaves_its_objects_to_the_garbage_collector() {
    let mut cluster = in_zone("default");
    cluster.change_service("redis-static", |service| service.id.deleting = true);
    let seen = cluster.run(SECOND * 20);
    assert_eq!(Cluster::changes(&seen), 0);
}

#[test]
fn every_name_is_looked_up_again_and_again() {
    let mut cluster = in_zone("default");
    cluster.run(MINUTE * 30);
    let stored = cluster.stored.borrow();
    for number in 0..2 {
        let name = format!("redis-{number}.test-firecamp.com");
        let times = stored.looked_up.iter().filter(|it| **it == name).count();
        assert!((20..=30).contains(&times), "{name}: {times}");
    }
}

#[test]
fn an_empty_cluster_needs_no_step() {
    let mut cluster = Cluster::leading(&ClusterFixture::new().view);
    let seen = cluster.run(MINUTE * 10);
    assert_eq!((Cluster::changes(&seen), cluster.records("redis-static")), (0, vec![]));
    assert_eq!(cluster.stored.borrow().records.get(&name("redis-static")), None);
}
