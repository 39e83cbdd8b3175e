//! What a node of the histories begins with, and what happens to it.

use super::*;

fn resource(set: usize, index: usize) -> ResourceName {
    format!("{}-{set}-{index}", ResourceName::default()).parse().unwrap()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random(seed),
            limit: 0,
            interfaces: Vec::new(),
            members: Vec::new(),
            resources: vec![vec![ResourceName::default()]],
            renames: false,
            capacity: StableCapacity::default(),
            node: ResourceList::new(),
            now: 0,
        };
        if world.one_in(2) {
            world.resources.push(vec![resource(1, 0)]);
        }
        (world.limit, world.renames) = (3 + world.below(5), world.one_in(2));
        for _interface in 0..=world.below(4) {
            let (set, foreign) = (world.below(world.resources.len()), world.below(world.limit - 1));
            let (plugged, carries) = (!world.one_in(4), !world.one_in(4));
            let (manager, prefixes) = (world.manager(), world.below(2));
            world.interfaces.push(Interface { set, plugged, manager, carries, prefixes, foreign });
        }
        for _member in 0..MEMBERS {
            let set = world.below(world.resources.len());
            world.members.push(Member { set, ..Member::default() });
        }
        world
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(u64::try_from(bound).unwrap())).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn manager(&mut self) -> EniManager {
        let others = [EniManager::VpcCni, EniManager::Other, EniManager::Unknown];
        if self.one_in(3) { others[self.below(3)] } else { EniManager::FireCamp }
    }

    /// The scheduler binds a pod if a slot is offered; users sometimes do so without asking.
    fn bind(&mut self, at: usize) {
        let name = self.resource(self.members[at].set);
        let requested = self.requested().remove(&name).unwrap_or_default();
        let is_offered = self.node.get(&name).is_some_and(|offered| *offered > requested);
        if is_offered || self.one_in(8) {
            self.members[at].pod = Some(name);
        }
    }

    fn acquire(&mut self, at: usize) {
        let usable = self.usable(self.members[at].set);
        if !usable.is_empty() {
            let any = usable[self.below(usable.len())];
            let one = &mut self.members[at];
            let eni = one.at.filter(|own| usable.contains(own)).unwrap_or(any);
            (one.before, one.record) = (one.record, Some((State::Attaching, eni)));
        }
    }

    /// EC2 assigns the address, or refuses the attach, which restores the record.
    fn assign(&mut self, at: usize, eni: usize) {
        let accepts =
            self.is_usable(eni) && (self.members[at].at == Some(eni) || self.room(eni) > 0);
        let lags = self.one_in(2);
        let one = &mut self.members[at];
        if accepts {
            one.unlisted = lags && one.at != Some(eni);
            (one.record, one.at) = (Some((State::Attached, eni)), Some(eni));
        } else {
            one.record = one.before;
        }
    }

    fn member_event(&mut self, at: usize) {
        let (draw, one_set) = (self.below(7), self.resources.len() == 1);
        let one = &mut self.members[at];
        let (attached, has_reservation) = (one.is_attached(), at < MEMBERS / 2);
        match (draw, one.record) {
            (0..=2, _) if one.pod.is_none() => self.bind(at),
            (0..=2, Some((State::Attaching, eni))) => self.assign(at, eni),
            (0..=2, _) if !attached => self.acquire(at),
            // Only in one set do pods end without a release while resources change: of several,
            // an address without a request hides the set of a request for a former resource.
            (3, _) if !attached || one_set || !self.renames => one.pod = None,
            (4, Some((_, eni))) if attached => one.record = Some((State::Parked, eni)),
            // Without a reservation of the pool the address stays parked.
            (5, Some((State::Parked, eni))) if has_reservation => {
                one.record = Some((State::Releasing, eni));
            }
            (5, Some((State::Releasing, eni))) => {
                (one.record, one.at) = (Some((State::Released, eni)), None);
            }
            // Another node takes it.
            (6, Some((State::Parked, _))) => (one.record, one.at) = (None, None),
            _ => {}
        }
    }

    fn interface_event(&mut self, at: usize) {
        let (room, mut one) = (self.room(at), self.interfaces[at]);
        match self.below(6) {
            0 if one.plugged => one.plugged = false,
            // EC2 may refuse the attach, because somebody else's interface has taken the index.
            0 if self.one_in(2) => one.plugged = true,
            0 if self.interfaces.len() < 6 => {
                let (plugged, manager) = (true, EniManager::Other);
                self.interfaces.push(Interface {
                    plugged,
                    manager,
                    foreign: 0,
                    prefixes: 0,
                    ..one
                });
            }
            1 | 2 => one.manager = self.manager(),
            3 => one.carries = !self.one_in(4),
            4 => one.foreign = self.below(one.foreign + room + 1),
            5 => one.prefixes = self.below(one.prefixes + room.min(2) + 1),
            _ => {}
        }
        self.interfaces[at] = one;
    }

    /// One thing happens.
    pub(super) fn event(&mut self) {
        // The metadata service lags behind EC2 for one event.
        self.members.iter_mut().for_each(|one| one.unlisted = false);
        let (draw, member) = (self.below(20), self.below(MEMBERS));
        let (eni, set) = (self.below(self.interfaces.len()), self.below(self.resources.len()));
        match draw {
            0..=11 => self.member_event(member),
            12..=16 => self.interface_event(eni),
            // The pools return to a former resource, or get a new one.
            17 if self.renames && self.one_in(2) => self.resources[set].rotate_left(1),
            17 if self.renames => {
                let new = resource(set, self.resources[set].len());
                self.resources[set].push(new);
            }
            18 => {
                // A new process of the agent knows no earlier holders.
                self.capacity = StableCapacity::default();
                self.members.iter_mut().for_each(|one| one.kept = 0);
            }
            19 => {
                let seconds = self.below(400);
                self.run(seconds);
            }
            _ => {}
        }
    }
}
