//! A node, its controller of what is published, and an API, second by second.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::Controller as _;
use firecamp_controllers::publish::facts::{AddressFact, EniFact};
use firecamp_controllers::publish::{
    Facts, Notice, PublishController, PublishEffect, PublishEvent, PublishTick, Reports, Step,
    Subject, carry_out,
};
use firecamp_core::agent::ResourceList;
use firecamp_core::ids::{EniId, Epoch, NodeName, PodUid, ResourceName};
use firecamp_core::node_identity::Eni;
use firecamp_core::record::{Attachment, State, StaticIp};
use firecamp_core::time::Moment;
use firecamp_node::volumes::Table;
use firecamp_registry::api::{AddressStatus, Condition, EniManager, NodeAttachmentsStatus};
use firecamp_testkit::sim::{FaultyStatusWriter, Script, SimStatusWriter};
use tokio::runtime::Runtime;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);
pub(crate) const IP: Subject = Subject::StaticIp(ADDRESS);
pub(crate) const MINUTE: u64 = 60;

pub(crate) fn name() -> NodeName {
    "node-1".parse().unwrap()
}

pub(crate) fn eni_id() -> EniId {
    "eni-0000000a".parse().unwrap()
}

/// A record of this node, at this epoch.
pub(crate) fn record(epoch: u64, state: State) -> StaticIp {
    StaticIp {
        address: ADDRESS,
        pool: "redis".parse().unwrap(),
        subnet: "subnet-0000000a".parse().unwrap(),
        cidr: "10.0.1.0/24".parse().unwrap(),
        zone: "us-east-1a".parse().unwrap(),
        member: "prod/redis-0".parse().unwrap(),
        epoch: Epoch(epoch),
        attachment: Some(Attachment {
            state,
            pod: PodUid::new("pod-1").unwrap(),
            node: name(),
            eni: Some(eni_id()),
            run: "run-1".parse().unwrap(),
            served: true,
        }),
        reserved_on: Some(eni_id()),
        pending_mutations: BTreeSet::new(),
    }
}

pub(crate) fn fact(record: StaticIp) -> AddressFact {
    let (in_kernel, in_ec2) = (Some(true), Some(true));
    AddressFact { record, in_kernel, in_ec2, foreign: None, failing: None, evictable: false }
}

pub(crate) fn eni(listed: &[Ipv4Addr]) -> EniFact {
    EniFact {
        eni: Eni {
            id: eni_id(),
            mac: "02:00:00:00:00:0a".parse().unwrap(),
            device_index: 1,
            network_card: 0,
            subnet: "subnet-0000000a".parse().unwrap(),
            cidr: "10.0.1.0/24".parse().unwrap(),
            primary_address: [10, 0, 1, 10].into(),
            listed: listed.iter().copied().collect(),
            prefixes: 0,
        },
        limit: Some(10),
        link: Some("ens6".to_owned()),
        managed_by: EniManager::FireCamp,
        carries: Some(true),
        resource: ResourceName::default(),
    }
}

/// One address, attached, and all is well.
pub(crate) fn healthy_facts() -> Facts {
    Facts {
        instance: Some("i-0000000a".parse().unwrap()),
        zone: Some("us-east-1a".parse().unwrap()),
        enis: Some(vec![eni(&[ADDRESS])]),
        addresses: Some(vec![fact(record(1, State::Attached))]),
        requested: Some(ResourceList::new()),
        volumes: Some(Table::default()),
        ..Facts::new(name())
    }
}

pub(crate) struct Node {
    pub(crate) api: SimStatusWriter,
    controller: PublishController,
    pub(crate) facts: Facts,
    pub(crate) second: u64,
    pub(crate) failures: u32,
    /// How often it evaluated facts.
    pub(crate) takes: u32,
    notices: Vec<Notice>,
    script: Script,
}

impl Node {
    /// A node of a cluster, with this much broken.
    pub(crate) fn with(facts: Facts, script: Script) -> Self {
        let api = SimStatusWriter::default();
        api.add_node("uid-1");
        for fact in facts.addresses.iter().flatten() {
            api.set_static_ip(&fact.record);
        }
        let (controller, notices) = (PublishController::new(name()), Vec::new());
        Self { api, controller, facts, second: 0, failures: 0, takes: 0, notices, script }
    }

    pub(crate) fn new(facts: Facts) -> Self {
        Self::with(facts, Script::new())
    }

    /// The same node and API after a restart of the agent.
    pub(crate) fn restart(&mut self) {
        self.controller = PublishController::new(name());
    }

    /// The record of the address changes.
    pub(crate) fn set_record(&mut self, record: StaticIp) {
        self.api.set_static_ip(&record);
        self.facts.addresses = Some(vec![fact(record)]);
    }

    pub(crate) fn address(&mut self) -> &mut AddressFact {
        &mut self.facts.addresses.as_mut().unwrap()[0]
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(Duration::from_secs(self.second))
    }

    /// An operation has done something.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// What was reported in the last second.
    fn reports(&mut self) -> Reports {
        let mut reports = Reports::default();
        let Facts { volumes, pods, .. } = self.facts.clone();
        reports.facts(Facts { volumes: None, pods: None, ..self.facts.clone() });
        if let Some(table) = volumes {
            reports.volumes(table, pods);
        }
        for notice in self.notices.drain(..) {
            reports.notice(notice);
        }
        reports
    }

    pub(crate) fn run(&mut self, seconds: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for _ in 0..seconds {
            let (now, timestamp) = (self.now(), timestamp(self.second));
            let tick = Box::new(PublishTick { reports: self.reports(), timestamp });
            let mut event = Some(PublishEvent::Tick(tick));
            while let Some(happened) = event.take() {
                for effect in self.controller.handle(happened, now) {
                    if let PublishEffect::Send(step) = &effect {
                        event = Some(self.send(step, &runtime));
                    }
                    self.takes += u32::from(matches!(effect, PublishEffect::Show(..)));
                    self.failures += u32::from(matches!(effect, PublishEffect::Failed(..)));
                }
            }
            self.second += 1;
        }
    }

    fn send(&self, step: &Step, runtime: &Runtime) -> PublishEvent {
        let status_writer = FaultyStatusWriter::new(self.api.clone(), self.script.clone());
        let result = runtime.block_on(carry_out(&status_writer, &name(), step));
        PublishEvent::Ended { result, jitter: 7 }
    }

    pub(crate) fn published(&self) -> NodeAttachmentsStatus {
        self.api.attachments().unwrap().status
    }

    pub(crate) fn row(&self) -> AddressStatus {
        self.published().addresses[0].clone()
    }

    /// `True Attached`: status and reason of a condition of the static IP.
    pub(crate) fn condition(&self, kind: &str) -> String {
        shown(&self.api.conditions(&IP), kind)
    }

    /// The same of the node.
    pub(crate) fn node_condition(&self, kind: &str) -> String {
        shown(&self.published().conditions, kind)
    }

    pub(crate) fn reasons(&self) -> Vec<&'static str> {
        self.api.events().iter().map(|event| event.reason).collect()
    }
}

pub(crate) fn timestamp(second: u64) -> String {
    let (hours, minutes, seconds) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("2026-11-20T{hours:02}:{minutes:02}:{seconds:02}Z")
}

fn shown(all: &[Condition], kind: &str) -> String {
    let found: Vec<_> = all.iter().filter(|one| one.kind == kind).collect();
    assert_eq!(found.len(), 1, "{kind} in {all:?}");
    format!("{} {}", found[0].status, found[0].reason)
}
