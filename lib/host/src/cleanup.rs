//! `firecamp cleanup`: lists FireCamp's objects on a node and removes them from the kernel.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use firecamp_core::contract::endpoint::LINK;
use firecamp_core::contract::path::AGENT_LOCK;
use firecamp_core::failure::HostFailure;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::{HostNet as _, SocketUse};
use firecamp_node::cleanup::{Address, Kernel, Lock, Route};

use crate::error::HostError;
use crate::kernel::{address, link, route, rule, socket};
use crate::linux::{LinuxHost, ROUTE, SOCK_DIAG};
use crate::lock::dir;
use crate::lock::record::{Record, Recorded};

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// Everything was removed.
    Gone,
    /// Sockets use the address.
    Used(SocketUse),
    /// The lock record has changed since the plan.
    Changed,
}

/// The agent's lock. No agent starts on the node while this is held.
#[derive(Debug)]
pub struct AgentLock {
    _lock: File,
}

impl AgentLock {
    /// Takes the lock and creates the directory if it is missing. None while an agent runs.
    pub fn take(run_dir: &Path) -> Result<Option<Self>, HostFailure> {
        dir::open_own(run_dir)?;
        let path = run_dir.join(AGENT_LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|source| refused("open", &path, source))?;
        Ok(locked(file, &path)?.map(|lock| Self { _lock: lock }))
    }

    /// Whether an agent runs. Creates nothing.
    pub fn is_taken(run_dir: &Path) -> Result<bool, HostFailure> {
        let path = run_dir.join(AGENT_LOCK);
        match File::open(&path) {
            // Shared: a concurrent check is not an agent.
            Ok(file) => match file.try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(source)) => Err(refused("lock", &path, source).into()),
            },
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(refused("open", &path, source).into()),
        }
    }
}

fn locked(file: File, path: &Path) -> Result<Option<File>, HostError> {
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(refused("lock", path, source)),
    }
}

fn refused(operation: &'static str, path: &Path, source: io::Error) -> HostError {
    HostError::File { operation, path: PathBuf::from(path), source }
}

/// The lock record as a plan sees it.
fn planned(recorded: &Recorded) -> Option<Lock> {
    match recorded {
        Recorded::Nothing => None,
        Recorded::Torn => Some(Lock::Torn),
        Recorded::Later => Some(Lock::Apart("its record is of a later format".to_owned())),
        Recorded::Apart(_, why) => Some(Lock::Apart(why.clone())),
        Recorded::This(_) => recorded.last().map(Lock::Record),
    }
}

impl LinuxHost {
    /// Reads all FireCamp objects in this kernel and all lock records, or fails. Changes nothing
    /// and waits for no lock.
    pub async fn left(&self) -> Result<Kernel, HostFailure> {
        let locks = self.locks.all()?;
        let mut netlink = self.netlink(ROUTE)?;
        let links = link::list(&mut netlink).await?;
        let name = |index: u32| {
            let found = links.iter().find(|link| link.index == index);
            found.map_or_else(|| format!("link {index}"), |link| link.name.clone())
        };
        let ours = |one: &&address::Assigned| {
            let recorded = locks.get(&one.local).unwrap_or(&Recorded::Nothing);
            let endpoint = one.local.is_link_local() && name(one.link) == LINK;
            endpoint || one.tagged() || (one.prefix == 32 && self.is_ours(one, recorded))
        };
        let of_interface = |one: &&address::Assigned| one.is_own() && !one.local.is_link_local();
        let of_member = |one: &&address::Assigned| ours(one) && !of_interface(one);
        let shown = |one: &address::Assigned| Address {
            address: one.local,
            prefix: one.prefix,
            link: name(one.link),
        };
        let addresses = address::list(&mut netlink).await?;
        let rules = rule::ours(&mut netlink).await?;
        let foreign = rule::foreign(&mut netlink).await?;
        let routes = route::list(&mut netlink).await?;
        let routes = routes.iter().filter(|one| one.ours).map(|one| &one.route);
        Ok(Kernel {
            addresses: addresses.iter().filter(of_member).map(shown).collect(),
            of_interfaces: addresses.iter().filter(of_interface).map(shown).collect(),
            rules: rules.iter().map(|one| one.shown()).collect(),
            routes: routes
                .map(|one| Route { table: one.table, to: one.to, via: one.via })
                .collect(),
            looked_up: foreign.iter().filter_map(|one| one.table).collect(),
            locks: locks.iter().filter_map(|(at, one)| Some((*at, planned(one)?))).collect(),
        })
    }

    /// Removes the address and its rules from the kernel, if its lock record is unchanged and no
    /// socket uses it. Marks the record as released, so that no process adds the address again for
    /// that epoch.
    pub async fn clear(
        &self,
        address: Ipv4Addr,
        planned_lock: Option<&Lock>,
    ) -> Result<Cleared, HostFailure> {
        Ok(self.clear_address(address, planned_lock).await?)
    }

    async fn clear_address(
        &self,
        address: Ipv4Addr,
        planned_lock: Option<&Lock>,
    ) -> Result<Cleared, HostError> {
        let lock = self.locks.address(address).await?;
        let recorded = lock.read()?;
        if planned(&recorded).as_ref() != planned_lock {
            return Ok(Cleared::Changed);
        }
        let on_node = socket::count(&mut self.netlink(SOCK_DIAG)?, address).await?;
        let used = on_node.plus(Box::pin(self.sockets_in_pod(address)).await?);
        if used != SocketUse::default() {
            return Ok(Cleared::Used(used));
        }
        if address.is_link_local() {
            self.remove_endpoint(address).await?;
            return Ok(Cleared::Gone);
        }
        let released = |added: bool| match &recorded {
            Recorded::This(record) => {
                let (hold, pid) = (Hold::Released, std::process::id());
                lock.write(&Record { hold, added, pid, ..record.clone() })
            }
            Recorded::Nothing | Recorded::Torn | Recorded::Later | Recorded::Apart(..) => Ok(()),
        };
        released(recorded.added())?;
        let mut netlink = self.netlink(ROUTE)?;
        self.take_out(&mut netlink, address, &recorded).await?;
        let _tables = self.locks.routing().await?;
        for mine in rule::ours(&mut netlink).await? {
            if mine.source == Some(address) && mine.shown().is_known() {
                rule::remove(&mut netlink, mine).await?;
            }
        }
        released(false)?;
        Ok(Cleared::Gone)
    }

    /// Removes the own address of an interface, if the agent added it and no member's object is
    /// left on the node.
    pub async fn clear_interface(&self, address: Ipv4Addr) -> Result<Cleared, HostFailure> {
        let left = self.left().await?;
        if !left.rules.is_empty() || !left.routes.is_empty() {
            return Ok(Cleared::Changed);
        }
        let mut netlink = self.netlink(ROUTE)?;
        let assigned = address::list(&mut netlink).await?;
        for one in assigned.iter().filter(|one| one.local == address && one.is_own()) {
            address::remove(&mut netlink, one.link, address).await?;
        }
        Ok(Cleared::Gone)
    }

    /// Removes FireCamp's routes from a table, unless a rule looks the table up.
    pub async fn clear_table(&self, table: u32) -> Result<Cleared, HostFailure> {
        let _tables = self.locks.routing().await?;
        let mut netlink = self.netlink(ROUTE)?;
        let ours = rule::ours(&mut netlink).await?;
        let foreign = rule::foreign(&mut netlink).await?;
        let used = ours.iter().any(|one| one.table == table)
            || foreign.iter().any(|one| one.table == Some(table));
        if used {
            return Ok(Cleared::Changed);
        }
        for one in route::list(&mut netlink).await? {
            if one.ours && one.route.table == table {
                route::remove(&mut netlink, &one.route).await?;
            }
        }
        Ok(Cleared::Gone)
    }

    /// Counts the sockets of several addresses; each may fail.
    pub async fn sockets_of(
        &self,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
    ) -> BTreeMap<Ipv4Addr, Result<SocketUse, String>> {
        let mut found = BTreeMap::new();
        for address in addresses {
            let counted = self.sockets(address).await;
            found.insert(address, counted.map_err(|why| why.detail));
        }
        found
    }

    /// All IPv4 addresses of this network namespace.
    pub async fn addresses(&self) -> Result<Vec<Ipv4Addr>, HostFailure> {
        let all = address::list(&mut self.netlink(ROUTE)?).await?;
        Ok(all.iter().map(|one| one.local).collect())
    }
}
