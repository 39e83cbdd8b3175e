//! Whatever happens to a node, each slot is offered once: the resources of a set of subnets add up
//! to at most what EC2 accepts on the interfaces there, or to what running pods request, if that is
//! more. A slot of a parked address is offered only if the agent may evict it, and then members get
//! it.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::{Eviction, LocalPod, LocalPods, choose_eviction};
use firecamp_controllers::publish::Facts;
use firecamp_controllers::publish::facts::{AddressFact, EniFact};
use firecamp_core::agent::{Operation, ResourceList};
use firecamp_core::ids::ResourceName;
use firecamp_core::ports::PodLifecycle;
use firecamp_core::record::{State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_registry::api::EniManager;
use proptest::prelude::*;

use super::resources::{default, named, pool};
use super::support::{MINUTE, Node, eni, fact, healthy_facts, record};

/// Addresses per interface, with the primary one.
const LIMIT: u32 = 5;
const MEMBERS: usize = 8;
/// A parked address keeps its slot for its member so long, and the publisher waits before it
/// lowers a capacity.
const RESERVED: u64 = 5 * MINUTE + 10;

/// What happens. Indices are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A member starts, if EC2 accepts its address.
    Start(usize),
    /// A member stops; its address stays, parked.
    Stop(usize),
    /// A parked address is unassigned.
    Unassign(usize),
    /// An interface is detached, or attached again.
    Plug(usize),
    /// The VPC CNI adopts an interface, or gives it back.
    Adopt(usize),
    /// Somebody else assigns so many addresses.
    Foreign(usize, u8),
    /// The pools of these subnets get another resource; the running pods keep theirs.
    Rename(usize),
    /// An explicit CIDR reservation of these subnets is created, or deleted.
    Reserve(usize),
    /// The agent starts again.
    Restart,
    /// Seconds pass.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..MEMBERS).prop_map(Step::Start),
        4 => (0..MEMBERS).prop_map(Step::Stop),
        2 => (0..MEMBERS).prop_map(Step::Unassign),
        1 => (0..2_usize).prop_map(Step::Plug),
        1 => (0..2_usize).prop_map(Step::Adopt),
        2 => (0..2_usize, 0..4_u8).prop_map(|(at, count)| Step::Foreign(at, count)),
        1 => (0..2_usize).prop_map(Step::Rename),
        2 => (0..2_usize).prop_map(Step::Reserve),
        1 => Just(Step::Restart),
        2 => (1..2 * RESERVED).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..25)
}

/// The subnets of one pool or of two pools, with one interface.
struct Set {
    eni: EniFact,
    plugged: bool,
    reserved: bool,
    /// The resources that its pools have had; the last is the present one.
    resources: Vec<ResourceName>,
}

impl Set {
    fn new(letter: char, resource: ResourceName) -> Self {
        let mut eni = EniFact { limit: Some(LIMIT), resource: resource.clone(), ..eni(&[]) };
        eni.eni.id = format!("eni-0000000{letter}").parse().unwrap();
        eni.eni.subnet = format!("subnet-0000000{letter}").parse().unwrap();
        Self { eni, plugged: true, reserved: false, resources: vec![resource] }
    }

    fn is_usable(&self) -> bool {
        self.plugged && self.eni.managed_by == EniManager::FireCamp
    }

    /// Whether EC2 accepts one more address.
    fn has_room(&self) -> bool {
        self.eni.eni.listed.len() + 1 < LIMIT as usize
    }
}

struct Member {
    set: usize,
    record: StaticIp,
    /// The second in which its address was parked.
    parked: Option<u64>,
    /// What its running pod requests.
    pod: Option<ResourceName>,
}

struct World {
    node: Node,
    sets: Vec<Set>,
    members: Vec<Member>,
}

impl World {
    /// Two pools in one subnet, or each in its own.
    fn new(sets: usize) -> Self {
        let resources = [default(), named("b")];
        let letters = ['a', 'b'].into_iter().zip(resources);
        let sets: Vec<_> =
            letters.take(sets).map(|(letter, resource)| Set::new(letter, resource)).collect();
        let member = |number: usize| {
            let address = Ipv4Addr::new(10, 0, 1, 50 + u8::try_from(number).unwrap());
            let record = StaticIp {
                address,
                member: format!("prod/redis-{number}").parse().unwrap(),
                attachment: None,
                ..record(1, State::Attached)
            };
            Member { set: number % sets.len(), record, parked: None, pod: None }
        };
        let members = (0..MEMBERS).map(member).collect();
        Self { node: Node::new(healthy_facts()), sets, members }
    }

    fn step(&mut self, step: Step) {
        let count = self.sets.len();
        match step {
            Step::Start(at) => self.start(at),
            Step::Stop(at) => {
                let second = self.node.second;
                let member = &mut self.members[at];
                if member.pod.take().is_some() {
                    member.record.attachment.as_mut().unwrap().state = State::Parked;
                    member.parked = Some(second);
                }
            }
            Step::Unassign(at) => {
                let member = &mut self.members[at];
                if member.parked.take().is_some() {
                    let attachment = member.record.attachment.as_mut().unwrap();
                    (attachment.state, attachment.eni) = (State::Released, None);
                    self.sets[member.set].eni.eni.listed.remove(&member.record.address);
                }
            }
            Step::Plug(at) => self.sets[at % count].plugged ^= true,
            Step::Adopt(at) => {
                let manager = &mut self.sets[at % count].eni.managed_by;
                let adopted = *manager == EniManager::VpcCni;
                *manager = if adopted { EniManager::FireCamp } else { EniManager::VpcCni };
            }
            Step::Foreign(at, foreign) => {
                let set = &mut self.sets[at % count];
                set.eni.eni.listed.retain(|address| address.octets()[3] < 200);
                for last in 200..200 + foreign {
                    if set.has_room() {
                        set.eni.eni.listed.insert(Ipv4Addr::new(10, 0, 1, last));
                    }
                }
            }
            Step::Rename(at) => {
                let set = &mut self.sets[at % count];
                let new = named(&format!("x{}-{}", at % count, set.resources.len()));
                set.eni.resource = new.clone();
                set.resources.push(new);
            }
            Step::Reserve(at) => self.sets[at % count].reserved ^= true,
            Step::Restart => self.node.restart(),
            Step::Wait(seconds) => self.run(seconds),
        }
        self.run(10);
    }

    fn start(&mut self, at: usize) {
        let member = &mut self.members[at];
        let set = &mut self.sets[member.set];
        let address = member.record.address;
        let accepted = set.eni.eni.listed.contains(&address) || set.has_room();
        if member.pod.is_some() || !set.is_usable() || !accepted {
            return;
        }
        set.eni.eni.listed.insert(address);
        let epoch = member.record.epoch.next();
        let mut attachment = record(1, State::Attached).attachment.unwrap();
        attachment.eni = Some(set.eni.eni.id.clone());
        member.record.epoch = epoch;
        member.record.attachment = Some(attachment);
        (member.parked, member.pod) = (None, set.resources.last().cloned());
    }

    /// What the pods of these subnets request.
    fn requested(&self, set: usize) -> impl Iterator<Item = &ResourceName> {
        self.members.iter().filter(move |one| one.set == set).filter_map(|one| one.pod.as_ref())
    }

    /// Each free slot that is offered gets a member without a pod. Where EC2 accepts no more
    /// addresses, the agent evicts one.
    fn fill(&mut self) {
        for at in 0..MEMBERS {
            let set = &self.sets[self.members[at].set];
            let resource = set.resources.last().unwrap().clone();
            let requested = self.members.iter().filter(|one| one.pod.as_ref() == Some(&resource));
            let free = self.offered(&resource) as usize > requested.count();
            if !(free && set.reserved && set.is_usable()) || self.members[at].pod.is_some() {
                continue;
            }
            let here = set.eni.eni.listed.contains(&self.members[at].record.address);
            if !here && !set.has_room() {
                self.evict_for(at, &resource);
            }
            self.step(Step::Start(at));
            assert!(self.members[at].pod.is_some(), "member {at} has no slot");
            self.check();
        }
    }

    /// The pod of the member was placed on the node, where no slot is free.
    fn evict_for(&mut self, at: usize, resource: &ResourceName) {
        let pod = |requests: &ResourceName| LocalPod {
            pod: "new".parse().unwrap(),
            lifecycle: PodLifecycle::Running,
            requested: [(requests.clone(), 1)].into(),
            own_network: false,
            expects_address: false,
        };
        let running = self.members.iter().filter_map(|one| Some((one, one.pod.as_ref()?)));
        let mut pods: LocalPods =
            running.map(|(one, requests)| (one.record.member.clone(), pod(requests))).collect();
        pods.insert(self.members[at].record.member.clone(), pod(resource));
        let since = |address| {
            let member = self.members.iter().find(|one| one.record.address == address);
            Moment(Duration::from_secs(member.and_then(|one| one.parked).unwrap()))
        };
        let chosen = choose_eviction(&self.facts(), &pods, since);
        let Eviction::Evict(Operation::Evict { address, .. }) = chosen else {
            panic!("no slot for member {at}, and {chosen:?}");
        };
        let evicted = self.members.iter().position(|one| one.record.address == address).unwrap();
        let (one, set) = (&self.members[evicted], self.members[at].set);
        assert!(one.set == set && one.pod.is_none(), "member {evicted} was evicted");
        let mut others = self.members.iter().filter(|it| it.set == set);
        assert!(others.all(|other| other.parked.is_none_or(|since| one.parked <= Some(since))));
        self.step(Step::Unassign(evicted));
    }

    fn run(&mut self, seconds: u64) {
        self.node.facts = self.facts();
        self.node.run(seconds);
    }

    fn facts(&self) -> Facts {
        let mut requested = ResourceList::new();
        for name in self.members.iter().filter_map(|one| one.pod.as_ref()) {
            *requested.entry(name.clone()).or_default() += 1;
        }
        // Two pools, whether they share a subnet or not.
        let pools = ["one", "two"].into_iter().zip(['a', 'b']).enumerate();
        let pools = pools.map(|(at, (name, letter))| {
            let at = at.min(self.sets.len() - 1);
            let letter = if at == 0 { 'a' } else { letter };
            pool(name, self.sets[at].resources.last().unwrap(), letter)
        });
        let plugged = self.sets.iter().filter(|set| set.plugged);
        let known = self.members.iter().filter(|one| one.record.attachment.is_some());
        let fact = |one: &Member| AddressFact {
            evictable: one.parked.is_some() && self.sets[one.set].reserved,
            ..fact(one.record.clone())
        };
        Facts {
            pools: Some(pools.collect()),
            enis: Some(plugged.map(|set| set.eni.clone()).collect()),
            addresses: Some(known.map(fact).collect()),
            requested: Some(requested),
            ..healthy_facts()
        }
    }

    fn offered(&self, name: &ResourceName) -> u32 {
        self.node.api.capacities().get(name).map_or(0, |text| text.parse().unwrap())
    }

    /// How many pods with an address each EC2 lets run on these interfaces.
    fn accepted(&self, at: usize) -> u32 {
        let set = &self.sets[at];
        if !set.is_usable() {
            return 0;
        }
        let foreign = set.eni.eni.listed.iter().filter(|address| address.octets()[3] >= 200);
        let members = self.members.iter().filter(|one| one.set == at);
        let old = |since: u64| self.node.second - since > RESERVED;
        let parked = members.filter(|one| !set.reserved && one.parked.is_some_and(old));
        LIMIT - 1 - u32::try_from(foreign.count() + parked.count()).unwrap()
    }

    fn check(&self) {
        for (at, set) in self.sets.iter().enumerate() {
            let offered: u32 = set.resources.iter().map(|name| self.offered(name)).sum();
            let requested = u32::try_from(self.requested(at).count()).unwrap();
            let most = self.accepted(at).max(requested);
            assert!(offered <= most, "set {at}: {offered} offered, {most} accepted or requested");
            for name in &set.resources {
                let least = self.requested(at).filter(|one| *one == name).count();
                assert!(self.offered(name) as usize >= least, "{name} is below {least}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_slot_is_offered_at_most_once(sets in 1..=2_usize, steps in steps()) {
        let mut world = World::new(sets);
        world.run(10);
        world.check();
        for step in steps {
            world.step(step);
            world.check();
        }
    }

    #[test]
    fn f120_each_slot_that_is_offered_can_be_used(sets in 1..=2_usize, steps in steps()) {
        let mut world = World::new(sets);
        for step in [Step::Reserve(0), Step::Reserve(1)].into_iter().take(sets).chain(steps) {
            world.step(step);
            world.check();
        }
        world.fill();
    }
}

#[test]
fn all_slots_are_offered_while_nothing_is_wrong() {
    for sets in [1, 2] {
        let mut world = World::new(sets);
        for member in 0..MEMBERS {
            world.step(Step::Start(member));
        }
        for set in 0..sets {
            let running = world.requested(set).count();
            assert_eq!(running, 4, "EC2 accepts no more on one interface");
            assert_eq!(world.offered(world.sets[set].resources.last().unwrap()), LIMIT - 1);
        }
    }
}
