//! Collection: finds what no record claims, in two passes that are a grace period apart.
//!
//! Guarantees: a read that failed or was partial has no effect: it neither names an address nor
//! resets one. Only FireCamp's kernel objects and secondary addresses in a pool's ranges are named.
//! Assumptions: a record is created before anything else of its address exists. Caveats: a due
//! address authorises nothing; the operation that removes it reads the record again first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::contract::timing;
use crate::ids::EniId;
use crate::node_identity::Eni;
use crate::record::Pool;
use crate::time::Moment;

/// An object of FireCamp that no record claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Leftover {
    /// An address, rule or route in this node's kernel.
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
pub enum KernelOwner {
    /// With FireCamp's protocol number.
    Ours,
    /// With another protocol number or none.
    Foreign,
}

/// One pass over the node. What could not be read completely is `None`.
#[derive(Debug, Clone, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pass {
    /// Every address in the kernel or in its rules, with the protocol number's owner.
    pub kernel: Option<BTreeMap<Ipv4Addr, KernelOwner>>,
    /// This node's ENIs.
    pub enis: Option<Vec<Eni>>,
    /// All pools.
    pub pools: Option<Vec<Pool>>,
    /// Whether each address that was looked up has a record. Addresses whose look-up failed are
    /// missing.
    pub claimed: BTreeMap<Ipv4Addr, bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspicion {
    since: Moment,
    passes: u32,
}

/// The objects that were observed without a record so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collector {
    suspects: BTreeMap<Leftover, Suspicion>,
}

/// The number of passes that must agree.
const PASSES: u32 = 2;

impl Pass {
    /// FireCamp's objects, whose records are to be looked up. `None` for the part that could not be
    /// read.
    fn candidates(&self) -> [Option<Vec<Leftover>>; 2] {
        let ours = |(address, mark): (&Ipv4Addr, &KernelOwner)| {
            (*mark == KernelOwner::Ours).then_some(Leftover::Kernel(*address))
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

    /// The addresses whose records this pass must look up.
    pub fn wanted(&self) -> BTreeSet<Ipv4Addr> {
        self.candidates().into_iter().flatten().flatten().map(|found| found.address()).collect()
    }

    fn is_orphaned(&self, found: &Leftover) -> Option<bool> {
        self.claimed.get(&found.address()).map(|claimed| !claimed)
    }
}

/// Whether a pool can allocate the address in the subnet of this ENI.
fn in_pools(pools: &[Pool], eni: &Eni, address: Ipv4Addr) -> bool {
    let subnets = pools.iter().flat_map(|pool| &pool.subnets);
    let mut here = subnets.filter(|subnet| subnet.subnet == eni.subnet);
    let within = |(first, last): &(Ipv4Addr, Ipv4Addr)| *first <= address && address <= *last;
    address != eni.primary_address && here.any(|subnet| subnet.ranges.iter().any(within))
}

impl Collector {
    /// Adds a pass and returns what is due: objects without a record in this and an earlier pass,
    /// which are the grace period apart.
    pub fn pass(&mut self, pass: &Pass, now: Moment) -> Vec<Leftover> {
        // A record clears its address of every suspicion, including objects that this pass could
        // not read.
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
        if pass.is_orphaned(found) != Some(true) {
            return false;
        }
        let new = Suspicion { since: now, passes: 0 };
        let known = self.suspects.entry(found.clone()).or_insert(new);
        known.passes = known.passes.saturating_add(1);
        let waited = now.since(known.since) >= timing::COLLECT_GRACE;
        known.passes >= PASSES && waited
    }

    /// How many objects are suspected.
    pub fn suspects(&self) -> usize {
        self.suspects.len()
    }
}
