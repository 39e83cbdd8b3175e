//! One state of the small world: what the registry, EC2, the kernels, the volumes, the pods and
//! the processes are at, and which faults may still happen.

use std::hash::{Hash, Hasher};

use crate::budget::Spent;
use crate::cast::{Kind, MEMBERS, NOBODY, NODES, OWNERS, PODS, Who};

/// Processes at once.
pub(crate) const PROCS: usize = 7;
/// EC2 calls in flight at once whose process does not wait for them any more.
pub(crate) const CALLS: usize = 4;

/// The node-local lock's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    pub(crate) who: Who,
    pub(crate) held: bool,
}

/// One address in the kernel of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kernel {
    pub(crate) present: bool,
    pub(crate) lock: Option<Lock>,
}

/// IMDS of one node on one address: what it shows, and how often that will change before it
/// shows the truth.
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

/// One member's address, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) record: u32,
    /// Writes since the record's epoch was taken.
    pub(crate) edit: u8,
    /// Who has it in EC2.
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
    /// An outsider took it, and it is not mended yet.
    pub(crate) stolen: Stolen,
    /// For how many ticks a foreign ENI has had it, as far as that matters.
    pub(crate) foreign: u8,
}

/// Whether an outsider has moved an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stolen {
    #[default]
    No,
    Yes,
    /// It was assigned again, and packets do not follow yet.
    Mending,
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
    /// The kubelet has given up, for now.
    Stuck,
}

/// One incarnation.
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
    /// Ticks of the present wait that have passed.
    pub(crate) waited: u8,
    /// It was sent the signal to stop; and its machine was told.
    pub(crate) signalled: bool,
    pub(crate) told: bool,
    /// The lock's record was compared before the lock was taken: a deliberate bug.
    pub(crate) compared: bool,
    /// What it has asked of EC2, where that is counted.
    pub(crate) spent: Spent,
}

impl Proc {
    /// Whether it is a container of this pod.
    pub(crate) fn of(&self, pod: usize) -> bool {
        self.kind != Kind::Agent && usize::from(self.pod) == pod
    }
}

/// An EC2 call that may still land though nobody waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) member: u8,
    pub(crate) eni: u8,
    pub(crate) what: What,
    /// Ticks until T after what authorised it; none: only without assumption A1.
    pub(crate) left: u8,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Assign,
    Force,
    Unassign,
}

/// Faults that may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Processes killed.
    pub crash: u8,
    /// Answers lost, of writes and of EC2 calls.
    pub lost: u8,
    /// Pods deleted by force.
    pub force: u8,
    /// Sandboxes that die.
    pub sandbox: u8,
    /// Nodes that reboot.
    pub reboot: u8,
    /// Nodes that are lost for good.
    pub loss: u8,
    /// Errands by which agents take back what EC2 shows elsewhere, rightly or not.
    pub reassert: u8,
    /// Calls that land after T: outside assumption A1.
    pub late: u8,
    /// Changes of the address's owner by others than FireCamp.
    pub theft: u8,
}

/// What must never happen, noticed while it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wrong {
    /// The world's own arrays are too small, or a machine asked for something unknown.
    Model = 1,
    /// A foreign ENI's address was moved.
    Foreign = 2,
    /// An address was taken out of EC2 that was not to be.
    Lost = 4,
    /// A pod started though a predecessor still used the address, and did not say so.
    Overlap = 8,
    /// A release ended well and left its kernel address.
    Left = 16,
    /// A stop released a pod that was not ending.
    Early = 32,
    /// An attach cost more EC2 calls than it may.
    Budget = 64,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
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
            owner: NOBODY,
            path: NOBODY,
            due: 0,
            stale: [0; OWNERS],
            imds: [Imds::default(); NODES],
            kernel: [Kernel::default(); NODES],
            file: File::default(),
            stolen: Stolen::No,
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
            (self.stolen as u8, 2),
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
            let who = k.lock.map(|l| l.who).unwrap_or_default();
            [(u8::from(k.present) | (lock << 1), 3), (who.pod, 3), (who.epoch, 8)]
        });
        [
            (first << 20) | u64::from(self.record & 0xf_ffff),
            kernel.fold(0, bits),
            imds.fold(0, bits),
        ]
    }
}

impl Hash for World {
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
                | (u64::from(proc.told) << 1)
                | (u64::from(proc.compared) << 2)
                | ((proc.kind as u64) << 3);
            let spent = proc.spent.looks | (proc.spent.changes << 2) | (proc.spent.proofs << 4);
            let who = (u64::from(proc.pod) << 8) | (u64::from(proc.waited) << 16);
            let who = who | (u64::from(spent) << 24);
            hasher.write_u64((u64::from(proc.machine) << 32) | who | flags);
        }
        let calls = self.calls.iter().flatten().fold(0_u64, |word, c| {
            let bits = 1 | (c.what as u64) << 1 | u64::from(c.left) << 3;
            (word << 16) | bits | u64::from(c.eni) << 8 | u64::from(c.member) << 12
        });
        hasher.write_u64(calls);
        let Budget { crash, lost, force, sandbox, reboot, loss, reassert, late, theft } =
            self.budget;
        let nodes = reboot | (loss << 4);
        let budget =
            [crash | (lost << 4), force, sandbox, nodes, reassert, late, theft, self.wrong];
        hasher.write_u64(u64::from_le_bytes(budget));
        hasher.write_u8(self.gone);
    }
}

impl World {
    pub(crate) fn blame(&mut self, wrong: Wrong) {
        self.wrong |= wrong as u8;
    }

    pub(crate) fn is_wrong(&self, wrong: Wrong) -> bool {
        self.wrong & wrong as u8 != 0
    }

    pub(crate) fn proc(&self, at: usize) -> Proc {
        self.procs[at].expect("a process that is there")
    }

    pub(crate) fn spawn(&mut self, proc: Proc) -> Option<usize> {
        let free = self.procs.iter().position(Option::is_none);
        match free {
            Some(slot) => self.procs[slot] = Some(proc),
            None => self.blame(Wrong::Model),
        }
        free
    }

    pub(crate) fn in_flight(&mut self, call: Call) {
        match self.calls.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(call),
            None => self.blame(Wrong::Model),
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

    /// One order for what has none, and nothing that no future depends on.
    pub(crate) fn tidy(&mut self) {
        self.procs.sort_unstable_by_key(|p| (p.is_none(), *p));
        self.calls.sort_unstable_by_key(|c| (c.is_none(), *c));
        for pod in &mut self.pods {
            if pod.api == Api::Gone || pod.api == Api::Terminating {
                (pod.phase, pod.failed) = (Phase::Init, 0);
            }
        }
    }
}
