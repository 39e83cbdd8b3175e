use std::collections::BTreeSet;

use firecamp_core::agent::{Operation, ResourceList};
use firecamp_core::failure::{CloudKind, Effect};
use firecamp_core::ids::{Member, ResourceName};
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::PodLifecycle;
use firecamp_core::record::Attachment;
use firecamp_registry::api::EniManager;

use super::*;
use crate::publish::facts::{AddressFact, EniFact};

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 1, 50 + number)
}

/// The member that keeps the address of this number.
fn member(number: u8) -> Member {
    parsed(&format!("demo/redis-{number}"))
}

/// An interface with three slots, which has these addresses.
fn eni(letter: char, listed: &[u8]) -> EniFact {
    EniFact {
        eni: Eni {
            id: parsed(&format!("eni-0000000{letter}")),
            mac: parsed("06:00:00:00:00:01"),
            device_index: 1,
            network_card: 0,
            subnet: parsed(&format!("subnet-0000000{letter}")),
            cidr: parsed("10.0.1.0/24"),
            primary_address: Ipv4Addr::new(10, 0, 1, 10),
            listed: listed.iter().map(|number| address(*number)).collect(),
            prefixes: 0,
        },
        limit: Some(4),
        link: None,
        managed_by: EniManager::FireCamp,
        carries: Some(true),
        resource: ResourceName::default(),
    }
}

/// The address of a member on that interface of this node.
fn fact(number: u8, letter: char, state: State) -> AddressFact {
    let eni = parsed(&format!("eni-0000000{letter}"));
    let gone = matches!(state, State::Releasing | State::Released);
    let record = StaticIp {
        address: address(number),
        pool: parsed("pool"),
        subnet: parsed(&format!("subnet-0000000{letter}")),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        member: member(number),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state,
            pod: parsed(&format!("pod-{number}")),
            node: parsed("here"),
            eni: (!gone).then_some(eni),
            run: parsed("run"),
            served: true,
        }),
        reserved_on: None,
        pending_mutations: BTreeSet::new(),
    };
    let (in_kernel, in_ec2, evictable) = (None, None, state == State::Parked);
    AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None, evictable }
}

fn facts(enis: Vec<EniFact>, addresses: Vec<AddressFact>) -> Facts {
    Facts { enis: Some(enis), addresses: Some(addresses), ..Facts::new(parsed("here")) }
}

/// Members 0, 1 and 2 are parked on a full interface.
fn full() -> Facts {
    let parked = (0..3).map(|number| fact(number, 'a', State::Parked));
    facts(vec![eni('a', &[0, 1, 2])], parked.collect())
}

/// The pods of these members, each with a request for one slot of that resource.
fn pods_of(members: &[u8], resource: &ResourceName, lifecycle: PodLifecycle) -> LocalPods {
    let pod = |number: &u8| {
        let requested = ResourceList::from([(resource.clone(), 1)]);
        let pod = parsed(&format!("new-{number}"));
        (
            member(*number),
            LocalPod { pod, lifecycle, requested, own_network: false, expects_address: true },
        )
    };
    members.iter().map(pod).collect()
}

fn pods(members: &[u8]) -> LocalPods {
    pods_of(members, &ResourceName::default(), PodLifecycle::Running)
}

fn zero(_address: Ipv4Addr) -> Moment {
    Moment::default()
}

/// The address that is evicted, if one is.
fn chosen(facts: &Facts, pods: &LocalPods) -> Option<Ipv4Addr> {
    evicted(&choose_eviction(facts, pods, zero))
}

fn evicted(eviction: &Eviction) -> Option<Ipv4Addr> {
    let Eviction::Evict(Operation::Evict { address, .. }) = eviction else { return None };
    Some(*address)
}

#[test]
fn the_address_that_was_parked_first_is_evicted_for_a_pod_without_a_slot() {
    let since = |of: Ipv4Addr| at(if of == address(1) { 10 } else { 20 });
    assert_eq!(evicted(&choose_eviction(&full(), &pods(&[7]), since)), Some(address(1)));
    assert_eq!(chosen(&full(), &pods(&[7])), Some(address(0)), "of equals the lowest");
}

#[test]
fn nothing_is_evicted_while_no_pod_lacks_a_slot() {
    let free = facts(vec![eni('a', &[0, 1])], full().addresses.unwrap());
    let enis = || vec![eni('a', &[0, 1, 2])];
    let attached = |state| {
        let others = [fact(1, 'a', State::Parked), fact(2, 'a', State::Parked)];
        facts(enis(), [vec![fact(0, 'a', state)], others.into()].concat())
    };
    let default = ResourceName::default();
    let other: ResourceName = parsed("firecamp.io/static-ip-b");
    for (facts, pods) in [
        (full(), LocalPods::new()),
        (full(), pods(&[0, 1, 2])),
        (full(), pods_of(&[7], &other, PodLifecycle::Running)),
        (full(), pods_of(&[7], &default, PodLifecycle::Terminating(None))),
        (full(), pods_of(&[7], &default, PodLifecycle::Terminal)),
        (Facts { addresses: Some(full().addresses.unwrap()[..2].to_vec()), ..free }, pods(&[7])),
        (attached(State::Attached), pods(&[0])),
        (attached(State::Attaching), pods(&[0])),
        // Their slots are about to be free.
        (attached(State::Releasing), pods(&[7])),
        (attached(State::Released), pods(&[7])),
    ] {
        assert_eq!(choose_eviction(&facts, &pods, zero), Eviction::None, "{facts:?} {pods:?}");
    }
}

#[test]
fn no_more_is_evicted_than_slots_are_missing() {
    let mut facts = full();
    for left in [2, 1] {
        let pods = pods(&[7, 8]);
        let evicted = chosen(&facts, &pods).unwrap();
        let all = facts.addresses.as_mut().unwrap();
        let one = all.iter_mut().find(|fact| fact.record.address == evicted).unwrap();
        let attachment = one.record.attachment.as_mut().unwrap();
        (attachment.state, attachment.eni, one.evictable) = (State::Releasing, None, false);
        let parked = |fact: &&AddressFact| fact.evictable;
        assert_eq!(all.iter().filter(parked).count(), left);
    }
    assert_eq!(chosen(&facts, &pods(&[7, 8])), None);
}

#[test]
fn a_member_with_a_pod_on_the_node_keeps_its_address() {
    assert_eq!(chosen(&full(), &pods(&[0, 7])), Some(address(1)));
    let ending = pods_of(&[0, 1, 2], &ResourceName::default(), PodLifecycle::Terminating(None));
    let all = [pods(&[7]), ending].into_iter().flatten().collect();
    assert_eq!(choose_eviction(&full(), &all, zero), Eviction::None);
    let ended = pods_of(&[0], &ResourceName::default(), PodLifecycle::Terminal);
    let all = [pods(&[7]), ended].into_iter().flatten().collect();
    assert_eq!(chosen(&full(), &all), Some(address(0)));
}

#[test]
fn an_address_whose_attach_has_no_slot_yet_counts_as_waiting() {
    let mut facts = full();
    facts.addresses.as_mut().unwrap().push(fact(7, 'a', State::Attaching));
    assert_eq!(chosen(&facts, &pods(&[7])), Some(address(0)));
}

#[test]
fn only_reserved_addresses_on_the_interfaces_of_the_resource_are_evicted() {
    let mut facts = full();
    facts.addresses.as_mut().unwrap()[0].evictable = false;
    assert_eq!(chosen(&facts, &pods(&[7])), Some(address(1)));
    // Addresses that use no slot, of an interface that does not count, and of another resource.
    facts.enis.as_mut().unwrap()[0].eni.listed = [30, 31, 32].map(address).into();
    assert_eq!(choose_eviction(&facts, &pods(&[7]), zero), Eviction::None);
    let other = EniFact { resource: parsed("firecamp.io/static-ip-b"), ..eni('b', &[0, 1, 2]) };
    let moved = (0..3).map(|number| fact(number, 'b', State::Parked)).collect();
    let enis = vec![eni('a', &[30, 31, 32]), other];
    assert_eq!(choose_eviction(&self::facts(enis, moved), &pods(&[7]), zero), Eviction::None);
    let mut managed = full();
    managed.enis.as_mut().unwrap()[0].managed_by = EniManager::VpcCni;
    assert_eq!(choose_eviction(&managed, &pods(&[7]), zero), Eviction::None);
    let mut unknown = full();
    unknown.enis.as_mut().unwrap()[0].limit = None;
    assert_eq!(choose_eviction(&unknown, &pods(&[7]), zero), Eviction::None);
}

#[test]
fn without_a_reservation_each_waiting_pod_is_reported() {
    let mut facts = full();
    facts.addresses.iter_mut().flatten().for_each(|fact| fact.evictable = false);
    let Eviction::NotReserved(short) = choose_eviction(&facts, &pods(&[7, 8]), zero) else {
        panic!("nothing may be evicted");
    };
    let named: Vec<_> = short.iter().map(|one| (one.member.clone(), one.parked)).collect();
    assert_eq!(named, [(member(7), address(0)), (member(8), address(0))]);
}

/// The node and its clock. EC2 answers each query at once.
struct Node {
    evictions: Evictions,
    second: u64,
    reserved: bool,
    fails: bool,
    queries: Vec<(u64, Want)>,
}

impl Node {
    fn new() -> Self {
        let evictions = Evictions::default();
        Self { evictions, second: 0, reserved: true, fails: false, queries: Vec::new() }
    }

    /// The first thing that happens within these seconds, and when.
    fn runs(&mut self, pods: &LocalPods, seconds: u64) -> Option<(u64, Eviction)> {
        for _ in 0..seconds {
            let now = at(self.second);
            // As in `firecamp_core::agent::Budget`.
            let rested = self.queries.last().is_none_or(|(last, _)| self.second - last >= 60);
            if let Some(want) = self.evictions.wants(now).filter(|_| rested) {
                self.queries.push((self.second, want));
                self.evictions.queried(self.answer(), now, now);
            }
            let found = self.evictions.step(&mut full(), Some(pods), now);
            self.second += 1;
            if found != Eviction::None {
                return Some((self.second - 1, found));
            }
        }
        None
    }

    fn answer(&self) -> Result<Reservations, CloudFailure> {
        if self.fails {
            let (kind, detail) = (CloudKind::Auth, "no".to_owned());
            return Err(CloudFailure { kind, effect: Effect::None, detail });
        }
        let block = parsed("10.0.1.48/28");
        let found = vec![Reservation { block, explicit: self.reserved }];
        Ok([(parsed("subnet-0000000a"), found)].into())
    }
}

#[test]
fn an_eviction_follows_a_fresh_read_of_the_reservations() {
    let mut node = Node::new();
    assert_eq!(node.runs(&LocalPods::new(), 3_600), None);
    assert_eq!(node.queries, [(1, Want::Steady)]);
    let (second, found) = node.runs(&pods(&[7]), 60).unwrap();
    assert_eq!(evicted(&found), Some(address(0)));
    assert_eq!(second, 3_600 + 6, "once the slot has been missing for six seconds");
    assert_eq!(node.queries[1..], [(3_601, Want::Now)]);
}

#[test]
fn the_reservations_are_read_seldom_while_nothing_waits_and_never_without_parked_addresses() {
    let mut node = Node::new();
    assert_eq!(node.runs(&LocalPods::new(), 24 * 3_600), None);
    assert_eq!(node.queries.len(), 12);
    let mut evictions = Evictions::default();
    let mut attached = facts(vec![eni('a', &[0])], vec![fact(0, 'a', State::Attached)]);
    evictions.step(&mut attached, Some(&pods(&[7])), at(0));
    assert_eq!(evictions.wants(at(100_000)), None);
    // A file registry has no pods, so nothing is offered.
    evictions.step(&mut full(), None, at(0));
    assert_eq!(evictions.wants(at(100_000)), None);
}

#[test]
fn what_no_explicit_reservation_covers_is_reported_and_read_again_every_ten_minutes() {
    let mut node = Node::new();
    node.reserved = false;
    for report in [6, 601, 1_201] {
        let (second, found) = node.runs(&pods(&[7]), 700).unwrap();
        assert!(matches!(found, Eviction::NotReserved(_)), "{found:?}");
        assert_eq!(second, report);
    }
    node.reserved = true;
    let (second, found) = node.runs(&pods(&[7]), 700).unwrap();
    assert_eq!((second, evicted(&found)), (1_801, Some(address(0))));
}

#[test]
fn nothing_is_evicted_while_the_reservations_cannot_be_read() {
    let mut node = Node::new();
    node.fails = true;
    assert_eq!(node.runs(&pods(&[7]), 3_600), None);
    assert_eq!(node.queries.len(), 6, "each ten minutes");
    // What an earlier read has shown is too old.
    node.fails = false;
    assert!(node.runs(&pods(&[7]), 700).is_some());
    assert_eq!(node.runs(&LocalPods::new(), 100), None);
    node.fails = true;
    assert_eq!(node.runs(&pods(&[7]), 3_600), None);
}

#[test]
fn after_a_failed_eviction_all_wait_and_another_address_is_next() {
    let mut node = Node::new();
    let (_, first) = node.runs(&pods(&[7]), 60).unwrap();
    assert_eq!(evicted(&first), Some(address(0)));
    let mut failed = node.second;
    node.evictions.ended(address(0), false, at(failed));
    for (pause, next) in [(2, 1), (4, 2), (8, 0)] {
        let (second, found) = node.runs(&pods(&[7]), 600).unwrap();
        assert_eq!((second - failed, evicted(&found)), (pause, Some(address(next))));
        failed = node.second;
        node.evictions.ended(address(next), false, at(failed));
    }
    let (_, found) = node.runs(&pods(&[7]), 600).unwrap();
    let succeeded = node.second;
    node.evictions.ended(evicted(&found).unwrap(), true, at(succeeded));
    let (second, _) = node.runs(&pods(&[7]), 600).unwrap();
    assert_eq!(second, succeeded, "a success ends the backoff");
}

#[test]
fn an_address_that_is_parked_again_is_the_last() {
    let mut node = Node::new();
    node.runs(&LocalPods::new(), 10);
    let mut again = full();
    again.addresses.as_mut().unwrap()[0].record.epoch = Epoch(6);
    let found = (10..100).find_map(|second| {
        node.evictions.queried(node.answer(), at(second), at(second));
        evicted(&node.evictions.step(&mut again, Some(&pods(&[7])), at(second)))
    });
    assert_eq!(found, Some(address(1)));
}
