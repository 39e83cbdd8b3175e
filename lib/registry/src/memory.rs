//! The in-memory registry, for tests and simulations. It enforces the same rules as the others,
//! its versions count up from 1, and it is deterministic.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, MemberRecords, Pool, StaticIp, Stored, Write};

use crate::choose_pool;
use crate::failure::failed;
use crate::rules;

/// The state of a registry as a value, which can be stored, compared and restored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Snapshot {
    /// The number of writes, which is also the version of the last written object.
    pub writes: u64,
    /// The pools.
    pub pools: BTreeMap<PoolName, Pool>,
    /// The claims.
    pub claims: BTreeMap<Member, Stored<Claim>>,
    /// The static IPs.
    pub static_ips: BTreeMap<Ipv4Addr, Stored<StaticIp>>,
    /// The pods that were set; the view of every other pod is [`PodView::Vouched`].
    pub pods: BTreeMap<Member, PodView>,
}

/// A registry in memory. Its methods never wait.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    state: Mutex<Snapshot>,
}

impl MemoryRegistry {
    /// A registry with these pools.
    pub fn with_pools(pools: impl IntoIterator<Item = Pool>) -> Self {
        let registry = Self::default();
        for pool in pools {
            registry.set_pool(pool);
        }
        registry
    }

    /// Creates or replaces a pool, as a user does.
    pub fn set_pool(&self, pool: Pool) {
        self.state().pools.insert(pool.name.clone(), pool);
    }

    /// Sets the view of the member's pod. The default is [`PodView::Vouched`].
    pub fn set_pod(&self, member: &Member, view: PodView) {
        self.state().pods.insert(member.clone(), view);
    }

    /// The current state of the registry.
    pub fn snapshot(&self) -> Snapshot {
        self.state().clone()
    }

    /// Restores a snapshot, as a restore from a backup does.
    pub fn restore(&self, snapshot: Snapshot) {
        *self.state() = snapshot;
    }

    /// No method panics in the middle of a change, so the state behind a poisoned lock is complete.
    fn state(&self) -> MutexGuard<'_, Snapshot> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Snapshot {
    /// What [`Registry::member`] returns.
    pub fn member(
        &self,
        member: &Member,
        wanted: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let claim = self.claims.get(member).cloned();
        let address = claim.as_ref().and_then(|claim| claim.object.address);
        let static_ip = address.and_then(|address| self.static_ips.get(&address)).cloned();
        let pool = match (&claim, wanted) {
            (Some(claim), _) => self.pools.get(&claim.object.pool).cloned(),
            (None, Some(name)) => Some(self.pool(name)?.clone()),
            (None, None) => {
                let names = self.pools.keys().cloned().collect();
                Some(self.pool(&choose_pool::only_pool(member, &names)?)?.clone())
            }
        };
        Ok(MemberRecords { claim, static_ip, pool })
    }

    fn pool(&self, name: &PoolName) -> Result<&Pool, RegistryFailure> {
        self.pools.get(name).ok_or_else(|| choose_pool::no_such_pool(name, "in memory"))
    }

    /// What [`Registry::allocated`] returns.
    pub fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        let pool = self.pool(pool)?;
        let inside = |address: &&Ipv4Addr| rules::in_ranges(pool, **address);
        Ok(self.static_ips.keys().filter(inside).copied().collect())
    }

    /// What [`Registry::write`] does.
    pub fn write(&mut self, write: &Write) -> Result<Version, RegistryFailure> {
        let writes = self.writes.saturating_add(1);
        let version = Version::new(&writes.to_string())
            .map_err(|wrong| failed(RegistryKind::Refused, wrong.to_string()))?;
        match write {
            Write::CreateClaim(claim) => {
                let label = format!("create StaticIPClaim {}", claim.member);
                create(&mut self.claims, claim.member.clone(), claim, &version, &label)?;
            }
            Write::UpdateClaim(new) => {
                let label = format!("update StaticIPClaim {}", new.object.member);
                let check = |old: &Claim| rules::check_claim_change(old, &new.object);
                replace(&mut self.claims, &new.object.member, new, &version, (&label, check))?;
            }
            Write::CreateStaticIp(ip) => {
                let label = format!("create StaticIP {}", ip.address);
                rules::check_static_ip(ip).map_err(|problem| rules::refused(&label, problem))?;
                create(&mut self.static_ips, ip.address, ip, &version, &label)?;
            }
            Write::UpdateStaticIp(new) => {
                let label = format!("update StaticIP {}", new.object.address);
                rules::check_static_ip(&new.object)
                    .map_err(|problem| rules::refused(&label, problem))?;
                let check = |old: &StaticIp| rules::check_static_ip_change(old, &new.object);
                let address = new.object.address;
                replace(&mut self.static_ips, &address, new, &version, (&label, check))?;
            }
        }
        self.writes = writes;
        Ok(version)
    }
}

fn create<K: Ord, T: Clone>(
    objects: &mut BTreeMap<K, Stored<T>>,
    key: K,
    object: &T,
    version: &Version,
    label: &str,
) -> Result<(), RegistryFailure> {
    if objects.contains_key(&key) {
        let detail = format!("{label}: exists already");
        return Err(failed(RegistryKind::AlreadyExists, detail));
    }
    objects.insert(key, Stored { version: version.clone(), object: object.clone() });
    Ok(())
}

fn replace<K: Ord, T: Clone>(
    objects: &mut BTreeMap<K, Stored<T>>,
    key: &K,
    new: &Stored<T>,
    version: &Version,
    (label, check): (&str, impl FnOnce(&T) -> Result<(), rules::Problem>),
) -> Result<(), RegistryFailure> {
    let Some(old) = objects.get_mut(key) else {
        return Err(failed(RegistryKind::NotFound, format!("{label}: does not exist")));
    };
    if old.version != new.version {
        let detail = format!("{label}: it is at version {}, not {}", old.version, new.version);
        return Err(failed(RegistryKind::Conflict, detail));
    }
    check(&old.object).map_err(|problem| rules::refused(label, problem))?;
    *old = Stored { version: version.clone(), object: new.object.clone() };
    Ok(())
}

impl Registry for MemoryRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        self.state().member(member, pool)
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        Ok(self.state().static_ips.get(&address).cloned())
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        Ok(self.state().pods.get(member).cloned().unwrap_or(PodView::Vouched))
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.state().allocated(pool)
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.state().write(write)
    }
}
