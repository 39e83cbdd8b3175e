//! The registry's part of the observations.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::ids::Member;
use firecamp_core::ports::PodView;
use firecamp_core::record::{Pool, StaticIp};

/// The result of a list. What could not be read is left out, and is never treated as absent.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The records that may concern the node.
    pub records: BTreeMap<Ipv4Addr, StaticIp>,
    /// The addresses whose records exist but cannot be read.
    pub unread: BTreeSet<Ipv4Addr>,
    /// The pods of their members; a missing entry is unknown.
    pub pods: BTreeMap<Member, PodView>,
    /// All pools, if all could be read.
    pub pools: Option<Vec<Pool>>,
}
