//! The outside systems of one process: the real EC2 client, and in-memory systems with latencies
//! and faults.

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

use crate::wire::fault_injector::FaultInjector;
use crate::wire::sim_state::{Shared, Slot};

/// The outside systems of one process.
pub(crate) type SystemsOf = Systems<AwsCloud, Node, Records, Volume>;

/// The outside systems of the process in this slot.
pub(crate) fn of(shared: &Shared, slot: Slot) -> SystemsOf {
    let handle = ProcessHandle { shared: shared.clone(), slot };
    Systems {
        cloud: cloud(shared, slot),
        host: Node(handle.clone()),
        registry: Records::of(&handle),
        file: Volume(handle),
    }
}

/// A separate client of EC2 and IMDS for each process.
pub(crate) fn cloud(shared: &Shared, slot: Slot) -> AwsCloud {
    let (node, name) = {
        let sim = shared.sim();
        let node = sim.processes[slot.at()].spawn.node;
        (node, sim.names.node(node).name.as_str().to_owned())
    };
    let desk = FaultInjector::new(shared.clone(), slot, node);
    Carrier::new(shared.simulator.clone(), &name).intercepted_by(Arc::new(desk)).cloud()
}

/// The calling process.
#[derive(Debug, Clone)]
pub(crate) struct ProcessHandle {
    shared: Shared,
    slot: Slot,
}
