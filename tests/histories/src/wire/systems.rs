//! The outside systems of one process: the real client for EC2, the others in memory, with
//! latencies and faults.

mod disk;
mod gateway;
mod kernel;
mod records;
mod registry;

pub(crate) use disk::Volume;
pub(crate) use kernel::Node;
pub(crate) use records::Records;
use registry::Api;

use std::sync::Arc;

use firecamp_cloud::AwsCloud;
use firecamp_engine::Systems;
use firecamp_sim_tests::Carrier;

use crate::wire::customs::Desk;
use crate::wire::site::{Shared, Slot};

/// What a process of this slot asks.
pub(crate) fn of(shared: &Shared, slot: Slot) -> Systems<AwsCloud, Node, Records, Volume> {
    let me = Me { shared: shared.clone(), slot };
    Systems {
        cloud: cloud(shared, slot),
        host: Node(me.clone()),
        registry: Records::of(&me),
        file: Volume(me),
    }
}

/// A client of EC2 and IMDS of its own, as every process has.
pub(crate) fn cloud(shared: &Shared, slot: Slot) -> AwsCloud {
    let (node, name) = {
        let site = shared.site();
        let node = site.processes[slot.at()].spawn.node;
        (node, site.names.node(node).name.as_str().to_owned())
    };
    let desk = Desk::new(shared.clone(), slot, node);
    Carrier::new(shared.clockwork.clone(), &name).through(Arc::new(desk)).cloud()
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Me {
    shared: Shared,
    slot: Slot,
}
