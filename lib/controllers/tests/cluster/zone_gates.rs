//! Pods with FireCamp's scheduling gate.

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    BoundVolume, Contradiction, GatedPod, NodeReadiness, ObservedNode, Operation, ZoneConflict,
};
use firecamp_core::ids::Zone;
use firecamp_core::record::State;

use super::support::{
    ADDRESS, ClusterFixture, MINUTE, claim, identity, member, owner, parsed, uid,
};

const ZONE: &str = "us-east-1a";

fn pod() -> GatedPod {
    let id = identity("pod-2");
    GatedPod { id, other_gates: Vec::new(), zone: None, claims: Vec::new() }
}

/// Member redis-0, whose address is in the zone, has a gated pod. The zone has a ready Node.
fn fixture(pod: GatedPod) -> ClusterFixture {
    let mut fixture = ClusterFixture::with_member(State::Parked);
    node(&mut fixture, NodeReadiness::Ready);
    gate(&mut fixture, pod);
    fixture
}

fn node(fixture: &mut ClusterFixture, lifecycle: NodeReadiness) {
    let node = ObservedNode { lifecycle, zone: Some(parsed(ZONE)), instance: None };
    fixture.view.nodes.insert(parsed("n1"), Some(node));
}

fn gate(fixture: &mut ClusterFixture, pod: GatedPod) {
    fixture.view.gated_pods.insert(member("redis-0"), Some(pod));
}

/// What one pass removes of the pod's gates: the other gates, the zone, and whether it lacks a
/// ready Node.
fn removed(fixture: &mut ClusterFixture) -> Option<(Vec<String>, Option<Zone>, bool)> {
    gates(fixture).into_iter().find_map(|operation| {
        let Operation::RemoveZoneGate { member: whose, id, rest, zone, lacks_node, .. } = operation
        else {
            return None;
        };
        assert_eq!((whose, id), (member("redis-0"), identity("pod-2")));
        Some((rest, zone, lacks_node))
    })
}

/// The conflict that one pass reports.
fn conflict(fixture: &mut ClusterFixture) -> Option<ZoneConflict> {
    gates(fixture).into_iter().find_map(|operation| {
        let Operation::ReportZoneConflict { pod, conflict, .. } = operation else { return None };
        assert_eq!(pod, uid("pod-2"));
        Some(conflict)
    })
}

fn gates(fixture: &mut ClusterFixture) -> Vec<Operation> {
    let mut operations = fixture.after(MINUTE);
    operations.retain(|operation| {
        matches!(operation, Operation::RemoveZoneGate { .. } | Operation::ReportZoneConflict { .. })
    });
    operations
}

fn in_zone() -> Option<(Vec<String>, Option<Zone>, bool)> {
    Some((vec![], Some(parsed(ZONE)), false))
}

fn volume(zones: &[&str]) -> Vec<BoundVolume> {
    let zones = zones.iter().copied().map(parsed).collect();
    vec![BoundVolume { name: "pv-1".to_owned(), zones }]
}

#[test]
fn a_gated_pod_gets_the_zone_of_its_members_address() {
    assert_eq!(removed(&mut fixture(pod())), in_zone());
}

#[test]
fn other_gates_of_a_pod_stay() {
    let other_gates = vec!["example.com/quota".to_owned()];
    let removed = removed(&mut fixture(GatedPod { other_gates: other_gates.clone(), ..pod() }));
    assert_eq!(removed.unwrap().0, other_gates);
}

#[test]
fn a_gate_is_removed_without_a_zone_if_the_member_has_no_address() {
    let mut without_claim = fixture(pod());
    without_claim.unclaim("redis-0");
    let mut unbound = fixture(pod());
    unbound.claim(claim("redis-0", None, None));
    let mut unread = fixture(pod());
    unread.view.claims.insert(member("redis-0"), None);
    for mut fixture in [without_claim, unbound, unread] {
        assert_eq!(removed(&mut fixture), Some((vec![], None, false)));
    }
}

#[test]
fn a_gate_is_removed_without_a_zone_if_the_zone_is_not_known() {
    let mut of_another = fixture(pod());
    let mut record = of_another.view.addresses[&ADDRESS].clone().unwrap();
    record.record.member = member("redis-1");
    of_another.put(*record);
    let mut outside = fixture(pod());
    outside.claim(claim("redis-0", Some(Ipv4Addr::new(10, 9, 9, 9)), None));
    for mut fixture in [of_another, outside] {
        assert_eq!(removed(&mut fixture), Some((vec![], None, false)));
    }
}

#[test]
fn a_static_ip_that_cannot_be_read_does_not_hide_the_zone_of_its_subnet() {
    let mut unread = fixture(pod());
    unread.view.addresses.insert(ADDRESS, None);
    assert_eq!(removed(&mut unread), in_zone());
}

#[test]
fn a_requested_address_has_the_zone_of_its_pools_subnet() {
    let mut fixture = fixture(pod());
    fixture.view.addresses.clear();
    let mut requested = claim("redis-0", None, None);
    requested.claim.requested = Some(Ipv4Addr::new(10, 0, 1, 55));
    fixture.claim(requested);
    assert_eq!(removed(&mut fixture), in_zone());
}

#[test]
fn a_zone_without_a_ready_node_is_added_and_reported() {
    for lifecycle in [NodeReadiness::NotReady, NodeReadiness::OutOfService] {
        let mut fixture = fixture(pod());
        node(&mut fixture, lifecycle);
        assert_eq!(removed(&mut fixture), Some((vec![], Some(parsed(ZONE)), true)));
    }
    let mut elsewhere = fixture(pod());
    elsewhere.view.nodes.remove(&parsed("n1"));
    assert!(removed(&mut elsewhere).unwrap().2);
    elsewhere.view.nodes.insert(parsed("n2"), None);
    assert_eq!(removed(&mut elsewhere), in_zone(), "a Node that cannot be read may be there");
}

#[test]
fn a_node_selector_with_the_same_zone_is_no_conflict() {
    assert_eq!(removed(&mut fixture(GatedPod { zone: Some(ZONE.to_owned()), ..pod() })), in_zone());
}

#[test]
fn a_node_selector_with_another_zone_keeps_the_gate_and_is_reported_once() {
    let zone = "us-east-1b".to_owned();
    let mut fixture = fixture(GatedPod { zone: Some(zone.clone()), ..pod() });
    let reported = conflict(&mut fixture).unwrap();
    assert_eq!((reported.address, reported.with), (ADDRESS, Contradiction::NodeSelector(zone)));
    assert_eq!(gates(&mut fixture), []);
    let mut next = pod();
    next.id = identity("pod-3");
    gate(&mut fixture, next);
    assert_eq!(gates(&mut fixture).len(), 1, "the next pod has another node selector");
}

#[test]
fn a_bound_volume_of_another_zone_keeps_the_gate_and_is_read_and_reported_once() {
    let mut fixture = fixture(GatedPod { claims: vec!["data".to_owned()], ..pod() });
    let volumes = volume(&["us-east-1b", "us-east-1c"]);
    fixture.answers.volumes.insert(member("redis-0"), volumes.clone());
    let asked =
        |fixture: &mut ClusterFixture| fixture.planner.ask(&fixture.view, &fixture.site).volumes;
    assert_eq!(asked(&mut fixture), [member("redis-0")]);
    let reported = conflict(&mut fixture).unwrap();
    assert_eq!(reported.with, Contradiction::Volume(volumes[0].clone()));
    let text = reported.to_string();
    for part in ["10.0.1.50", ZONE, "pv-1", "us-east-1b, us-east-1c", "firecamp.io/zone"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(gates(&mut fixture), []);
    assert_eq!(asked(&mut fixture), []);
}

#[test]
fn a_volume_of_the_zone_or_of_no_zone_is_no_conflict() {
    for zones in [&[ZONE][..], &["us-east-1b", ZONE], &[]] {
        let mut fixture = fixture(GatedPod { claims: vec!["data".to_owned()], ..pod() });
        fixture.answers.volumes.insert(member("redis-0"), volume(zones));
        assert_eq!(removed(&mut fixture), in_zone(), "{zones:?}");
    }
    let mut unbound = fixture(GatedPod { claims: vec!["data".to_owned()], ..pod() });
    unbound.answers.volumes.insert(member("redis-0"), vec![]);
    assert_eq!(removed(&mut unbound), in_zone());
}

#[test]
fn a_gate_waits_until_the_volumes_were_read() {
    let mut fixture = fixture(GatedPod { claims: vec!["data".to_owned()], ..pod() });
    assert_eq!(gates(&mut fixture), [], "the read failed");
    fixture.answers.volumes.insert(member("redis-0"), vec![]);
    assert_eq!(removed(&mut fixture), in_zone());
}

#[test]
fn volumes_are_read_only_if_the_zone_is_known_and_the_node_selector_allows_it() {
    let claims = vec!["data".to_owned()];
    let mut no_address = fixture(GatedPod { claims: claims.clone(), ..pod() });
    no_address.unclaim("redis-0");
    let zone = Some("us-east-1b".to_owned());
    let conflicts = fixture(GatedPod { claims, zone, ..pod() });
    for mut fixture in [no_address, conflicts, fixture(pod())] {
        assert_eq!(fixture.planner.ask(&fixture.view, &fixture.site).volumes, []);
    }
}

#[test]
fn a_pod_that_is_deleted_or_cannot_be_read_keeps_its_gate() {
    let mut deleted = pod();
    deleted.id.deleting = true;
    let mut fixture = fixture(deleted);
    assert_eq!(gates(&mut fixture), []);
    fixture.view.gated_pods.insert(member("redis-0"), None);
    assert_eq!(gates(&mut fixture), []);
}

#[test]
fn a_pod_that_is_no_member_loses_its_gate() {
    let mut fixture = ClusterFixture::new();
    fixture.view.gated_pods.insert(member("web-5d4f-x"), Some(pod()));
    let operations = gates(&mut fixture);
    assert!(
        matches!(&*operations, [Operation::RemoveZoneGate { zone: None, .. }]),
        "{operations:?}"
    );
}

#[test]
fn no_gate_is_removed_in_a_view_without_the_leaders_node() {
    let mut fixture = fixture(pod());
    fixture.view.nodes.remove(&parsed("here"));
    assert_eq!(gates(&mut fixture), []);
    assert_eq!(
        fixture.planner.plan_gates(&fixture.view, &fixture.site, &fixture.answers, fixture.now),
        []
    );
}

#[test]
fn a_conflict_ends_with_the_address() {
    let mut fixture = fixture(GatedPod { zone: Some("us-east-1b".to_owned()), ..pod() });
    assert!(conflict(&mut fixture).is_some());
    fixture.claim(claim("redis-0", None, Some(owner("set-1"))));
    assert_eq!(removed(&mut fixture), Some((vec![], None, false)), "a user gave it up");
}
