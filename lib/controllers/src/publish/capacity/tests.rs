//! Seeded histories of one node: its resources never offer a slot twice, nor one that EC2 would
//! refuse, nor less than pods request. The oracle counts addresses on a model of EC2's interfaces.
//! `SEED` says where the histories begin, `HISTORIES` how many there are.

mod events;

use firecamp_core::node_identity::Eni;
use firecamp_core::record::Attachment;
use firecamp_registry::conformance;

use super::*;
use crate::interface_life_tests::histories::{Random, given};
use crate::publish::facts::AddressFact;

const HISTORIES: u64 = 3000;
const MEMBERS: usize = 8;
/// A parked address keeps its slot for five minutes, and then the capacity has to be stable.
const KEPT: u64 = 5 * 60 + 3;

#[derive(Clone, Copy)]
struct Interface {
    /// The set of pools in whose subnet it is.
    set: usize,
    plugged: bool,
    manager: EniManager,
    carries: bool,
    prefixes: usize,
    foreign: usize,
}

#[derive(Default)]
struct Member {
    set: usize,
    /// What its pod on this node requests.
    pod: Option<ResourceName>,
    /// The state and the interface in its record, and those that a refused attach restores.
    record: Option<(State, usize)>,
    before: Option<(State, usize)>,
    /// The interface on which EC2 has its address, and whether the metadata service omits it.
    at: Option<usize>,
    unlisted: bool,
    /// Until then its slot is kept if its address is parked.
    kept: u64,
}

impl Member {
    fn is_attached(&self) -> bool {
        matches!(self.record, Some((State::Attaching | State::Attached, _)))
    }

    /// Whether it has its address on the interface, or had it there until recently.
    fn holds(&self, at: usize, now: u64) -> bool {
        let kept = matches!(self.record, Some((State::Parked, _))) && self.kept > now;
        let recorded = self.record.is_some_and(|(_, eni)| eni == at);
        self.at == Some(at) && recorded && (self.is_attached() || kept)
    }
}

struct World {
    random: Random,
    /// How many addresses an interface of this type takes.
    limit: usize,
    interfaces: Vec<Interface>,
    members: Vec<Member>,
    /// The resources that each set of pools has had; the last is the present one.
    resources: Vec<Vec<ResourceName>>,
    /// Whether pools get other resources.
    renames: bool,
    capacity: StableCapacity,
    /// What the Node has.
    node: ResourceList,
    now: u64,
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

fn eni_id(at: usize) -> EniId {
    format!("eni-0000000{at}").parse().unwrap()
}

fn last_octet(last: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(last).unwrap())
}

impl World {
    fn is_usable(&self, at: usize) -> bool {
        let one = &self.interfaces[at];
        one.plugged && one.carries && one.manager == EniManager::FireCamp
    }

    fn usable(&self, set: usize) -> Vec<usize> {
        let all = 0..self.interfaces.len();
        all.filter(|at| self.interfaces[*at].set == set && self.is_usable(*at)).collect()
    }

    /// How many addresses EC2 would still assign to the interface.
    fn room(&self, at: usize) -> usize {
        let Interface { prefixes, foreign, .. } = self.interfaces[at];
        let members = self.members.iter().filter(|one| one.at == Some(at)).count();
        self.limit - 1 - prefixes - foreign - members
    }

    /// What EC2 would still accept for members of the set, and what they hold.
    fn accepted(&self, set: usize) -> usize {
        let held = |at| self.members.iter().filter(|one| one.holds(at, self.now)).count();
        self.usable(set).into_iter().map(|at| self.room(at) + held(at)).sum()
    }

    fn resource(&self, set: usize) -> ResourceName {
        self.resources[set].last().unwrap().clone()
    }

    fn requested(&self) -> ResourceList {
        let mut all = ResourceList::new();
        for name in self.members.iter().filter_map(|one| one.pod.clone()) {
            *all.entry(name).or_default() += 1;
        }
        all
    }

    fn pool(&self, pool: usize) -> Pool {
        // Two pools in one subnet, or each in its own.
        let set = pool % self.resources.len();
        let sample = conformance::pool(&format!("pool-{pool}"), &[u8::try_from(set).unwrap()]);
        Pool { resource: self.resource(set), ..sample.unwrap() }
    }

    fn eni(&self, at: usize) -> EniFact {
        let Interface { set, manager, carries, prefixes, foreign, .. } = self.interfaces[at];
        let listed = |member: &usize| {
            let one = &self.members[*member];
            one.at == Some(at) && !one.unlisted
        };
        let foreign = 100 + 10 * at..100 + 10 * at + foreign;
        let entry = conformance::subnet(u8::try_from(set).unwrap()).unwrap();
        let eni = Eni {
            id: eni_id(at),
            mac: format!("02:00:00:00:00:0{at}").parse().unwrap(),
            device_index: number(at),
            network_card: 0,
            subnet: entry.subnet,
            cidr: entry.cidr,
            primary_address: last_octet(200 + at),
            listed: (0..MEMBERS).filter(listed).chain(foreign).map(last_octet).collect(),
            prefixes: number(prefixes),
        };
        let (limit, carries, link) = (Some(number(self.limit)), Some(carries), None);
        EniFact { eni, limit, link, managed_by: manager, carries, resource: self.resource(set) }
    }

    fn address(&self, at: usize) -> Option<AddressFact> {
        let one = &self.members[at];
        let (state, eni) = one.record?;
        let owner = conformance::member(number(at)).unwrap();
        let record = conformance::static_ip(last_octet(at), &owner, &self.pool(one.set)).unwrap();
        let sample = conformance::attached(&record, 1).unwrap().attachment.unwrap();
        let eni = (!matches!(state, State::Releasing | State::Released)).then(|| eni_id(eni));
        let attachment = Attachment { state, eni, node: "node-1".parse().unwrap(), ..sample };
        let record = StaticIp { attachment: Some(attachment), ..record };
        Some(AddressFact {
            record,
            in_kernel: None,
            in_ec2: None,
            foreign: None,
            failing: None,
            evictable: false,
        })
    }

    fn run(&mut self, seconds: usize) {
        let plugged = (0..self.interfaces.len()).filter(|at| self.interfaces[*at].plugged);
        let facts = Facts {
            enis: Some(plugged.map(|at| self.eni(at)).collect()),
            addresses: Some((0..MEMBERS).filter_map(|at| self.address(at)).collect()),
            pools: Some((0..2).map(|at| self.pool(at)).collect()),
            requested: Some(self.requested()),
            ..Facts::new("node-1".parse().unwrap())
        };
        for _second in 0..seconds {
            self.now += 1;
            self.capacity.step(Moment(Duration::from_secs(self.now)), &facts, self.node.keys());
            self.node.extend(self.capacity.value());
        }
        let attached = self.members.iter_mut().filter(|one| one.is_attached());
        attached.for_each(|one| one.kept = self.now + KEPT);
    }

    /// A process that does not know the node's interfaces yet writes nothing.
    fn check_least(&self, what: &str) {
        let known = self.capacity.value();
        for (name, least) in self.requested().iter().filter(|(name, _)| known.contains_key(*name)) {
            assert!(self.node[name] >= *least, "{what}: pods request {least} of {:?}", self.node);
        }
    }

    /// Returns how many sets offer all that EC2 accepts, which is more than pods request.
    fn check_most(&self, what: &str) -> u32 {
        let unknown =
            |one: &Interface| one.plugged && one.carries && one.manager == EniManager::Unknown;
        if self.interfaces.iter().any(unknown) {
            return 0;
        }
        let is_exact = |set: &usize| {
            let names = self.resources[*set].iter();
            let offered: u32 = names.filter_map(|name| self.node.get(name)).sum();
            let pods = self.members.iter().filter(|one| one.set == *set && one.pod.is_some());
            let (accepted, requested) = (number(self.accepted(*set)), number(pods.count()));
            let most = accepted.max(requested);
            assert!(offered <= most, "{what}: {most} slots in set {set}, but {:?}", self.node);
            offered == accepted && accepted > requested
        };
        number((0..self.resources.len()).filter(is_exact).count())
    }
}

#[test]
fn no_slot_is_offered_twice_nor_without_room_and_no_fewer_than_pods_request() {
    let (first, count) = (given("SEED").unwrap_or(1), given("HISTORIES").unwrap_or(HISTORIES));
    let (mut events, mut exact) = (0, 0);
    for seed in first..first + count {
        let mut world = World::new(seed);
        for event in 0..10 + world.below(40) {
            let what = format!("SEED={seed} HISTORIES=1, event {event}");
            world.event();
            world.run(1);
            world.check_least(&what);
            world.run(3);
            world.check_least(&what);
            (events, exact) = (events + 1, exact + world.check_most(&what));
        }
    }
    println!("{count} histories with {events} events, {exact} times all slots are offered");
    assert!(count < 100 || exact > events / 4, "of {events} events {exact} leave a free slot");
}
