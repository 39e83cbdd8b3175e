//! The kernel of a node: local, so effects are immediate.

use std::net::Ipv4Addr;

use crate::audit::KernelWrite;
use crate::scenario::Fault;
use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::failure::{HostFailure, HostKind};
use firecamp_core::ports::{Holder, HostNet, KernelTarget, KernelView, SocketUse};
use firecamp_core::time::Moment;
use firecamp_node::kernel::Change;
use firecamp_testkit::sim::Kernel;
use firecamp_vpc::Simulator;
use tokio::time::sleep;

use super::ProcessHandle;
use crate::wire::sim_state::{Kind, SimState, Slot};

/// The kernel as one process accesses it.
#[derive(Debug, Clone)]
pub(crate) struct Node(pub(super) ProcessHandle);

fn failed(kind: HostKind) -> HostFailure {
    HostFailure { kind, detail: "the simulated kernel fails".to_owned() }
}

/// The result of a call.
enum CallResult {
    Done,
    Refused(HostKind),
    /// It takes effect and reports a failure.
    FailsAfterEffect,
}

impl SimState {
    /// A superseded init may remove its own addresses; all others must have read the record.
    fn removes(&mut self, now: Moment, slot: Slot, address: Ipv4Addr) {
        let process = self.process(slot);
        let read = process.observed.read || process.kind == Kind::Init;
        self.audit.removes(now, slot.0, address, read);
    }

    fn touched(
        &mut self,
        world: &mut Simulator,
        now: Moment,
        slot: Slot,
        touch: (Ipv4Addr, &Holder, bool),
    ) {
        let (address, holder, adds) = touch;
        let node = self.process(slot).spawn.node;
        let fixed = self.process(slot).observed.fixed;
        let touch = KernelWrite { slot: slot.0, node, address, epoch: holder.epoch.0, adds, fixed };
        self.audit.touched(now, touch, &self.cluster.nodes[node.at()].kernel);
        self.check_address(world, now, address);
    }
}

impl Node {
    async fn call<T>(
        &self,
        act: impl FnOnce(&mut SimState, &mut Simulator, Moment) -> Result<T, HostFailure>,
    ) -> Result<T, HostFailure> {
        let ProcessHandle { shared, slot } = &self.0;
        let (result, first, time) = {
            let mut sim = shared.sim();
            let mut time = sim.process(*slot).rng.micros(50, 1_500);
            let result = if sim.injects(*slot, Fault::HostBusy) {
                time = sim.process(*slot).rng.millis(5, 3_000);
                CallResult::Refused(HostKind::Busy)
            } else if sim.injects(*slot, Fault::HostRefuses) {
                let fails_after = sim.process(*slot).rng.once_in(2);
                if fails_after {
                    CallResult::FailsAfterEffect
                } else {
                    CallResult::Refused(HostKind::Refused)
                }
            } else {
                CallResult::Done
            };
            (result, sim.process(*slot).rng.once_in(2), time)
        };
        if let CallResult::Refused(kind) = result {
            sleep(time).await;
            return Err(failed(kind));
        }
        // A kill hits it before its effect as often as after it.
        if !first {
            sleep(time).await;
        }
        let done = shared.with(act);
        if first {
            sleep(time).await;
        }
        if let CallResult::FailsAfterEffect = result {
            Err(failed(HostKind::Refused))
        } else {
            done
        }
    }

    /// A write, with its audits.
    async fn change(
        &self,
        touch: (Ipv4Addr, &Holder),
        adds: bool,
        change: impl FnOnce(&mut Kernel) -> Result<bool, HostFailure>,
    ) -> Result<bool, HostFailure> {
        let slot = self.0.slot;
        self.call(|sim, world, now| {
            let node = sim.process(slot).spawn.node;
            let node = &mut sim.cluster.nodes[node.at()];
            if adds && node.hardware_at > now {
                return Err(failed(HostKind::NoLink));
            }
            let done = change(&mut node.kernel)?;
            sim.touched(world, now, slot, (touch.0, touch.1, adds));
            let node = sim.process(slot).spawn.node;
            sim.tell_node(node, || NodeEvent::KernelChanged(vec![Change::Address(touch.0)]));
            Ok(done)
        })
        .await
    }
}

impl HostNet for Node {
    async fn add_address(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let add = |kernel: &mut Kernel| kernel.add_address(target, holder);
        self.change((target.address, holder), true, add).await
    }

    async fn add_routing(
        &self,
        target: &KernelTarget,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let add = |kernel: &mut Kernel| kernel.add_routing(target, holder);
        self.change((target.address, holder), true, add).await
    }

    async fn note_assign(&self, address: Ipv4Addr) -> Result<(), HostFailure> {
        let slot = self.0.slot;
        self.call(|sim, _, now| {
            let node = sim.process(slot).spawn.node;
            sim.cluster.node_mut(node).kernel.note_assign(address, now);
            Ok(())
        })
        .await
    }

    async fn observe(&self, target: &KernelTarget) -> Result<KernelView, HostFailure> {
        let slot = self.0.slot;
        self.call(|sim, _, now| {
            let node = sim.process(slot).spawn.node;
            Ok(sim.cluster.kernel_view(node, target, now))
        })
        .await
    }

    async fn remove_address(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let ProcessHandle { shared, slot } = &self.0;
        let now = shared.now();
        shared.sim().removes(now, *slot, address);
        let remove = |kernel: &mut Kernel| kernel.remove_address(address, holder);
        self.change((address, holder), false, remove).await
    }

    async fn remove_routing(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> Result<bool, HostFailure> {
        let remove = |kernel: &mut Kernel| kernel.remove_routing(address, holder);
        self.change((address, holder), false, remove).await
    }

    async fn sockets(&self, address: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        let slot = self.0.slot;
        self.call(|sim, _, _| {
            let node = sim.process(slot).spawn.node;
            Ok(sim.cluster.nodes[node.at()].kernel.sockets(address))
        })
        .await
    }
}
