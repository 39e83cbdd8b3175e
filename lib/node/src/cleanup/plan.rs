//! What goes, and what stays.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::contract::exit::Cleaned;
use firecamp_core::ids::PodUid;
use firecamp_core::lock::Hold;
use firecamp_core::outside::SocketUse;

use crate::cleanup::facts::{Kernel, Lock, Object, Rule, Seen};
use crate::cleanup::why::Why;

/// What one step is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An address and its rules, as long as its lock still has this on record.
    Address(Ipv4Addr, Option<Lock>),
    /// The routes of a table that no rule looks up any more.
    Table(u32),
}

/// Something that goes, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is about.
    pub subject: Subject,
    /// What goes.
    pub objects: Vec<Object>,
}

/// Something that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What.
    pub object: Object,
    /// Why.
    pub why: Why,
}

/// What is to be done, in this order, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What goes.
    pub steps: Vec<Step>,
    /// What stays.
    pub kept: Vec<Kept>,
}

impl Plan {
    /// How a clean-up ends that executes it. What is used outweighs what is not known: it is what
    /// a person has to end first. A route that stays for a rule that stays adds nothing.
    pub fn end(&self) -> Cleaned {
        let follows = |kept: &&Kept| !matches!(kept.why, Why::Table(_));
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

/// Plans. Who says that the members are gone takes what is not known as not used; what is seen to
/// be used stays all the same, and so does what another version has made.
pub fn plan(seen: &Seen, members_gone: bool) -> Plan {
    let mut plan = Plan::default();
    for address in seen.kernel.subjects() {
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
    plan
}

impl Plan {
    fn keep(&mut self, objects: Vec<Object>, why: &Why) {
        self.kept.extend(objects.into_iter().map(|object| Kept { object, why: why.clone() }));
    }
}

fn of_address(kernel: &Kernel, address: Ipv4Addr) -> Vec<Object> {
    let addresses = kernel.addresses.iter().filter(|one| one.is_known() && one.address == address);
    let rules = kernel.rules.iter().filter(|one| one.is_known() && one.source == Some(address));
    let addresses = addresses.map(|one| Object::Address(one.clone()));
    addresses.chain(rules.map(|one| Object::Rule(*one))).collect()
}

fn of_other_shape(kernel: &Kernel) -> Vec<Object> {
    let addresses = kernel.addresses.iter().filter(|one| !one.is_known());
    let addresses = addresses.map(|one| Object::Address(one.clone()));
    let rules = kernel.rules.iter().filter(|one| !one.is_known()).map(|one| Object::Rule(*one));
    let routes = kernel.routes.iter().filter(|one| !one.is_known());
    addresses.chain(rules).chain(routes.map(|one| Object::Route(*one))).collect()
}

/// Whether something of the address is what another version made.
fn has_other_shape(kernel: &Kernel, address: Ipv4Addr) -> bool {
    let mut addresses = kernel.addresses.iter().filter(|one| one.address == address);
    let mut rules = kernel.rules.iter().filter(|one| one.source == Some(address));
    addresses.any(|one| !one.is_known()) || rules.any(|one| !one.is_known())
}

/// Why an address stays, if it does.
fn stays(seen: &Seen, address: Ipv4Addr, members_gone: bool) -> Option<Why> {
    if seen.agent {
        return Some(Why::AgentRuns);
    }
    match seen.sockets.get(&address) {
        None => return Some(Why::SocketsNotRead("they were not asked for".to_owned())),
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

/// The pods that hold an address, by the node's lock and by the registry.
fn holders(seen: &Seen, address: Ipv4Addr) -> Vec<&PodUid> {
    let locked = match seen.kernel.locks.get(&address) {
        Some(Lock::Record(record)) => Some(&record.holder.pod),
        Some(Lock::Apart(_) | Lock::Torn) | None => None,
    };
    let records = seen.records.as_ref().ok();
    let recorded = records.and_then(|all| all.get(&address)).map(|holder| &holder.pod);
    locked.into_iter().chain(recorded).collect()
}

/// A live pod of this node that holds the address.
fn lives(seen: &Seen, address: Ipv4Addr) -> Option<Why> {
    let pods = seen.pods.as_ref().ok()?;
    let alive = |uid: &PodUid| pods.get(uid).map(|name| Why::Pod(uid.clone(), name.clone()));
    holders(seen, address).into_iter().find_map(alive)
}

/// What is missing for knowing that nobody holds an address which nobody was seen to use.
fn not_known(seen: &Seen, address: Ipv4Addr) -> Option<Why> {
    let lock = seen.kernel.locks.get(&address);
    if lock == Some(&Lock::Torn) {
        return Some(Why::TornRecord);
    }
    if let (Some(uid), Err(why)) = (holders(seen, address).first(), &seen.pods) {
        return Some(Why::PodNotKnown((*uid).clone(), why.clone()));
    }
    match (lock, &seen.records) {
        (None, Err(why)) => Some(Why::HolderNotKnown(why.clone())),
        // Both end with the kernel: where one is without the other, this may be the wrong
        // directory, and the locks that are held elsewhere.
        (None, Ok(_)) => Some(Why::NoLock),
        (Some(_), _) => None,
    }
}

/// The routes of tables that no rule looks up once the steps so far are done go as well.
fn tables(seen: &Seen, plan: &mut Plan) {
    let gone: BTreeSet<&Object> = plan.steps.iter().flat_map(|step| &step.objects).collect();
    let stays = |rule: &&Rule| !gone.contains(&Object::Rule(**rule));
    let mut used = seen.kernel.looked_up.clone();
    used.extend(seen.kernel.rules.iter().filter(stays).map(|rule| rule.table));
    let routes = || seen.kernel.routes.iter().filter(|one| one.is_known());
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
