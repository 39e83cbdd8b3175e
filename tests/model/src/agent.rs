//! The nodes' agents: what each observes, the core planner's result, and the operations.
//!
//! A plan is made from the state at one moment, and its operation may start at any later one, so
//! stale observations are part of the model. Only the EC2 answer may be stale already when the plan
//! is made.

use firecamp_core::agent::{Observation, ObservedAddress, Operation, plan};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{Attachment, State};
use firecamp_core::time::Moment;

use crate::fixture::{Kind, NODES, small};
use crate::machines::NO_OPERATION;
use crate::model::ProtocolModel;
use crate::process::proc_of;
use crate::reply::Answer;
use crate::state::{Lock, ModelState, Proc};

/// Everything that a plan for one address depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    node: u8,
    gone: u8,
    record: u32,
    lock: Option<Lock>,
    in_kernel: bool,
    pod: Answer,
    misplaced: bool,
}

impl ProtocolModel {
    /// The operation that the node's agent plans for the member's address; `misplaced`: EC2 shows
    /// it elsewhere.
    pub(crate) fn operation(
        &self,
        state: &ModelState,
        node: u8,
        member: usize,
        misplaced: bool,
    ) -> Option<u32> {
        let address = &state.addresses[member];
        let kernel = address.kernel[usize::from(node)];
        let key = PlanKey {
            node,
            gone: state.gone,
            record: address.record,
            lock: kernel.lock,
            in_kernel: kernel.present,
            pod: self.pod_view(state, member),
            misplaced,
        };
        let operation = self.machines.plan(key, || self.planned(key));
        (operation != NO_OPERATION).then_some(operation)
    }

    fn planned(&self, key: PlanKey) -> Option<Operation> {
        let fixture = &self.machines.fixture;
        let gone = |node: &u8| key.gone & (1 << node) != 0;
        let pod = if let Answer::Pod { pod, node, ending } = key.pod {
            PodView::Present {
                pod: fixture.uid(pod),
                node: Some(fixture.node(node)),
                lifecycle: if ending {
                    PodLifecycle::Terminating(None)
                } else {
                    PodLifecycle::Running
                },
                controller: None,
            }
        } else {
            PodView::Absent
        };
        let observation = Observation {
            node: fixture.node(key.node),
            cluster: fixture.cluster(),
            gone: (0..small(NODES)).filter(gone).map(|node| fixture.node(node)).collect(),
            addresses: vec![ObservedAddress {
                record: self.machines.record(key.record).object.clone(),
                lock: key.lock.map(|lock| fixture.lock_record(lock)),
                in_kernel: key.in_kernel,
                // No program removes addresses from the kernel in this model.
                missing: None,
                pod,
                misplaced: key.misplaced.then(Moment::default),
                reasserted: None,
            }],
        };
        let planned = plan(&observation, Moment::default()).into_iter().next();
        planned.or_else(|| self.eviction(key))
    }

    /// The eviction of an address that is parked on the node. When it is due depends on what this
    /// model does not have: other members that need the slot.
    fn eviction(&self, key: PlanKey) -> Option<Operation> {
        let record = &self.machines.record(key.record).object;
        let parked = |it: &&Attachment| {
            it.state == State::Parked && it.node == self.machines.fixture.node(key.node)
        };
        let last = record.attachment.as_ref().filter(parked)?;
        let (member, pod) = (record.member.clone(), last.pod.clone());
        let operation = Operation::Evict { address: record.address, member, pod };
        self.config.evicts.then_some(operation)
    }

    /// Whether the node's agent, or each of the two that run there, is busy with the member's
    /// address.
    pub(crate) fn is_busy(&self, state: &ModelState, node: u8, member: usize) -> bool {
        Self::executions(state, node, member) > usize::from(self.config.twins)
    }

    /// How many operations the node runs for the member's address.
    pub(crate) fn executions(state: &ModelState, node: u8, member: usize) -> usize {
        let holder = execution_of(node, member);
        state.procs.iter().flatten().filter(|p| p.kind == Kind::Agent && p.pod == holder).count()
    }

    /// The agent starts the planned operation.
    pub(crate) fn execution(
        &self,
        state: &mut ModelState,
        node: u8,
        member: usize,
        misplaced: bool,
    ) {
        let Some(operation) = self.operation(state, node, member, misplaced) else { return };
        let holder = execution_of(node, member);
        let run = self.fresh_run(state, holder, Kind::Agent, member);
        let machine = self.machines.execution(operation, holder, run);
        let proc = Proc { machine, ..proc_of(holder, Kind::Agent, run, true) };
        let slot = state.spawn(proc);
        if self.config.eager
            && let Some(slot) = slot
        {
            self.step(state, slot, 0);
        }
    }
}

/// Encodes node and member of an operation in place of a pod's number.
pub(crate) fn execution_of(node: u8, member: usize) -> u8 {
    node | (small(member) << 2)
}

/// The node and the member of an operation.
pub(crate) fn of_execution(holder: u8) -> (u8, usize) {
    (holder & 3, usize::from(holder >> 2))
}
