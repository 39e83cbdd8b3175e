//! A small EC2 and registry, an agent and a leader.

mod acts;
mod instance;
mod leader;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::contract::tag;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, InterfaceName};
use firecamp_core::managed_interface::{NewInterface, NodeInterface, Phase, StoredInterface};
use firecamp_core::record::StaticIp;
use firecamp_core::time::Moment;

use self::instance::Site;
use crate::leader::remove_interfaces::InterfaceRemoval;
use crate::node::managed_interfaces::ManagedInterfaces;
use crate::node::{
    CniSettings, InterfaceRead, InterfaceStep, OwnNode, PoolPolicy, StepEnd, Task, Wanted,
};

/// How far reads of EC2 lag.
const DESCRIBE_LAG: Duration = Duration::from_secs(10);
/// How far the metadata service lags.
const METADATA_LAG: Duration = Duration::from_secs(3);
const LEADER_PASS: u64 = 30;
const INSTANCE: &str = "i-0000000a";
const SUBNET: &str = "subnet-0000000a";

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn address() -> Ipv4Addr {
    [10, 0, 1, 50].into()
}

/// How EC2 treats calls for interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    NoSlot,
    Denied,
    Throttled,
    /// The API server refuses to remove the taint.
    NoUntaint,
}

#[derive(Debug, Clone, PartialEq)]
struct Ec2Interface {
    record: Option<String>,
    index: Option<u32>,
    addresses: BTreeSet<Ipv4Addr>,
}

type Interfaces = BTreeMap<EniId, Ec2Interface>;

pub(super) struct World {
    now: Moment,
    /// The interfaces in EC2, each time that they changed.
    history: Vec<(Moment, Interfaces)>,
    /// The request with each token, and the interface that it created, even if that is deleted.
    tokens: BTreeMap<String, (NewInterface, EniId)>,
    alive: bool,
    /// The Node is not ready, and EC2 calls its instance gone, although it runs.
    hidden: bool,
    reserved: bool,
    /// Whether a pool wants interfaces.
    wanted: bool,
    fate: Fate,
    records: BTreeMap<InterfaceName, StoredInterface>,
    /// Versions and UIDs so far.
    issued: u32,
    addresses: BTreeMap<Ipv4Addr, StaticIp>,
    tainted: bool,
    agent: ManagedInterfaces,
    agent_began: Moment,
    /// The agent does nothing.
    agent_hangs: bool,
    leader: InterfaceRemoval,
    site: Site,
    crashes: Vec<u32>,
    boundaries: u32,
    calls: Vec<&'static str>,
    lost: bool,
    /// An interface was detached while it had an address or was to get one.
    detached_in_use: bool,
}

/// The process ended at a boundary.
struct Crashed;

impl World {
    pub(super) fn new(crashes: &[u32]) -> Self {
        let foreign = Ec2Interface {
            record: Some("another-clusters".to_owned()),
            index: None,
            addresses: BTreeSet::new(),
        };
        Self {
            now: Moment::default(),
            history: vec![(Moment::default(), [(parsed("eni-0000ffff"), foreign)].into())],
            tokens: BTreeMap::new(),
            alive: true,
            hidden: false,
            reserved: false,
            wanted: true,
            fate: Fate::Well,
            records: BTreeMap::new(),
            issued: 0,
            addresses: BTreeMap::new(),
            tainted: true,
            agent: agent(true),
            agent_began: Moment::default(),
            agent_hangs: false,
            leader: InterfaceRemoval::default(),
            site: Site::new(),
            crashes: crashes.to_vec(),
            boundaries: 0,
            calls: Vec::new(),
            lost: false,
            detached_in_use: false,
        }
    }

    pub(super) fn run(&mut self, length: Duration) {
        for _second in 0..length.as_secs() {
            self.now = self.now.plus(Duration::from_secs(1));
            // A step that ends leads to the next one at once.
            for _step in 0..8 {
                match self.agent_step() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(Crashed) => self.restart_agent(),
                }
            }
            if self.now.0.as_secs().is_multiple_of(LEADER_PASS) && self.leader_pass().is_err() {
                self.leader = InterfaceRemoval::default();
            }
        }
    }

    fn boundary(&mut self) -> Result<(), Crashed> {
        let here = self.boundaries;
        self.boundaries += 1;
        if self.crashes.contains(&here) { Err(Crashed) } else { Ok(()) }
    }

    fn enis(&self) -> &Interfaces {
        &self.history.last().unwrap().1
    }

    /// How many changes a read that lags so far shows.
    fn seen_changes(&self, lag: Duration) -> usize {
        let then = Moment(self.now.0.saturating_sub(lag));
        self.history.iter().rposition(|(at, _)| *at <= then).unwrap_or(0)
    }

    fn seen(&self, lag: Duration) -> &Interfaces {
        &self.history[self.seen_changes(lag)].1
    }

    fn change(&mut self, change: impl FnOnce(&mut Interfaces)) {
        let mut enis = self.enis().clone();
        change(&mut enis);
        self.history.push((self.now, enis));
    }

    /// Whether a step was due.
    fn agent_step(&mut self) -> Result<bool, Crashed> {
        if !self.alive || self.agent_hangs {
            return Ok(false);
        }
        self.identify();
        let age = Moment(self.now.since(self.agent_began));
        let due = self.agent.due(&self.site.inputs(), age);
        let Some(Task::Interface(step)) = due else { return Ok(false) };
        let end = self.perform(step)?;
        self.agent.ended(end, age);
        Ok(true)
    }

    fn perform(&mut self, step: InterfaceStep) -> Result<StepEnd, Crashed> {
        if step == InterfaceStep::Read {
            self.calls.push("read");
        } else {
            self.boundary()?;
        }
        let end = match step {
            InterfaceStep::Read => return Ok(StepEnd::Read(Ok(self.read()))),
            InterfaceStep::Record(name, record) => {
                let version = self.issue();
                let uid = parsed(&format!("uid-{version}"));
                let version = parsed(&version.to_string());
                let stored = StoredInterface { name: name.clone(), uid, version, record };
                self.records.entry(name).or_insert(stored);
                StepEnd::Done
            }
            InterfaceStep::Create(stored, request) => match self.create(&request) {
                Ok(eni) => {
                    self.boundary()?;
                    let mut next = stored;
                    next.record.eni = Some(eni);
                    self.update(&next)
                }
                Err(why) => StepEnd::Cloud(why),
            },
            InterfaceStep::Attach(eni, _instance, index) => match self.attach(&eni, index) {
                Ok(()) => StepEnd::Done,
                Err(why) => StepEnd::Cloud(why),
            },
            InterfaceStep::Update(next) => self.update(&next),
            InterfaceStep::LiftTaint if self.fate == Fate::NoUntaint => {
                self.calls.push("untaint");
                StepEnd::Registry(conflict())
            }
            InterfaceStep::LiftTaint => {
                self.tainted = false;
                StepEnd::Done
            }
        };
        self.boundary()?;
        Ok(end)
    }

    fn read(&self) -> InterfaceRead {
        let policy = PoolPolicy {
            pool: parsed("pool"),
            subnets: [(parsed(SUBNET), parsed("us-east-1a"))].into(),
            node_selector: BTreeMap::new(),
            groups: BTreeSet::new(),
            maximum: 1,
        };
        let node = OwnNode {
            name: parsed("n1"),
            version: parsed("1"),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            pods: Some(29),
        };
        InterfaceRead {
            records: self.records.values().cloned().collect(),
            wanted: self.wanted.then(|| Wanted {
                policies: vec![policy],
                node,
                cluster_uid: parsed("uid-of-cluster"),
                cni: CniSettings::default(),
            }),
        }
    }

    fn issue(&mut self) -> u32 {
        self.issued += 1;
        self.issued
    }

    fn update(&mut self, next: &StoredInterface) -> StepEnd {
        let version = parsed(&self.issue().to_string());
        let stored = self.records.get_mut(&next.name).filter(|it| it.version == next.version);
        match stored {
            Some(stored) => {
                *stored = StoredInterface { version, ..next.clone() };
                StepEnd::Done
            }
            None => StepEnd::Registry(conflict()),
        }
    }

    fn create(&mut self, request: &NewInterface) -> Result<EniId, CloudFailure> {
        self.calls.push("CreateNetworkInterface");
        match self.fate {
            Fate::Denied => return Err(failure(CloudKind::Auth)),
            Fate::Throttled => return Err(failure(CloudKind::Throttled)),
            Fate::Well | Fate::NoSlot | Fate::NoUntaint => {}
        }
        if let Some((first, id)) = self.tokens.get(&request.token) {
            let exists = self.enis().contains_key(id);
            let why = if first == request { CloudKind::NotFound } else { CloudKind::Unknown };
            return if exists && first == request { Ok(id.clone()) } else { Err(failure(why)) };
        }
        let id: EniId = parsed(&format!("eni-{:08x}", self.history.len()));
        let record = request.tags.iter().find(|(key, _)| key == tag::INTERFACE);
        let made = Ec2Interface {
            record: record.map(|(_, value)| value.clone()),
            index: None,
            addresses: BTreeSet::new(),
        };
        self.tokens.insert(request.token.clone(), (request.clone(), id.clone()));
        self.change(|enis| drop(enis.insert(id.clone(), made)));
        Ok(id)
    }

    fn attach(&mut self, eni: &EniId, index: u32) -> Result<(), CloudFailure> {
        self.calls.push("AttachNetworkInterface");
        if self.fate == Fate::NoSlot {
            return Err(failure(CloudKind::AttachmentLimitExceeded));
        }
        let one = self.enis().get(eni).ok_or_else(|| failure(CloudKind::NotFound))?;
        if one.index.is_some() {
            return Err(failure(CloudKind::InterfaceInUse));
        }
        self.change(|enis| enis.get_mut(eni).unwrap().index = Some(index));
        Ok(())
    }

    fn is_named(&self, eni: &EniId) -> bool {
        self.addresses.values().any(|record| record.may_be_on(eni))
    }

    fn made(&self) -> Option<EniId> {
        let foreign: EniId = parsed("eni-0000ffff");
        self.enis().keys().find(|id| **id != foreign).cloned()
    }

    pub(super) fn fate(&mut self, fate: Fate) {
        self.fate = fate;
    }

    pub(super) fn boundaries(&self) -> u32 {
        self.boundaries
    }

    pub(super) fn records(&self) -> Vec<&NodeInterface> {
        self.records.values().map(|one| &one.record).collect()
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        self.records.values().map(|one| one.record.phase).collect()
    }

    /// How many of this cluster's interfaces EC2 has.
    pub(super) fn ours(&self) -> usize {
        self.enis().len() - usize::from(self.is_foreign_intact())
    }

    pub(super) fn is_foreign_intact(&self) -> bool {
        self.enis().get(&parsed::<EniId>("eni-0000ffff")).is_some_and(|one| one.index.is_none())
    }

    pub(super) fn lost_an_address(&self) -> bool {
        self.lost
    }

    pub(super) fn has_detached_in_use(&self) -> bool {
        self.detached_in_use
    }

    pub(super) fn is_taint_lifted(&self) -> bool {
        !self.tainted
    }

    /// The calls that changed EC2.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.calls.iter().copied().filter(|one| one.ends_with("Interface")).collect()
    }

    pub(super) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|one| **one == call).count()
    }

    pub(super) fn static_ip(&self, address: Ipv4Addr) -> &StaticIp {
        &self.addresses[&address]
    }
}

/// An agent that has listed the pools.
fn agent(wanted: bool) -> ManagedInterfaces {
    let mut agent = ManagedInterfaces::new();
    agent.pools(wanted, Moment::default());
    agent
}

fn conflict() -> RegistryFailure {
    RegistryFailure {
        kind: RegistryKind::Conflict,
        effect: Effect::None,
        detail: "changed".to_owned(),
    }
}

fn failure(kind: CloudKind) -> CloudFailure {
    CloudFailure { kind, effect: Effect::None, detail: format!("{kind:?}") }
}
