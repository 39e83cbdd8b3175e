//! The outside of the controllers: what their effects lead to on the simulated node, in EC2 and in
//! the Kubernetes API, with the faults of the scenario.

use std::collections::BTreeMap;

use firecamp_controllers::node::{self, Listing, QueryResult, Task};
use firecamp_controllers::publish::{PublishEffect, PublishEvent, Reports, Step, carry_out};
use firecamp_controllers::volumes::{Effect, Event, NodeRead, VolumesReport};
use firecamp_core::failure::{self, CloudFailure, CloudKind, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};
use firecamp_node::kernel::KernelSnapshot;
use firecamp_node::preflight::facts::NodeFacts;
use firecamp_node::volumes::intervals::NODE_EVERY;
use firecamp_node::volumes::observation::{CloudView, ClusterView};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Change, Table, VolumesKind, observe};
use futures_util::FutureExt as _;

use crate::observation::interface_step;
use crate::seed::SeededRng;
use crate::volumes::agent::{Environment, TickReport};
use crate::volumes::scenario::{Fault, Ix, Source};
use crate::volumes::simulated_node::{Names, State};
use crate::volumes::status_writer::{How, Shaky};
use crate::volumes::views::Kernel;

/// A second of a history, and what has happened in it so far.
#[derive(Debug)]
pub(super) struct CurrentSecond<'a> {
    pub(super) second: u64,
    pub(super) env: &'a Environment<'a>,
    pub(super) report: TickReport,
}

/// The outside of one process.
#[derive(Debug)]
pub(super) struct Outside {
    node: NodeName,
    pub(super) rng: SeededRng,
    /// What the publisher has not taken yet.
    pub(super) reports: Reports,
    /// The last report of the volumes.
    pub(super) volumes: VolumesReport,
    /// The volumes that an earlier process published.
    pub(super) published: Option<Table>,
    /// EC2's view of the volumes, until it is observed.
    cloud: Option<CloudView>,
    /// EC2's answer in flight, and when it arrives.
    answer: Option<(u64, node::Event)>,
    /// The kernel has a change to report.
    pub(super) moved: bool,
    /// The wait for a change ends then.
    waits_until: Option<u64>,
    /// The node was read.
    begun: bool,
    /// The volumes of the devices that were read last.
    pub(super) devices: BTreeMap<String, Ix>,
}

impl Outside {
    pub(super) fn new(node: NodeName, rng: SeededRng) -> Self {
        Self {
            node,
            rng,
            reports: Reports::default(),
            volumes: VolumesReport::default(),
            published: None,
            cloud: None,
            answer: None,
            moved: false,
            waits_until: None,
            begun: false,
            devices: BTreeMap::new(),
        }
    }

    /// Whether a fault fires.
    pub(super) fn fires(&mut self, fault: Fault, at: &mut CurrentSecond<'_>) -> bool {
        let rate = if at.env.healing { 0 } else { at.env.scenario.rate(fault) };
        let fires = self.rng.at_rate(rate);
        if fires {
            at.report.fired.push(fault);
        }
        fires
    }

    /// EC2's answer, once it arrives.
    pub(super) fn answer(&mut self, second: u64) -> Option<node::Event> {
        self.answer.take_if(|(arrives, _)| *arrives <= second).map(|(_, event)| event)
    }

    /// The end of the wait for a change, once it has come.
    pub(super) fn change(&mut self, second: u64) -> Option<Event> {
        self.waits_until.take_if(|until| self.moved || *until <= second)?;
        let moved = std::mem::take(&mut self.moved);
        Some(Event::Changed(Ok(if moved { Change::Mounts } else { Change::Nothing })))
    }

    /// The node has no members: only EC2's view of its volumes matters.
    pub(super) fn maintain(
        &mut self,
        effect: node::Effect,
        at: &mut CurrentSecond<'_>,
    ) -> Option<node::Event> {
        match effect {
            node::Effect::ReadKernel { links } => {
                let links = links.then(Vec::new);
                Some(node::Event::KernelRead(Some(KernelSnapshot::default()), links))
            }
            node::Effect::ViewKernel(_) => Some(node::Event::KernelViewed(Vec::new())),
            node::Effect::Start(task) => self.start(&task, at),
            node::Effect::ObserveVolumes(view) => {
                self.cloud = Some(view);
                None
            }
            node::Effect::Publish(facts) => {
                self.reports.facts(facts);
                None
            }
            node::Effect::Notify(notice) => {
                self.reports.notice(notice);
                None
            }
            node::Effect::WriteSnapshot(_)
            | node::Effect::ListEnis { .. }
            | node::Effect::AvoidEnis(_)
            | node::Effect::IdentifyCluster(_)
            | node::Effect::Report(_) => None,
        }
    }

    fn start(&mut self, task: &Task, at: &mut CurrentSecond<'_>) -> Option<node::Event> {
        match task {
            Task::List(_) => Some(node::Event::Listed(Ok(Listing::default()))),
            Task::Identify(_) => Some(node::Event::Identified(Ok(identity(at.env.names)))),
            Task::ReadFiles => Some(node::Event::Files(NodeFacts::default())),
            Task::QueryInterfaces(_) => {
                let query = self.query_ec2(at);
                let result = QueryResult::Interfaces(query.result(Vec::new()));
                self.receive(query.arrives, result, at.second)
            }
            Task::QueryVolumes(_) => {
                at.report.cloud = Some(self.volumes.recheck);
                let query = self.query_ec2(at);
                let lacked: Vec<_> = self.volumes.lacked.iter().cloned().collect();
                let CloudView { attachments, elsewhere, .. } =
                    at.env.node.at(query.shown).cloud(at.env.names, query.arrives, &lacked);
                let result = QueryResult::Volumes(query.result((attachments, elsewhere)));
                self.receive(query.arrives, result, at.second)
            }
            Task::QueryTypeLimits(name) => {
                let query = self.query_ec2(at);
                let name = name.clone();
                let limits = TypeLimits { name, enis: 3, addresses: 10, volumes: None };
                let result = QueryResult::TypeLimits(query.result(limits));
                self.receive(query.arrives, result, at.second)
            }
            Task::Interface(step) => Some(interface_step(step)),
            Task::QueryClaims(_) => Some(node::Event::Claimed(BTreeMap::new())),
            Task::QueryReservations(_)
            | Task::CheckOrphans(..)
            | Task::Adopt(..)
            | Task::Investigate(_)
            | Task::Raise(..)
            | Task::Execute(..) => unreachable!("the node has no addresses: {task:?}"),
        }
    }

    fn query_ec2(&mut self, at: &mut CurrentSecond<'_>) -> Ec2Answer {
        let fails = self.fires(Fault::CloudFails, at)
            | self.fires(Fault::CloudThrottled, at)
            | at.env.is_away(Source::Cloud);
        let stale = self.fires(Fault::CloudStale, at);
        let behind = if stale { self.rng.below(30) } else { 0 };
        let late = self.fires(Fault::CloudLate, at);
        let arrives = at.second + if late { 1 + self.rng.below(10) } else { 0 };
        Ec2Answer { fails, shown: at.second.saturating_sub(behind), arrives }
    }

    /// The answer, if it arrives in this second; otherwise it is in flight.
    fn receive(&mut self, arrives: u64, result: QueryResult, second: u64) -> Option<node::Event> {
        self.answer = Some((arrives, node::Event::Queried(result, Vec::new())));
        self.answer(second)
    }

    /// Performs what the controller of the volumes wants.
    pub(super) fn observe(&mut self, effect: Effect, at: &mut CurrentSecond<'_>) -> Option<Event> {
        match effect {
            Effect::ReadNode => Some(Event::NodeRead(self.read_node(at))),
            Effect::ReadCluster => Some(Event::ClusterRead(self.read_cluster(at))),
            Effect::AwaitChange => {
                self.waits_until = Some(at.second + NODE_EVERY.as_secs());
                self.change(at.second)
            }
            Effect::Report(report) => {
                at.report.table = Some(report.table.clone());
                self.reports.volumes(report.table.clone(), report.pods.clone());
                self.volumes = report;
                None
            }
        }
    }

    fn read_node(&mut self, at: &mut CurrentSecond<'_>) -> NodeRead {
        if !std::mem::replace(&mut self.begun, true) {
            at.report.resumed = self.published.is_some();
        }
        let kernel = self.kernel(at);
        let observed = observe(&kernel, KUBELET).now_or_never();
        let (node, failures) = observed.expect("a simulated kernel answers at once");
        at.report.half = match (node.devices.is_some(), node.mounts.is_some()) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            (true, true) | (false, false) => None,
        };
        if node.devices.is_some() {
            self.devices = devices(&at.env.node.now);
        }
        NodeRead { node, failure: failures.into_iter().next(), cloud: self.cloud.take() }
    }

    fn kernel<'o>(&mut self, at: &mut CurrentSecond<'o>) -> Kernel<'o> {
        let env = at.env;
        let hangs = [VolumesKind::NotResponding, VolumesKind::Refused];
        let mut fails = |fault, side| {
            let fails = self.fires(fault, at) || env.is_away(side);
            fails.then(|| hangs[usize::from(self.rng.once_in(2))])
        };
        let devices = fails(Fault::DevicesFail, Source::Devices);
        let mounts = fails(Fault::MountsFail, Source::Mounts);
        let refuses = self.fires(Fault::SpaceFails, at);
        let refusing = if refuses { self.rng.bits() } else { 0 };
        let noise = self.rng.below(400);
        let (state, names) = (&env.node.now, env.names);
        Kernel { state, names, devices, mounts, refusing, noise }
    }

    fn read_cluster(&mut self, at: &mut CurrentSecond<'_>) -> Result<ClusterView, RegistryFailure> {
        at.report.cluster = true;
        let fails = self.fires(Fault::ClusterFails, at) || at.env.is_away(Source::Api);
        let torn = self.fires(Fault::ClusterTorn, at);
        let lag = if torn { self.rng.below(20) } else { 0 };
        if fails {
            let (kind, effect) = (RegistryKind::Unavailable, failure::Effect::None);
            return Err(RegistryFailure { kind, effect, detail: "unavailable".to_owned() });
        }
        let (node, names) = (at.env.node, at.env.names);
        Ok(node.now.cluster(names, node.at(at.second.saturating_sub(lag))))
    }

    /// Performs what the publisher wants.
    pub(super) fn publish(
        &mut self,
        effect: PublishEffect,
        at: &mut CurrentSecond<'_>,
    ) -> Option<PublishEvent> {
        match effect {
            PublishEffect::Send(step) => Some(self.send(step, at)),
            PublishEffect::PassPublished(volumes) => {
                self.published = Some(volumes);
                None
            }
            PublishEffect::Show(..) | PublishEffect::Emitted(_) | PublishEffect::Failed(..) => None,
        }
    }

    fn send(&mut self, step: Step, at: &mut CurrentSecond<'_>) -> PublishEvent {
        let status_writer = Shaky { status_writer: at.env.status_writer, how: self.how(at) };
        let carried = carry_out(&status_writer, &self.node, &step).now_or_never();
        let result = carried.expect("a simulated API answers at once");
        at.report.steps.push((step, result.is_ok()));
        let jitter = u32::try_from(self.rng.below(65_536)).unwrap_or_default();
        PublishEvent::Ended { result, jitter }
    }

    fn how(&mut self, at: &mut CurrentSecond<'_>) -> How {
        if at.env.is_away(Source::Api) {
            return How::Fails;
        }
        let ways = [
            (Fault::StatusWriterFails, How::Fails),
            (Fault::StatusWriterLost, How::Lost),
            (Fault::StatusWriterConflicts, How::Conflicts),
            (Fault::StatusWriterRefuses, How::Refused),
        ];
        let found = ways.into_iter().find(|(fault, _)| self.fires(*fault, at));
        found.map_or(How::Well, |(_, how)| how)
    }
}

/// How EC2 answers a query.
#[derive(Debug, Clone, Copy)]
struct Ec2Answer {
    fails: bool,
    /// It shows the state of this second.
    shown: u64,
    arrives: u64,
}

impl Ec2Answer {
    fn result<T>(self, shown: T) -> Result<T, CloudFailure> {
        let (kind, effect) = (CloudKind::Transient, failure::Effect::None);
        let failure = CloudFailure { kind, effect, detail: "unavailable".to_owned() };
        if self.fails { Err(failure) } else { Ok(shown) }
    }
}

/// A number from zero to below one.
pub(super) fn fraction(rng: &mut SeededRng) -> f64 {
    f64::from(u16::try_from(rng.below(1_000)).unwrap_or_default()) / 1_000.0
}

fn identity(names: &Names) -> NodeIdentity {
    let eni = Eni {
        id: "eni-0000000a".parse().expect("an ENI"),
        mac: "06:00:00:00:00:01".parse().expect("a MAC"),
        device_index: 0,
        network_card: 0,
        subnet: "subnet-00000001".parse().expect("a subnet"),
        cidr: "10.1.0.0/24".parse().expect("a CIDR"),
        primary_address: [10, 1, 0, 10].into(),
        listed: [].into(),
        prefixes: 0,
    };
    NodeIdentity {
        instance: names.instance.clone(),
        instance_type: "m5.large".to_owned(),
        zone: names.zone.clone(),
        region: "us-east-1".to_owned(),
        enis: Vec::from([eni]),
    }
}

fn devices(state: &State) -> BTreeMap<String, Ix> {
    let shown = state.volumes.iter().filter(|volume| volume.visible_slot().is_some());
    shown.filter_map(|volume| Some((state.device_name(volume)?, volume.ix))).collect()
}
