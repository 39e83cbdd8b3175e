//! EndpointSlices: what the cluster's DNS answers.

use std::time::Duration;

use firecamp_controllers::leader::{
    ClusterEvent, NamesResult, ObjectEvent, ServicePort, StepResult,
};
use firecamp_core::failure::{Effect as Took, RegistryKind};

use super::super::super::support::{ClusterFixture, member};
use super::super::fixture::{SECOND, step};
use super::fixture::{Cluster, ip, name, pod_ip};

const MINUTE: Duration = Duration::from_mins(1);

fn of(all: &[(u8, bool)]) -> Vec<(String, std::net::Ipv4Addr, bool)> {
    all.iter().map(|(number, ready)| (format!("redis-{number}"), ip(*number), *ready)).collect()
}

#[test]
fn each_member_is_named_at_its_static_address_and_ready_as_its_pod_is() {
    let cluster = Cluster::new();
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, false)]));
    let stored = cluster.stored.borrow();
    let slice = &stored.slices[&name("redis-static-firecamp")];
    let port = ServicePort {
        name: Some("redis".to_owned()),
        port: 6379,
        protocol: "TCP".to_owned(),
        app_protocol: None,
    };
    assert_eq!((slice.service.as_str(), &slice.ports[..]), ("redis-static", &[port][..]));
    drop(stored);
    assert_eq!(cluster.condition("redis-static"), ("True".to_owned(), "Published".to_owned()));
}

#[test]
fn a_service_that_publishes_addresses_that_are_not_ready_names_members_before_their_first_start() {
    let mut cluster = Cluster::new();
    cluster.change_service("redis-static", |service| service.publishes_unready = true);
    cluster.run(SECOND);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, true)]));
    cluster.pods(&[]);
    cluster.run(MINUTE);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, true)]), "also without a pod");
}

#[test]
fn a_name_appears_within_a_second_of_its_claim_although_a_pass_takes_long() {
    let mut cluster = Cluster::new();
    // A pass of the leader does not end.
    cluster.agent.operations = None;
    cluster.run(MINUTE);
    cluster.claims(2, Some(ip(2)));
    cluster.pods(&[(0, true), (1, true), (2, true)]);
    cluster.run(SECOND);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, true), (2, true)]));
}

#[test]
fn without_a_headless_service_of_the_set_every_member_counts_as_ready() {
    let mut cluster = Cluster::of(&[0, 1]);
    cluster.service("redis-static", |_| {});
    cluster.run(SECOND);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, true)]));
}

#[test]
fn a_member_stays_named_for_half_a_minute_after_its_claim_disappeared() {
    let mut cluster = Cluster::new();
    cluster.unclaims(1);
    cluster.run(MINUTE);
    assert_eq!(cluster.endpoints().len(), 2, "the address is still the member's");
    cluster.reclaims(1, None);
    cluster.run(Duration::from_secs(25));
    assert_eq!(cluster.endpoints().len(), 2, "a list may have been stale");
    cluster.run(Duration::from_secs(10));
    assert_eq!(cluster.endpoints(), of(&[(0, true)]));
}

#[test]
fn a_running_member_keeps_its_static_address_while_its_claim_is_missing() {
    let mut cluster = Cluster::new();
    cluster.unclaims(0);
    cluster.run(MINUTE * 5);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, false)]), "not that of its pod");
}

#[test]
fn an_address_that_another_member_has_names_nobody_else() {
    let mut cluster = Cluster::new();
    cluster.pods(&[(0, true)]);
    cluster.unclaims(1);
    cluster.reclaims(1, Some("kafka-0"));
    cluster.run(SECOND);
    assert_eq!(cluster.endpoints(), of(&[(0, true)]));
}

#[test]
fn a_service_that_gets_a_selector_loses_its_endpoints() {
    let mut cluster = Cluster::new();
    cluster.change_service("redis-static", |service| service.is_suitable = false);
    cluster.run(MINUTE * 2);
    assert_eq!(cluster.endpoints(), []);
}

#[test]
fn a_slice_of_an_earlier_service_is_made_anew() {
    let mut cluster = Cluster::new();
    // It was deleted without its dependents, and made again.
    cluster.change_service("redis-static", |_| {});
    let mut stored = cluster.stored.borrow_mut();
    let mut slice = stored.slices[&name("redis-static-firecamp")].clone();
    slice.owner = None;
    stored.put_slice(name("redis-static-firecamp"), slice);
    drop(stored);
    cluster.run(SECOND * 3);
    let stored = cluster.stored.borrow();
    let slice = &stored.slices[&name("redis-static-firecamp")];
    assert_eq!(slice.owner.as_ref(), Some(&stored.services[&name("redis-static")].id.uid));
}

#[test]
fn what_has_another_form_is_written_again() {
    let mut cluster = Cluster::new();
    let mut stored = cluster.stored.borrow_mut();
    let mut slice = stored.slices[&name("redis-static-firecamp")].clone();
    slice.is_altered = true;
    stored.put_slice(name("redis-static-firecamp"), slice);
    drop(stored);
    cluster.run(SECOND);
    assert!(!cluster.stored.borrow().slices[&name("redis-static-firecamp")].is_altered);
}

#[test]
fn an_object_that_cannot_be_written_is_reported_and_keeps_none_of_the_others() {
    let mut cluster = Cluster::of(&[0]);
    // Somebody else's, which the watch does not show.
    let mut stored = cluster.stored.borrow_mut();
    let foreign = firecamp_controllers::leader::ObservedSlice {
        id: super::super::super::support::identity("foreign"),
        service: String::new(),
        is_ours: false,
        owner: None,
        is_altered: false,
        endpoints: Vec::new(),
        ports: Vec::new(),
    };
    stored.slices.insert(name("redis-static-firecamp"), foreign);
    drop(stored);
    cluster.service("redis-static", |service| service.zone = Some("default".to_owned()));
    cluster.run(SECOND);
    assert_eq!(cluster.records("redis-static").len(), 1, "the other object is there");
    let seen = cluster.run(MINUTE);
    assert!(Cluster::changes(&seen) <= 8, "{} changes in a minute", Cluster::changes(&seen));
    let expected = ("False".to_owned(), "WriteFailed".to_owned());
    assert_eq!(cluster.condition("redis-static"), expected);
    cluster.stored.borrow_mut().slices.clear();
    cluster.run(MINUTE);
    assert_eq!(cluster.condition("redis-static").1, "Published");
}

#[test]
fn a_claim_that_reappears_in_time_changes_nothing() {
    let mut cluster = Cluster::new();
    let before = cluster.stored.borrow().slices.clone();
    for _ in 0..3 {
        cluster.unclaims(1);
        cluster.run(Duration::from_secs(20));
        cluster.claims(1, Some(ip(1)));
        cluster.run(Duration::from_secs(20));
    }
    assert_eq!(cluster.stored.borrow().slices, before);
}

#[test]
fn what_cannot_be_read_stays_as_it_was_published() {
    let mut cluster = Cluster::new();
    cluster.tell(ClusterEvent::Claims(ObjectEvent::Set(member("redis-1"), None)));
    cluster.tell(ClusterEvent::StaticIps(ObjectEvent::Set(ip(0), None)));
    cluster.run(MINUTE * 5);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, false)]));
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut cluster = Cluster::new();
    cluster.run(SECOND);
    let seen = cluster.run(MINUTE * 10);
    assert_eq!(Cluster::changes(&seen), 0, "{seen:?}");
}

#[test]
fn f009_what_a_person_changes_is_restored() {
    let mut cluster = Cluster::new();
    let mut slice = cluster.stored.borrow().slices[&name("redis-static-firecamp")].clone();
    slice.endpoints[0].address = pod_ip(9);
    cluster.stored.borrow_mut().slices.insert(name("redis-static-firecamp"), slice.clone());
    let event = ObjectEvent::Set(name("redis-static-firecamp"), Some(slice));
    cluster.tell(ClusterEvent::Slices(event));
    cluster.run(SECOND);
    assert_eq!(cluster.endpoints(), of(&[(0, true), (1, false)]));
}

#[test]
fn without_the_label_the_names_are_removed() {
    let mut cluster = Cluster::new();
    cluster.stored.borrow_mut().services.clear();
    cluster.tell(ClusterEvent::Services(ObjectEvent::Deleted(name("redis-static"))));
    cluster.run(MINUTE * 2);
    assert_eq!(cluster.endpoints(), []);
    assert!(cluster.stored.borrow().slices.contains_key(&name("redis-abcde")), "not ours");
}

#[test]
fn a_service_whose_endpoints_others_write_gets_none() {
    let mut cluster = Cluster::of(&[0]);
    cluster.service("redis-static", |service| service.is_suitable = false);
    cluster.run(MINUTE);
    assert_eq!(cluster.endpoints(), []);
    let expected = ("False".to_owned(), "ServiceNotSuitable".to_owned());
    assert_eq!(cluster.condition("redis-static"), expected);
}

#[test]
fn a_set_that_does_not_exist_is_reported() {
    let mut cluster = Cluster::leading(&ClusterFixture::new().view);
    cluster.service("redis-static", |_| {});
    cluster.run(SECOND);
    let expected = ("False".to_owned(), "StatefulSetNotFound".to_owned());
    assert_eq!(cluster.condition("redis-static"), expected);
}

#[test]
fn a_failed_change_is_repeated_before_or_after_its_effect() {
    for kind in [RegistryKind::Unavailable, RegistryKind::Conflict, RegistryKind::Refused] {
        for took in [Took::None, Took::Unknown] {
            let mut cluster = Cluster::new();
            cluster.stored.borrow_mut().failing.push((kind, took));
            cluster.pods(&[(0, false), (1, true)]);
            cluster.run(Duration::from_secs(15));
            assert_eq!(cluster.endpoints(), of(&[(0, false), (1, true)]), "{kind:?} {took:?}");
        }
    }
}

#[test]
fn nothing_is_concluded_from_a_cluster_that_is_not_completely_known() {
    let mut cluster = Cluster::new();
    cluster.tell(ClusterEvent::Slices(ObjectEvent::Current(false)));
    cluster.pods(&[(0, false)]);
    let seen = cluster.run(MINUTE);
    assert_eq!(Cluster::changes(&seen), 0);
    cluster.tell(ClusterEvent::Slices(ObjectEvent::Current(true)));
    cluster.run(Duration::from_secs(2));
    assert_eq!(cluster.endpoints(), of(&[(0, false), (1, false)]));
}

#[test]
fn the_term_lasts_until_the_running_change_has_ended() {
    let mut cluster = Cluster::new();
    cluster.agent.names = Box::new(|_| None);
    cluster.pods(&[(0, false)]);
    cluster.run(SECOND);
    drop(cluster.agent.stop());
    assert!(cluster.agent.holder().is_some(), "the change may still take effect");
    let ended = firecamp_controllers::leader::Event::NamesStepEnded(NamesResult::Cancelled);
    drop(cluster.agent.handle(ended));
    drop(cluster.agent.handle(step(StepResult::Performed(Vec::new()))));
    assert_eq!(cluster.agent.holder(), None);
}

#[test]
fn a_thousand_members_share_a_slice_and_the_others_have_another() {
    let mut fixture = ClusterFixture::new();
    fixture.set("set-1", 1_500);
    let at = |number: u32| std::net::Ipv4Addr::from(0x0a00_0100 + number);
    for number in 0..1_500 {
        let of = format!("redis-{number}");
        fixture.put(super::super::super::support::address(at(number), &of, None));
        fixture.claim(super::super::super::support::claim(&of, Some(at(number)), None));
    }
    let mut cluster = Cluster::leading(&fixture.view);
    cluster.service("redis-static", |_| {});
    cluster.run(SECOND);
    let sizes: Vec<usize> =
        cluster.stored.borrow().slices.values().map(|slice| slice.endpoints.len()).collect();
    assert_eq!(sizes, [1_000, 500]);
}
