//! A pod waits on a node whose only slot a parked address uses.

use firecamp_core::agent::ResourceList;
use firecamp_core::ids::ResourceName;
use firecamp_core::machine::Release;
use firecamp_core::node_identity::TypeLimits;
use firecamp_core::ports::PodLifecycle;
use firecamp_core::record::{OrphanPolicy, Pool, PoolSubnet, ReleasePolicy};
use firecamp_node::preflight::facts::{Fact, Reservation};
use firecamp_testkit::sim::interface;

use super::*;
use crate::publish::{Notice, Shortage};

fn pool() -> Pool {
    let subnet = PoolSubnet {
        subnet: parsed("subnet-0000000a"),
        cidr: parsed("10.0.1.0/24"),
        zone: parsed("us-east-1a"),
        ranges: vec![(ADDRESS, Ipv4Addr::new(10, 0, 1, 60))],
    };
    Pool {
        name: parsed("pool"),
        release_policy: ReleasePolicy::Keep,
        orphaned: OrphanPolicy::Report,
        resource: ResourceName::default(),
        subnets: vec![subnet],
    }
}

/// The address of redis-0 is parked here, and pod redis-1 waits here.
fn with(state: State) -> Listing {
    let mut listing = listing();
    listing.records.get_mut(&ADDRESS).unwrap().attachment.as_mut().unwrap().state = state;
    listing.pods = [(Member::new("demo", "redis-0").unwrap(), PodView::Absent)].into();
    let requested = ResourceList::from([(ResourceName::default(), 1)]);
    let pod = LocalPod {
        pod: parsed("u2"),
        lifecycle: PodLifecycle::Running,
        requested,
        own_network: false,
        expects_address: false,
    };
    let local_pods = Some([(Member::new("demo", "redis-1").unwrap(), pod)].into());
    Listing { pools: Some(vec![pool()]), local_pods, ..listing }
}

/// A node whose interface has one slot.
fn full() -> Node {
    let mut node = Node::new();
    let holder = Holder { pod: parsed::<PodUid>("u1"), epoch: Epoch(5) };
    node.kernel = Some(KernelSnapshot {
        locks: [(ADDRESS, LockRecord { holder, hold: Hold::Released })].into(),
        ..KernelSnapshot::default()
    });
    let limits = TypeLimits { name: String::new(), enis: 2, addresses: 2, volumes: None };
    for event in [
        TICK,
        Event::Identified(Ok(identity())),
        Event::Files(NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() }),
        Event::Queried(QueryResult::TypeLimits(Ok(limits)), Vec::new()),
        Event::Listed(Ok(with(State::Parked))),
    ] {
        node.handle(event);
    }
    node
}

/// EC2's answer to a query. EC2 has that reservation, if any.
fn answer(task: Task, reserved: Option<&str>) -> Option<Event> {
    let result = if let Task::QueryInterfaces(_) = task {
        let eni = identity().enis.remove(0);
        QueryResult::Interfaces(Ok(vec![interface(eni.id, eni.subnet)]))
    } else if let Task::QueryVolumes(_) = task {
        QueryResult::Volumes(Ok((Vec::new(), Vec::new())))
    } else if let Task::QueryReservations(subnets) = task {
        let block = |text| Reservation { block: parsed(text), explicit: true };
        let found: Vec<Reservation> = reserved.map(block).into_iter().collect();
        let read = subnets.into_iter().map(|subnet| (subnet, found.clone())).collect();
        QueryResult::Reservations(Ok(read))
    } else {
        return None;
    };
    Some(Event::Queried(result, Vec::new()))
}

/// What happens in this many seconds.
fn run(node: &mut Node, seconds: u32, reserved: Option<&str>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for _ in 0..seconds {
        node.pass(Duration::from_secs(1));
        let mut found = node.handle(TICK);
        for event in tasks(found.clone()).into_iter().filter_map(|task| answer(task, reserved)) {
            found.extend(node.handle(event));
        }
        effects.extend(found);
    }
    effects
}

fn executed(effects: &[Effect]) -> Vec<Operation> {
    let operation =
        |task| if let Task::Execute(operation, ..) = task { Some(operation) } else { None };
    tasks(effects.to_vec()).into_iter().filter_map(operation).collect()
}

fn evict() -> Operation {
    let member = Member::new("demo", "redis-0").unwrap();
    Operation::Evict { address: ADDRESS, member, pod: parsed("u1") }
}

fn ended(outcome: Option<Outcome>) -> Event {
    Event::OperationEnded(ADDRESS, OperationKind::Evict, outcome)
}

const RESERVED: Option<&str> = Some("10.0.1.48/28");

#[test]
fn a_pod_that_waits_for_a_slot_gets_that_of_a_parked_reserved_address() {
    let mut node = full();
    let effects = run(&mut node, 20, RESERVED);
    assert_eq!(executed(&effects), [evict()], "one at a time");
    let read = |task: &Task| matches!(task, Task::QueryReservations(_));
    assert_eq!(tasks(effects).iter().filter(|task| read(task)).count(), 1);
    // The watch shows what the operation has recorded; the planner would finish it.
    node.handle(Event::Listed(Ok(with(State::Releasing))));
    assert_eq!(executed(&run(&mut node, 20, RESERVED)), [], "it runs");
    let (release, address) = (Release::Unassigned, Some(ADDRESS));
    let outcome = Outcome::Released { release, address, cut_short: false };
    let effects = node.handle(ended(Some(outcome)));
    assert!(effects.contains(&Effect::Notify(Notice::Evicted(ADDRESS))), "{effects:?}");
    node.handle(Event::Listed(Ok(with(State::Released))));
    assert_eq!(executed(&run(&mut node, 600, RESERVED)), []);
}

#[test]
fn an_eviction_that_stopped_half_way_is_finished_as_any_release() {
    let mut node = full();
    assert_eq!(executed(&run(&mut node, 20, RESERVED)), [evict()]);
    node.handle(Event::Listed(Ok(with(State::Releasing))));
    let effects = node.handle(ended(None));
    assert!(matches!(executed(&effects)[..], [Operation::Release { .. }]), "{effects:?}");
}

#[test]
fn without_a_reservation_nothing_is_evicted_and_the_pod_learns_why() {
    for reserved in [None, Some("10.0.1.64/28")] {
        let mut node = full();
        let effects = run(&mut node, 1_300, reserved);
        assert_eq!(executed(&effects), []);
        let short = Shortage {
            member: Member::new("demo", "redis-1").unwrap(),
            pod: parsed("u2"),
            parked: ADDRESS,
            subnet: parsed("subnet-0000000a"),
        };
        let reported = Effect::Notify(Notice::NotReserved(short));
        assert_eq!(effects.iter().filter(|effect| **effect == reported).count(), 3);
    }
}

/// Runs for some seconds: how often the pod was found without an address, and how many such pods
/// there are at the end.
fn without_address(node: &mut Node, seconds: u32) -> (usize, Option<usize>) {
    let effects = run(node, seconds, RESERVED);
    let member = Member::new("demo", "redis-1").unwrap();
    let found = Effect::Notify(Notice::WithoutAddress(member, parsed("u2")));
    let counted = effects.iter().rev().find_map(|effect| {
        let Effect::Report(Report::Counted(counts)) = effect else { return None };
        Some(counts.without_address)
    });
    (effects.iter().filter(|effect| **effect == found).count(), counted)
}

/// The pod redis-1 is as wanted; redis-0 has an address.
fn with_pod(change: impl Fn(&mut LocalPod)) -> Listing {
    let mut listing = with(State::Attached);
    for pod in listing.local_pods.as_mut().unwrap().values_mut() {
        pod.expects_address = true;
        change(pod);
    }
    listing
}

#[test]
fn f135_pod_with_the_label_that_runs_without_an_address_is_reported_once() {
    let mut node = full();
    let mut listing = with_pod(|_| {});
    node.handle(Event::Listed(Ok(listing.clone())));
    assert_eq!(without_address(&mut node, 20), (0, Some(0)), "its record may follow");
    assert_eq!(without_address(&mut node, 20), (1, Some(1)));
    assert_eq!(without_address(&mut node, 1_200), (0, Some(1)), "once");
    let holder = listing.records.get_mut(&ADDRESS).unwrap().attachment.as_mut().unwrap();
    holder.pod = parsed("u2");
    node.handle(Event::Listed(Ok(listing)));
    assert_eq!(without_address(&mut node, 60), (0, Some(0)));
}

#[test]
fn f135_pod_that_starts_or_ends_or_whose_record_is_unread_is_not_reported() {
    let unread = Listing { unread: [[10, 0, 1, 99].into()].into(), ..with_pod(|_| {}) };
    let ends = with_pod(|pod| pod.lifecycle = PodLifecycle::Terminating(None));
    let starts = with_pod(|pod| pod.expects_address = false);
    for listing in [unread, ends, starts] {
        let mut node = full();
        node.handle(Event::Listed(Ok(listing)));
        assert_eq!(without_address(&mut node, 120), (0, Some(0)));
    }
}

#[test]
fn without_a_waiting_pod_nothing_is_evicted() {
    let mut node = full();
    let local_pods = Some(LocalPods::new());
    node.handle(Event::Listed(Ok(Listing { local_pods, ..with(State::Parked) })));
    let effects = run(&mut node, 600, RESERVED);
    assert_eq!(executed(&effects), []);
    let last = effects.iter().rev().find_map(|effect| {
        if let Effect::Publish(facts) = effect { facts.addresses.clone() } else { None }
    });
    assert!(last.unwrap()[0].evictable, "its slot is offered");
}
