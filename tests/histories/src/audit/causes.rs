//! The faults that a process met, and which of them explain its exit code.

use firecamp_core::action::Reply;
use firecamp_core::failure::RegistryKind;
use firecamp_core::failure::{CloudFailure, CloudKind, HostFailure, HostKind, RegistryFailure};
use firecamp_core::ports::{Owner, PodView};

use crate::names::EniIx;

/// A fault that explains a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The registry was unavailable.
    RegistryUnavailable,
    /// The registry refused a request, or an object was missing or malformed.
    RegistryInvalid,
    /// The registry refused a request.
    RegistryRefused,
    /// A compare-and-swap failed.
    Conflict,
    /// A fresh read showed that the pod is superseded or terminating.
    PodGone,
    /// EC2 refused the credentials, or returned an unknown error.
    Denied,
    /// Too many requests.
    Throttled,
    /// A transient failure of EC2 or the metadata service.
    CloudTransient,
    /// Another holder has the address.
    Held,
    /// A lookup showed an ENI that has the address.
    Shown,
    /// The process listed the addresses of the pool: others may use all of them.
    PoolUsed,
    /// The ENI or the subnet is full.
    Full,
    /// The ENI is deleted.
    EniGone,
    /// The metadata service does not list an ENI.
    NoEni,
    /// The kernel does not have the link.
    NoLink,
    /// The lock was busy.
    Busy,
    /// The kernel refused.
    KernelRefused,
    /// The node-local lock names a later epoch.
    LockSuperseded,
    /// The volume failed.
    DiskFailed,
    /// A lookup found sockets of other processes on the address.
    SocketsBusy,
    /// A fresh read did not show the pod of the process, living on its node.
    PodNotLiving,
    /// The node's agent was not there, did not answer, or died.
    AgentLost,
}

/// A set of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Causes(u32);

impl Causes {
    /// Adds one.
    pub fn add(&mut self, cause: Cause) {
        self.0 |= 1 << (cause as u32);
    }

    /// Adds all of another set.
    pub fn include(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the set contains this one.
    pub fn has(self, cause: Cause) -> bool {
        self.0 & (1 << (cause as u32)) != 0
    }

    /// Whether the set contains any of these.
    pub fn any(self, causes: &[Cause]) -> bool {
        causes.iter().any(|cause| self.has(*cause))
    }

    /// Records the causes in a reply.
    pub fn note(&mut self, reply: &Reply) {
        match reply {
            Reply::Member(Err(failure))
            | Reply::Record(Err(failure))
            | Reply::Allocated(Err(failure))
            | Reply::Written(Err(failure))
            | Reply::Pod(Err(failure)) => self.registry(failure),
            Reply::Pod(Ok(view)) => self.pod(view),
            Reply::Identity(Err(failure))
            | Reply::Listed(Err(failure))
            | Reply::Owner(Err(failure))
            | Reply::Cloud(Err(failure)) => self.cloud(failure),
            Reply::Allocated(Ok(_)) => self.add(Cause::PoolUsed),
            Reply::Owner(Ok(Owner::Eni(holder))) => {
                self.add(Cause::Shown);
                if EniIx::of(&holder.id).and_then(EniIx::node).is_none() {
                    self.add(Cause::Held);
                }
            }
            Reply::File(Err(_)) => self.add(Cause::DiskFailed),
            Reply::Host(Err(failure))
            | Reply::Observed(Err(failure))
            | Reply::Sockets(Err(failure)) => self.host(failure),
            Reply::Observed(Ok(view)) if view.link.is_none() => self.add(Cause::NoLink),
            Reply::Identity(Ok(node)) if node.enis.len() < 2 => self.add(Cause::NoEni),
            Reply::Sockets(Ok(used)) if used.listeners > 0 || used.connections > 0 => {
                self.add(Cause::SocketsBusy);
            }
            Reply::Member(Ok(_))
            | Reply::Record(Ok(_))
            | Reply::Written(Ok(_))
            | Reply::Identity(Ok(_))
            | Reply::Listed(Ok(_))
            | Reply::Begun
            | Reply::Owner(Ok(_))
            | Reply::Cloud(Ok(()))
            | Reply::File(Ok(_))
            | Reply::Host(Ok(_))
            | Reply::Observed(Ok(_))
            | Reply::Sockets(Ok(_))
            | Reply::Waited
            | Reply::Stopping => {}
        }
    }

    fn registry(&mut self, failure: &RegistryFailure) {
        self.add(match failure.kind {
            RegistryKind::Unavailable => Cause::RegistryUnavailable,
            RegistryKind::Conflict | RegistryKind::AlreadyExists => Cause::Conflict,
            RegistryKind::NotFound | RegistryKind::Invalid => Cause::RegistryInvalid,
            RegistryKind::Refused => Cause::RegistryRefused,
        });
    }

    fn pod(&mut self, view: &PodView) {
        match view {
            PodView::Absent | PodView::Present { .. } => self.add(Cause::PodGone),
            PodView::Vouched => {}
        }
    }

    fn cloud(&mut self, failure: &CloudFailure) {
        self.add(match failure.kind {
            CloudKind::HeldElsewhere => Cause::Held,
            CloudKind::NotOnInterface | CloudKind::Transient => Cause::CloudTransient,
            CloudKind::CapacityExceeded | CloudKind::SubnetExhausted => Cause::Full,
            CloudKind::NotFound => Cause::EniGone,
            CloudKind::Throttled => Cause::Throttled,
            CloudKind::Auth
            | CloudKind::Unknown
            | CloudKind::BadAddress
            | CloudKind::AttachmentLimitExceeded
            | CloudKind::DeviceIndexTaken
            | CloudKind::InterfaceInUse
            | CloudKind::QuotaExceeded => Cause::Denied,
        });
    }

    fn host(&mut self, failure: &HostFailure) {
        self.add(match failure.kind {
            HostKind::Superseded => Cause::LockSuperseded,
            HostKind::NoLink => Cause::NoLink,
            HostKind::Busy => Cause::Busy,
            HostKind::Refused => Cause::KernelRefused,
        });
    }
}
