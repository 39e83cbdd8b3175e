//! Small histories of what an agent collects: one node, its kernel and its ENI, records that appear
//! and disappear, reads that fail, are partial or lag, and foreign addresses. One seed reproduces
//! one history.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Collector, Execution, KernelOwner, Leftover, Operation, Pass};
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, PodUid, RunId};
use firecamp_core::machine::Machine as _;
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::Holder;
use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, StaticIp, Stored};
use firecamp_core::time::Moment;

use crate::audit::{Promise, Violation};
use crate::names::Names;
use crate::seed::{Purpose, SeededRng};

/// Addresses of the pool.
const POOL: u8 = 8;
/// The first address of the pool; those after the last one are foreign.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
/// The longest lag of a record lookup.
const LAG: Duration = Duration::from_mins(1);
const STEPS: usize = 60;

/// The coverage of one sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepCoverage {
    /// Leftovers that were collected.
    pub collected: u64,
    /// Passes with a failed read.
    pub partial: u64,
    /// Lookups that returned stale results.
    pub lagging: u64,
}

struct Sweep<'a> {
    names: &'a Names,
    rng: SeededRng,
    now: Moment,
    kernel: BTreeMap<Ipv4Addr, KernelOwner>,
    listed: BTreeSet<Ipv4Addr>,
    /// When the record of an address was last created or deleted, and whether it exists.
    records: BTreeMap<Ipv4Addr, (bool, Moment)>,
    collector: Collector,
    /// Since when every lookup has reported that an address has no record.
    absent: BTreeMap<Ipv4Addr, Moment>,
    healing: bool,
    violation: Option<Violation>,
    met: SweepCoverage,
}

/// Runs the history of a seed.
pub fn run(seed: u64, names: &Names) -> (Option<Violation>, SweepCoverage) {
    let mut sweep = Sweep {
        names,
        rng: SeededRng::new(seed, Purpose::Others, 7),
        now: Moment(Duration::from_hours(1)),
        kernel: BTreeMap::new(),
        listed: BTreeSet::new(),
        records: BTreeMap::new(),
        collector: Collector::default(),
        absent: BTreeMap::new(),
        healing: false,
        violation: None,
        met: SweepCoverage::default(),
    };
    for _ in 0..STEPS {
        sweep.happen();
        sweep.pass();
    }
    sweep.healing = true;
    for _ in 0..6 {
        sweep.now = sweep.now.plus(timing::COLLECT_GRACE / 2);
        sweep.pass();
    }
    sweep.check_clean();
    (sweep.violation, sweep.met)
}

impl Sweep<'_> {
    fn broken(&mut self, promise: Promise, text: String) {
        let at = self.now;
        self.violation.get_or_insert(Violation { promise, at, text });
    }

    fn is_claimed(&self, address: Ipv4Addr) -> bool {
        self.records.get(&address).is_some_and(|(there, _)| *there)
    }

    /// Half as many addresses again as the pool has: the others are foreign.
    fn address(&mut self) -> Ipv4Addr {
        let number = self.rng.small(POOL + POOL / 2);
        Ipv4Addr::from(u32::from(FIRST) + u32::from(number))
    }

    fn is_of_pool(address: Ipv4Addr) -> bool {
        u32::from(address) < u32::from(FIRST) + u32::from(POOL)
    }

    fn happen(&mut self) {
        self.now = self.now.plus(self.rng.millis(1_000, 40_000));
        let address = self.address();
        if !Self::is_of_pool(address) {
            self.listed.insert(address);
            self.kernel.insert(address, KernelOwner::Foreign);
            return;
        }
        let pick = self.rng.below(6);
        match pick {
            // Created, then everything that an attach creates.
            0..=2 => {
                self.records.insert(address, (true, self.now));
                self.kernel.insert(address, KernelOwner::Ours);
                self.listed.insert(address);
            }
            // Deleted, before anything is cleaned up.
            3 | 4 if self.is_claimed(address) => {
                self.records.insert(address, (false, self.now));
            }
            // Another program configures an address of the pool that has no record.
            5.. if !self.kernel.contains_key(&address) => {
                self.kernel.insert(address, KernelOwner::Foreign);
            }
            3.. => {
                self.listed.remove(&address);
            }
        }
    }

    fn fails(&mut self, of: u64) -> bool {
        !self.healing && self.rng.once_in(of)
    }

    fn pass(&mut self) {
        let mut pass = Pass {
            kernel: (!self.fails(6)).then(|| self.kernel.clone()),
            enis: (!self.fails(6)).then(|| vec![self.eni()]),
            pools: (!self.fails(6)).then(|| vec![self.pool()]),
            claimed: BTreeMap::new(),
        };
        let unread = [pass.kernel.is_none(), pass.enis.is_none(), pass.pools.is_none()];
        self.met.partial += u64::from(unread.contains(&true));
        for address in pass.wanted() {
            if !self.fails(6) {
                let shown = self.lookup(address);
                pass.claimed.insert(address, shown);
                if shown {
                    self.absent.remove(&address);
                } else {
                    self.absent.entry(address).or_insert(self.now);
                }
            }
        }
        let due = self.collector.pass(&pass, self.now);
        for found in due {
            self.due(&pass, &found);
        }
    }

    /// A lookup may show an earlier state.
    fn lookup(&mut self, address: Ipv4Addr) -> bool {
        let Some((there, since)) = self.records.get(&address).copied() else { return false };
        let late = self.now.since(since) < LAG && self.fails(3);
        self.met.lagging += u64::from(late);
        if late { !there } else { there }
    }

    fn eni(&self) -> Eni {
        let known = &self.names.nodes[0].enis[0];
        Eni {
            id: known.id.clone(),
            mac: known.mac,
            device_index: 0,
            network_card: 0,
            subnet: self.names.subnet.clone(),
            cidr: self.names.cidr,
            primary_address: known.primary,
            listed: self.listed.clone(),
            prefixes: 0,
        }
    }

    fn pool(&self) -> Pool {
        let last = Ipv4Addr::from(u32::from(FIRST) + u32::from(POOL) - 1);
        Pool {
            name: self.names.pool.clone(),
            release_policy: ReleasePolicy::Keep,
            orphaned: firecamp_core::record::OrphanPolicy::Report,
            resource: firecamp_core::ids::ResourceName::default(),
            subnets: vec![PoolSubnet {
                subnet: self.names.subnet.clone(),
                cidr: self.names.cidr,
                zone: self.names.zone.clone(),
                ranges: vec![(FIRST, last)],
            }],
        }
    }

    /// A leftover is due for collection: checks the conditions.
    fn due(&mut self, pass: &Pass, found: &Leftover) {
        let address = found.address();
        let foreign = match found {
            Leftover::Kernel(_) => self.kernel.get(&address) != Some(&KernelOwner::Ours),
            Leftover::Eni(..) => !Self::is_of_pool(address),
        };
        if foreign {
            self.broken(Promise::S4, format!("{found:?} is collected although it is foreign"));
        }
        if pass.claimed.get(&address) != Some(&false) {
            self.broken(Promise::K5, format!("{found:?} is collected although a read failed"));
        }
        let since = self.absent.get(&address).copied().unwrap_or(self.now);
        if self.now.since(since) < timing::COLLECT_GRACE {
            self.broken(Promise::S5, format!("{found:?} is collected before its grace period"));
        }
        match found {
            Leftover::Kernel(_) => self.collect(address),
            // Taking it out of EC2 needs a fresh read of its record.
            Leftover::Eni(..) if self.is_claimed(address) => {}
            Leftover::Eni(..) => self.met.collected += u64::from(self.listed.remove(&address)),
        }
    }

    /// Runs the operation, whose own read may fail as well.
    fn collect(&mut self, address: Ipv4Addr) {
        let pod: PodUid = "nobody".parse().expect("a UID");
        let run: RunId = "sweep".parse().expect("a run id");
        let operation = Operation::Collect { address, holder: Holder { pod, epoch: Epoch(0) } };
        let mut execution = Execution::new(&operation, &self.names.cluster, run, self.now);
        let mut read = false;
        while execution.outcome().is_none() {
            let action = execution.action();
            let reply = if let Action::Wait(delay) = &action {
                self.now = self.now.plus(delay.longest().max(Duration::from_millis(1)));
                Reply::Waited
            } else if let Action::ReadRecord(_) = &action {
                read = !self.fails(3);
                self.record(address, read)
            } else if let Action::RemoveAddress(..) = &action {
                if !read {
                    self.broken(
                        Promise::K5,
                        format!("{address} is removed although its record could not be read"),
                    );
                }
                if self.is_claimed(address) {
                    self.broken(
                        Promise::S5,
                        format!("{address} is removed although it has a record"),
                    );
                }
                let removed = self.kernel.remove(&address).is_some();
                self.met.collected += u64::from(removed);
                Reply::Host(Ok(removed))
            } else {
                Reply::Host(Ok(false))
            };
            execution.reply(reply, self.now);
        }
    }

    fn record(&self, address: Ipv4Addr, read: bool) -> Reply {
        if !read {
            return Reply::Record(Err(RegistryFailure {
                kind: RegistryKind::Unavailable,
                effect: Effect::None,
                detail: String::new(),
            }));
        }
        let record = self.is_claimed(address).then(|| StaticIp {
            address,
            pool: self.names.pool.clone(),
            subnet: self.names.subnet.clone(),
            cidr: self.names.cidr,
            zone: self.names.zone.clone(),
            member: self.names.members[0].clone(),
            epoch: Epoch(1),
            attachment: None,
            reserved_on: None,
            pending_mutations: BTreeSet::new(),
        });
        let version = "1".parse().expect("a version");
        Reply::Record(Ok(record.map(|object| Box::new(Stored { version, object }))))
    }

    /// When everything can be read and enough time has passed: no orphaned leftover of ours
    /// remains, and claimed and foreign addresses are untouched.
    fn check_clean(&mut self) {
        let kernel = self.kernel.iter().filter(|(_, mark)| **mark == KernelOwner::Ours);
        let listed = self.listed.iter().filter(|address| Self::is_of_pool(**address));
        let mut left = kernel.map(|(address, _)| address).chain(listed);
        let left = left.find(|address| !self.is_claimed(**address)).copied();
        if let Some(address) = left {
            self.broken(Promise::L2, format!("{address} is left over without a record"));
        }
    }
}
