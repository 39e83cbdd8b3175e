//! The facts for a clean-up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use firecamp_core::contract::kernel::{
    CLUSTER_PRIORITY, DELIVERY_PRIORITY, MAIN_TABLE, RULE_PRIORITY, TABLE_BASE, TABLE_MAX,
};
use firecamp_core::ids::PodUid;
use firecamp_core::lock_rule::LockRecord;
use firecamp_core::ports::SocketUse;
use ipnet::Ipv4Net;

/// A value, or why it could not be read.
pub type Known<T> = Result<T, String>;

/// An address on a link with our protocol number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its prefix.
    pub prefix: u8,
    /// The name of its link.
    pub link: String,
}

/// A policy routing rule with our protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// The source address that it matches.
    pub source: Option<Ipv4Addr>,
    /// The destination that it matches.
    pub to: Option<Ipv4Net>,
    /// The table that it looks up.
    pub table: u32,
    /// Its priority.
    pub priority: u32,
}

/// A route with our protocol number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Its table.
    pub table: u32,
    /// Destination and prefix length.
    pub to: (Ipv4Addr, u8),
    /// Its gateway.
    pub via: Option<Ipv4Addr>,
}

/// An object of FireCamp in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// An address.
    Address(Address),
    /// A rule.
    Rule(Rule),
    /// A route.
    Route(Route),
}

/// The record of an address's node-local lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// The last holder.
    Record(LockRecord),
    /// A record of a version that this one does not understand, and why.
    Apart(String),
    /// A truncated record.
    Torn,
}

/// All objects of FireCamp in this node's kernel, and all lock records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernel {
    /// The addresses of members, and that of the endpoint.
    pub addresses: Vec<Address>,
    /// The own addresses of interfaces, as far as the agent added them.
    pub of_interfaces: Vec<Address>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The tables that foreign rules look up.
    pub looked_up: BTreeSet<u32>,
    /// The records of the locks.
    pub locks: BTreeMap<Ipv4Addr, Lock>,
}

/// The member that the registry records as the holder of an address on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its name.
    pub member: String,
    /// Its pod.
    pub pod: PodUid,
}

/// All facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Whether an agent runs on this node.
    pub agent: bool,
    /// The kernel.
    pub kernel: Kernel,
    /// The sockets of each address.
    pub sockets: BTreeMap<Ipv4Addr, Known<SocketUse>>,
    /// The pods of this node that have not ended, by UID, with their names.
    pub pods: Known<BTreeMap<PodUid, String>>,
    /// The addresses that the registry records as attached to this node.
    pub records: Known<BTreeMap<Ipv4Addr, Holder>>,
}

/// Whether this version uses the table number.
fn is_ours(table: u32) -> bool {
    (TABLE_BASE..=TABLE_MAX).contains(&table)
}

impl Address {
    /// Whether this version creates such addresses.
    pub fn is_known(&self) -> bool {
        self.prefix == 32
    }
}

impl Rule {
    /// Whether this version creates such rules.
    pub fn is_known(&self) -> bool {
        match (self.source, self.to, self.priority) {
            (Some(_), None, RULE_PRIORITY) => is_ours(self.table),
            (None, Some(to), DELIVERY_PRIORITY) => to.prefix_len() == 32 && self.is_of_pod(),
            (Some(_), Some(_), CLUSTER_PRIORITY) => self.is_of_pod(),
            _other => false,
        }
    }

    /// Whether it is one of those for an address in a pod's own network.
    fn is_of_pod(&self) -> bool {
        self.table == MAIN_TABLE
    }

    /// The address that it is for.
    pub fn subject(&self) -> Option<Ipv4Addr> {
        self.source.or(self.to.map(|to| to.addr()))
    }
}

impl Route {
    /// Whether this version creates routes in this table.
    pub fn is_known(&self) -> bool {
        is_ours(self.table) || self.pods_address().is_some()
    }

    /// The address whose packets it leads to a pod.
    pub fn pods_address(&self) -> Option<Ipv4Addr> {
        let (to, prefix) = self.to;
        (self.table == MAIN_TABLE && prefix == 32 && self.via.is_none()).then_some(to)
    }
}

impl Kernel {
    /// Every address that is present or has a rule, in a form that this version creates.
    pub fn subjects(&self) -> BTreeSet<Ipv4Addr> {
        let addresses = self.addresses.iter().filter(|one| one.is_known()).map(|one| one.address);
        let rules = self.rules.iter().filter(|one| one.is_known());
        let pods = self.routes.iter().filter_map(Route::pods_address);
        addresses.chain(rules.filter_map(Rule::subject)).chain(pods).collect()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(Address { address, prefix, link }) => {
                write!(f, "address {address}/{prefix} on {link}")
            }
            Self::Rule(Rule { source, to, table, priority }) => {
                let from = source.map_or_else(|| "all".to_owned(), |source| source.to_string());
                let to = to.map_or_else(String::new, |to| format!(" to {to}"));
                write!(f, "rule {priority} from {from}{to} lookup {table}")
            }
            Self::Route(Route { table, to: (to, prefix), via }) => {
                write!(f, "route {to}/{prefix}")?;
                if let Some(via) = via {
                    write!(f, " via {via}")?;
                }
                write!(f, " in table {table}")
            }
        }
    }
}
