//! Compares ready pods with the ground truth.

use std::net::Ipv4Addr;

use super::Model;
use super::process::ProcessKind;
use crate::audit::{Promise, Truth};
use crate::level::Ready;
use crate::names::PodIx;
use crate::scenario::Fault;

impl Model<'_> {
    /// Checks the pods that are ready on an address.
    pub(super) fn check_address(&mut self, address: Ipv4Addr) {
        for number in 0..self.audit.ready_pods().len() {
            let (pod, ready) = self.audit.ready_pods()[number];
            if ready.address == address {
                self.check(pod, ready);
            }
        }
    }

    /// Checks every ready pod.
    pub(super) fn check_all(&mut self) {
        for number in 0..self.audit.ready_pods().len() {
            let (pod, ready) = self.audit.ready_pods()[number];
            self.check(pod, ready);
        }
    }

    fn check(&mut self, pod: PodIx, ready: Ready) {
        let address = ready.address;
        let truth = Truth {
            owner: self.cluster.ec2.holder(address).map(|(eni, _)| eni),
            receiver: self.cluster.ec2.receiver(address, self.now),
            record: self.cluster.registry.static_ips.get(&address).map(|s| &s.object),
            kernel: &self.cluster.nodes[ready.node.at()].kernel,
            disk: &self.cluster.disks[ready.member.at()],
        };
        self.audit.check(self.now, (pod, ready), &truth);
    }

    /// L2: if EC2 has an address of ours, its record agrees.
    pub(super) fn check_leaks(&mut self) {
        if self.scenario.swarm.rate(Fault::CloudAfterDeadline) > 0 {
            return;
        }
        let leaked = self.cluster.registry.static_ips.values().find_map(|stored| {
            let record = &stored.object;
            let (eni, _) = self.cluster.ec2.holder(record.address)?;
            let known = record.recorded_enis().contains(&self.names.eni(eni).id);
            let moved = self.moved.contains(&record.address);
            (!known && !moved).then_some((record.address, eni))
        });
        if let Some((address, eni)) = leaked {
            self.audit.broken(Promise::L2, self.now, || {
                format!("EC2 has {address} on {eni:?}, which no record names")
            });
        }
    }

    /// A process that still runs after everything has settled, other than sidecars and agents.
    pub(super) fn find_stuck(&self) -> Option<String> {
        let runs = |process: &&super::process::Process| match process.machine {
            ProcessKind::Attach(_) | ProcessKind::Execution(_) | ProcessKind::Admission(_) => {
                process.alive
            }
            ProcessKind::Client(ref client) if client.attaches() => process.alive,
            ProcessKind::Release(_) if process.agent.is_some() => process.alive,
            ProcessKind::Client(_) | ProcessKind::Release(_) => process.alive && process.signalled,
            // Addresses that a claim names are examined again and again.
            ProcessKind::Agent(_) | ProcessKind::AdoptionAttempt(_) => false,
        };
        let stuck = self.processes.iter().find(runs);
        stuck.map(|process| format!("{:?} still runs: {:?}", process.spawn, process.machine))
    }
}
