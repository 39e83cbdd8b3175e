//! The requests of [`Registry`](firecamp_core::ports::Registry) on a directory. They block.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::record::{Claim, MemberRecords, Pool, StaticIp, Stored, Write};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::listing;
use super::object_paths::{Place, SUFFIX};
use super::store::{Store, invalid, io_failed};
use crate::api::{InvalidObject, Kind, Object, StaticIP, StaticIPClaim, StaticIPPool};
use crate::api::{StaticIPPoolSpec, StaticIPSpec};
use crate::choose_pool;
use crate::failure::failed;
use crate::rules;

/// The name of a write, for messages.
pub(super) fn describe(write: &Write) -> String {
    match write {
        Write::CreateClaim(claim) => format!("create StaticIPClaim {}", claim.member),
        Write::UpdateClaim(claim) => format!("update StaticIPClaim {}", claim.object.member),
        Write::CreateStaticIp(ip) => format!("create StaticIP {}", ip.address),
        Write::UpdateStaticIp(ip) => format!("update StaticIP {}", ip.object.address),
    }
}

impl Store {
    pub(super) fn member(
        &self,
        member: &Member,
        wanted: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let claim = self.claim(member)?;
        let address = claim.as_ref().and_then(|claim| claim.object.address);
        let static_ip = match address {
            Some(address) => self.static_ip(address)?,
            None => None,
        };
        let pool = match &claim {
            Some(claim) => self.pool(&claim.object.pool)?,
            None => Some(self.pool_of_new_member(member, wanted)?),
        };
        Ok(MemberRecords { claim, static_ip, pool })
    }

    pub(super) fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.record(&Place::static_ip(self.dir(), address)?, |object: &StaticIP| object.try_into())
    }

    pub(super) fn claim(&self, member: &Member) -> Result<Option<Stored<Claim>>, RegistryFailure> {
        self.record(&Place::claim(self.dir(), member)?, |object: &StaticIPClaim| object.try_into())
    }

    pub(super) fn pool(&self, name: &PoolName) -> Result<Option<Pool>, RegistryFailure> {
        let place = Place::pool(self.dir(), name)?;
        let stored = self.record(&place, |object: &StaticIPPool| {
            if let Some(field) = object.spec.needs_a_cluster() {
                let problem = "is supported only in a Kubernetes cluster: remove the field";
                return Err(object.invalid(field, problem));
            }
            object.try_into()
        })?;
        Ok(stored.map(|stored| stored.object))
    }

    fn record<S, T>(
        &self,
        place: &Place,
        convert: impl FnOnce(&Object<S>) -> Result<T, InvalidObject>,
    ) -> Result<Option<Stored<T>>, RegistryFailure>
    where
        S: Kind + DeserializeOwned,
    {
        let Some(found) = self.read::<S>(place)? else { return Ok(None) };
        let object = convert(&found.object).map_err(|wrong| invalid(place, wrong))?;
        Ok(Some(Stored { version: found.version, object }))
    }

    fn pool_of_new_member(
        &self,
        member: &Member,
        wanted: Option<&PoolName>,
    ) -> Result<Pool, RegistryFailure> {
        let name = match wanted {
            Some(name) => name.clone(),
            None => choose_pool::only_pool(member, &self.pool_names()?)?,
        };
        let absent = || choose_pool::no_such_pool(&name, &format!("in {}", self.dir().display()));
        self.pool(&name)?.ok_or_else(absent)
    }

    pub(super) fn pool_names(&self) -> Result<BTreeSet<PoolName>, RegistryFailure> {
        self.names::<StaticIPPoolSpec, _>(|name| PoolName::new(name).ok())
    }

    /// Reads only file names, so the address of an unreadable object still counts as allocated,
    /// and listing 10,000 objects takes milliseconds.
    pub(super) fn allocated(&self, name: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        let absent = || choose_pool::no_such_pool(name, &format!("in {}", self.dir().display()));
        let pool = self.pool(name)?.ok_or_else(absent)?;
        let mut addresses = self.names::<StaticIPSpec, _>(|name| name.parse::<Ipv4Addr>().ok())?;
        addresses.retain(|address| rules::in_ranges(&pool, *address));
        Ok(addresses)
    }

    pub(super) fn names<S: Kind, T: Ord>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<BTreeSet<T>, RegistryFailure> {
        let dir = self.kind_dir::<S>();
        let what = format!("list the objects of kind {}", S::KIND);
        let names =
            listing::names(&dir).map_err(|wrong| io_failed(&what, &dir.display(), &wrong))?;
        if names.is_empty() {
            self.check_present()?;
        }
        let parse = |name: &String| {
            parse(name).ok_or_else(|| {
                let path = dir.join(format!("{name}{SUFFIX}"));
                let problem = format!("{name:?} is not a valid name of a {}", S::KIND);
                failed(RegistryKind::Invalid, format!("{what}: {}: {problem}", path.display()))
            })
        };
        names.iter().map(parse).collect()
    }

    pub(super) fn create_pool(&self, pool: &Pool, by: Instant) -> Result<Version, RegistryFailure> {
        let object = StaticIPPool::from(pool);
        rules::check_pool(pool).map_err(|problem| rules::refused(&object.label(), problem))?;
        self.create(&Place::pool(self.dir(), &pool.name)?, object, by)
    }

    pub(super) fn write(&self, write: &Write, by: Instant) -> Result<Version, RegistryFailure> {
        let refused = |problem| rules::refused(&describe(write), problem);
        match write {
            Write::CreateClaim(claim) => {
                self.check_present()?;
                let place = Place::claim(self.dir(), &claim.member)?;
                self.create(&place, StaticIPClaim::from(claim), by)
            }
            Write::UpdateClaim(Stored { version, object: claim }) => {
                let place = Place::claim(self.dir(), &claim.member)?;
                self.replace(&place, version, by, |old: &StaticIPClaim| {
                    let old = Claim::try_from(old).map_err(|wrong| invalid(&place, wrong))?;
                    rules::check_claim_change(&old, claim).map_err(refused)?;
                    Ok(StaticIPClaim::from(claim).spec)
                })
            }
            Write::CreateStaticIp(ip) => {
                self.check_present()?;
                rules::check_static_ip(ip).map_err(refused)?;
                let place = Place::static_ip(self.dir(), ip.address)?;
                self.create(&place, StaticIP::from(ip), by)
            }
            Write::UpdateStaticIp(Stored { version, object: ip }) => {
                rules::check_static_ip(ip).map_err(refused)?;
                let place = Place::static_ip(self.dir(), ip.address)?;
                self.replace(&place, version, by, |old: &StaticIP| {
                    let old = StaticIp::try_from(old).map_err(|wrong| invalid(&place, wrong))?;
                    rules::check_static_ip_change(&old, ip).map_err(refused)?;
                    Ok(StaticIP::from(ip).spec)
                })
            }
        }
    }
}
