//! The agent of a new node, as far as its interfaces and attaches go: the product's controller
//! decides, and its effects are performed in the simulated VPC. Its kernel stays as it is.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use firecamp_cloud::AwsCloud;
use firecamp_controllers::Controller as _;
use firecamp_controllers::node::{
    CniSettings, Effect, Event, InterfaceRead, InterfaceStep, Listing, NodeController, OwnNode,
    QueryResult, StepEnd, Task, Tick, Wanted,
};
use firecamp_controllers::publish::Facts;
use firecamp_core::agent::slots;
use firecamp_core::choose_interface::EniRule;
use firecamp_core::ids::{EniId, Mac};
use firecamp_core::managed_interface::InterfaceFilter;
use firecamp_core::ports::{Cloud as _, CloudInterfaces as _};
use firecamp_core::time::Moment;
use firecamp_engine::{Queues, Rng};
use firecamp_node::kernel::{KernelSnapshot, ObservedLink};
use firecamp_node::preflight::CloudChecks as _;
use firecamp_node::preflight::facts::{Fact, NodeFacts};
use firecamp_node::volumes::{CloudVolumes as _, Recheck};
use firecamp_registry::api::EniManager;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, sleep};

use super::{MEMBERS_OF_NODE, WITHIN, Zone, node_name};

pub(super) struct Agent {
    pub(super) number: u32,
    pub(super) cloud: AwsCloud,
    pub(super) queues: Queues,
    /// The interfaces that attaches avoid.
    pub(super) avoided: RefCell<BTreeSet<EniId>>,
    /// How many pods were bound to the node.
    bound: Cell<u32>,
    zone: Rc<Zone>,
    /// The MACs of its interfaces, all of which have links.
    macs: RefCell<BTreeSet<Mac>>,
}

/// Runs the agent.
pub(super) async fn run(zone: Rc<Zone>, number: u32) {
    let (name, rng) = (node_name(number), Rng::seeded(u64::from(number)));
    let (queues, calls) = Queues::new(rng.clone());
    let (cloud, sends) = (zone.cluster.node(&name).cloud(), zone.cluster.node(&name).cloud());
    spawn_local(async move { calls.send(&sends).await });
    let (avoided, bound) = (RefCell::default(), Cell::new(0));
    let agent =
        Rc::new(Agent { number, cloud, queues, avoided, bound, zone, macs: RefCell::default() });
    let (node, cluster) = (name.parse().unwrap(), "demo".parse().unwrap());
    let mut controller = NodeController::new(node, cluster, EniRule::Auto, None, rng.part());
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    // The registry is listed at the start.
    let mut events = VecDeque::from([Event::RegistryChanged]);
    loop {
        let now = || Moment(began.elapsed());
        while let Some(event) = events.pop_front() {
            for effect in controller.handle(event, now()) {
                events.extend(agent.perform(effect, &mut tasks));
            }
        }
        let due = controller.next_tick().map_or(Duration::MAX, |due| due.since(now()));
        let tick = Tick { random: rng.part(), volumes: Recheck::Never, offered_volumes: None };
        events.push_back(tokio::select! {
            Some(ended) = tasks.join_next() => ended.unwrap(),
            () = sleep(due) => Event::Tick(tick),
        });
    }
}

impl Agent {
    fn perform(self: &Rc<Self>, effect: Effect, tasks: &mut JoinSet<Event>) -> Option<Event> {
        match effect {
            Effect::ReadKernel { links } => {
                let links = links.then(|| self.links());
                return Some(Event::KernelRead(Some(KernelSnapshot::default()), links));
            }
            Effect::ViewKernel(_) => return Some(Event::KernelViewed(Vec::new())),
            Effect::Start(task) => {
                let agent = Rc::clone(self);
                tasks.spawn_local(async move { agent.start(task).await });
            }
            Effect::AvoidEnis(avoided) => drop(self.avoided.replace(avoided.into_keys().collect())),
            Effect::Publish(facts) => self.schedule(&facts),
            Effect::WriteSnapshot(_)
            | Effect::IdentifyCluster(_)
            | Effect::ListEnis { .. }
            | Effect::ObserveVolumes(_)
            | Effect::Notify(_)
            | Effect::Report(_) => {}
        }
        None
    }

    fn links(&self) -> Vec<ObservedLink> {
        let macs = self.macs.borrow();
        let link = |(index, mac): (u32, &Mac)| ObservedLink {
            name: format!("eth{index}"),
            index,
            mac: *mac,
            up: true,
            bare: false,
        };
        (0..).zip(macs.iter()).map(link).collect()
    }

    /// The scheduler binds pods to the node, as far as it has capacity.
    fn schedule(self: &Rc<Self>, facts: &Facts) {
        let usable = facts.enis.iter().flatten();
        let usable = usable.filter(|one| one.managed_by == EniManager::FireCamp);
        let offered = usable.filter(|one| one.carries == Some(true)).filter_map(|one| {
            // What is listed there, members of this node hold.
            let held = [(one.eni.id.clone(), one.eni.listed.clone())].into();
            Some(slots([&one.eni], one.limit?, &held).capacity())
        });
        let capacity = offered.sum::<u32>().min(MEMBERS_OF_NODE);
        while self.bound.get() < capacity {
            let Some(member) = self.zone.next_pod() else { return };
            self.bound.set(self.bound.get() + 1);
            let (zone, agent) = (Rc::clone(&self.zone), Rc::clone(self));
            spawn_local(async move { zone.start_pod(member, &agent).await });
        }
    }

    async fn start(&self, task: Task) -> Event {
        match task {
            Task::List(_) => {
                let pools = Some(vec![super::pool()]);
                Event::Listed(Ok(Listing { pools, wants_interfaces: true, ..Listing::default() }))
            }
            Task::Identify(unused) => {
                let read = match unused {
                    Some(unused) => self.cloud.poll_identity(&unused).await,
                    None => self.cloud.identity().await,
                };
                let macs = read.iter().flat_map(|read| read.enis.iter().map(|eni| eni.mac));
                let host = &self.zone.cluster.node(&node_name(self.number)).host;
                let macs: Vec<_> = macs.collect();
                self.macs.borrow_mut().extend(macs.iter().copied());
                host.change(|kernel| kernel.links.extend(macs));
                Event::Identified(read)
            }
            Task::ReadFiles => {
                Event::Files(NodeFacts { cni: Fact::Known(None), ..NodeFacts::default() })
            }
            Task::QueryInterfaces(instance) => {
                self.queried(QueryResult::Interfaces(self.cloud.interfaces(&instance).await))
            }
            Task::QueryVolumes(instance) => {
                let read = self.cloud.attachments(&instance).await;
                self.queried(QueryResult::Volumes(read.map(|here| (here, Vec::new()))))
            }
            Task::QueryTypeLimits(name) => {
                self.queried(QueryResult::TypeLimits(self.cloud.type_limits(&name).await))
            }
            Task::Interface(step) => Event::InterfaceStepEnded(self.step(step).await),
            Task::Raise(eni) => Event::Raised(eni.id, Ok(true)),
            // Every address has a record.
            Task::QueryClaims(of) => Event::Claimed(of.into_iter().map(|it| (it, true)).collect()),
            Task::CheckOrphans(found, begun) => {
                let recorded = found.iter().map(|orphan| (orphan.address, true)).collect();
                Event::Orphans(found, recorded, begun)
            }
            other @ (Task::QueryReservations(_)
            | Task::Adopt(..)
            | Task::Investigate(_)
            | Task::Execute(..)) => panic!("not without records of its node: {other:?}"),
        }
    }

    fn queried(&self, result: QueryResult) -> Event {
        Event::Queried(result, self.cloud.clocks())
    }

    /// As the agent performs it.
    async fn step(&self, step: InterfaceStep) -> StepEnd {
        let done = match step {
            InterfaceStep::Read => return StepEnd::Read(Ok(self.read())),
            InterfaceStep::Record(name, record) => {
                self.zone.record(name, record);
                Ok(())
            }
            InterfaceStep::Create(mut stored, request) => {
                let filter = InterfaceFilter::Record(stored.uid.to_string());
                let found = self.cloud.describe_interfaces(&filter).await;
                let created = match found.map(|found| found.into_iter().next()) {
                    Ok(Some(one)) => Ok(one.id),
                    Ok(None) => self.cloud.create_interface(&request, WITHIN).await,
                    Err(why) => Err(why),
                };
                created.map(|eni| {
                    stored.record.eni = Some(eni);
                    self.zone.update(stored);
                })
            }
            InterfaceStep::Attach(eni, instance, index) => {
                self.cloud.attach_interface(&eni, &instance, index, WITHIN).await
            }
            InterfaceStep::Update(next) => {
                self.zone.update(next);
                Ok(())
            }
            InterfaceStep::LiftTaint => Ok(()),
        };
        done.map_or_else(StepEnd::Cloud, |()| StepEnd::Done)
    }

    fn read(&self) -> InterfaceRead {
        let name = node_name(self.number);
        let records = self.zone.interfaces.borrow();
        let own = records.values().filter(|one| one.record.node.as_str() == name);
        let wanted = Wanted {
            policies: vec![Zone::policy()],
            node: OwnNode {
                name: name.parse().unwrap(),
                version: "1".parse().unwrap(),
                labels: [].into(),
                taints: Vec::new(),
                pods: None,
            },
            cluster_uid: "uid-of-cluster".parse().unwrap(),
            cni: CniSettings::default(),
        };
        InterfaceRead { records: own.cloned().collect(), wanted: Some(wanted) }
    }
}
