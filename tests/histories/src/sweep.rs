//! Small histories of what an agent collects: one node, its kernel and its ENI, records that come
//! and go, reads that fail, are partial or lag, and things that are not ours. One seed is one
//! history.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::action::{Action, Reply};
use firecamp_core::agent::{Collector, Duty, Errand, KernelMark, Leftover, Pass};
use firecamp_core::contract::timing;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Epoch, PodUid, RunId};
use firecamp_core::machine::Machine as _;
use firecamp_core::node::Eni;
use firecamp_core::outside::Holder;
use firecamp_core::record::{Pool, PoolSubnet, ReleasePolicy, StaticIp, Stored};
use firecamp_core::time::Moment;

use crate::audit::{Promise, Violation};
use crate::names::Names;
use crate::seed::{Chance, Purpose};
use crate::trace::Trace;

/// Addresses of the pool.
const POOL: u8 = 8;
/// The first of them; those after the last are nobody's.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
/// How far a look-up of a record may lag.
const LAG: Duration = Duration::from_mins(1);
const STEPS: usize = 60;
/// One errand runs at a time, under this number.
const ERRAND: u32 = 1;

/// What one sweep has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Met {
    /// Leftovers that were collected.
    pub collected: u64,
    /// Passes in which something could not be read.
    pub partial: u64,
    /// Look-ups that showed what was true before.
    pub lagging: u64,
}

struct Sweep<'a> {
    names: &'a Names,
    chance: Chance,
    now: Moment,
    kernel: BTreeMap<Ipv4Addr, KernelMark>,
    listed: BTreeSet<Ipv4Addr>,
    /// When the record of an address came or went last, and whether it is there.
    records: BTreeMap<Ipv4Addr, (bool, Moment)>,
    collector: Collector,
    /// Since when every answer has been that an address has no record.
    absent: BTreeMap<Ipv4Addr, Moment>,
    healing: bool,
    violation: Option<Violation>,
    met: Met,
    trace: Trace,
}

/// Runs the history of a seed.
pub fn run(seed: u64, names: &Names) -> (Option<Violation>, Met) {
    let (violation, met, _) = traced(seed, names, Trace::Off);
    (violation, met)
}

/// The same, with what happened in it.
pub fn traced(seed: u64, names: &Names, trace: Trace) -> (Option<Violation>, Met, Trace) {
    let mut sweep = Sweep {
        names,
        chance: Chance::new(seed, Purpose::Others, 7),
        now: Moment(Duration::from_hours(1)),
        kernel: BTreeMap::new(),
        listed: BTreeSet::new(),
        records: BTreeMap::new(),
        collector: Collector::default(),
        absent: BTreeMap::new(),
        healing: false,
        violation: None,
        met: Met::default(),
        trace,
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
    (sweep.violation, sweep.met, sweep.trace)
}

impl Sweep<'_> {
    fn broken(&mut self, promise: Promise, text: String) {
        let at = self.now;
        self.violation.get_or_insert(Violation { promise, at, text });
    }

    fn is_claimed(&self, address: Ipv4Addr) -> bool {
        self.records.get(&address).is_some_and(|(there, _)| *there)
    }

    /// Half as many addresses again as the pool has: the others are foreign by their number.
    fn address(&mut self) -> Ipv4Addr {
        let number = self.chance.small(POOL + POOL / 2);
        Ipv4Addr::from(u32::from(FIRST) + u32::from(number))
    }

    fn is_of_pool(address: Ipv4Addr) -> bool {
        u32::from(address) < u32::from(FIRST) + u32::from(POOL)
    }

    fn happen(&mut self) {
        self.now = self.now.plus(self.chance.millis(1_000, 40_000));
        let address = self.address();
        if !Self::is_of_pool(address) {
            self.listed.insert(address);
            self.kernel.insert(address, KernelMark::Foreign);
            return;
        }
        let pick = self.chance.below(6);
        match pick {
            // Created, and then all that an attach makes.
            0..=2 => {
                self.records.insert(address, (true, self.now));
                self.kernel.insert(address, KernelMark::Ours);
                self.listed.insert(address);
            }
            // Deleted, before anybody has taken anything away.
            3 | 4 if self.is_claimed(address) => {
                self.records.insert(address, (false, self.now));
            }
            // Somebody else configures an address of the pool that is nobody's.
            5.. if !self.kernel.contains_key(&address) => {
                self.kernel.insert(address, KernelMark::Foreign);
            }
            3.. => {
                self.listed.remove(&address);
            }
        }
    }

    fn fails(&mut self, of: u64) -> bool {
        !self.healing && self.chance.once_in(of)
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
                let shown = self.looked_up(address);
                pass.claimed.insert(address, shown);
                if shown {
                    self.absent.remove(&address);
                } else {
                    self.absent.entry(address).or_insert(self.now);
                }
            }
        }
        let due = self.collector.pass(&pass, self.now);
        if let Some(tape) = self.trace.tape() {
            tape.call("collector.pass", Some(0), &(&pass, self.now));
            tape.gives(&(&due, self.collector.suspects()));
        }
        for found in due {
            self.due(&pass, &found);
        }
    }

    /// A look-up may show what was so a while ago.
    fn looked_up(&mut self, address: Ipv4Addr) -> bool {
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
            unclaimed: firecamp_core::record::UnclaimedPolicy::Report,
            subnets: vec![PoolSubnet {
                subnet: self.names.subnet.clone(),
                cidr: self.names.cidr,
                zone: self.names.zone.clone(),
                ranges: vec![(FIRST, last)],
            }],
        }
    }

    /// What is due is removed; before that, what must be true of it.
    fn due(&mut self, pass: &Pass, found: &Leftover) {
        let address = found.address();
        let foreign = match found {
            Leftover::Kernel(_) => self.kernel.get(&address) != Some(&KernelMark::Ours),
            Leftover::Eni(..) => !Self::is_of_pool(address),
        };
        if foreign {
            self.broken(Promise::S4, format!("{found:?} is collected, and is not ours"));
        }
        if pass.claimed.get(&address) != Some(&false) {
            self.broken(Promise::K5, format!("{found:?} is collected by what was not read"));
        }
        let since = self.absent.get(&address).copied().unwrap_or(self.now);
        if self.now.since(since) < timing::COLLECT_GRACE {
            self.broken(Promise::S5, format!("{found:?} is collected before its grace period"));
        }
        match found {
            Leftover::Kernel(_) => self.collect(address),
            // Whoever takes it out of EC2 reads its record afresh.
            Leftover::Eni(..) if self.is_claimed(address) => {}
            Leftover::Eni(..) => self.met.collected += u64::from(self.listed.remove(&address)),
        }
    }

    /// The errand, whose own read may fail as well.
    fn collect(&mut self, address: Ipv4Addr) {
        let pod: PodUid = "nobody".parse().expect("a UID");
        let run: RunId = "sweep".parse().expect("a run id");
        let duty = Duty::Collect { address, holder: Holder { pod, epoch: Epoch(0) } };
        let cluster = &self.names.cluster;
        let mut errand = Errand::new(&duty, cluster, run.clone(), self.now);
        if let Some(tape) = self.trace.tape() {
            let with = (&duty, cluster, &run, self.now);
            tape.begins("errand.new", u64::from(ERRAND), &with, &errand);
        }
        let mut read = false;
        while errand.outcome().is_none() {
            let action = errand.action();
            let reply = if let Action::Wait(delay) = &action {
                self.now = self.now.plus(delay.longest().max(Duration::from_millis(1)));
                Reply::Waited
            } else if let Action::ReadRecord(_) = &action {
                read = !self.fails(3);
                self.record(address, read)
            } else if let Action::RemoveAddress(..) = &action {
                if !read {
                    self.broken(Promise::K5, format!("{address} is removed though unread"));
                }
                if self.is_claimed(address) {
                    self.broken(Promise::S5, format!("{address} is removed, and has a record"));
                }
                let removed = self.kernel.remove(&address).is_some();
                self.met.collected += u64::from(removed);
                Reply::Host(Ok(removed))
            } else {
                Reply::Host(Ok(false))
            };
            self.trace.tell(ERRAND, &mut errand, reply, self.now);
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
            unsettled: BTreeSet::new(),
        });
        let version = "1".parse().expect("a version");
        Reply::Record(Ok(record.map(|object| Box::new(Stored { version, object }))))
    }

    /// When all is readable and enough time has passed: nothing of ours is left unclaimed, and
    /// what is claimed or foreign is still there.
    fn check_clean(&mut self) {
        let kernel = self.kernel.iter().filter(|(_, mark)| **mark == KernelMark::Ours);
        let listed = self.listed.iter().filter(|address| Self::is_of_pool(**address));
        let mut left = kernel.map(|(address, _)| address).chain(listed);
        let left = left.find(|address| !self.is_claimed(**address)).copied();
        if let Some(address) = left {
            self.broken(Promise::L2, format!("{address} is left, and no record claims it"));
        }
    }
}
