//! When the agent queries its interfaces in EC2.

use std::collections::BTreeMap;

use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::TypeLimits;
use firecamp_testkit::sim::interface;

use super::*;
use crate::leader::Ec2Observation;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A node, and what EC2 and the metadata service answer.
struct Scene {
    node: Node,
    identity: NodeIdentity,
    /// None: EC2 throttles.
    interfaces: Option<Vec<Interface>>,
    /// How many answers about the instance type fail, and why.
    types: (u32, CloudKind),
    /// When the type was queried.
    typed: Vec<Moment>,
    /// What the Lease publishes, and how often its counter grows; none for a file registry.
    lease: Option<(Ec2Observation, Duration)>,
}

fn described() -> Interface {
    let one = interface(parsed("eni-0000000a"), parsed("subnet-0000000a"));
    Interface {
        device_index: 0,
        primary: Ipv4Addr::new(10, 0, 1, 10),
        addresses: [ADDRESS].into(),
        ..one
    }
}

fn observation(nodes: u32) -> Ec2Observation {
    Ec2Observation { nodes, ..Ec2Observation::default() }
}

impl Scene {
    /// The node holds an address, and a leader covers it.
    fn new() -> Self {
        Self {
            node: Node::observed(),
            identity: identity(),
            interfaces: Some(vec![described()]),
            types: (0, CloudKind::Throttled),
            typed: Vec::new(),
            lease: Some((observation(3), MINUTE)),
        }
    }

    /// The same without an address.
    fn without_address() -> Self {
        let mut scene = Self::new();
        scene.identity.enis[0].listed.clear();
        scene.interfaces = Some(vec![Interface { addresses: [].into(), ..described() }]);
        scene.node.kernel = Some(KernelSnapshot::default());
        scene.node.handle(Event::RegistryChanged);
        scene.node.handle(Event::Listed(Ok(Listing::default())));
        scene
    }

    fn answer(&mut self, task: &Task) -> Option<Event> {
        let failure = |kind| CloudFailure {
            kind,
            effect: firecamp_core::failure::Effect::None,
            detail: String::new(),
        };
        let throttled = || failure(CloudKind::Throttled);
        let result = match task {
            Task::Identify(_) => return Some(Event::Identified(Ok(self.identity.clone()))),
            Task::QueryClaims(of) => {
                let without = of.iter().map(|address| (*address, false));
                return Some(Event::Claimed(without.collect()));
            }
            Task::QueryInterfaces(_) => {
                QueryResult::Interfaces(self.interfaces.clone().ok_or_else(throttled))
            }
            Task::QueryVolumes(_) => QueryResult::Volumes(Ok((Vec::new(), Vec::new()))),
            Task::QueryTypeLimits(_) => {
                self.typed.push(self.node.now);
                let (failures, kind) = &mut self.types;
                if *failures > 0 {
                    *failures -= 1;
                    return Some(Event::Queried(
                        QueryResult::TypeLimits(Err(failure(*kind))),
                        Vec::new(),
                    ));
                }
                let name = String::new();
                let limits = TypeLimits { name, enis: 2, addresses: 10, volumes: None };
                QueryResult::TypeLimits(Ok(limits))
            }
            Task::QueryReservations(_) => QueryResult::Reservations(Ok(BTreeMap::new())),
            Task::List(_)
            | Task::ReadFiles
            | Task::CheckOrphans(..)
            | Task::Adopt(..)
            | Task::Investigate(_)
            | Task::Raise(_)
            | Task::Interface(_)
            | Task::Execute(..) => return None,
        };
        Some(Event::Queried(result, Vec::new()))
    }

    /// When the interfaces are queried in this time, since its begin.
    fn run(&mut self, time: Duration) -> Vec<Duration> {
        let (begun, mut queried) = (self.node.now, Vec::new());
        while self.node.now.since(begun) < time {
            let elapsed = self.node.now.0.as_secs();
            if let Some((published, every)) = &mut self.lease
                && elapsed.is_multiple_of(60)
            {
                published.count = elapsed / every.as_secs();
                let read = Some(published.clone());
                drop(self.node.handle(Event::LeaseRead(read)));
            }
            let mut open = tasks(self.node.handle(TICK));
            while let Some(task) = open.pop() {
                if matches!(task, Task::QueryInterfaces(_)) {
                    queried.push(self.node.now.since(begun));
                }
                if let Some(event) = self.answer(&task) {
                    open.extend(tasks(self.node.handle(event)));
                }
            }
            self.node.pass(SECOND);
        }
        queried
    }

    /// The Lease cannot be read any more.
    fn loses_lease(&mut self) {
        self.lease = None;
    }
}

#[test]
fn node_that_a_leader_covers_queries_its_interfaces_once_at_the_start() {
    let mut scene = Scene::new();
    assert_eq!(scene.run(MINUTE * 10).len(), 1);
    assert_eq!(scene.run(HOUR * 3), Vec::<Duration>::new());
}

#[test]
fn node_without_addresses_never_queries_at_rest() {
    for lease in [None, Some((observation(3), MINUTE)), Some((observation(3), HOUR * 9))] {
        let mut scene = Scene { lease, ..Scene::without_address() };
        assert_eq!(scene.run(MINUTE * 10).len(), 1, "for the tags of its interfaces");
        assert_eq!(scene.run(HOUR * 3), Vec::<Duration>::new());
    }
}

#[test]
fn without_a_leader_held_addresses_are_queried_about_once_a_minute() {
    let mut scene = Scene { lease: None, ..Scene::new() };
    scene.run(MINUTE * 10);
    let queried = scene.run(HOUR).len();
    assert!((35..=60).contains(&queried), "{queried}");
}

#[test]
fn address_that_the_leader_names_is_queried_once_each_time() {
    let mut scene = Scene::new();
    scene.run(MINUTE * 10);
    let other = Ipv4Addr::new(10, 0, 1, 99);
    scene.lease.as_mut().unwrap().0.misplaced = [other].into();
    assert_eq!(scene.run(MINUTE * 10), Vec::<Duration>::new(), "it is another node's");
    scene.lease.as_mut().unwrap().0.misplaced = [other, ADDRESS].into();
    assert_eq!(scene.run(MINUTE).len(), 1);
    scene.lease.as_mut().unwrap().0.misplaced.clear();
    assert_eq!(scene.run(MINUTE * 10), Vec::<Duration>::new());
}

#[test]
fn address_that_just_came_is_not_queried_for_the_leader() {
    let mut scene = Scene::new();
    scene.lease.as_mut().unwrap().0.misplaced = [ADDRESS].into();
    assert_eq!(scene.run(MINUTE * 3).len(), 1, "at the start");
    assert_eq!(scene.run(MINUTE).len(), 1, "the leader still names it");
}

#[test]
fn named_address_is_reasserted_only_after_an_own_query() {
    let mut scene = Scene::new();
    scene.run(MINUTE * 10);
    scene.lease.as_mut().unwrap().0.misplaced = [ADDRESS].into();
    scene.interfaces = None;
    let before = scene.node.controller.observed.lost();
    scene.run(MINUTE * 5);
    assert_eq!((before, scene.node.controller.observed.lost()), (Vec::new(), Vec::new()));
    scene.interfaces = Some(vec![Interface { addresses: [].into(), ..described() }]);
    scene.run(MINUTE * 2);
    assert_eq!(scene.node.controller.observed.lost().len(), 1);
}

#[test]
fn address_that_the_metadata_service_stops_listing_is_queried_twice() {
    let mut scene = Scene::new();
    scene.run(MINUTE * 10);
    scene.identity.enis[0].listed.clear();
    let queried = scene.run(HOUR);
    assert_eq!(queried.len(), 2, "the first answer may be older: {queried:?}");
    assert!(queried[1] <= Duration::from_secs(20), "{queried:?}");
    scene.identity.enis[0].listed.insert(ADDRESS);
    assert_eq!(scene.run(MINUTE * 10), Vec::<Duration>::new());
    scene.identity.enis[0].listed.clear();
    assert_eq!(scene.run(HOUR).len(), 2, "it is new again");
}

#[test]
fn stale_observation_is_replaced_by_own_queries_further_apart_with_each_node() {
    let mut scene = Scene::new();
    scene.lease = Some((observation(600), MINUTE));
    scene.run(MINUTE * 10);
    scene.loses_lease();
    let queried = scene.run(HOUR);
    assert!(queried[0] >= MINUTE * 3, "{queried:?}");
    let apart: Vec<u64> =
        queried.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs()).collect();
    assert!(apart.iter().all(|seconds| (750..=831).contains(seconds)), "{apart:?}");
    assert!(queried.len() >= 4, "{queried:?}");
}

#[test]
fn throttled_query_doubles_the_interval_until_the_leader_answers() {
    let mut scene = Scene::new();
    scene.lease = Some((observation(300), MINUTE));
    scene.run(MINUTE * 10);
    let observation = scene.lease.clone();
    (scene.lease, scene.interfaces) = (None, None);
    let queried = scene.run(HOUR * 3);
    let apart: Vec<u64> =
        queried.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_secs()).collect();
    for (seconds, times) in apart.iter().zip([2, 4, 8, 8]) {
        let interval = 375 * times;
        assert!((interval..=interval * 115 / 100).contains(seconds), "{apart:?}");
    }
    scene.lease = observation;
    assert_eq!(scene.run(HOUR), Vec::<Duration>::new(), "throttled is not gone");
}

#[test]
fn interface_that_comes_or_goes_is_queried_at_once() {
    let mut scene = Scene::new();
    scene.run(MINUTE * 10);
    let second = Eni { id: parsed("eni-0000000b"), device_index: 1, ..identity().enis[0].clone() };
    let second = Eni { listed: [].into(), ..second };
    scene.identity.enis.push(second);
    let there = Interface { id: parsed("eni-0000000b"), addresses: [].into(), ..described() };
    scene.interfaces.as_mut().unwrap().push(there);
    let queried = scene.run(HOUR);
    assert!(queried.len() == 1 && queried[0] < SECOND * 10, "{queried:?}");
    scene.identity.enis.pop();
    scene.interfaces.as_mut().unwrap().pop();
    let queried = scene.run(HOUR);
    assert!(queried.len() == 1 && queried[0] < SECOND * 10, "{queried:?}");
}

#[test]
fn throttled_instance_type_query_is_repeated_sooner_than_a_denied_one() {
    for (kind, seconds) in [(CloudKind::Throttled, 60..=270), (CloudKind::Auth, 600..=675)] {
        let mut scene = Scene { types: (1, kind), ..Scene::new() };
        scene.run(HOUR);
        let [first, second] = scene.typed.as_slice() else { panic!("{kind:?}: {:?}", scene.typed) };
        let apart = second.since(*first).as_secs();
        assert!(seconds.contains(&apart), "{kind:?}: {apart} s");
    }
}
