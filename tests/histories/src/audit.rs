//! What must hold after every step. Audits are told what changed, so that each costs what the
//! step cost; the first violation is kept, and the history ends with it.

mod adopt;
mod agents;
mod causes;
mod check;
mod endings;
mod facts;
mod promise;
mod record;

pub use adopt::{Adoption, Sighting};
pub use causes::{Cause, Causes};
pub use check::Truth;
pub use endings::{End, Life};
pub use facts::{Author, Calling, Mover, Moving, Touch};
pub use promise::{Promise, Violation};

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::timing;

use firecamp_core::ids::RunId;
use firecamp_core::machine::{Attached, Path};
use firecamp_core::record::{Mark, StaticIp};
use firecamp_core::time::Moment;
use firecamp_testkit::sim::{Kernel, Tag};

use crate::cluster::ApiPod;
use crate::level::Ready;
use crate::names::{EniIx, MemberIx, Names, NodeIx, PodIx, ProcessId, SETTLER, STRANGER};
use crate::scenario::{Fault, Scenario};
use crate::world::FOREIGN;

/// What is remembered of one address.
#[derive(Debug, Clone)]
struct Known {
    address: Ipv4Addr,
    epoch: u64,
    /// The run, epoch and ENI whose holder has a proof from EC2.
    confirmed: Option<(u32, u64, EniIx)>,
    /// The marks that the record had before the present epoch was taken.
    marks: Vec<Mark>,
    /// A stranger, or a call outside A1, has touched it, and it has not been put right since.
    doubt: bool,
    /// Since when EC2 and the data path have had it where it belongs, while there is doubt.
    placed: Option<Moment>,
    /// In which epoch something else stripped it last from each node's kernel.
    stripped: Vec<Option<u64>>,
    /// The epoch that was released last on each node.
    released: Vec<u64>,
    /// Which agent began to re-assert it last, and when.
    reasserted: Option<(u32, Moment)>,
    /// The ENIs that lost it, and when.
    left: Vec<(EniIx, Moment)>,
    /// When a stranger took it last.
    taken: Moment,
    /// The highest epoch that has acted on it in each node's kernel.
    kernel: Vec<u64>,
}

/// The audits of one history.
#[derive(Debug, Clone)]
pub struct Audit {
    known: Vec<Known>,
    ready: Vec<(PodIx, Ready)>,
    shown: Vec<Option<ApiPod>>,
    allocated: Vec<u8>,
    /// Budgets are checked to the call.
    calm: bool,
    secondary: bool,
    /// A stranger that took an address less than this ago may not have been seen.
    unseen: Duration,
    nodes: u8,
    /// Terminated nodes.
    gone: Vec<NodeIx>,
    violation: Option<Violation>,
}

impl Audit {
    /// Of a cluster at rest.
    pub fn new(scenario: &Scenario) -> Self {
        let shape = &scenario.shape;
        let known = |address| Known {
            address,
            epoch: 0,
            confirmed: None,
            marks: Vec::new(),
            doubt: false,
            placed: None,
            stripped: vec![None; usize::from(shape.nodes)],
            released: vec![0; usize::from(shape.nodes)],
            reasserted: None,
            left: Vec::new(),
            taken: Moment::default(),
            kernel: vec![0; usize::from(shape.nodes)],
        };
        Self {
            known: scenario.addresses().map(known).collect(),
            ready: Vec::with_capacity(4),
            shown: vec![None; usize::from(shape.members)],
            allocated: vec![0; usize::from(shape.members)],
            calm: scenario.is_calm(),
            secondary: shape.secondary,
            unseen: unseen(scenario),
            nodes: shape.nodes,
            gone: Vec::new(),
            violation: None,
        }
    }

    /// The first violation.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Reports a broken promise.
    pub fn broken(&mut self, promise: Promise, at: Moment, text: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { promise, at, text: text() });
        }
    }

    /// A process has crashed: what its recovery costs is not held against a calm run.
    pub fn disturbed(&mut self) {
        self.calm = false;
    }

    fn known(&mut self, address: Ipv4Addr) -> Option<&mut Known> {
        self.known.iter_mut().find(|known| known.address == address)
    }

    /// The API shows a pod from now on.
    pub fn shown(&mut self, member: MemberIx, pod: Option<ApiPod>) {
        self.shown[member.at()] = pod;
        // A pod that was forced out of the API is ready for nobody.
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

    /// A pod is not ready any more.
    pub fn unready(&mut self, pod: PodIx) {
        self.ready.retain(|(ix, _)| *ix != pod);
    }

    /// The pods that are ready.
    pub fn ready_pods(&self) -> &[(PodIx, Ready)] {
        &self.ready
    }

    /// A stranger has changed the address in EC2.
    pub fn stolen(&mut self, now: Moment, address: Ipv4Addr) {
        self.doubt(address);
        if let Some(known) = self.known(address) {
            known.taken = now;
        }
    }

    fn doubt(&mut self, address: Ipv4Addr) {
        if let Some(known) = self.known(address) {
            known.doubt = true;
            known.confirmed = None;
        }
    }

    /// A node's kernel and locks are gone.
    pub fn rebooted(&mut self, node: NodeIx) {
        for known in &mut self.known {
            known.kernel[node.at()] = 0;
            known.released[node.at()] = 0;
        }
    }

    /// A node's ENIs are gone.
    pub fn terminated(&mut self, node: NodeIx, holder: impl Fn(Ipv4Addr) -> Option<EniIx>) {
        self.gone.push(node);
        for known in &mut self.known {
            let here = holder(known.address).and_then(EniIx::node) == Some(node);
            if here {
                known.confirmed = None;
            }
        }
    }

    /// A machine named an action that it cannot mean.
    pub fn stuck(&mut self, now: Moment, slot: u32) {
        self.broken(Promise::S7, now, || {
            format!("process {slot} has nothing to do and no outcome")
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
        // A process that was frozen after its completion tells of an epoch that is long over.
        let marked = self
            .known(attached.address)
            .is_some_and(|known| known.epoch == attached.epoch.0 && !known.marks.is_empty());
        if attached.path == Path::SameNode && marked {
            let address = attached.address;
            self.broken(Promise::S3, now, || {
                format!("{address} was taken for settled, with marks of calls in its record")
            });
        }
        let eni = EniIx::of(&attached.eni);
        if let (Some(eni), Some(known)) = (eni, self.known(attached.address)) {
            let slot = known.confirmed.map_or(u32::MAX, |(slot, _, _)| slot);
            known.confirmed = Some((slot, attached.epoch.0, eni));
        }
    }

    /// An EC2 mutation is sent.
    pub fn called(&mut self, now: Moment, call: Calling) {
        let Calling { slot, eni, address, marked, shown } = call;
        if shown {
            self.broken(Promise::S4, now, || {
                format!("process {slot} forces {address}, which it saw with a stranger")
            });
        }
        if !marked {
            self.broken(Promise::S3, now, || {
                format!("process {slot} changes {address} in EC2, which no mark announced")
            });
        }
        let ours = eni.node().is_some_and(|node| node.0 < self.nodes);
        if !ours || self.known(address).is_none() {
            self.broken(Promise::S4, now, || {
                format!("process {slot} calls EC2 for {address} on {eni:?}: not of this cluster")
            });
        }
    }

    /// A call of ours has changed EC2.
    pub fn moved(&mut self, now: Moment, by: Mover, moving: Moving, record: Option<&StaticIp>) {
        let Moving { address, from, to } = moving;
        let slot = by.slot;
        if by.outside {
            // Outside A1: for moments the promise does not hold.
            return self.doubt(address);
        }
        let taken = self.known(address).map_or(now, |known| known.taken);
        let foreign = from == Some(STRANGER) || from == Some(SETTLER);
        if foreign && now.since(taken) > self.unseen {
            self.broken(Promise::S4, now, || {
                format!("process {slot} took {address} from {from:?}")
            });
        }
        if to.is_none() && !by.announced {
            self.broken(Promise::S5, now, || {
                format!("process {slot} left {address} without an ENI and had announced nothing")
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
                     {epoch} has on {eni:?}"
                )
            });
        }
    }

    /// A release or an agent removes the address from a kernel. `read`: its last read of the
    /// registry was answered.
    pub fn removes(&mut self, now: Moment, slot: u32, address: Ipv4Addr, read: bool) {
        if !read {
            self.broken(Promise::K5, now, || {
                format!("process {slot} removes {address} though it could not read the record")
            });
        }
    }

    /// A kernel write was permitted.
    pub fn touched(&mut self, now: Moment, touch: Touch, kernel: &Kernel) {
        let Touch { slot, node, address, epoch, adds, fixed } = touch;
        if fixed.is_some_and(|fixed| fixed != epoch) {
            self.broken(Promise::S3, now, || {
                format!("process {slot} fixed epoch {fixed:?} and changes {address} for {epoch}")
            });
        }
        if kernel.addresses.get(&FOREIGN).is_none_or(|(_, tag)| *tag != Tag::Foreign) {
            self.broken(Promise::S4, now, || format!("process {slot} removed {FOREIGN}"));
        }
        let Some(known) = self.known(address) else {
            return self.broken(Promise::S4, now, || {
                format!("process {slot} changes {address} in a kernel: not of the pool")
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

/// EC2 cannot be told whom to take an address from: between the moment that a look-up shows and
/// the effect of a forced Assign a stranger may come. What was shown is forced for T, the call
/// lands within another T, and a look-up may lag.
fn unseen(scenario: &Scenario) -> Duration {
    let lags = scenario.swarm.rate(Fault::DescribeStale) > 0;
    let lag = if lags { timing::DESCRIBE_LAG } else { Duration::ZERO };
    timing::CALL_BOUND.saturating_mul(2).saturating_add(lag)
}

/// Whether the process of this number has this run id.
fn is_run(run: &RunId, slot: u32) -> bool {
    Names::process(run) == Some(ProcessId(slot))
}
