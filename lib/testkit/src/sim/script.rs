//! Which calls break, and how: a script that all fault-injecting wrappers of a test share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// A call of one of the outside systems' traits.
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
    /// `AccountChecks::reservations`
    Reservations,
    /// `AccountChecks::volumes`
    Attached,
    /// `Board::learn`
    Learn,
    /// `Board::create_attachments`
    CreateAttachments,
    /// `Board::replace_attachments`
    ReplaceAttachments,
    /// `Board::static_ip`
    ReadConditions,
    /// `Board::replace_conditions`
    ReplaceConditions,
    /// `Board::set_capacity`
    SetCapacity,
    /// `Board::post`
    Post,
}

/// How a call breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It fails and has no effect, and the caller knows that.
    Before,
    /// It has its effect, and the answer is lost.
    After,
    /// It has its effect this much later, and is answered then.
    Late(Duration),
    /// It has its effect twice.
    Twice,
    /// It has no effect and never ends: the process dies before the call.
    Never,
    /// It has its effect and never ends: the process dies after the call.
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
    /// An empty script: nothing breaks, calls are counted.
    pub fn new() -> Self {
        Self::default()
    }

    /// Plans that the `nth` call of `op` breaks, counted from 1.
    #[must_use]
    pub fn breaking(self, op: Op, nth: u32, how: Break) -> Self {
        self.lock().planned.insert((op, nth), how);
        self
    }

    /// How many calls of `op` were made.
    pub fn made(&self, op: Op) -> u32 {
        self.lock().made.get(&op).copied().unwrap_or_default()
    }

    /// Comes when a process that this script lets die has come to that point.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    /// How many planned faults have fired. A test that plans one asserts that it did.
    pub fn fired(&self) -> u32 {
        self.lock().fired
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on the process does nothing more: whoever waits for its death drops it.
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

    /// Makes the call as the script says. `failure` makes the error, told whether the effect is
    /// unknown.
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
