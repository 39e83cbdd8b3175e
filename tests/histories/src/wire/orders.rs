//! Carries out the orders of the orchestrator.

use std::net::Ipv4Addr;

use crate::level::{Level, Order, Power};
use crate::names::{EniIx, FOREIGN_ENI, FOREIGN_PRIMARY_ENI, NodeIx};
use crate::scenario::{ExternalReassignment, Outage};
use crate::simulated_cluster::FOREIGN;
use firecamp_controllers::node::Event as NodeEvent;
use firecamp_core::time::Moment;
use firecamp_node::kernel::Change;
use firecamp_vpc::{Act, Simulator};

use crate::wire::api;
use crate::wire::level::Wire;
use crate::wire::processes;
use crate::wire::sim_state::SimState;

impl Level for Wire {
    fn order(&mut self, _now: Moment, order: Order) {
        let runtime = self.runtime.handle().clone();
        let _inside = runtime.enter();
        let now = self.shared.now();
        self.shared.sim().trace.order(now, &order);
        match order {
            Order::Spawn(spawn) => {
                let tasks = &self.tasks;
                let start = |work| tasks.spawn_local(work).abort_handle();
                processes::spawn(&self.shared, now, spawn, &start);
            }
            Order::Signal(process) => processes::signal(&self.shared, now, process),
            Order::Kill(process) => {
                let mut sim = self.shared.sim();
                if let Some(slot) = sim.alive(process) {
                    sim.kill(now, slot);
                }
            }
            Order::Freeze(process) => processes::freeze(&self.shared, now, process),
            Order::Thaw(process) => processes::thaw(&self.shared, now, process),
            other @ (Order::Pod(..)
            | Order::Sockets(..)
            | Order::LosePower(_)
            | Order::Node(..)
            | Order::Steal(..)
            | Order::Strip(..)
            | Order::Fill(..)
            | Order::Outage(..)
            | Order::Leases(_)
            | Order::Ready(..)
            | Order::Unready(_)
            | Order::Heal) => self.shared.with(|sim, world, now| sim.carry_out(world, now, other)),
        }
    }
}

impl SimState {
    fn carry_out(&mut self, world: &mut Simulator, now: Moment, order: Order) {
        if let Order::Pod(member, pod) = order {
            let before = self.cluster.pods[member.at()];
            self.cluster.shown(now, member, pod);
            for node in [before, pod].into_iter().filter_map(|pod| pod?.node) {
                self.tell_node(node, || NodeEvent::RegistryChanged);
            }
            if let Some(server) = &self.api {
                api::show(server, &self.names, member, pod);
            }
            self.audit.shown(member, pod);
        } else if let Order::Sockets(node, address, used) = order {
            self.cluster.node_mut(node).kernel.sockets.insert(address, used);
        } else if let Order::LosePower(member) = order {
            self.cluster.disks[member.at()].lose_power();
        } else if let Order::Node(node, power) = order {
            self.power(world, now, node, power);
        } else if let Order::Steal(address, reassignment) = order {
            self.steal(world, now, address, reassignment);
        } else if let Order::Strip(node, address, what) = order {
            if self.cluster.node_mut(node).strip(address, what) {
                self.audit.stripped(node, address);
                self.tell_node(node, || NodeEvent::KernelChanged(vec![Change::Address(address)]));
            }
        } else if let Order::Fill(node, full) = order {
            self.fill(world, now, node, full);
        } else if let Order::Outage(system, out) = order {
            match system {
                Outage::Api => self.cluster.api_out = out,
                Outage::Ec2 => self.cluster.ec2_out = out,
                Outage::Metadata(node) => self.cluster.node_mut(node).metadata_out = out,
            }
        } else if let Order::Leases(all) = order {
            self.cluster.leases.separate = all;
        } else if let Order::Ready(pod, ready) = order {
            self.audit.ready(pod, ready);
            self.check_address(world, now, ready.address);
        } else if let Order::Unready(pod) = order {
            self.audit.unready(pod);
        } else {
            self.heal(world, now);
        }
    }

    fn power(&mut self, world: &mut Simulator, now: Moment, node: NodeIx, power: Power) {
        // A hot-plugged ENI, or metadata after a boot, may take some time.
        let slow = !self.healing && self.others.once_in(6);
        let boots = self.others.millis(0, if slow { 45_000 } else { 2_000 });
        let known = self.cluster.node_mut(node);
        match power {
            Power::Lost => {
                known.off = true;
                let foreign = known.kernel.addresses.get(&FOREIGN).copied();
                known.kernel.reboot(now);
                known.snapshot = None;
                // The foreign address is configured again at boot.
                known.kernel.addresses.extend(foreign.map(|held| (FOREIGN, held)));
                self.audit.rebooted(node);
            }
            Power::Back => (known.off, known.hardware_at) = (false, now.plus(boots)),
            Power::Terminated => {
                known.gone = true;
                self.audit.rebooted(node);
                let truth = world.truth(now.0);
                self.audit.terminated(node, |address| {
                    let known = truth.addresses.iter().find(|known| known.address == address);
                    known?.owner.as_deref().and_then(crate::wire::sim_state::eni)
                });
                let name = self.names.node(node).name.as_str().to_owned();
                let act = Act::Terminate { node: name, delete_on_termination: Some(true) };
                world.act(now.0, &act).expect("a node that was not terminated");
            }
        }
    }

    fn id(&self, eni: EniIx) -> String {
        self.names.eni(eni).id.as_str().to_owned()
    }

    fn steal(
        &mut self,
        world: &mut Simulator,
        now: Moment,
        address: Ipv4Addr,
        reassignment: ExternalReassignment,
    ) {
        let act = match reassignment {
            ExternalReassignment::Steal => {
                Act::Reassign { address, to: Some(self.id(FOREIGN_ENI)) }
            }
            ExternalReassignment::Unassign => Act::Unassign { address },
            ExternalReassignment::Settle => {
                Act::CreateEni { id: self.id(FOREIGN_PRIMARY_ENI), address }
            }
        };
        let before = world.commits(0).len();
        // An impossible act has no effect: no ENI may have the address by now.
        let done = world.act(now.0, &act).is_ok() && world.commits(0).len() > before;
        if done {
            self.coverage.reassignment(reassignment);
            self.audit.reassigned_externally(now, address);
        }
    }

    /// Foreign addresses fill every free slot of an ENI, or leave it.
    fn fill(&mut self, world: &mut Simulator, now: Moment, node: NodeIx, full: bool) {
        let eni = self.id(node.eni(self.scenario.shape.slot()));
        // A terminated node has no ENI to fill; only some of the addresses may fit.
        if full {
            let limit = u32::from(self.scenario.shape.eni_limit);
            let most = (1..limit).rev();
            let mut acts = most.map(|count| Act::AddPrefixes { eni: eni.clone(), count });
            drop(acts.find(|act| world.act(now.0, act).is_ok()));
        } else {
            drop(world.act(now.0, &Act::DropPrefixes { eni }));
        }
    }

    fn heal(&mut self, world: &mut Simulator, now: Moment) {
        self.healing = true;
        for node in &mut self.cluster.nodes {
            node.hardware_at = node.hardware_at.min(now);
        }
        world.fault_clear(now.0, None).expect("all faults can be cleared");
        self.pending_faults.clear();
        let foreign = Act::StripEni { eni: self.id(FOREIGN_ENI) };
        world.act(now.0, &foreign).expect("the foreign actor returns its addresses");
        // There is no ENI to delete if none was created.
        drop(world.act(now.0, &Act::DeleteEni { eni: self.id(FOREIGN_PRIMARY_ENI) }));
    }
}
