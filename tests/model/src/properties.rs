//! What must always hold, and what must happen at least once.

use firecamp_core::record::State;
use stateright::Property;

use crate::cast::NOBODY;
use crate::model::Small;
use crate::state::{Api, World, Wrong};

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

    fn ready_is_true(&self, world: &World) -> bool {
        Self::ready(world).all(|(pod, _)| {
            let member = self.machines.cast.member_of(pod);
            world.addresses[member].stolen || self.agrees(world, pod)
        })
    }

    /// A record without marks tells where EC2 has the address.
    fn settled_is_true(&self, world: &World) -> bool {
        (0..self.machines.cast.members()).all(|member| {
            let address = &world.addresses[member];
            let record = self.machines.record(address.record);
            let settled = (0..self.config.nodes)
                .find(|eni| record.object.settled_on(&self.machines.cast.eni_id(*eni)));
            address.stolen || settled.is_none_or(|eni| address.owner == eni)
        })
    }

    /// What is recorded as released is on none of our ENIs.
    fn released_is_true(&self, world: &World) -> bool {
        (0..self.machines.cast.members()).all(|member| {
            let address = &world.addresses[member];
            let record = self.machines.record(address.record);
            let state = record.attachment.map(|(_, _, state)| state);
            let free = state == Some(State::Released) && record.marks == 0;
            address.stolen || !free || address.owner >= crate::cast::FOREIGN
        })
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Property<Small>> {
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
        Property::always("heals", Small::heals),
        Property::sometimes("a pod is up", |_: &Small, w: &World| Small::ready(w).next().is_some()),
        Property::sometimes("a second incarnation is up", |m: &Small, w: &World| {
            Small::ready(w).any(|(pod, _)| pod % m.machines.cast.pods_each() > 0)
        }),
        Property::sometimes("parked", |m: &Small, w: &World| has_state(m, w, State::Parked)),
        Property::sometimes("the owner differs from the path", |_: &Small, w: &World| {
            w.addresses.iter().any(|a| a.owner != a.path && a.owner != NOBODY)
        }),
        Property::sometimes("a pod is gone", |_: &Small, w: &World| {
            w.pods.iter().any(|p| p.api == Api::Gone)
        }),
    ]
}

fn has_state(model: &Small, world: &World, state: State) -> bool {
    world.addresses.iter().any(|address| {
        let record = model.machines.record(address.record);
        record.attachment.is_some_and(|(_, _, found)| found == state)
    })
}
