//! Changes of EC2, and ready pods compared with the ground truth.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::audit::{AddressMove, MutationSource, Promise, Truth};
use crate::level::Ready;
use crate::names::{EniIx, PodIx};
use crate::scenario::Fault;
use firecamp_core::time::Moment;
use firecamp_vpc::{AddressTruth, Commit, Move, Simulator, Violation};

use super::{Kind, SimState};

/// No calm scenario has slower lags than these.
const SWITCH: Duration = Duration::from_millis(60);
const METADATA: Duration = Duration::from_millis(120);

/// An ENI by its ID.
pub(crate) fn eni(text: &str) -> Option<EniIx> {
    text.parse().ok().as_ref().and_then(EniIx::of)
}

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

impl SimState {
    /// Processes the changes of EC2 since the last call.
    pub(crate) fn process_commits(&mut self, world: &mut Simulator) {
        for commit in world.commits(self.commits) {
            self.commits = commit.seq;
            for step in &commit.moves {
                self.moved(world, &commit, step);
            }
        }
    }

    fn moved(&mut self, world: &mut Simulator, commit: &Commit, step: &Move) {
        let at = Moment(micros(commit.at_us));
        let (from, to) = (step.before.as_deref(), step.after.as_deref());
        let moving =
            AddressMove { address: step.address, from: from.and_then(eni), to: to.and_then(eni) };
        self.trace.moved(at, moving);
        self.disturb();
        if let Some(sent) = commit.call.and_then(|call| self.sent.get(&call)).copied() {
            let announced = self.process(sent.slot).announced;
            let after_deadline = at > sent.not_after;
            let mover = MutationSource { slot: sent.slot.0, announced, after_deadline };
            let record = self.cluster.registry.static_ips.get(&step.address).map(|s| &s.object);
            self.audit.moved(at, mover, moving, record);
        }
        self.note_lags(world, at, step.address);
        self.check_address(world, at, step.address);
    }

    /// Counts slow lags.
    fn note_lags(&mut self, world: &mut Simulator, at: Moment, address: Ipv4Addr) {
        let slow = [Fault::SwitchSlow, Fault::MetadataSlow];
        if self.healing || slow.iter().all(|fault| self.scenario.swarm.rate(*fault) == 0) {
            return;
        }
        let Some(truth) = truth_of(world, at, address) else { return };
        let Some(last) = truth.history.last().filter(|last| last.eni.is_some()) else { return };
        let since = |later: u64| micros(later.saturating_sub(last.since_us));
        if since(last.data_path_at_us) > SWITCH {
            self.coverage.fault(Fault::SwitchSlow);
        }
        if last.imds_added_at_us.is_some_and(|added| since(added) > METADATA) {
            self.coverage.fault(Fault::MetadataSlow);
        }
    }

    /// Checks the pods that are ready on an address.
    pub(crate) fn check_address(&mut self, world: &mut Simulator, now: Moment, address: Ipv4Addr) {
        for (pod, ready) in self.audit.ready_pods().to_vec() {
            if ready.address == address {
                self.check(world, now, pod, ready);
            }
        }
    }

    /// Checks every ready pod.
    pub(crate) fn check_all(&mut self, world: &mut Simulator, now: Moment) {
        for (pod, ready) in self.audit.ready_pods().to_vec() {
            self.check(world, now, pod, ready);
        }
    }

    /// L2: if EC2 has an address of ours, its record agrees.
    pub(crate) fn check_leaks(&mut self, world: &mut Simulator, now: Moment) {
        if self.scenario.swarm.rate(Fault::CloudAfterDeadline) > 0 {
            return;
        }
        let truth = world.truth(now.0);
        let leaked = self.cluster.registry.static_ips.values().find_map(|stored| {
            let record = &stored.object;
            let known = truth.addresses.iter().find(|truth| truth.address == record.address)?;
            let owner = known.owner.as_deref()?;
            let named = record.recorded_enis().iter().any(|eni| eni.as_str() == owner);
            (!named).then(|| (record.address, owner.to_owned()))
        });
        if let Some((address, eni)) = leaked {
            self.audit.broken(Promise::L2, now, || {
                format!("EC2 has {address} on {eni}, which no record names")
            });
        }
    }

    /// Whether every ready pod receives the packets to its address, and the leader has nothing
    /// left to release. Agents notice within a period of their queries that an address is
    /// elsewhere.
    pub(crate) fn is_everything_in_place(&self, world: &mut Simulator, now: Moment) -> bool {
        let received = |ready: &Ready| {
            let truth = truth_of(world, now, ready.address);
            truth.and_then(|truth| truth.data_path.as_deref().and_then(eni)) == Some(ready.eni)
        };
        let mut ready = self.audit.ready_pods().iter().map(|(_, ready)| ready);
        !self.scenario.shape.agents
            || self.cluster.awaits_leader(&self.names).is_none() && ready.all(received)
    }

    fn check(&mut self, world: &mut Simulator, now: Moment, pod: PodIx, ready: Ready) {
        let known = truth_of(world, now, ready.address);
        let owner = known.as_ref().and_then(|truth| truth.owner.as_deref()).and_then(eni);
        let receiver = known.as_ref().and_then(|truth| truth.data_path.as_deref()).and_then(eni);
        let record = self.cluster.registry.static_ips.get(&ready.address).map(|s| &s.object);
        let kernel = &self.cluster.nodes[ready.node.at()].kernel;
        let disk = &self.cluster.disks[ready.member.at()];
        let truth = Truth { owner, receiver, record, kernel, disk };
        self.audit.check(now, (pod, ready), &truth);
    }

    /// The simulator reached a state that EC2 never has: its results prove nothing.
    pub(crate) fn broken_by_simulator(&mut self, now: Moment, violation: &Violation) {
        let text = format!("the simulator violated its own invariant: {violation:?}");
        self.audit.broken(Promise::S1, now, || text);
    }

    /// A process that still runs after everything has settled, other than sidecars and agents.
    pub(crate) fn find_stuck(&self) -> Option<String> {
        let stuck = self.processes.iter().find(|process| {
            process.alive
                && match process.kind {
                    Kind::Init | Kind::Execution => true,
                    Kind::Stop => process.signalled.is_some(),
                    Kind::Agent => false,
                }
        });
        stuck.map(|process| format!("{:?} still runs", process.spawn))
    }
}

fn truth_of(world: &mut Simulator, now: Moment, address: Ipv4Addr) -> Option<AddressTruth> {
    world.truth(now.0).addresses.into_iter().find(|truth| truth.address == address)
}
