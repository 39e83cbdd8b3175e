//! Performs one action by one bounded call to one outside system.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::failure::{
    CloudFailure, CloudKind, Effect, FileFailure, HostFailure, HostKind, RegistryFailure,
    RegistryKind,
};
use firecamp_core::ids::{Member, PoolName, SubnetId};
use firecamp_core::ports::{Cloud, HostNet, MemberFile, Owner, Registry};
use firecamp_core::time::Moment;
use tokio::time::timeout;

/// The outside systems of one run.
#[derive(Debug, Clone)]
pub struct Systems<C, H, R, F> {
    /// EC2 and the metadata service.
    pub cloud: C,
    /// The kernel of this node.
    pub host: H,
    /// Claims and static IPs.
    pub registry: R,
    /// The static-IP file.
    pub file: F,
}

/// The file port of a release, which never uses the static-IP file.
#[derive(Debug, Clone, Copy)]
pub struct NoFile;

impl NoFile {
    fn refuse<T>() -> Result<T, FileFailure> {
        Err(FileFailure { detail: "a release has no static-IP file".to_owned() })
    }
}

impl MemberFile for NoFile {
    async fn probe(&self) -> Result<(), FileFailure> {
        Self::refuse()
    }

    async fn stage(&self, _address: Ipv4Addr) -> Result<bool, FileFailure> {
        Self::refuse()
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        Self::refuse()
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        Self::refuse()
    }
}

/// The file of an attach through the agent's endpoint: the container writes it after the outcome,
/// so nothing is written here.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientsFile;

impl MemberFile for ClientsFile {
    async fn probe(&self) -> Result<(), FileFailure> {
        Ok(())
    }

    /// Nothing to publish.
    async fn stage(&self, _address: Ipv4Addr) -> Result<bool, FileFailure> {
        Ok(false)
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        Ok(())
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        Ok(())
    }
}

/// The longest that a registry request or a metadata read may take.
pub(crate) const READ_BOUND: Duration = Duration::from_secs(5);
/// The longest that a Describe may take: the client loads credentials, connects, and in a brown-out
/// waits longer than usual. A forced Assign needs an answer within T; an answer that comes later
/// still says whose the address is.
const LOOK_UP_BOUND: Duration = Duration::from_secs(10);
/// The longest that a kernel operation may take, including its wait for the node-local lock.
const HOST_BOUND: Duration = Duration::from_secs(10);
/// The longest that a disk operation may take: EBS stalls for seconds when it fails over.
const DISK_BOUND: Duration = Duration::from_secs(30);
/// How long after its own bound the runner aborts a mutation.
const SLACK: Duration = Duration::from_millis(250);

async fn registry<T>(
    what: &str,
    request: impl Future<Output = Result<T, RegistryFailure>>,
) -> Result<T, RegistryFailure> {
    timeout(READ_BOUND, request).await.unwrap_or_else(|_elapsed| {
        Err(RegistryFailure {
            kind: RegistryKind::Unavailable,
            effect: Effect::Unknown,
            detail: format!("{what}: no answer from the registry within {READ_BOUND:?}"),
        })
    })
}

async fn cloud<T>(
    what: &str,
    bound: Duration,
    request: impl Future<Output = Result<T, CloudFailure>>,
) -> Result<T, CloudFailure> {
    timeout(bound, request).await.unwrap_or_else(|_elapsed| {
        Err(CloudFailure {
            kind: CloudKind::Transient,
            effect: Effect::Unknown,
            detail: format!("{what}: no answer within {bound:?}"),
        })
    })
}

async fn host<T>(
    what: &str,
    request: impl Future<Output = Result<T, HostFailure>>,
) -> Result<T, HostFailure> {
    timeout(HOST_BOUND, request).await.unwrap_or_else(|_elapsed| {
        Err(HostFailure {
            kind: HostKind::Busy,
            detail: format!("{what}: no answer from the kernel within {HOST_BOUND:?}"),
        })
    })
}

async fn disk<T>(
    what: &str,
    request: impl Future<Output = Result<T, FileFailure>>,
) -> Result<T, FileFailure> {
    timeout(DISK_BOUND, request).await.unwrap_or_else(|_elapsed| {
        Err(FileFailure { detail: format!("{what}: the disk did not answer in {DISK_BOUND:?}") })
    })
}

fn unsent(what: &str) -> Reply {
    Reply::Cloud(Err(CloudFailure {
        kind: CloudKind::Transient,
        effect: Effect::None,
        detail: format!("{what}: not sent, because the read that authorised it is too old"),
    }))
}

impl<C: Cloud, H: HostNet, R: Registry, F: MemberFile> Systems<C, H, R, F> {
    /// Looks up the owner.
    pub(crate) async fn owner(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<Owner, CloudFailure> {
        let what = format!("look up the owner of {address}");
        cloud(&what, LOOK_UP_BOUND, self.cloud.owner(address, subnet)).await
    }

    /// Performs an action on an outside system. None for the actions that the runner handles
    /// itself: waits, background look-ups and `Done`.
    pub(crate) async fn perform(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
        action: &Action,
        now: impl Fn() -> Moment,
    ) -> Option<Reply> {
        match action {
            Action::ReadMember
            | Action::ReadRecord(_)
            | Action::ReadPod
            | Action::ReadAllocated(_)
            | Action::Write(_) => self.registry_action(member, pool, action).await,
            Action::ReadIdentity
            | Action::ReadListed(_)
            | Action::ReadOwner(..)
            | Action::Assign { .. }
            | Action::Unassign { .. } => self.cloud_action(action, now).await,
            Action::ProbeFile | Action::StageFile(_) | Action::PublishFile | Action::SyncFile => {
                self.disk_action(action).await
            }
            Action::AddAddress(..)
            | Action::AddRouting(..)
            | Action::NoteAssign(_)
            | Action::Observe(_)
            | Action::RemoveAddress(..)
            | Action::RemoveRouting(..)
            | Action::ReadSockets(_) => self.kernel_action(action).await,
            Action::BeginOwner(..)
            | Action::AwaitOwner
            | Action::Wait(_)
            | Action::AwaitStop
            | Action::Done => None,
        }
    }

    async fn registry_action(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
        action: &Action,
    ) -> Option<Reply> {
        let it = &self.registry;
        Some(if let Action::ReadMember = action {
            let read = registry("read the member", it.member(member, pool)).await;
            Reply::Member(read.map(Box::new))
        } else if let Action::ReadRecord(address) = action {
            let read = registry("read the static IP", it.static_ip(*address)).await;
            Reply::Record(read.map(|found| found.map(Box::new)))
        } else if let Action::ReadPod = action {
            Reply::Pod(registry("read the pod", it.pod(member)).await)
        } else if let Action::ReadAllocated(pool) = action {
            Reply::Allocated(registry("list the pool's addresses", it.allocated(pool)).await)
        } else if let Action::Write(write) = action {
            Reply::Written(registry("write", it.write(write)).await)
        } else {
            return None;
        })
    }

    async fn cloud_action(&self, action: &Action, now: impl Fn() -> Moment) -> Option<Reply> {
        let it = &self.cloud;
        Some(if let Action::ReadIdentity = action {
            Reply::Identity(cloud("read this instance", READ_BOUND, it.identity()).await)
        } else if let Action::ReadListed(mac) = action {
            Reply::Listed(cloud("read the ENI's addresses", READ_BOUND, it.listed(*mac)).await)
        } else if let Action::ReadOwner(address, subnet) = action {
            Reply::Owner(self.owner(*address, subnet).await)
        } else if let Action::Assign { eni, address, force, .. } = action {
            let what = format!("assign {address} to {eni}");
            let Some(within) = action.time_left(now()) else { return Some(unsent(&what)) };
            let call = it.assign(eni, std::slice::from_ref(address), *force, within);
            Reply::Cloud(cloud(&what, within.saturating_add(SLACK), call).await)
        } else if let Action::Unassign { eni, address, .. } = action {
            let what = format!("unassign {address} from {eni}");
            let Some(within) = action.time_left(now()) else { return Some(unsent(&what)) };
            let call = it.unassign(eni, *address, within);
            Reply::Cloud(cloud(&what, within.saturating_add(SLACK), call).await)
        } else {
            return None;
        })
    }

    async fn disk_action(&self, action: &Action) -> Option<Reply> {
        let it = &self.file;
        Some(Reply::File(if let Action::ProbeFile = action {
            disk("probe the data volume", it.probe()).await.map(|()| true)
        } else if let Action::StageFile(address) = action {
            disk("stage the static-IP file", it.stage(*address)).await
        } else if let Action::PublishFile = action {
            disk("publish the static-IP file", it.publish()).await.map(|()| true)
        } else if let Action::SyncFile = action {
            disk("sync the directory", it.sync()).await.map(|()| true)
        } else {
            return None;
        }))
    }

    async fn kernel_action(&self, action: &Action) -> Option<Reply> {
        let it = &self.host;
        Some(if let Action::AddAddress(target, holder) = action {
            Reply::Host(host("add the address", it.add_address(target, holder)).await)
        } else if let Action::AddRouting(target, holder) = action {
            Reply::Host(host("add rule and routes", it.add_routing(target, holder)).await)
        } else if let Action::NoteAssign(address) = action {
            let noted = host("record the time of the Assign", it.note_assign(*address)).await;
            Reply::Host(noted.map(|()| true))
        } else if let Action::Observe(target) = action {
            Reply::Observed(host("read the kernel's state", it.observe(target)).await)
        } else if let Action::RemoveAddress(address, holder) = action {
            Reply::Host(host("remove the address", it.remove_address(*address, holder)).await)
        } else if let Action::RemoveRouting(address, holder) = action {
            Reply::Host(host("remove the rule", it.remove_routing(*address, holder)).await)
        } else if let Action::ReadSockets(address) = action {
            Reply::Sockets(host("count the sockets", it.sockets(*address)).await)
        } else {
            return None;
        })
    }
}
