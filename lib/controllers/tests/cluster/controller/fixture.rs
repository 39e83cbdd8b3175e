//! A controller whose outside answers at once, or not at all.

use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::leader::{
    AllowedZones, BoundVolume, ClusterEvent, Ec2Call, Effect, Event, Facts, LeaderController,
    LeaseWrite, NamesResult, NamesStep, NodeReadiness, ObjectEvent, ObservedLease, ObservedPod,
    Operation, PassStep, RequestId, StepResult, Terms, View,
};
use firecamp_core::failure::{CloudKind, Effect as Took, RegistryFailure, RegistryKind};
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::super::support::{ClusterFixture, parsed, pool};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// What happens to requests about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Answers,
    Silent,
    /// Writes fail.
    Fails(RegistryKind),
    /// Writes are not answered.
    SilentWrites,
}

/// Performs steps of names.
pub(super) type NamesSteps = Box<dyn FnMut(&NamesStep) -> Option<NamesResult>>;

/// A controller, and what is outside.
pub(super) struct Agent {
    pub(super) controller: LeaderController,
    pub(super) now: Moment,
    pub(super) lease: Option<ObservedLease>,
    writes: u32,
    pub(super) api: Api,
    /// The pod of each member; none is a failed read.
    pub(super) pod: Option<ObservedPod>,
    /// The bound volumes of each gated pod.
    pub(super) volumes: Vec<BoundVolume>,
    /// The answer of EC2 to a list of the interfaces.
    pub(super) interfaces: Option<Result<Vec<DescribedInterface>, CloudKind>>,
    /// How long a query takes.
    pub(super) query_time: Duration,
    /// Calls of each operation to EC2; without them an operation does not end.
    pub(super) operations: Option<Vec<Ec2Call>>,
    /// The result of each step of names; none does not end.
    pub(super) names: NamesSteps,
}

/// Effects, and when they happened.
pub(super) type Seen = Vec<(Duration, Effect)>;

impl Agent {
    pub(super) fn new() -> Self {
        let controller = LeaderController::new(parsed("here"), parsed("test"), &parsed("run"));
        Self {
            controller,
            now: Moment::default(),
            lease: None,
            writes: 0,
            api: Api::Answers,
            pod: None,
            volumes: Vec::new(),
            interfaces: Some(Ok(Vec::new())),
            query_time: Duration::ZERO,
            operations: Some(Vec::new()),
            names: Box::new(|_| None),
        }
    }

    /// One that keeps the names of members, also in the zone of the cluster.
    pub(super) fn naming() -> Self {
        let mut agent = Self::new();
        let zones = AllowedZones::new(&[parsed("default"), parsed("example.com")], &parsed("test"));
        let controller = LeaderController::new(parsed("here"), parsed("test"), &parsed("run"));
        agent.controller = controller.with_names(zones);
        agent
    }

    /// The leader of this cluster, which it has listed.
    pub(super) fn leading(view: &View) -> Self {
        let mut agent = Self::new();
        let seen = agent.run(Duration::ZERO);
        assert!(has(&seen, &Effect::BeginTerm), "{seen:?}");
        agent.list(view);
        agent
    }

    pub(super) fn list(&mut self, view: &View) {
        let View { addresses, claims, pools, sets, nodes, gated_pods, interfaces, .. } =
            view.clone();
        let addresses = addresses.into_iter().map(|(at, it)| (at, it.map(|it| *it)));
        let claims = claims.into_iter().map(|(member, it)| (member, it.map(|it| *it)));
        for event in list(addresses, ClusterEvent::StaticIps)
            .chain(list(claims, ClusterEvent::Claims))
            .chain(list(pools, ClusterEvent::Pools))
            .chain(list(sets, ClusterEvent::Sets))
            .chain(list(nodes, ClusterEvent::Nodes))
            .chain(list(gated_pods, ClusterEvent::GatedPods))
            .chain(list(interfaces, ClusterEvent::Interfaces))
        {
            assert_eq!(self.handle(Event::Cluster(Box::new(event))), Vec::new());
        }
    }

    /// Handles an event, and what follows from it outside at once.
    pub(super) fn handle(&mut self, event: Event) -> Seen {
        let effects = self.controller.handle(event, self.now);
        self.perform(effects)
    }

    fn perform(&mut self, effects: Vec<Effect>) -> Seen {
        let mut seen = Seen::new();
        for effect in effects {
            let at = self.now.0;
            let answer = self.answer(&effect);
            seen.push((at, effect));
            seen.extend(answer.into_iter().flat_map(|event| self.handle(event)));
        }
        seen
    }

    /// What happens in this time.
    pub(super) fn run(&mut self, time: Duration) -> Seen {
        let (end, mut seen) = (self.now.plus(time), Seen::new());
        let mut ticks = 0;
        while let Some(due) = self.controller.next_tick().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            ticks += 1;
            assert!(ticks <= 10_000, "ticks without end: {due:?}");
            seen.extend(self.handle(Event::Tick(0.0)));
            if self.now == due {
                let again = self.controller.handle(Event::Tick(0.0), self.now);
                assert_eq!(again, Vec::new(), "a tick leads to the next one");
            }
        }
        self.now = self.now.max(end);
        seen
    }

    pub(super) fn stop(&mut self) -> Seen {
        let effects = self.controller.stop(self.now);
        self.perform(effects)
    }

    fn answer(&mut self, effect: &Effect) -> Option<Event> {
        match effect {
            Effect::ReadLease(_) if self.api == Api::Silent => None,
            Effect::ReadLease(id) => Some(Event::LeaseRead(*id, Ok(self.lease.clone()))),
            Effect::WriteLease(id, write) => self.write(*id, write),
            Effect::Start(PassStep::Identify) => Some(step(StepResult::Identified(None))),
            Effect::Start(PassStep::ListInterfaces) => {
                Some(step(StepResult::InterfacesListed(self.interfaces.clone())))
            }
            Effect::Start(PassStep::ReadOwner(..)) => self.queried(StepResult::OwnerRead(None)),
            Effect::Start(PassStep::ReadPod(_)) => {
                self.queried(StepResult::PodRead(self.pod.clone()))
            }
            Effect::Start(PassStep::ReadVolumes(..)) => {
                self.queried(StepResult::VolumesRead(Some(self.volumes.clone())))
            }
            Effect::Start(PassStep::QueryInterface(_)) => {
                self.queried(StepResult::InterfaceQueried(None))
            }
            Effect::Start(PassStep::Perform(..)) => {
                self.operations.clone().map(|calls| step(StepResult::Performed(calls)))
            }
            Effect::StartNames(step) => (self.names)(step).map(Event::NamesStepEnded),
            Effect::BeginTerm | Effect::EndTerm | Effect::DropOperation | Effect::Report(_) => None,
        }
    }

    fn queried(&mut self, result: StepResult) -> Option<Event> {
        self.now = self.now.plus(self.query_time);
        Some(step(result))
    }

    fn write(&mut self, id: RequestId, write: &LeaseWrite) -> Option<Event> {
        match self.api {
            Api::Silent | Api::SilentWrites => return None,
            Api::Fails(kind) => {
                let why = RegistryFailure { kind, effect: Took::None, detail: String::new() };
                return Some(Event::LeaseWritten(id, Err(why)));
            }
            Api::Answers => {}
        }
        let (LeaseWrite::Create(terms) | LeaseWrite::Replace(_, terms)) = write.clone();
        self.writes += 1;
        self.lease = Some(observed(terms, self.writes));
        Some(Event::LeaseWritten(id, Ok(())))
    }

    pub(super) fn holder(&self) -> Option<&str> {
        self.lease.as_ref()?.holder.as_deref()
    }
}

/// A Lease as it was written.
pub(super) fn observed(terms: Terms, version: u32) -> ObservedLease {
    let Terms { holder, duration, transitions, acquired, ec2 } = terms;
    let version = parsed(&version.to_string());
    ObservedLease { version, holder, duration, transitions, acquired, ec2 }
}

pub(super) fn step(result: StepResult) -> Event {
    Event::StepEnded(result)
}

pub(super) fn has(seen: &Seen, wanted: &Effect) -> bool {
    seen.iter().any(|(_, effect)| effect == wanted)
}

/// When it happened first.
pub(super) fn time(seen: &Seen, wanted: impl Fn(&Effect) -> bool) -> Option<Duration> {
    seen.iter().find(|(_, effect)| wanted(effect)).map(|(at, _)| *at)
}

pub(super) fn reads_lease(effect: &Effect) -> bool {
    matches!(effect, Effect::ReadLease(_))
}

pub(super) fn read_id(seen: &Seen) -> RequestId {
    let id = |(_, effect): &(Duration, Effect)| {
        if let Effect::ReadLease(id) = effect { Some(*id) } else { None }
    };
    seen.iter().find_map(id).unwrap()
}

pub(super) fn write_id(seen: &Seen) -> RequestId {
    let id = |(_, effect): &(Duration, Effect)| {
        if let Effect::WriteLease(id, _) = effect { Some(*id) } else { None }
    };
    seen.iter().find_map(id).unwrap()
}

/// The operations that started, with their facts.
pub(super) fn started(seen: &Seen) -> Vec<(Operation, Facts)> {
    let started = |(_, effect): &(Duration, Effect)| {
        let Effect::Start(PassStep::Perform(operation, facts)) = effect else { return None };
        Some(((**operation).clone(), (**facts).clone()))
    };
    seen.iter().filter_map(started).collect()
}

pub(super) fn starts_step(seen: &Seen) -> bool {
    time(seen, |effect| matches!(effect, Effect::Start(_))).is_some()
}

/// Two pools whose status is to be written: two operations.
pub(super) fn two_pools() -> View {
    let mut view = ClusterFixture::new().view;
    view.pools.insert(parsed("second"), Some(pool("second", &[("10.0.1.60", "10.0.1.69")])));
    view
}

/// Member redis-0 is attached on a node that is not ready, so that each pass asks EC2.
pub(super) fn unready_node() -> View {
    let mut view = ClusterFixture::with_member(State::Attached).view;
    view.nodes.insert(parsed("n1"), Some(NodeReadiness::NotReady.into()));
    view
}

/// What a complete list of a kind reports.
pub(super) fn list<K: Ord + Clone, T>(
    all: impl IntoIterator<Item = (K, Option<T>)>,
    kind: fn(ObjectEvent<K, T>) -> ClusterEvent,
) -> impl Iterator<Item = ClusterEvent> {
    ObjectEvent::list(all).into_iter().map(kind)
}
