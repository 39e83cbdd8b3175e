//! The actions that a protocol machine requests from its runner, one at a time, and their replies.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::contract::timing;
use crate::failure::{CloudFailure, FileFailure, HostFailure, RegistryFailure};
use crate::ids::{EniId, Mac, PoolName, SubnetId, Version};
use crate::node_identity::NodeIdentity;
use crate::ports::{Holder, KernelTarget, KernelView, Owner, PodView, SocketUse};
use crate::record::{MemberRecords, StaticIp, Stored, Write};
use crate::time::Moment;

/// One thing to do next. Every action is idempotent or guarded by a version, an epoch or a lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Registry: read the member's claim, static IP and pool.
    ReadMember,
    /// Registry: read one static IP.
    ReadRecord(Ipv4Addr),
    /// Registry: read the member's live pod.
    ReadPod,
    /// Registry: list the allocated addresses of a pool.
    ReadAllocated(PoolName),
    /// Registry: create, or compare and swap.
    Write(Box<Write>),
    /// Metadata: read this instance and its ENIs.
    ReadIdentity,
    /// Metadata: read the addresses of one ENI.
    ReadListed(Mac),
    /// EC2: begin to look up the owner; `AwaitOwner` fetches the answer later.
    BeginOwner(Ipv4Addr, SubnetId),
    /// EC2: fetch the answer of the look-up that `BeginOwner` began.
    AwaitOwner,
    /// EC2: look up the owner now, and discard a look-up that was begun.
    ReadOwner(Ipv4Addr, SubnetId),
    /// EC2: assign.
    Assign {
        /// To this ENI.
        eni: EniId,
        /// This address.
        address: Ipv4Addr,
        /// With AllowReassignment.
        force: bool,
        /// T after what authorised it: the call ends by then, and is not sent if too little is
        /// left.
        not_after: Moment,
    },
    /// EC2: unassign.
    Unassign {
        /// From this ENI.
        eni: EniId,
        /// This address.
        address: Ipv4Addr,
        /// T after what authorised it: the call ends by then, and is not sent if too little is
        /// left.
        not_after: Moment,
    },
    /// Disk: prove that the static-IP file can be written.
    ProbeFile,
    /// Disk: write and sync the temporary file.
    StageFile(Ipv4Addr),
    /// Disk: rename it into place.
    PublishFile,
    /// Disk: sync the directory.
    SyncFile,
    /// Kernel: add the address.
    AddAddress(KernelTarget, Holder),
    /// Kernel: add rule and routes.
    AddRouting(KernelTarget, Holder),
    /// Node: write a note that an Assign is about to be sent.
    NoteAssign(Ipv4Addr),
    /// Kernel: read back the address, rule and routes.
    Observe(KernelTarget),
    /// Kernel: remove the address.
    RemoveAddress(Ipv4Addr, Holder),
    /// Kernel: remove rule and routes.
    RemoveRouting(Ipv4Addr, Holder),
    /// Kernel: count the sockets that use the address.
    ReadSockets(Ipv4Addr),
    /// Wait.
    Wait(Delay),
    /// Wait, without a limit, for the signal that stops this container.
    AwaitStop,
    /// Nothing: the machine has an outcome.
    Done,
}

impl Action {
    /// How long an EC2 mutation may take if it is sent at `now`. None if that is too little for EC2
    /// to answer: the process may have been stopped since the machine requested the call, and then
    /// the runner does not send it. None as well for every other action.
    pub fn time_left(&self, now: Moment) -> Option<Duration> {
        let (Self::Assign { not_after, .. } | Self::Unassign { not_after, .. }) = self else {
            return None;
        };
        let left = not_after.since(now);
        (left >= timing::CALL_MINIMUM).then_some(left)
    }
}

/// How long to wait, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Delay {
    /// The minimum, or with `jitter` the maximum of a random wait.
    pub length: Duration,
    /// Full jitter: the runner waits a uniformly random part of `length`, or, after a throttle,
    /// until the attaches of its process go on.
    pub jitter: bool,
    /// The wait never exceeds this: it is the time to the deadline. The random part is drawn from
    /// `length` and then cut to the limit; drawing from the limit would make retries more frequent
    /// the nearer the deadline is.
    pub limit: Duration,
    /// What the machine waits for, for people.
    pub why: String,
}

impl Delay {
    /// How long to wait. `part` draws a uniformly random part of its argument.
    pub fn drawn(&self, part: impl FnOnce(Duration) -> Duration) -> Duration {
        let length = if self.jitter { part(self.length).max(SHORTEST) } else { self.length };
        length.min(self.limit)
    }

    /// The longest possible wait.
    pub fn longest(&self) -> Duration {
        self.drawn(|whole| whole)
    }
}

/// The shortest random wait, so that a draw of zero does not spin.
const SHORTEST: Duration = Duration::from_millis(1);

/// The answer to an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reply {
    /// To `ReadMember`.
    Member(Result<Box<MemberRecords>, RegistryFailure>),
    /// To `ReadRecord`.
    Record(Result<Option<Box<Stored<StaticIp>>>, RegistryFailure>),
    /// To `ReadPod`.
    Pod(Result<PodView, RegistryFailure>),
    /// To `ReadAllocated`.
    Allocated(Result<BTreeSet<Ipv4Addr>, RegistryFailure>),
    /// To `Write`.
    Written(Result<Version, RegistryFailure>),
    /// To `ReadIdentity`.
    Identity(Result<NodeIdentity, CloudFailure>),
    /// To `ReadListed`.
    Listed(Result<BTreeSet<Ipv4Addr>, CloudFailure>),
    /// To `BeginOwner`.
    Begun,
    /// To `AwaitOwner` and `ReadOwner`.
    Owner(Result<Owner, CloudFailure>),
    /// To `Assign` and `Unassign`.
    Cloud(Result<(), CloudFailure>),
    /// To the disk actions; true if there is a file to publish.
    File(Result<bool, FileFailure>),
    /// To the kernel's writes and the note; true if something changed.
    Host(Result<bool, HostFailure>),
    /// To `Observe`.
    Observed(Result<KernelView, HostFailure>),
    /// To `ReadSockets`.
    Sockets(Result<SocketUse, HostFailure>),
    /// To `Wait`.
    Waited,
    /// To `AwaitStop`.
    Stopping,
}
