//! A thousand agents with one leader, in virtual time: how often they query EC2 while the API
//! server is away and others drain the account's request bucket.

mod outside;

use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect as Took};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::PodView;
use firecamp_node::preflight::facts::AttachedVolumes;
use firecamp_node::volumes::Recheck;
use firecamp_testkit::sim::interface;

use self::outside::{Outside, address, cluster, eni, node, parsed, record};
use super::ec2_queries::Others;
use super::*;
use crate::interface_life_tests::histories::Random;
use crate::leader::{
    Effect as LeaderEffect, Event as LeaderEvent, LeaderController, PassStep, StepResult,
};

const AGENTS: u32 = 1_000;
/// How finely time passes.
const STEP: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_mins(1);
/// EC2 answers so many Describes a second.
const REFILL: u64 = 20;
/// So many a second are sent by others while they drain the bucket.
const OTHERS: u64 = 60;

/// What decides in one agent.
struct Agent {
    leader: LeaderController,
    observed: Observed,
    preflight: Preflight,
    managed: ManagedInterfaces,
    evictions: Evictions,
    queries: Ec2Queries,
    number: u32,
}

impl Agent {
    fn new(number: u32, outside: &mut Outside) -> Self {
        let cluster: ClusterName = parsed("prod");
        let identity = NodeIdentity {
            instance: parsed(&format!("i-{number:08x}")),
            instance_type: "m5.large".to_owned(),
            zone: parsed("us-east-1a"),
            region: "us-east-1".to_owned(),
            enis: vec![eni(number)],
        };
        let mut preflight = Preflight::new(cluster.clone(), EniRule::Auto);
        preflight.identified(&Ok(identity.clone()));
        let limits = TypeLimits { name: String::new(), enis: 3, addresses: 10, volumes: None };
        preflight.type_limits(Ok(limits));
        let mut observed = Observed::new(node(number), cluster.clone(), None);
        let record = record(number);
        let pods = [(record.member.clone(), PodView::Vouched)].into();
        let records = [(record.address, record)].into();
        observed.listed(Listing { records, pods, ..Listing::default() });
        observed.set_kernel_snapshot(KernelSnapshot::default());
        drop(observed.observation(outside.now));
        observed.identified(identity, Moment::default());
        Self {
            leader: LeaderController::new(node(number), cluster, &parsed("run")),
            observed,
            preflight,
            managed: ManagedInterfaces::new(),
            evictions: Evictions::default(),
            queries: Ec2Queries::new(outside.part()),
            number,
        }
    }

    fn described(&self) -> Vec<Interface> {
        let described = interface(eni(self.number).id, parsed("subnet-0000000a"));
        vec![Interface { addresses: [address(self.number)].into(), ..described }]
    }

    /// What happens in one step of time.
    fn step(&mut self, outside: &mut Outside) {
        if self.leader.next_tick().is_some_and(|due| due <= outside.now) {
            let event = LeaderEvent::Tick(outside.part());
            self.lead(event, outside);
        }
        let tick = Tick { random: outside.part(), volumes: outside.recheck, offered_volumes: None };
        let Self { preflight, managed, evictions, .. } = self;
        let others = Others { preflight, managed, evictions };
        match self.queries.due(&self.observed, others, tick, outside.now) {
            Some(Task::QueryInterfaces(_)) => self.query(outside),
            Some(Task::QueryVolumes(_)) => {
                outside.volume_queries += 1;
                let good = outside.describes();
                self.queries.ended(good);
                let read = if good { Ok(AttachedVolumes::of(&[])) } else { Err(throttled()) };
                self.preflight.volumes(&read);
            }
            Some(_) => self.queries.ended(true),
            None => {}
        }
    }

    fn query(&mut self, outside: &mut Outside) {
        outside.queries += 1;
        let listing = self.described();
        let read = if outside.describes() { Ok(&*listing) } else { Err(CloudKind::Throttled) };
        self.queries.interfaces(read, &mut self.observed, outside.now);
        if read.is_ok() {
            self.preflight.interfaces(Ok(listing));
        }
    }

    fn lead(&mut self, event: LeaderEvent, outside: &mut Outside) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.leader.handle(event, outside.now) {
                events.extend(self.perform(effect, outside));
            }
        }
    }

    fn perform(&mut self, effect: LeaderEffect, outside: &mut Outside) -> Vec<LeaderEvent> {
        match effect {
            LeaderEffect::ReadLease(id) => {
                let read = if outside.away {
                    Err(Outside::unavailable())
                } else {
                    Ok(outside.lease.clone())
                };
                vec![LeaderEvent::LeaseRead(id, read)]
            }
            LeaderEffect::WriteLease(id, write) => {
                vec![LeaderEvent::LeaseWritten(id, outside.write(&write))]
            }
            LeaderEffect::BeginTerm => cluster().into_iter().rev().collect(),
            LeaderEffect::Start(step) => vec![LeaderEvent::StepEnded(match step {
                PassStep::Identify => StepResult::Identified(None),
                PassStep::ListInterfaces => StepResult::InterfacesListed(Some(outside.list())),
                PassStep::ReadOwner(..) => StepResult::OwnerRead(None),
                PassStep::ReadPod(_) => StepResult::PodRead(None),
                PassStep::QueryInterface(_) => StepResult::InterfaceQueried(None),
                PassStep::ReadVolumes(..) => StepResult::VolumesRead(None),
                PassStep::Perform(..) => StepResult::Performed(Vec::new()),
            })],
            LeaderEffect::Report(crate::leader::Report::LeaseRead(read)) => {
                let read = read.ok().flatten();
                self.queries.lease_read(read, &self.observed, outside.now);
                Vec::new()
            }
            LeaderEffect::EndTerm
            | LeaderEffect::DropOperation
            | LeaderEffect::StartNames(_)
            | LeaderEffect::Report(_) => Vec::new(),
        }
    }
}

fn throttled() -> CloudFailure {
    let (kind, effect) = (CloudKind::Throttled, Took::None);
    CloudFailure { kind, effect, detail: String::new() }
}

struct Fleet {
    agents: Vec<Agent>,
    outside: Outside,
}

impl Fleet {
    fn new() -> Self {
        let mut outside = Outside {
            now: Moment::default(),
            random: Random(7),
            lease: None,
            writes: 0,
            away: false,
            drained: false,
            sent: Vec::new(),
            queries: 0,
            lists: 0,
            recheck: Recheck::Never,
            volume_queries: 0,
        };
        let agents = (0..AGENTS).map(|number| Agent::new(number, &mut outside)).collect();
        Self { agents, outside }
    }

    /// Returns how often the agents queried EC2 in this time.
    fn run(&mut self, time: Duration) -> usize {
        let (before, end) = (self.outside.queries, self.outside.now.plus(time));
        while self.outside.now < end {
            for agent in &mut self.agents {
                agent.step(&mut self.outside);
            }
            self.outside.now = self.outside.now.plus(STEP);
        }
        self.outside.queries - before
    }

    /// The requests of a minute, in which a member moves.
    fn minute_with_a_move(&mut self) -> usize {
        let before = self.outside.sent.len();
        self.run(MINUTE);
        assert!(self.moves() < Duration::from_secs(30));
        self.outside.sent.len() - before
    }

    /// How long a member that moves needs for its Describe.
    fn moves(&mut self) -> Duration {
        let mut took = Duration::ZERO;
        while !self.outside.describes() {
            took += firecamp_core::contract::timing::THROTTLE_BASE;
        }
        took
    }
}

#[test]
fn f148_thousand_agents_at_rest_query_nothing_and_the_leader_lists_for_them() {
    let mut fleet = Fleet::new();
    let first = fleet.run(MINUTE * 10);
    assert_eq!(first, 1_000, "each agent once, for the tags of its interfaces");
    let lists = fleet.outside.lists;
    assert_eq!(fleet.run(MINUTE * 60), 0);
    let lists = fleet.outside.lists - lists;
    assert!((45..=61).contains(&lists), "{lists} lists in an hour");
}

#[test]
fn f148_outage_of_the_api_server_beside_a_drained_bucket_costs_at_most_one_query_a_second() {
    let mut fleet = Fleet::new();
    fleet.outside.recheck = Recheck::Rarely;
    fleet.run(MINUTE * 10);
    (fleet.outside.away, fleet.outside.drained) = (true, true);
    assert_eq!(fleet.run(MINUTE * 3), 0, "the leader's observation is not stale yet");
    let minutes: Vec<usize> = (3..30).map(|_minute| fleet.minute_with_a_move()).collect();
    // Of interfaces and volumes, and those of the moves.
    println!("requests in each minute: {minutes:?}");
    for ten in minutes.windows(10) {
        let sent: usize = ten.iter().sum();
        assert!(sent <= 600, "{sent} requests in ten minutes: {minutes:?}");
    }
    assert!(minutes.iter().all(|sent| *sent <= 90), "{minutes:?}");
    let outage: usize = minutes.iter().sum();
    assert!((500..=27 * 60).contains(&outage), "{outage} requests in 27 minutes");
    // The API server is back, and the bucket is still drained.
    fleet.outside.away = false;
    fleet.run(MINUTE * 6);
    let lists = fleet.outside.lists;
    let seldom = fleet.run(MINUTE * 10);
    println!("{seldom} queries in ten minutes after it");
    assert!(seldom <= 150, "{seldom} queries: throttled is not gone, but no list was complete");
    assert!(fleet.moves() < Duration::from_secs(30));
    fleet.outside.drained = false;
    fleet.run(MINUTE * 3);
    assert_eq!(fleet.run(MINUTE * 10), 0);
    assert!(fleet.outside.lists >= lists + 8, "the leader lists each minute");
    assert!(!fleet.outside.lease.as_ref().unwrap().ec2.throttled);
}

#[test]
fn f148_thousand_agents_with_settled_volumes_and_their_leader_send_one_query_in_five_seconds() {
    let mut fleet = Fleet::new();
    fleet.outside.recheck = Recheck::Rarely;
    fleet.run(MINUTE * 10);
    assert_eq!(fleet.outside.volume_queries, 1_000, "each agent once after its start");
    fleet.run(MINUTE * 160);
    let (volumes, lists) = (fleet.outside.volume_queries, fleet.outside.lists);
    assert_eq!(fleet.run(MINUTE * 60), 0, "of the interfaces");
    let volumes = fleet.outside.volume_queries - volumes;
    assert!((130..=230).contains(&volumes), "{volumes} queries in an hour");
    // 4,000 interfaces are eight pages.
    let pages = usize::try_from(8 * (fleet.outside.lists - lists)).unwrap();
    assert!(pages + volumes <= 3_600 / 5, "{pages} pages and {volumes} queries");
}

#[test]
fn f148_agents_that_have_never_read_of_a_leader_share_twenty_minutes() {
    let mut fleet = Fleet::new();
    fleet.outside.away = true;
    let first = fleet.run(MINUTE * 5);
    assert_eq!(first, 1_000, "each agent once, for the tags of its interfaces");
    let queries = fleet.run(MINUTE * 40);
    assert!((1_000..=40 * 60).contains(&queries), "{queries} queries in 40 minutes");
}
