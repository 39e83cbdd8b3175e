//! Executes an operation on an address of this node.

use std::net::Ipv4Addr;

use firecamp_core::agent::{Execution, Operation};
use firecamp_core::ids::{ClusterName, Member};
use firecamp_core::machine::Outcome;
use firecamp_core::ports::{Cloud, Registry};
use firecamp_engine::{Ended, NoFile, Rng, Run, Signal, Systems};
use tokio_util::sync::CancellationToken;

use crate::by_address::ByAddress;
use crate::kernel::Kernel;

/// Runs the machine of the operation to its end. None if it was interrupted.
pub(crate) async fn execute<C: Cloud, K: Kernel, R: Registry>(
    operation: &Operation,
    (address, member): (Ipv4Addr, Member),
    (cluster, end): (&ClusterName, CancellationToken),
    systems: &Systems<C, K, R, NoFile>,
) -> Option<Outcome> {
    let Systems { cloud, host, registry, .. } = systems;
    let withdraws = matches!(operation, Operation::Withdraw { .. });
    let host = if withdraws { host.clone().withdrawing() } else { host.clone() };
    let rng = Rng::default();
    let id = rng.run_id();
    let run = Run { member, pool: None, signal: Signal::Interrupt(end), rng, watcher: None };
    let machine = |now| Execution::new(operation, cluster, id, now);
    let ended = if matches!(operation, Operation::Evict { .. }) {
        // The claim of a parked address may be deleted.
        let registry = ByAddress { registry, address, pool: None };
        let systems = Systems { cloud, host, registry, file: NoFile };
        firecamp_engine::run(machine, &systems, &run).await
    } else {
        let systems = Systems { cloud, host, registry, file: NoFile };
        firecamp_engine::run(machine, &systems, &run).await
    };
    match ended {
        Ended::Outcome(outcome) => Some(outcome),
        Ended::Interrupted => None,
    }
}
