//! The invariants that are checked after every step. Callers pass in what changed, so that each
//! check costs what the step cost. The first violation is kept and ends the history.

mod admission;
mod adopt;
mod agents;
mod causes;
mod check;
mod endings;
mod facts;
mod promise;
mod record;

pub use adopt::{Adoption, OrphanObservation};
pub use causes::{Cause, Causes};
pub use check::Truth;
pub use endings::{End, EndedProcess};
pub use facts::{AddressMove, Author, Ec2Mutation, KernelWrite, MutationSource, ServedRequest};
pub use promise::{Promise, Violation};

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing;

use firecamp_core::ids::RunId;
use firecamp_core::machine::{Attached, Path};
use firecamp_core::record::{PendingMutation, StaticIp};
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Kernel, Tag};

use crate::cluster::ApiPod;
use crate::level::Ready;
use crate::names::{
    EniIx, FOREIGN_ENI, FOREIGN_PRIMARY_ENI, MemberIx, Names, NodeIx, PodIx, ProcessId,
};
use crate::scenario::{Fault, Scenario};
use crate::simulated_cluster::FOREIGN;

/// What others have done to an address, which S2 allows for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nothing.
    None,
    /// A foreign actor, or a call outside assumption A1, has changed it, and it has not been
    /// restored since.
    Changed,
    /// The same, and EC2 and the data path have had it in the right place since then.
    Restored(Moment),
    /// A foreign actor had it on this interface and unassigned it. Until then the metadata service
    /// may list it there for that actor's Assign, and no read can tell that from ours.
    Lagging(EniIx, Moment),
}

/// What the audit tracks about one address.
#[derive(Debug, Clone)]
struct AddressState {
    address: Ipv4Addr,
    epoch: u64,
    /// The run, epoch and ENI whose holder has a proof from EC2.
    confirmed: Option<(u32, u64, EniIx)>,
    /// The pending mutations in the record before the present epoch was acquired.
    marks: Vec<PendingMutation>,
    doubt: Doubt,
    /// For each node: the epoch in which another program last removed it from the kernel.
    stripped: Vec<Option<u64>>,
    /// For each node: the epoch that was released last.
    released: Vec<u64>,
    /// The agent that last began to re-assert it, and when.
    reasserted: Option<(u32, Moment)>,
    /// The ENIs that lost it, and when.
    left: Vec<(EniIx, Moment)>,
    /// When a foreign actor last acquired it.
    reassigned_at: Moment,
    /// For each node: the highest epoch that has acted on it in the kernel.
    kernel: Vec<u64>,
}

/// The audits of one history.
#[derive(Debug, Clone)]
pub struct Audit {
    known: Vec<AddressState>,
    ready: Vec<(PodIx, Ready)>,
    shown: Vec<Option<ApiPod>>,
    allocated: Vec<u8>,
    /// Budgets are exact: nothing disturbs this run.
    calm: bool,
    secondary: bool,
    /// Reads may miss an external reassignment that is younger than this.
    ownership_lag: Duration,
    nodes: u8,
    /// Terminated nodes.
    gone: Vec<NodeIx>,
    violation: Option<Violation>,
}

impl Audit {
    /// The audits of an idle cluster.
    pub fn new(scenario: &Scenario) -> Self {
        let shape = &scenario.shape;
        let known = |address| AddressState {
            address,
            epoch: 0,
            confirmed: None,
            marks: Vec::new(),
            doubt: Doubt::None,
            stripped: vec![None; usize::from(shape.nodes)],
            released: vec![0; usize::from(shape.nodes)],
            reasserted: None,
            left: Vec::new(),
            reassigned_at: Moment::default(),
            kernel: vec![0; usize::from(shape.nodes)],
        };
        Self {
            known: scenario.addresses().map(known).collect(),
            ready: Vec::with_capacity(4),
            shown: vec![None; usize::from(shape.members)],
            allocated: vec![0; usize::from(shape.members)],
            calm: scenario.is_calm(),
            secondary: shape.secondary,
            ownership_lag: ownership_lag(scenario),
            nodes: shape.nodes,
            gone: Vec::new(),
            violation: None,
        }
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Reports a violation, unless there is one already.
    pub fn broken(&mut self, promise: Promise, at: Moment, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { promise, at, text: text() });
        }
    }

    /// A process has crashed. The calls that its recovery needs do not count against the budget of
    /// a calm run.
    pub fn disturbed(&mut self) {
        self.calm = false;
    }

    fn known(&mut self, address: Ipv4Addr) -> Option<&mut AddressState> {
        self.known.iter_mut().find(|known| known.address == address)
    }

    /// The API shows this pod of a member from now on.
    pub fn shown(&mut self, member: MemberIx, pod: Option<ApiPod>) {
        self.shown[member.at()] = pod;
        // A pod that was force-deleted no longer counts as ready.
        self.ready.retain(|(ix, ready)| {
            ready.member != member || pod.is_some_and(|shown| shown.pod == *ix)
        });
    }

    /// A pod is ready.
    pub fn ready(&mut self, pod: PodIx, ready: Ready) {
        let live = self.shown[ready.member.at()].is_some_and(|shown| shown.pod == pod);
        if live {
            self.ready.push((pod, ready));
        }
    }

    /// A pod is no longer ready.
    pub fn unready(&mut self, pod: PodIx) {
        self.ready.retain(|(ix, _)| *ix != pod);
    }

    /// The pods that are ready.
    pub fn ready_pods(&self) -> &[(PodIx, Ready)] {
        &self.ready
    }

    /// A foreign actor has changed the address in EC2.
    pub fn reassigned_externally(&mut self, now: Moment, address: Ipv4Addr) {
        self.doubt(address);
        if let Some(known) = self.known(address) {
            known.reassigned_at = now;
        }
    }

    /// A foreign actor has unassigned an address that no record names from this interface.
    pub fn orphan_unassigned(&mut self, now: Moment, address: Ipv4Addr, from: EniIx) {
        if let Some(known) = self.known(address).filter(|known| known.doubt == Doubt::None) {
            known.doubt = Doubt::Lagging(from, now.plus(timing::METADATA_LAG));
        }
    }

    fn doubt(&mut self, address: Ipv4Addr) {
        if let Some(known) = self.known(address) {
            known.doubt = Doubt::Changed;
            known.confirmed = None;
        }
    }

    /// A node has lost its kernel state and its locks.
    pub fn rebooted(&mut self, node: NodeIx) {
        for known in &mut self.known {
            known.kernel[node.at()] = 0;
            known.released[node.at()] = 0;
        }
    }

    /// A node's ENIs are deleted.
    pub fn terminated(&mut self, node: NodeIx, holder: impl Fn(Ipv4Addr) -> Option<EniIx>) {
        self.gone.push(node);
        for known in &mut self.known {
            let here = holder(known.address).and_then(EniIx::node) == Some(node);
            if here {
                known.confirmed = None;
            }
        }
    }

    /// A machine named an action that makes no sense.
    pub fn stuck(&mut self, now: Moment, slot: u32) {
        self.broken(Promise::S7, now, || {
            format!("process {slot} has neither an action nor an outcome")
        });
    }

    /// The holder of the record has a proof that EC2 has the address on its ENI.
    pub fn confirmed(&mut self, record: &StaticIp, slot: u32) {
        let eni = record.attachment.as_ref().and_then(|a| a.eni.as_ref()).and_then(EniIx::of);
        let epoch = record.epoch.0;
        if let (Some(eni), Some(known)) = (eni, self.known(record.address)) {
            known.confirmed = Some((slot, epoch, eni));
        }
    }

    /// An attach has succeeded.
    pub fn attached(&mut self, now: Moment, attached: &Attached) {
        // A process that was frozen after its completion reports an epoch that ended long ago.
        let marked = self
            .known(attached.address)
            .is_some_and(|known| known.epoch == attached.epoch.0 && !known.marks.is_empty());
        if attached.path == Path::SameNode && marked {
            let address = attached.address;
            self.broken(Promise::S3, now, || {
                format!("{address} was treated as settled, but its record has pending mutations")
            });
        }
        let eni = EniIx::of(&attached.eni);
        if let (Some(eni), Some(known)) = (eni, self.known(attached.address)) {
            let slot = known.confirmed.map_or(u32::MAX, |(slot, _, _)| slot);
            known.confirmed = Some((slot, attached.epoch.0, eni));
        }
    }

    /// An EC2 mutation is sent.
    pub fn called(&mut self, now: Moment, call: Ec2Mutation) {
        let Ec2Mutation { slot, eni, address, marked, shown } = call;
        if shown {
            self.broken(Promise::S4, now, || {
                format!("process {slot} forces {address}, last seen on a foreign interface")
            });
        }
        if !marked {
            self.broken(Promise::S3, now, || {
                format!("process {slot} changes {address} in EC2 without a pending mutation")
            });
        }
        let ours = eni.node().is_some_and(|node| node.0 < self.nodes);
        if !ours || self.known(address).is_none() {
            self.broken(Promise::S4, now, || {
                format!("process {slot} calls EC2 for {address} on {eni:?}: not of this cluster")
            });
        }
    }

    /// One of our calls has changed EC2.
    pub fn moved(
        &mut self,
        now: Moment,
        by: MutationSource,
        moving: AddressMove,
        record: Option<&StaticIp>,
    ) {
        let AddressMove { address, from, to } = moving;
        let slot = by.slot;
        if by.after_deadline {
            // Outside A1: the invariant does not hold for moments.
            return self.doubt(address);
        }
        let reassigned_at = self.known(address).map_or(now, |known| known.reassigned_at);
        let foreign = from == Some(FOREIGN_ENI) || from == Some(FOREIGN_PRIMARY_ENI);
        if foreign && now.since(reassigned_at) > self.ownership_lag {
            self.broken(Promise::S4, now, || {
                format!("process {slot} took {address} from the foreign interface {from:?}")
            });
        }
        if to.is_none() && !by.announced {
            self.broken(Promise::S5, now, || {
                format!("process {slot} left {address} without an ENI and had not announced it")
            });
        }
        let Some(known) = self.known(address) else { return };
        known.left.extend(from.map(|eni| (eni, now)));
        let Some((_, epoch, eni)) = known.confirmed else { return };
        let current = record.is_some_and(|r| r.epoch.0 == epoch) && epoch == known.epoch;
        let own = record.and_then(|r| r.attachment.as_ref()).map(|a| &a.run);
        let author = own.and_then(Names::process) == Some(ProcessId(slot));
        if current && to != Some(eni) && !author {
            self.broken(Promise::S3, now, || {
                format!(
                    "a call of process {slot} moved {address} from {from:?} to {to:?}, which epoch \
                     {epoch} holds on {eni:?}"
                )
            });
        }
    }

    /// A release or an agent removes the address from a kernel. `read` is true if its last registry
    /// read succeeded.
    pub fn removes(&mut self, now: Moment, slot: u32, address: Ipv4Addr, read: bool) {
        if !read {
            self.broken(Promise::K5, now, || {
                format!("process {slot} removes {address} although it failed to read the record")
            });
        }
    }

    /// A kernel write was permitted.
    pub fn touched(&mut self, now: Moment, touch: KernelWrite, kernel: &Kernel) {
        let KernelWrite { slot, node, address, epoch, adds, fixed } = touch;
        if fixed.is_some_and(|fixed| fixed != epoch) {
            self.broken(Promise::S3, now, || {
                format!(
                    "process {slot} fixed epoch {fixed:?} but changes {address} for epoch {epoch}"
                )
            });
        }
        if kernel.addresses.get(&FOREIGN).is_none_or(|(_, tag)| *tag != Tag::Foreign) {
            self.broken(Promise::S4, now, || format!("process {slot} removed {FOREIGN}"));
        }
        let Some(known) = self.known(address) else {
            return self.broken(Promise::S4, now, || {
                format!("process {slot} changes {address} in a kernel, which is outside the pool")
            });
        };
        let highest = known.kernel[node.at()];
        known.kernel[node.at()] = highest.max(epoch);
        let released = &mut known.released[node.at()];
        let late = adds && epoch == *released;
        if !adds {
            *released = (*released).max(epoch);
        }
        if late {
            self.broken(Promise::S3, now, || {
                format!("process {slot} adds {address} for epoch {epoch}, which was released here")
            });
        }
        if epoch < highest {
            self.broken(Promise::S3, now, || {
                format!(
                    "process {slot} changed {address} in the kernel of node {} for epoch {epoch}, \
                     after epoch {highest}",
                    node.0
                )
            });
        }
    }
}

/// The longest time for which reads may miss an external reassignment. EC2 has no conditional
/// Assign: the owner may change between a lookup and the effect of a forced Assign. A lookup
/// authorises for T, the call lands within another T, and the lookup itself may lag.
fn ownership_lag(scenario: &Scenario) -> Duration {
    let lags = scenario.swarm.rate(Fault::DescribeStale) > 0;
    let lag = if lags { timing::DESCRIBE_LAG } else { Duration::ZERO };
    timing::CALL_BOUND.saturating_mul(2).saturating_add(lag)
}

/// Whether this run ID belongs to the process with this number.
fn is_run(run: &RunId, slot: u32) -> bool {
    Names::process(run) == Some(ProcessId(slot))
}
