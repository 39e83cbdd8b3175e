//! A state of the model: the registry, EC2, the kernels, the volumes, the pods and the processes,
//! and the faults that may still occur.

use std::hash::{Hash, Hasher};

use crate::ec2_call_limits::CallCount;
use crate::fixture::{HolderId, Kind, MEMBERS, NO_ENI, NODES, OWNERS, PODS};
use crate::machines::Request;

/// The maximum number of processes at a time.
pub(crate) const PROCS: usize = 7;
/// The maximum number of EC2 calls in flight whose process does not wait for them any more.
pub(crate) const CALLS: usize = 4;

/// The node-local lock's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    pub(crate) holder: HolderId,
    pub(crate) held: bool,
}

/// One address in the kernel of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kernel {
    pub(crate) present: bool,
    pub(crate) lock: Option<Lock>,
}

/// IMDS of one node for one address: what it shows, and how many changes follow before it shows the
/// current state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Imds {
    pub(crate) shown: bool,
    pub(crate) pending: u8,
}

/// The static-IP file of one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct File {
    pub(crate) staged: bool,
    pub(crate) visible: bool,
    pub(crate) durable: bool,
}

impl File {
    /// Performs an action on the file. True: there is something to publish.
    pub(crate) fn perform(&mut self, action: Request) -> bool {
        if action == Request::Publish {
            self.visible |= self.staged;
        } else if action == Request::Sync {
            self.durable = self.visible;
        } else if action == Request::Stage {
            self.staged = !self.visible;
            return self.staged;
        }
        true
    }
}

/// One member's address in all systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) record: u32,
    /// The number of writes since the record's epoch was acquired.
    pub(crate) edit: u8,
    /// The owner in EC2.
    pub(crate) owner: u8,
    /// Where packets go.
    pub(crate) path: u8,
    /// Ticks until packets go to the owner, at the latest.
    pub(crate) due: u8,
    /// For how many ticks Describe may still show each former owner.
    pub(crate) stale: [u8; OWNERS],
    pub(crate) imds: [Imds; NODES],
    pub(crate) kernel: [Kernel; NODES],
    pub(crate) file: File,
    /// Whether an external caller moved it, and it is not restored yet.
    pub(crate) reassigned: Reassigned,
    /// For how many ticks a foreign ENI has had it, as far as that matters.
    pub(crate) foreign: u8,
}

/// Whether an external caller has moved an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Reassigned {
    #[default]
    No,
    Yes,
    /// It was assigned again, and packets do not follow yet.
    Restoring,
}

/// A pod in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Api {
    /// Not created yet.
    #[default]
    Future,
    Running,
    Terminating,
    Gone,
}

/// Containers of a pod that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Its init container runs.
    #[default]
    Init,
    /// Its main container runs.
    Up,
    /// The kubelet does not restart it for now.
    Stuck,
}

/// One incarnation of a member's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pod {
    pub(crate) node: u8,
    pub(crate) api: Api,
    pub(crate) phase: Phase,
    /// Its main container has the address open.
    pub(crate) serving: bool,
    /// Runs of its init container that failed.
    pub(crate) failed: u8,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proc {
    pub(crate) pod: u8,
    pub(crate) kind: Kind,
    /// The number of its run: part of its machine.
    pub(crate) run: u8,
    pub(crate) machine: u32,
    /// Ticks of the current wait that have passed.
    pub(crate) waited: u8,
    /// It received the stop signal, and whether its machine received it.
    pub(crate) signalled: bool,
    pub(crate) reported: bool,
    /// Its EC2 calls, where they are counted.
    pub(crate) calls_sent: CallCount,
}

impl Proc {
    /// Whether it is a container of this pod.
    pub(crate) fn of(&self, pod: usize) -> bool {
        self.kind != Kind::Agent && usize::from(self.pod) == pod
    }
}

/// An EC2 call that may still take effect although no process waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) member: u8,
    pub(crate) eni: u8,
    pub(crate) what: CallKind,
    /// Ticks until T after what authorised it; 0 only without assumption A1.
    pub(crate) left: u8,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallKind {
    Assign,
    Force,
    Unassign,
}

/// Faults that may still occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Processes killed.
    pub crash: u8,
    /// Lost answers of writes and of EC2 calls.
    pub lost: u8,
    /// Pods deleted by force.
    pub force: u8,
    /// Sandboxes that die.
    pub sandbox: u8,
    /// Nodes that reboot.
    pub reboot: u8,
    /// Nodes that are lost for good.
    pub loss: u8,
    /// Re-asserts of agents, whether right or not.
    pub reassert: u8,
    /// Calls that take effect after T: outside assumption A1.
    pub late: u8,
    /// Reassignments of the address by an external caller.
    pub reassignment: u8,
}

/// Violations that are detected when they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Violation {
    /// An array of the model is too small, or a machine named an action that the model does not
    /// have.
    Model = 1,
    /// A foreign ENI's address was moved.
    Foreign = 2,
    /// An address was unassigned in EC2 against the policy.
    Lost = 4,
    /// A pod started while a predecessor still used the address, and did not report it.
    Overlap = 8,
    /// A release succeeded and left its address in the kernel.
    Left = 16,
    /// A stop container released for a pod that was not terminating.
    Early = 32,
    /// An attach sent more EC2 calls than allowed.
    Budget = 64,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelState {
    pub(crate) addresses: [Address; MEMBERS],
    pub(crate) pods: [Pod; PODS],
    pub(crate) procs: [Option<Proc>; PROCS],
    pub(crate) calls: [Option<Call>; CALLS],
    pub(crate) budget: Budget,
    /// The nodes that are gone for good.
    pub(crate) gone: u8,
    pub(crate) wrong: u8,
}

impl Address {
    pub(crate) fn new(record: u32) -> Self {
        Self {
            record,
            edit: 0,
            owner: NO_ENI,
            path: NO_ENI,
            due: 0,
            stale: [0; OWNERS],
            imds: [Imds::default(); NODES],
            kernel: [Kernel::default(); NODES],
            file: File::default(),
            reassigned: Reassigned::No,
            foreign: 0,
        }
    }

    fn packed(&self) -> [u64; 3] {
        let bits = |word: u64, (value, width): (u8, u32)| (word << width) | u64::from(value);
        let small = [
            (self.edit, 8),
            (self.owner, 3),
            (self.path, 3),
            (self.due, 2),
            (self.reassigned as u8, 2),
            (self.foreign, 4),
            (u8::from(self.file.staged), 1),
            (u8::from(self.file.visible), 1),
            (u8::from(self.file.durable), 1),
        ];
        let stale = self.stale.iter().map(|&ttl| (ttl, 4));
        let imds = self.imds.iter().map(|i| (u8::from(i.shown) | (i.pending << 1), 4));
        let first = small.into_iter().chain(stale).fold(0, bits);
        let kernel = self.kernel.iter().flat_map(|k| {
            let lock = k.lock.map_or(0, |l| 1 + u8::from(l.held));
            let holder = k.lock.map(|l| l.holder).unwrap_or_default();
            [(u8::from(k.present) | (lock << 1), 3), (holder.pod, 3), (holder.epoch, 8)]
        });
        [
            (first << 20) | u64::from(self.record & 0xf_ffff),
            kernel.fold(0, bits),
            imds.fold(0, bits),
        ]
    }
}

impl Hash for ModelState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for address in &self.addresses {
            let [first, kernel, imds] = address.packed();
            hasher.write_u64(first);
            hasher.write_u64(kernel | (imds << 48));
            hasher.write_u32(address.record);
        }
        let pods = self.pods.iter().fold(0_u128, |word, p| {
            let bits =
                p.node | ((p.api as u8) << 2) | ((p.phase as u8) << 4) | (u8::from(p.serving) << 6);
            (word << 16) | u128::from(bits) | (u128::from(p.failed) << 8)
        });
        hasher.write_u128(pods);
        for proc in self.procs.iter().flatten() {
            let flags = u64::from(proc.signalled)
                | (u64::from(proc.reported) << 1)
                | ((proc.kind as u64) << 2);
            let calls_sent = proc.calls_sent.describes
                | (proc.calls_sent.changes << 2)
                | (proc.calls_sent.proofs << 4);
            let holder = (u64::from(proc.pod) << 8) | (u64::from(proc.waited) << 16);
            let holder = holder | (u64::from(calls_sent) << 24);
            hasher.write_u64((u64::from(proc.machine) << 32) | holder | flags);
        }
        let calls = self.calls.iter().flatten().fold(0_u64, |word, c| {
            let bits = 1 | (c.what as u64) << 1 | u64::from(c.left) << 3;
            (word << 16) | bits | u64::from(c.eni) << 8 | u64::from(c.member) << 12
        });
        hasher.write_u64(calls);
        let Budget { crash, lost, force, sandbox, reboot, loss, reassert, late, reassignment } =
            self.budget;
        let nodes = reboot | (loss << 4);
        let budget =
            [crash | (lost << 4), force, sandbox, nodes, reassert, late, reassignment, self.wrong];
        hasher.write_u64(u64::from_le_bytes(budget));
        hasher.write_u8(self.gone);
    }
}

impl ModelState {
    pub(crate) fn record_violation(&mut self, wrong: Violation) {
        self.wrong |= wrong as u8;
    }

    pub(crate) fn has_violation(&self, wrong: Violation) -> bool {
        self.wrong & wrong as u8 != 0
    }

    pub(crate) fn proc(&self, at: usize) -> Proc {
        self.procs[at].expect("a process that is there")
    }

    pub(crate) fn spawn(&mut self, proc: Proc) -> Option<usize> {
        let free = self.procs.iter().position(Option::is_none);
        match free {
            Some(slot) => self.procs[slot] = Some(proc),
            None => self.record_violation(Violation::Model),
        }
        free
    }

    pub(crate) fn in_flight(&mut self, call: Call) {
        match self.calls.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(call),
            None => self.record_violation(Violation::Model),
        }
    }

    /// Removes the processes of a pod.
    pub(crate) fn kill(&mut self, which: impl Fn(&Proc) -> bool) {
        for slot in &mut self.procs {
            if slot.as_ref().is_some_and(&which) {
                *slot = None;
            }
        }
    }

    /// Sorts what has no order, and resets what no future depends on.
    pub(crate) fn canonicalize(&mut self) {
        self.procs.sort_unstable_by_key(|p| (p.is_none(), *p));
        self.calls.sort_unstable_by_key(|c| (c.is_none(), *c));
        for pod in &mut self.pods {
            if pod.api == Api::Gone || pod.api == Api::Terminating {
                (pod.phase, pod.failed) = (Phase::Init, 0);
            }
        }
    }
}
