//! The replies of the model, with small numbers, and their conversion to the core's replies.

use firecamp_core::action::Reply;
use firecamp_core::failure::{
    CloudFailure, CloudKind, Effect, HostFailure, HostKind, RegistryFailure, RegistryKind,
};
use firecamp_core::lock_rule::LockRecord;
use firecamp_core::ports::{KernelView, PodLifecycle, PodView, SocketUse};
use firecamp_core::record::{MemberRecords, Stored};

use std::time::Duration;

use crate::fixture::{Fixture, version};
use crate::machines::Machines;
use crate::state::Lock;

/// A reply to an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// The member's records: the record and its edit.
    Member { record: u32, edit: u8 },
    /// The record and its edit.
    Record { record: u32, edit: u8 },
    /// The registry did not answer a read.
    Unread,
    /// A file registry without pods: the caller vouches for the member.
    Vouched,
    /// The member has no pod.
    NoPod,
    /// The member's pod.
    Pod { pod: u8, node: u8, ending: bool },
    /// The write succeeded.
    Written { epoch: u8, edit: u8 },
    /// The object changed since it was read.
    Conflict,
    /// The answer to the write was lost.
    Unwritten,
    /// This instance.
    Identity { listed: bool },
    /// IMDS's list.
    Listed(bool),
    /// The look-up was started.
    Begun,
    /// The owner that Describe shows.
    Owner(u8),
    /// EC2 succeeded.
    Done,
    /// EC2 refuses: another ENI holds it.
    HeldElsewhere,
    /// EC2 refuses: it is not on that ENI.
    NotOnInterface,
    /// The answer was lost.
    Unanswered,
    /// It was too late to send the request.
    Unsent,
    /// The file; true if there is something to publish.
    File(bool),
    /// The kernel succeeded.
    Kernel,
    /// The node-local lock's record refuses it.
    Superseded,
    /// The kernel, read back.
    Observed { present: bool, lock: Option<Lock>, recently_assigned: bool },
    /// Whether sockets use the address.
    Sockets(bool),
    /// The wait is over.
    Waited,
    /// The stop signal.
    Stopping,
}

/// Where a process runs, which the reply depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) member: usize,
    pub(crate) node: u8,
}

impl Answer {
    pub(crate) fn reply(self, machines: &Machines, at: Context) -> Reply {
        let fixture = &machines.fixture;
        let stored = |record: u32, edit: u8| {
            let found = machines.record(record);
            Stored { version: version(found.epoch, edit), object: found.object.clone() }
        };
        match self {
            Self::Member { record, edit } => Reply::Member(Ok(Box::new(MemberRecords {
                claim: Some(Stored { version: version(0, 0), object: fixture.claim(at.member) }),
                static_ip: Some(stored(record, edit)),
                pool: Some(fixture.pool().clone()),
            }))),
            Self::Record { record, edit } => {
                Reply::Record(Ok(Some(Box::new(stored(record, edit)))))
            }
            Self::Unread => Reply::Record(Err(registry(RegistryKind::Unavailable, Effect::None))),
            Self::Vouched => Reply::Pod(Ok(PodView::Vouched)),
            Self::NoPod => Reply::Pod(Ok(PodView::Absent)),
            Self::Pod { pod, node, ending } => Reply::Pod(Ok(PodView::Present {
                pod: fixture.uid(pod),
                node: Some(fixture.node(node)),
                lifecycle: lifecycle(ending),
                controller: None,
            })),
            Self::Written { epoch, edit } => Reply::Written(Ok(version(epoch, edit))),
            Self::Conflict => Reply::Written(Err(registry(RegistryKind::Conflict, Effect::None))),
            Self::Unwritten => {
                Reply::Written(Err(registry(RegistryKind::Unavailable, Effect::Unknown)))
            }
            Self::Identity { listed } => {
                let listed = listed.then(|| Fixture::address(at.member));
                Reply::Identity(Ok(fixture.identity(at.node, listed)))
            }
            Self::Listed(listed) => {
                Reply::Listed(Ok(listed.then(|| Fixture::address(at.member)).into_iter().collect()))
            }
            Self::Begun => Reply::Begun,
            Self::Owner(owner) => Reply::Owner(Ok(fixture.owner(owner))),
            Self::Done => Reply::Cloud(Ok(())),
            Self::HeldElsewhere => cloud(CloudKind::HeldElsewhere, Effect::None),
            Self::NotOnInterface => cloud(CloudKind::NotOnInterface, Effect::None),
            Self::Unanswered => cloud(CloudKind::Transient, Effect::Unknown),
            Self::Unsent => cloud(CloudKind::Transient, Effect::None),
            Self::File(changed) => Reply::File(Ok(changed)),
            Self::Kernel => Reply::Host(Ok(true)),
            Self::Superseded => Reply::Host(Err(superseded())),
            Self::Observed { present, lock, recently_assigned } => {
                let recorded = lock.map(|lock| fixture.lock_record(lock));
                Reply::Observed(Ok(view(present, recorded, recently_assigned)))
            }
            Self::Sockets(used) => {
                Reply::Sockets(Ok(SocketUse { listeners: u32::from(used), ..SocketUse::default() }))
            }
            Self::Waited => Reply::Waited,
            Self::Stopping => Reply::Stopping,
        }
    }
}

fn lifecycle(ending: bool) -> PodLifecycle {
    if ending { PodLifecycle::Terminating(None) } else { PodLifecycle::Running }
}

fn view(present: bool, recorded: Option<LockRecord>, recently_assigned: bool) -> KernelView {
    KernelView {
        link: Some(String::new()),
        link_up: true,
        address: present,
        tagged: present,
        routing: true,
        recorded,
        assigned: recently_assigned.then_some(Duration::ZERO),
    }
}

fn registry(kind: RegistryKind, effect: Effect) -> RegistryFailure {
    RegistryFailure { kind, effect, detail: String::new() }
}

fn superseded() -> HostFailure {
    HostFailure { kind: HostKind::Superseded, detail: String::new() }
}

fn cloud(kind: CloudKind, effect: Effect) -> Reply {
    Reply::Cloud(Err(CloudFailure { kind, effect, detail: String::new() }))
}
