//! What nobody claims: found in two passes that are a grace period apart, and only where every
//! read was complete.
//!
//! Guarantees: a read that failed or was partial counts for nothing: it names nothing, and resets
//! nothing. Only kernel objects of ours and secondary addresses in a pool's ranges are ever named.
//! Assumptions: a record is created before anything else of its address exists. Caveats: what is
//! due is a reason to look again, never an authority: who removes it reads the record afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::bug::{Bug, planted};
use crate::contract::timing;
use crate::ids::EniId;
use crate::node::Eni;
use crate::record::Pool;
use crate::time::Moment;

/// Something of ours that no record claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Leftover {
    /// An address, rule or route of ours in this node's kernel.
    Kernel(Ipv4Addr),
    /// A secondary address of one of this node's ENIs.
    Eni(EniId, Ipv4Addr),
}

impl Leftover {
    /// The address.
    pub fn address(&self) -> Ipv4Addr {
        match self {
            Self::Kernel(address) | Self::Eni(_, address) => *address,
        }
    }
}

/// What is in this node's kernel for one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mark {
    /// With our protocol number.
    Ours,
    /// Without it.
    Foreign,
}

/// One pass over the node. What could not be read completely is none.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pass {
    /// Every address of the kernel, or of its rules, and whose it is.
    pub kernel: Option<BTreeMap<Ipv4Addr, Mark>>,
    /// This node's ENIs.
    pub enis: Option<Vec<Eni>>,
    /// All pools.
    pub pools: Option<Vec<Pool>>,
    /// Of the addresses that were looked up: whether they have a record. One whose look-up failed
    /// is not in it.
    pub claimed: BTreeMap<Ipv4Addr, bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspicion {
    since: Moment,
    passes: u32,
}

/// What has been seen without a record so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collector {
    suspects: BTreeMap<Leftover, Suspicion>,
}

/// The passes that must agree.
const PASSES: u32 = 2;

impl Pass {
    /// What of ours is there at all: its records are to be looked up. None where a part of it
    /// could not be read.
    fn candidates(&self) -> [Option<Vec<Leftover>>; 2] {
        let ours = |(address, mark): (&Ipv4Addr, &Mark)| {
            let ours = *mark == Mark::Ours || planted(Bug::CollectForeign);
            ours.then_some(Leftover::Kernel(*address))
        };
        let kernel = self.kernel.as_ref().map(|all| all.iter().filter_map(ours).collect());
        let both = self.enis.as_ref().zip(self.pools.as_ref());
        let enis = both.map(|(enis, pools)| {
            let of = |eni: &Eni| {
                let of_pool = |address: &&Ipv4Addr| in_pools(pools, eni, **address);
                let listed = eni.listed.iter().filter(of_pool);
                let id = eni.id.clone();
                listed.map(|address| Leftover::Eni(id.clone(), *address)).collect::<Vec<_>>()
            };
            enis.iter().flat_map(of).collect()
        });
        [kernel, enis]
    }

    /// The addresses whose records this pass needs.
    pub fn wanted(&self) -> BTreeSet<Ipv4Addr> {
        self.candidates().into_iter().flatten().flatten().map(|found| found.address()).collect()
    }

    fn is_unclaimed(&self, found: &Leftover) -> Option<bool> {
        if planted(Bug::DeleteOnEmptyList) && self.claimed.is_empty() {
            return Some(true);
        }
        let claimed = self.claimed.get(&found.address()).copied();
        let absent = planted(Bug::CollectOnFailedRead) && claimed.is_none();
        if absent { Some(true) } else { claimed.map(|claimed| !claimed) }
    }
}

/// Whether a pool hands the address out in the subnet of this ENI.
fn in_pools(pools: &[Pool], eni: &Eni, address: Ipv4Addr) -> bool {
    let subnets = pools.iter().flat_map(|pool| &pool.subnets);
    let mut here = subnets.filter(|subnet| subnet.subnet == eni.subnet);
    let within = |(first, last): &(Ipv4Addr, Ipv4Addr)| *first <= address && address <= *last;
    address != eni.primary_address && here.any(|subnet| subnet.ranges.iter().any(within))
}

impl Collector {
    /// Takes a pass in, and names what is due: it has had no record in two passes, this one among
    /// them, that are the grace period apart.
    pub fn pass(&mut self, pass: &Pass, now: Moment) -> Vec<Leftover> {
        // A record that was seen clears its address of every suspicion, also of what this pass
        // could not read.
        self.suspects.retain(|known, _| pass.claimed.get(&known.address()) != Some(&true));
        let [kernel, enis] = pass.candidates();
        let mut due = Vec::new();
        let of_kernel = |found: &Leftover| matches!(found, Leftover::Kernel(_));
        for (present, kind) in [(kernel, true), (enis, false)] {
            let Some(present) = present else { continue };
            let present: BTreeSet<Leftover> = present.into_iter().collect();
            self.suspects.retain(|known, _| of_kernel(known) != kind || present.contains(known));
            due.extend(present.into_iter().filter(|found| self.suspect(pass, found, now)));
        }
        due
    }

    fn suspect(&mut self, pass: &Pass, found: &Leftover, now: Moment) -> bool {
        if pass.is_unclaimed(found) != Some(true) {
            return false;
        }
        let new = Suspicion { since: now, passes: 0 };
        let known = self.suspects.entry(found.clone()).or_insert(new);
        known.passes = known.passes.saturating_add(1);
        let waited = now.since(known.since) >= timing::COLLECT_GRACE;
        (known.passes >= PASSES && waited) || planted(Bug::CollectAtOnce)
    }

    /// How many are suspected.
    pub fn suspects(&self) -> usize {
        self.suspects.len()
    }
}
