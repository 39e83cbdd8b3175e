//! What must always hold, and what must happen at least once.

use firecamp_core::record::State;
use stateright::Property;

use crate::cast::{Kind, NOBODY, NODES, small};
use crate::config::Config;
use crate::machines::Ask;
use crate::model::Small;
use crate::state::{Stolen, World, Wrong};

impl Small {
    /// Whether EC2, the data path, the record, this node's kernel with its lock, and the file
    /// agree that the pod has its address.
    pub(crate) fn agrees(&self, world: &World, pod: usize) -> bool {
        let member = self.machines.cast.member_of(pod);
        let node = world.pods[pod].node;
        let address = &world.addresses[member];
        let record = self.machines.record(address.record);
        let kernel = address.kernel[usize::from(node)];
        let locked = kernel.lock.is_some_and(|lock| {
            lock.held && usize::from(lock.who.pod) == pod && lock.who.epoch == record.epoch
        });
        let held = record.attachment.is_some_and(|(holder, at, state)| {
            usize::from(holder) == pod && at == node && state == State::Attached
        });
        let reached = address.owner == node && address.path == node;
        reached && held && kernel.present && locked && address.file.durable
    }

    /// A call landed after T: outside A1, EC2 may be wrong for moments.
    fn late(&self, world: &World) -> bool {
        world.budget.late < self.config.budget.late
    }

    fn ready_is_true(&self, world: &World) -> bool {
        self.late(world)
            || Self::ready(world).all(|(pod, _)| {
                let member = self.machines.cast.member_of(pod);
                world.addresses[member].stolen != Stolen::No || self.agrees(world, pod)
            })
    }

    /// A record without marks tells where EC2 has the address.
    fn settled_is_true(&self, world: &World) -> bool {
        self.late(world)
            || (0..self.machines.cast.members()).all(|member| {
                let address = &world.addresses[member];
                let record = self.machines.record(address.record);
                let settled = (0..self.config.nodes)
                    .find(|eni| record.object.settled_on(&self.machines.cast.eni_id(*eni)));
                address.stolen != Stolen::No || settled.is_none_or(|eni| address.owner == eni)
            })
    }

    /// What is recorded as released is on none of our ENIs.
    fn released_is_true(&self, world: &World) -> bool {
        self.late(world)
            || (0..self.machines.cast.members()).all(|member| {
                let address = &world.addresses[member];
                let record = self.machines.record(address.record);
                let state = record.attachment.map(|(_, _, state)| state);
                let free = state == Some(State::Released) && record.marks == 0;
                address.stolen != Stolen::No || !free || address.owner >= crate::cast::FOREIGN
            })
    }
}

/// From every state a fair run without faults ends well.
pub(crate) const HEALS: &str = "heals";

/// All of them.
pub(crate) fn all(config: &Config) -> Vec<Property<Small>> {
    let mut all = always();
    all.extend(coverage(config));
    all
}

fn always() -> Vec<Property<Small>> {
    vec![
        Property::always("the model is large enough", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Model)
        }),
        Property::always("ready means reachable", Small::ready_is_true),
        Property::always("settled means settled", Small::settled_is_true),
        Property::always("released means released", Small::released_is_true),
        Property::always("foreign stays foreign", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Foreign)
        }),
        Property::always("nothing is given up by mistake", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Lost)
        }),
        Property::always("no silent overlap", |_: &Small, w: &World| !w.is_wrong(Wrong::Overlap)),
        Property::always("a release leaves nothing", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Left)
        }),
        Property::always("no release of a live pod", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Early)
        }),
        Property::always("calls keep within their budget", |_: &Small, w: &World| {
            !w.is_wrong(Wrong::Budget)
        }),
        Property::always(HEALS, Small::heals),
    ]
}

/// What must happen at least once, or the world was not the one that it was meant to be.
fn coverage(config: &Config) -> Vec<Property<Small>> {
    let faults = config.budget;
    let all: [(bool, &'static str, Sight); 12] = [
        (true, "a pod is up", |_, w| Small::ready(w).next().is_some()),
        (!config.instant, "the data path lags", |_, w| {
            w.addresses.iter().any(|a| a.owner != a.path && a.owner != NOBODY)
        }),
        (config.pods > 1, "a successor is up", |m, w| {
            Small::ready(w).any(|(pod, _)| pod % m.machines.cast.pods_each() > 0)
        }),
        (!config.unassign, "parked", |m, w| has_state(m, w, State::Parked)),
        (config.unassign, "unassigned", |m, w| has_state(m, w, State::Released)),
        (faults.crash + faults.lost > 0, "T is waited for", |m, w| {
            w.procs.iter().flatten().any(|p| m.asks(w, *p) == Ask::Pause(2))
        }),
        (faults.lost > 0, "a call is in flight", |_, w| w.calls.iter().any(Option::is_some)),
        (faults.theft > 0, "stolen", |_, w| w.addresses.iter().any(|a| a.stolen != Stolen::No)),
        (faults.late > 0, "a call lands late", Small::late),
        (faults.force > 0, "two pods at once", |_, w| {
            let pods = w.procs.iter().flatten().filter(|p| p.kind != Kind::Agent).map(|p| p.pod);
            pods.clone().min() != pods.max()
        }),
        (config.agent, "an agent is at work", |_, w| {
            w.procs.iter().flatten().any(|p| p.kind == Kind::Agent)
        }),
        (config.twins, "two agents of one node at work for one address", |_, w| {
            let errands = |node| Small::errands(w, node, 0);
            (0..small(NODES)).any(|node| errands(node) > 1)
        }),
    ];
    let due = all.into_iter().filter(|(due, ..)| *due);
    due.map(|(_, name, sight)| Property::sometimes(name, sight)).collect()
}

/// Something that a state shows.
type Sight = fn(&Small, &World) -> bool;

fn has_state(model: &Small, world: &World, state: State) -> bool {
    world.addresses.iter().any(|address| {
        let record = model.machines.record(address.record);
        record.attachment.is_some_and(|(_, _, found)| found == state)
    })
}
