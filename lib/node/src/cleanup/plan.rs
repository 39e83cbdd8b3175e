//! Plans what to remove and what to keep.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::PodUid;
use firecamp_core::lock_rule::Hold;
use firecamp_core::ports::SocketUse;

use crate::cleanup::facts::{Kernel, Lock, Object, Observation, Route, Rule};
use crate::cleanup::reason::Why;

/// The subject of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An address and its rules, if its lock still has this record.
    Address(Ipv4Addr, Option<Lock>),
    /// The routes of a table that no rule looks up any more.
    Table(u32),
    /// The own address of an interface.
    Interface(Ipv4Addr),
}

/// Objects that are removed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its subject.
    pub subject: Subject,
    /// The objects to remove.
    pub objects: Vec<Object>,
}

/// An object that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The object.
    pub object: Object,
    /// Why.
    pub why: Why,
}

/// The steps to execute, in this order, and the objects that stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The removals.
    pub steps: Vec<Step>,
    /// The objects that stay.
    pub kept: Vec<Kept>,
}

impl Plan {
    /// The result of a clean-up that executes the plan. An object in use outweighs an unknown one,
    /// because a user has to end its use first. What is kept for another object does not count.
    pub fn end(&self) -> Cleaned {
        let follows = |kept: &&Kept| !matches!(kept.why, Why::Table(_) | Why::Needed);
        let ends = || self.kept.iter().filter(follows).map(|kept| kept.why.end());
        if self.kept.is_empty() {
            Cleaned::All
        } else if ends().any(|end| end == Cleaned::InUse) || ends().next().is_none() {
            Cleaned::InUse
        } else {
            Cleaned::NotKnown
        }
    }
}

/// Plans a clean-up. With `members_gone` unknown use counts as unused; objects in observed use and
/// objects of another version stay all the same.
pub fn plan(seen: &Observation, members_gone: bool) -> Plan {
    let mut plan = Plan::default();
    // The endpoint last: with it goes what served all members.
    let (endpoint, members): (Vec<_>, Vec<_>) =
        seen.kernel.subjects().into_iter().partition(Ipv4Addr::is_link_local);
    for address in members.into_iter().chain(endpoint) {
        let objects = of_address(&seen.kernel, address);
        if let Some(why) = stays(seen, address, members_gone) {
            plan.keep(objects, &why);
        } else {
            let lock = seen.kernel.locks.get(&address).cloned();
            plan.steps.push(Step { subject: Subject::Address(address, lock), objects });
        }
    }
    plan.keep(of_other_shape(&seen.kernel), &Why::OtherShape);
    tables(seen, &mut plan);
    interfaces(seen, &mut plan);
    plan
}

impl Plan {
    fn keep(&mut self, objects: Vec<Object>, why: &Why) {
        self.kept.extend(objects.into_iter().map(|object| Kept { object, why: why.clone() }));
    }
}

fn of_address(kernel: &Kernel, address: Ipv4Addr) -> Vec<Object> {
    let addresses = kernel.addresses.iter().filter(|one| one.is_known() && one.address == address);
    let rules = kernel.rules.iter().filter(|one| one.is_known() && one.subject() == Some(address));
    let routes = kernel.routes.iter().filter(|one| one.pods_address() == Some(address));
    let addresses = addresses.map(|one| Object::Address(one.clone()));
    let rules = rules.map(|one| Object::Rule(*one));
    addresses.chain(rules).chain(routes.map(|one| Object::Route(*one))).collect()
}

fn of_other_shape(kernel: &Kernel) -> Vec<Object> {
    let addresses = kernel.addresses.iter().filter(|one| !one.is_known());
    let addresses = addresses.map(|one| Object::Address(one.clone()));
    let rules = kernel.rules.iter().filter(|one| !one.is_known()).map(|one| Object::Rule(*one));
    let routes = kernel.routes.iter().filter(|one| !one.is_known());
    addresses.chain(rules).chain(routes.map(|one| Object::Route(*one))).collect()
}

/// Whether another version created an object of the address.
fn has_other_shape(kernel: &Kernel, address: Ipv4Addr) -> bool {
    let mut addresses = kernel.addresses.iter().filter(|one| one.address == address);
    let mut rules = kernel.rules.iter().filter(|one| one.subject() == Some(address));
    addresses.any(|one| !one.is_known()) || rules.any(|one| !one.is_known())
}

/// Why an address stays, if it does.
fn stays(seen: &Observation, address: Ipv4Addr, members_gone: bool) -> Option<Why> {
    if seen.agent {
        return Some(Why::AgentRuns);
    }
    match seen.sockets.get(&address) {
        None => return Some(Why::SocketsNotRead("they were not requested".to_owned())),
        Some(Err(why)) => return Some(Why::SocketsNotRead(why.clone())),
        Some(Ok(used)) if *used != SocketUse::default() => {
            return Some(Why::Sockets(*used));
        }
        Some(Ok(_idle)) => {}
    }
    if let Some(pod) = lives(seen, address) {
        return Some(pod);
    }
    if has_other_shape(&seen.kernel, address) {
        return Some(Why::OtherShape);
    }
    match seen.kernel.locks.get(&address) {
        Some(Lock::Apart(why)) => return Some(Why::OtherVersion(why.clone())),
        Some(Lock::Record(record)) if record.hold == Hold::Released => return None,
        Some(Lock::Torn | Lock::Record(_)) | None => {}
    }
    not_known(seen, address).filter(|_why| !members_gone)
}

/// The pods that hold an address according to the node's lock and the registry.
fn holders(seen: &Observation, address: Ipv4Addr) -> Vec<&PodUid> {
    let locked = match seen.kernel.locks.get(&address) {
        Some(Lock::Record(record)) => Some(&record.holder.pod),
        Some(Lock::Apart(_) | Lock::Torn) | None => None,
    };
    let records = seen.records.as_ref().ok();
    let recorded = records.and_then(|all| all.get(&address)).map(|holder| &holder.pod);
    locked.into_iter().chain(recorded).collect()
}

/// A live pod of this node that holds the address.
fn lives(seen: &Observation, address: Ipv4Addr) -> Option<Why> {
    let pods = seen.pods.as_ref().ok()?;
    let alive = |uid: &PodUid| pods.get(uid).map(|name| Why::Pod(uid.clone(), name.clone()));
    holders(seen, address).into_iter().find_map(alive)
}

/// Why it is unknown whether an address without observed use is held.
fn not_known(seen: &Observation, address: Ipv4Addr) -> Option<Why> {
    // The endpoint of the agents: no pod holds it, so it has no lock.
    if address.is_link_local() {
        return None;
    }
    let lock = seen.kernel.locks.get(&address);
    if lock == Some(&Lock::Torn) {
        return Some(Why::TornRecord);
    }
    if let (Some(uid), Err(why)) = (holders(seen, address).first(), &seen.pods) {
        return Some(Why::PodNotKnown((*uid).clone(), why.clone()));
    }
    match (lock, &seen.records) {
        (None, Err(why)) => Some(Why::HolderNotKnown(why.clone())),
        // The lock and the address both end with the boot. An address without a lock suggests the
        // wrong lock directory.
        (None, Ok(_)) => Some(Why::NoLock),
        (Some(_), _) => None,
    }
}

/// Also removes the routes of tables that no rule looks up after the steps so far.
fn tables(seen: &Observation, plan: &mut Plan) {
    let gone: BTreeSet<&Object> = plan.steps.iter().flat_map(|step| &step.objects).collect();
    let stays = |rule: &&Rule| !gone.contains(&Object::Rule(**rule));
    let mut used = seen.kernel.looked_up.clone();
    used.extend(seen.kernel.rules.iter().filter(stays).map(|rule| rule.table));
    let of_eni = |one: &&Route| one.is_known() && one.pods_address().is_none();
    let routes = || seen.kernel.routes.iter().filter(of_eni);
    let tables: BTreeSet<u32> = routes().map(|one| one.table).collect();
    for table in tables {
        let objects: Vec<Object> =
            routes().filter(|one| one.table == table).map(|one| Object::Route(*one)).collect();
        if seen.agent {
            plan.keep(objects, &Why::AgentRuns);
        } else if used.contains(&table) {
            plan.keep(objects, &Why::Table(table));
        } else {
            plan.steps.push(Step { subject: Subject::Table(table), objects });
        }
    }
}

/// Removes the own addresses of interfaces at last: while a member's objects stay, the node may
/// need them to reach the subnet's router.
fn interfaces(seen: &Observation, plan: &mut Plan) {
    let needed = !plan.kept.is_empty();
    for one in &seen.kernel.of_interfaces {
        let objects = vec![Object::Address(one.clone())];
        if seen.agent {
            plan.keep(objects, &Why::AgentRuns);
        } else if needed {
            plan.keep(objects, &Why::Needed);
        } else {
            plan.steps.push(Step { subject: Subject::Interface(one.address), objects });
        }
    }
}
