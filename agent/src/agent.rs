//! The loop: observe, plan, apply, tell. News of the kernel are acted on at once; whatever is slow
//! to answer is asked beside the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Collector, Duty, Leftover, Pass, Seen, Sight, plan};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{ClusterName, Epoch, PodUid};
use firecamp_core::machine::{Mended, Outcome};
use firecamp_core::outside::{Holder, HostNet};
use firecamp_core::record::State;
use firecamp_core::time::Moment;
use firecamp_engine::Ended;
use firecamp_host::{Change, Monitor};
use firecamp_run::config::AgentConfig;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::errands::{Busy, Rest, has_mended, kind, name, tell};
use crate::keep::Keep;
use crate::source::Source;
use crate::state::Observed;
use crate::status::{Errands, Status, System};
use crate::work::{News, Outside};

/// How often the loop comes round of its own accord.
const TICK: Duration = Duration::from_secs(1);
/// How often the metadata service is asked: local and cheap.
const METADATA_EVERY: u32 = 5;
/// How often the whole kernel is looked at, whatever it tells: news may be lost.
const KERNEL_EVERY: u32 = 10;
/// How often what nobody claims is looked for.
const COLLECT_EVERY: u32 = 60;

/// What of the kernel has to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stale {
    Nothing,
    Some(BTreeSet<Ipv4Addr>),
    All,
}

/// The agent of a node.
pub(crate) struct Agent<'a, S> {
    cluster: ClusterName,
    outside: Outside<S>,
    keep: Keep,
    status: &'a Status,
    origin: Instant,
    state: Observed,
    stale: Stale,
    /// When the news came that the next look answers.
    told: Option<Instant>,
    busy: BTreeMap<Ipv4Addr, Busy>,
    /// Addresses whose last errand mended nothing.
    rests: BTreeMap<Ipv4Addr, Rest>,
    collector: Collector,
    /// What is due to be collected from the kernel.
    leftovers: Vec<Ipv4Addr>,
    /// The pass whose records are being looked for.
    pass: Option<Pass>,
    listing: bool,
    identifying: bool,
    ticks: u32,
}

impl<'a, S: Source> Agent<'a, S> {
    pub(crate) fn new(
        config: &AgentConfig,
        outside: Outside<S>,
        keep: Keep,
        status: &'a Status,
    ) -> Self {
        let (node, cluster) = (config.node.clone(), config.cluster.clone());
        let state = Observed::new(node, cluster.clone(), keep.last());
        Self {
            cluster,
            outside,
            keep,
            status,
            origin: Instant::now(),
            state,
            stale: Stale::All,
            told: None,
            busy: BTreeMap::new(),
            rests: BTreeMap::new(),
            collector: Collector::default(),
            leftovers: Vec::new(),
            pass: None,
            listing: false,
            identifying: false,
            ticks: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Runs until the end, or until the kernel tells nothing any more.
    pub(crate) async fn run(
        mut self,
        mut monitor: Monitor,
        end: &CancellationToken,
    ) -> Result<(), HostFailure> {
        let mut work = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                () = end.cancelled() => break Ok(()),
                news = monitor.changed() => match news {
                    Ok(changes) => self.heard(changes),
                    Err(failure) => break Err(failure),
                },
                Some(done) = work.join_next() => self.worked(done),
                () = self.outside.changed() => self.list(&mut work),
                _at = tick.tick() => self.tick(&mut work),
            }
            self.turn(end, &mut work).await;
        };
        end.cancel();
        // Errands end between two steps; what is only being read is given up.
        while !self.busy.is_empty() {
            let Some(done) = work.join_next().await else { break };
            self.worked(done);
        }
        work.shutdown().await;
        ended
    }

    fn heard(&mut self, changes: Vec<Change>) {
        self.told.get_or_insert_with(Instant::now);
        for change in changes {
            match change {
                Change::Address(address) => match &mut self.stale {
                    Stale::All => {}
                    Stale::Some(known) => {
                        known.insert(address);
                    }
                    Stale::Nothing => self.stale = Stale::Some([address].into()),
                },
                Change::Overrun => {
                    self.status.overruns.inc();
                    self.stale = Stale::All;
                }
                Change::Link | Change::Routing => self.stale = Stale::All,
            }
        }
    }

    fn list(&mut self, work: &mut JoinSet<News>) {
        if !self.listing {
            self.listing = true;
            self.outside.list(self.state.known(), work);
        }
    }

    fn tick(&mut self, work: &mut JoinSet<News>) {
        let due = |every: u32| self.ticks.is_multiple_of(every);
        let (metadata, kernel) = (due(METADATA_EVERY), due(KERNEL_EVERY));
        let collect = due(COLLECT_EVERY) && self.pass.is_none();
        self.ticks = self.ticks.wrapping_add(1);
        if metadata && !self.identifying {
            self.identifying = true;
            self.outside.identify(work);
        }
        if kernel {
            self.stale = Stale::All;
        }
        if collect {
            let pass = self.state.pass();
            self.outside.look_for_claims(pass.wanted(), work);
            self.pass = Some(pass);
        }
        for record in self.state.unplaced(self.now()) {
            self.outside.look_up(record, work);
        }
    }

    fn worked(&mut self, done: Result<News, JoinError>) {
        match done {
            Ok(News::Listed(read)) => {
                self.listing = false;
                self.status.read(System::Registry, &read);
                if let Ok(listing) = read {
                    self.observed(|state| state.listed(listing));
                }
            }
            Ok(News::Identified(read)) => {
                self.identifying = false;
                self.status.read(System::Metadata, &read);
                if let Ok(identity) = read {
                    self.observed(|state| state.identified(identity.enis));
                }
            }
            Ok(News::Owned(address, read)) => {
                self.status.read(System::Ec2, &read);
                if let Ok(owner) = read {
                    self.state.owned(address, &owner);
                }
            }
            Ok(News::Claimed(claimed)) => self.collect(claimed),
            Ok(News::Done(address, ended)) => self.done(address, &ended),
            // A bug of ours, which ends the process like any other.
            Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
            Err(why) => tracing::error!(error = %why, "A piece of work was cancelled"),
        }
    }

    /// Takes something in; where addresses belong in the kernel now has to be looked at.
    fn observed(&mut self, take: impl FnOnce(&mut Observed)) {
        let before = self.state.targets();
        take(&mut self.state);
        if self.state.targets() != before {
            self.stale = Stale::All;
        }
    }

    fn done(&mut self, address: Ipv4Addr, ended: &Ended) {
        let Some(Busy { duty, begun }) = self.busy.remove(&address) else { return };
        tell(&duty, address, ended);
        let kind = kind(&duty);
        let mended = has_mended(ended);
        let last = self.rests.remove(&address).filter(|_| !mended);
        if !mended {
            self.rests.insert(address, Rest::after(last));
        }
        match ended {
            Ended::Outcome(Outcome::Failed(_)) => {
                self.status.failed.get_or_create(&Errands { kind }).inc();
            }
            Ended::Outcome(Outcome::Mended { what: Mended::Restored, .. }) => {
                self.status.restored.observe(begun.elapsed().as_secs_f64());
            }
            Ended::Outcome(
                Outcome::Attached(_) | Outcome::Released { .. } | Outcome::Mended { .. },
            )
            | Ended::Interrupted => {}
        }
        if let Duty::Reassert { .. } = duty {
            self.state.reasserted(address);
        }
        // Locks change without a word of the kernel.
        self.stale = Stale::All;
    }

    /// The second half of a pass: what is due is removed from the kernel; what EC2 has is told.
    fn collect(&mut self, claimed: BTreeMap<Ipv4Addr, bool>) {
        let Some(pass) = self.pass.take() else { return };
        for found in self.collector.pass(&Pass { claimed, ..pass }, self.now()) {
            match found {
                Leftover::Kernel(address) => self.leftovers.push(address),
                Leftover::Eni(eni, address) => {
                    tracing::warn!(%address, %eni, "No record claims an address of this ENI");
                }
            }
        }
        self.status.unclaimed.set(i64::try_from(self.collector.suspects()).unwrap_or(i64::MAX));
    }

    /// Looks at what is stale, plans, and begins what there is to do.
    async fn turn(&mut self, end: &CancellationToken, work: &mut JoinSet<News>) {
        self.look().await;
        let now = self.now();
        let sight = self.state.sight(now);
        self.tell(&sight);
        let duties = plan(&sight, now);
        if duties.is_empty() {
            self.rests.clear();
        }
        for duty in duties {
            self.begin(duty, end, work);
        }
        for address in std::mem::take(&mut self.leftovers) {
            if let Some(duty) = self.collection(address) {
                self.begin(duty, end, work);
            }
        }
        if let Some(snapshot) = self.state.snapshot() {
            self.keep.write(&snapshot);
        }
        self.told = None;
        if self.state.is_complete() {
            self.status.is_ready_now();
        }
        self.status.came_round();
    }

    /// Local reads of the kernel: milliseconds, and bounded by themselves.
    async fn look(&mut self) {
        let stale = std::mem::replace(&mut self.stale, Stale::Nothing);
        if stale == Stale::Nothing {
            return;
        }
        let survey = self.outside.host().survey().await;
        self.status.read(System::Kernel, &survey);
        let Ok(survey) = survey else {
            self.stale = Stale::All;
            return;
        };
        self.state.surveyed(survey);
        for target in self.state.targets() {
            let wanted = match &stale {
                Stale::Nothing => false,
                Stale::Some(some) => some.contains(&target.address),
                Stale::All => true,
            };
            if !wanted {
                continue;
            }
            let view = self.outside.host().observe(&target).await;
            self.status.read(System::Kernel, &view);
            match view {
                Ok(view) => self.state.viewed(target, view),
                Err(_told) => self.state.not_viewed(target.address),
            }
        }
    }

    /// One errand for each address at a time.
    fn begin(&mut self, duty: Duty, end: &CancellationToken, work: &mut JoinSet<News>) {
        let Some((address, member)) = self.state.subject(&duty) else { return };
        let rests = self.rests.get(&address).is_some_and(|rest| Instant::now() < rest.until);
        if rests || self.busy.contains_key(&address) {
            return;
        }
        tracing::info!(%address, %member, duty = name(&duty), "An errand begins");
        self.status.errands.get_or_create(&Errands { kind: kind(&duty) }).inc();
        if let Duty::Reassert { .. } = duty {
            self.state.reasserts(address, self.now());
        }
        let begun = self.told.unwrap_or_else(Instant::now);
        self.busy.insert(address, Busy { duty: duty.clone(), begun });
        let (cluster, end) = (self.cluster.clone(), end.clone());
        self.outside.begin(duty, (address, member), (cluster, end), work);
    }

    /// Removed as whoever acted last on it here. Nobody on record: no epoch has ever been here.
    fn collection(&self, address: Ipv4Addr) -> Option<Duty> {
        let last = self.state.survey()?.locks.get(&address).map(|last| last.holder.clone());
        let nobody = || PodUid::new("nobody").ok().map(|pod| Holder { pod, epoch: Epoch(0) });
        last.or_else(nobody).map(|holder| Duty::Collect { address, holder })
    }

    fn tell(&self, sight: &Sight) {
        let here = |seen: &&Seen| {
            seen.record
                .attachment
                .as_ref()
                .is_some_and(|a| a.node == sight.node && a.state == State::Attached)
        };
        let count = |which: fn(&Seen) -> bool| {
            let all = sight.addresses.iter().filter(here).filter(|seen| which(seen));
            i64::try_from(all.count()).unwrap_or(i64::MAX)
        };
        self.status.attached.set(count(|_| true));
        self.status.lacking.set(count(|seen| seen.lacking.is_some()));
        self.status.astray.set(count(|seen| seen.astray.is_some()));
    }
}
