//! The faults of a test: a script that all fault-injecting wrappers share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// A call of an outside system's trait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `Cloud::identity`
    Identity,
    /// `Cloud::listed`
    Listed,
    /// `Cloud::owner`
    Owner,
    /// `Cloud::assign`
    Assign,
    /// `Cloud::unassign`
    Unassign,
    /// `CloudInterfaces::create_interface`
    CreateInterface,
    /// `CloudInterfaces::attach_interface`
    AttachInterface,
    /// `CloudInterfaces::detach_interface`
    DetachInterface,
    /// `CloudInterfaces::delete_interface`
    DeleteInterface,
    /// `CloudInterfaces::describe_interfaces`
    DescribeInterfaces,
    /// `CloudInterfaces::instance_state`
    InstanceState,
    /// `Registry::member`
    Member,
    /// `Registry::static_ip`
    StaticIp,
    /// `Registry::pod`
    Pod,
    /// `Registry::allocated`
    Allocated,
    /// `Registry::write`
    Write,
    /// `HostNet::add_address`
    AddAddress,
    /// `HostNet::add_routing`
    AddRouting,
    /// `HostNet::note_assign`
    NoteAssign,
    /// `HostNet::observe`
    Observe,
    /// `HostNet::remove_address`
    RemoveAddress,
    /// `HostNet::remove_routing`
    RemoveRouting,
    /// `HostNet::sockets`
    Sockets,
    /// `MemberFile::probe`
    Probe,
    /// `MemberFile::stage`
    Stage,
    /// `MemberFile::publish`
    Publish,
    /// `MemberFile::sync`
    Sync,
    /// `Volumes::devices`
    Devices,
    /// `Volumes::mounts`
    Mounts,
    /// `Volumes::space`
    Space,
    /// `Volumes::changed`
    Changed,
    /// `CloudChecks::interfaces`
    Interfaces,
    /// `CloudChecks::type_limits`
    TypeLimits,
    /// `CloudChecks::peers`
    Peers,
    /// `CloudChecks::permission`
    Permission,
    /// `CloudChecks::reservations`
    Reservations,
    /// `AccountChecks::volumes`
    Attached,
    /// `StatusWriter::get_node`
    Get,
    /// `StatusWriter::create_attachments`
    CreateAttachments,
    /// `StatusWriter::replace_attachments`
    ReplaceAttachments,
    /// `StatusWriter::static_ip`
    ReadConditions,
    /// `StatusWriter::replace_conditions`
    ReplaceConditions,
    /// `StatusWriter::set_capacity`
    SetCapacity,
    /// `StatusWriter::post`
    Post,
}

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It fails without effect, and the caller knows that.
    Before,
    /// It takes effect, and the answer is lost.
    After,
    /// It takes effect and is answered after this delay.
    Late(Duration),
    /// It takes effect twice.
    Twice,
    /// It has no effect and never returns: the process dies before the call.
    Never,
    /// It takes effect and never returns: the process dies after the call.
    Vanish,
}

#[derive(Debug, Default)]
struct State {
    planned: BTreeMap<(Op, u32), Break>,
    made: BTreeMap<Op, u32>,
    fired: u32,
}

/// The script and the counts of calls. Clones share both.
#[derive(Debug, Clone, Default)]
pub struct Script {
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
}

impl Script {
    /// An empty script: no faults; calls are counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans a fault for the `nth` call of `op`, counted from 1.
    #[must_use]
    pub fn breaking(self, op: Op, nth: u32, how: Break) -> Self {
        self.lock().planned.insert((op, nth), how);
        self
    }

    /// The number of calls of `op`.
    pub fn made(&self, op: Op) -> u32 {
        self.lock().made.get(&op).copied().unwrap_or_default()
    }

    /// Completes when the process reaches the call at which the script kills it.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    /// The number of planned faults that have fired. A test that plans one asserts that it fired.
    pub fn fired(&self) -> u32 {
        self.lock().fired
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the process at this call: the task that awaits [`Self::death`] drops it.
    async fn die<T>(&self) -> T {
        self.death.notify_one();
        std::future::pending().await
    }

    fn next(&self, op: Op) -> Option<Break> {
        let mut state = self.lock();
        let made = state.made.entry(op).or_default();
        *made = made.saturating_add(1);
        let nth = *made;
        let how = state.planned.remove(&(op, nth));
        state.fired = state.fired.saturating_add(u32::from(how.is_some()));
        how
    }

    /// Makes a call with the fault of the script, if there is one. `failure` creates the error; its
    /// argument is true if the effect is unknown.
    pub(crate) async fn around<T, E, W>(
        &self,
        op: Op,
        call: impl Fn() -> W + Send,
        failure: impl Fn(bool) -> E + Send,
    ) -> Result<T, E>
    where
        W: Future<Output = Result<T, E>> + Send,
    {
        match self.next(op) {
            None => call().await,
            Some(Break::Before) => Err(failure(false)),
            Some(Break::After) => {
                call().await?;
                Err(failure(true))
            }
            Some(Break::Late(by)) => {
                sleep(by).await;
                call().await
            }
            Some(Break::Twice) => {
                call().await?;
                call().await
            }
            Some(Break::Never) => self.die().await,
            Some(Break::Vanish) => {
                call().await?;
                self.die().await
            }
        }
    }
}
