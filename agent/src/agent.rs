//! The loop: observe, plan, apply, tell. News of the kernel are acted on at once; whatever is slow
//! to answer is asked beside the loop, and comes back as [`News`].

mod adopt;
mod collect;
mod duties;
mod ec2;
mod kernel;
mod lost;
mod node;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Adopter, Budget, Collector, Pass};
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{ClusterName, EniId, NodeName};
use firecamp_core::node::EniRule;
use firecamp_core::time::Moment;
use firecamp_host::LinkSeen;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::kernel::Stale;
use self::lost::Withheld;
use crate::enis::Raiser;
use crate::errands::{Busy, Rest};
use crate::keep::Keep;
use crate::outside::{KernelNews, Outside, World};
use crate::preflight::Preflight;
use crate::publish::Bulletin;
use crate::source::Source;
use crate::state::{Failing, Observed};
use crate::status::{Kind, Status, System};
use crate::work::News;

/// How often the loop comes round of its own accord.
const TICK: Duration = Duration::from_secs(1);
/// Between two lists of the registry that are for the kernel's news alone.
const LIST_PAUSE: Duration = Duration::from_millis(20);
/// How often the metadata service is asked: local and cheap.
const METADATA_EVERY: u32 = 5;
/// How often the whole kernel is looked at, whatever it tells: news may be lost.
const KERNEL_EVERY: u32 = 10;
/// How often what nobody claims is looked for.
const COLLECT_EVERY: u32 = 60;
/// How often the node's files are read again: what they say seldom changes.
const FILES_EVERY: u32 = 600;

/// The agent of a node.
pub(crate) struct Agent<'a, W: World> {
    cluster: ClusterName,
    outside: Outside<W>,
    keep: Keep,
    status: &'a Status,
    bulletin: &'a Bulletin,
    /// When the bulletin was told last.
    bulletin_at: Option<Instant>,
    failing: Failing,
    origin: Instant,
    state: Observed,
    stale: Stale,
    /// When the news came that the next look answers.
    told: Option<Instant>,
    busy: BTreeMap<(Ipv4Addr, Kind), Busy>,
    /// Of which address and kind the last errand mended nothing.
    rests: BTreeMap<(Ipv4Addr, Kind), Rest>,
    collector: Collector,
    adopter: Adopter,
    /// What is due to be collected from the kernel.
    leftovers: Vec<Ipv4Addr>,
    /// The pass whose records are being looked for.
    pass: Option<Pass>,
    /// What EC2 has and no record claims, as it was told last.
    unclaimed: BTreeSet<(EniId, Ipv4Addr)>,
    /// What the kernel has with our protocol number, and nobody knows, as it was told last.
    unknown: BTreeSet<Ipv4Addr>,
    listing: bool,
    /// The registry has told of something since it was listed last.
    list_again: bool,
    /// The kernel has told of something since then.
    heard: bool,
    /// What the node had when the registry was asked last, and when that was.
    asked_for: Option<(BTreeSet<Ipv4Addr>, Instant)>,
    identifying: bool,
    /// How often EC2 may be asked.
    budget: Budget,
    /// The last look at the interfaces has failed.
    interfaces_fail: bool,
    /// What was on record when the look at EC2 began that is under way.
    looking: Option<BTreeMap<Ipv4Addr, EniId>>,
    withheld: Withheld,
    /// Losses that are being looked into.
    looked_into: BTreeSet<Ipv4Addr>,
    reading_files: bool,
    preflight: Preflight,
    links: Vec<LinkSeen>,
    raiser: Raiser,
    ticks: u32,
}

impl<'a, W: World> Agent<'a, W> {
    pub(crate) fn new(
        (node, cluster, rule): (NodeName, ClusterName, EniRule),
        outside: Outside<W>,
        keep: Keep,
        (status, bulletin): (&'a Status, &'a Bulletin),
    ) -> Self {
        let preflight = Preflight::new(cluster.clone(), rule);
        let state = Observed::new(node, cluster.clone(), keep.last());
        Self {
            cluster,
            outside,
            keep,
            status,
            bulletin,
            bulletin_at: None,
            failing: Failing::new(),
            origin: Instant::now(),
            state,
            stale: Stale::All,
            told: None,
            busy: BTreeMap::new(),
            rests: BTreeMap::new(),
            collector: Collector::default(),
            adopter: Adopter::default(),
            leftovers: Vec::new(),
            pass: None,
            unclaimed: BTreeSet::new(),
            unknown: BTreeSet::new(),
            listing: false,
            list_again: false,
            heard: false,
            asked_for: None,
            identifying: false,
            budget: ec2::budget(),
            interfaces_fail: false,
            looking: None,
            withheld: Withheld::new(),
            looked_into: BTreeSet::new(),
            reading_files: false,
            preflight,
            links: Vec::new(),
            raiser: Raiser::default(),
            ticks: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    /// Runs until the end, or until the kernel tells nothing any more.
    pub(crate) async fn run(
        mut self,
        kernel: impl KernelNews,
        end: &CancellationToken,
    ) -> Result<(), HostFailure> {
        let source = self.outside.source();
        let mut work = JoinSet::new();
        let turns = async {
            let ended = self.turns(kernel, &*source, end, &mut work).await;
            end.cancel();
            ended
        };
        let ((), ended) = tokio::join!(Box::pin(source.follow(end)), Box::pin(turns));
        // Errands end between two steps; what is only being read is given up.
        while !self.busy.is_empty() {
            let Some(done) = work.join_next().await else { break };
            self.worked(done, &mut work);
        }
        work.shutdown().await;
        ended
    }

    async fn turns(
        &mut self,
        mut kernel: impl KernelNews,
        source: &W::Source,
        end: &CancellationToken,
        work: &mut JoinSet<News>,
    ) -> Result<(), HostFailure> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return Ok(()),
                news = kernel.changed() => self.heard(news?),
                Some(done) = work.join_next() => self.worked(done, work),
                () = source.changed() => self.list_again = true,
                _at = tick.tick() => self.tick(work),
            }
            self.turn(end, work).await;
        }
    }

    /// Asks the registry if there is a reason to.
    fn list(&mut self, work: &mut JoinSet<News>) {
        let known = self.state.known();
        if self.listing || !self.is_list_due(&known) {
            return;
        }
        (self.listing, self.list_again, self.heard) = (true, false, false);
        self.asked_for = Some((known.clone(), Instant::now()));
        self.status.asks(System::Registry);
        self.outside.list(known, work);
    }

    /// It has told of something; or the node has what it was not asked about; or the kernel tells
    /// of something while a lock here is ahead of what was listed: an init container has ended a
    /// moment ago, and what it attached may be what was stripped.
    fn is_list_due(&self, known: &BTreeSet<Ipv4Addr>) -> bool {
        let more = self.asked_for.as_ref().is_some_and(|(asked, _)| !known.is_subset(asked));
        let rested = self.asked_for.as_ref().is_none_or(|(_, at)| at.elapsed() >= LIST_PAUSE);
        self.list_again || more || (self.heard && rested && self.state.has_unproved())
    }

    /// Whatever is asked every so often, each beside the loop.
    fn tick(&mut self, work: &mut JoinSet<News>) {
        let ticks = self.ticks;
        let due = |every: u32| ticks.is_multiple_of(every);
        self.ticks = self.ticks.wrapping_add(1);
        if due(METADATA_EVERY) && !self.identifying {
            self.identifying = true;
            self.status.asks(System::Metadata);
            self.outside.identify(work);
        }
        if due(METADATA_EVERY) {
            self.look_after_withheld(work);
        }
        if due(KERNEL_EVERY) {
            self.stale = Stale::All;
        }
        if due(COLLECT_EVERY) {
            self.look_for_claims(work);
        }
        if due(FILES_EVERY) {
            self.look_at_files(work);
        }
        self.ask_ec2(work);
    }

    /// Takes in what a piece of work came to.
    fn worked(&mut self, done: Result<News, JoinError>, work: &mut JoinSet<News>) {
        match done {
            Ok(News::Listed(read)) => {
                self.listing = false;
                self.status.read(System::Registry, &read);
                if let Ok(listing) = read {
                    if let Some(pools) = &listing.pools {
                        self.preflight.pools(pools);
                    }
                    self.observed(|state| state.listed(listing));
                }
            }
            Ok(News::Identified(read)) => {
                self.identifying = false;
                self.status.read(System::Metadata, &read);
                self.preflight.identified(&read);
                if let Ok(identity) = read {
                    self.observed(|state| state.identified(identity));
                }
            }
            Ok(News::Interfaces(read)) => {
                let listing = read.as_ref().ok().cloned();
                self.interfaces(read);
                self.look_into_losses(work);
                self.look_for_strays(listing.as_deref(), work);
            }
            Ok(News::Lost(lost, found, done)) => self.found_of_loss(lost, found, done),
            Ok(News::Attachments(read)) => self.attachments(read),
            Ok(News::TypeLimits(read)) => self.type_limits(read),
            Ok(News::Files(facts)) => {
                self.reading_files = false;
                self.preflight.files(facts);
            }
            Ok(News::Raised(eni, done)) => node::tell_raised(&eni, &done),
            Ok(News::Claimed(claimed)) => self.collect(claimed),
            Ok(News::Strays(found, recorded, begun)) => {
                self.strays(&found, &recorded, begun, work);
            }
            Ok(News::Tried(stray, tried)) => self.tried(&stray, &tried),
            Ok(News::Done(errand, ended)) => self.done(errand, &ended),
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
}
