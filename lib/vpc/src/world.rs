//! The world: every entry point.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::act::{Act, ActError};
use crate::auth::Keys;
use crate::buckets::Buckets;
use crate::chance::{Chance, key_of};
use crate::faults::{Book, FaultError, FaultId, FaultSpec, FaultStatus};
use crate::log::{Call, Commit, Service, Violation};
use crate::model::Ground;
use crate::profile::Profile;
use crate::spec::{Spec, SpecError};
use crate::timeline::Timeline;
use crate::view::{ClientView, Credentials, NodeView, SubnetView, Truth};
use crate::wire::{Answer, CallId, Exchange, WireRequest};

mod acting;
mod actors;
mod arrival;
mod delivery;
mod landing;
mod power;
mod progress;
mod storage;
mod truth;

use landing::Event;
pub(crate) use storage::{device_names, is_device};

/// Calls that the log keeps, and answers that wait to be taken.
const MAX_CALLS: usize = 200_000;
const MAX_ANSWERS: usize = 20_000;

/// Microseconds, as everything is shown in.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// An answer that waits.
#[derive(Debug, Clone)]
struct Ready {
    at: Duration,
    answer: Answer,
}

/// A VPC with its control plane, as one state machine.
///
/// Time never goes backwards: a `now` before the latest one counts as the latest one.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) ground: Ground,
    pub(crate) profile: Profile,
    pub(crate) chance: Chance,
    pub(crate) keys: Keys,
    /// The wall clock at time zero, since 1970.
    pub(crate) epoch: Duration,
    pub(crate) now: Duration,
    pub(crate) timeline: Timeline,
    pub(crate) buckets: Buckets,
    pub(crate) faults: Book,
    last_call: u64,
    calls: VecDeque<Call>,
    last_event: u64,
    pending: BTreeMap<(Duration, u64), Event>,
    answers: BTreeMap<CallId, Ready>,
    violations: Vec<Violation>,
}

impl World {
    /// A world as the spec describes it. `epoch` is the wall clock (time since 1970) at the
    /// world's time zero; signatures and credentials are checked against it.
    pub fn new(
        spec: &Spec,
        profile: Profile,
        seed: u64,
        epoch: Duration,
    ) -> Result<Self, SpecError> {
        profile.check().map_err(|error| SpecError::Field {
            field: format!("profile.{}", error.field),
            problem: error.problem,
        })?;
        let chance = Chance::new(seed);
        let (ground, ledger) = crate::spec::build(spec, chance)?;
        let nodes = ground.nodes.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self {
            keys: Keys::new(chance, epoch, &ground.region, nodes),
            timeline: Timeline::new(chance, &profile, &ledger),
            faults: Book::new(chance),
            ground,
            profile,
            chance,
            epoch,
            now: Duration::ZERO,
            buckets: Buckets::default(),
            last_call: 0,
            calls: VecDeque::new(),
            last_event: 0,
            pending: BTreeMap::new(),
            answers: BTreeMap::new(),
            violations: Vec::new(),
        })
    }

    /// One request to EC2's API. `hint` is the node or client that its source address belongs to,
    /// for the log only: who calls is decided by the access key.
    pub fn ec2(&mut self, now: Duration, hint: Option<&str>, request: &WireRequest) -> Exchange {
        self.advance(now);
        self.arrive(hint, request)
    }

    /// One request to the metadata service of this node.
    pub fn imds(&mut self, now: Duration, node: &str, request: &WireRequest) -> Exchange {
        self.advance(now);
        let outcome = crate::imds::serve(self, node, request);
        let seq = self.next_call();
        let latency = self.chance.draw(&self.profile.imds_latency, "imds", seq, key_of(node));
        let respond_at = outcome.response.as_ref().map(|_| self.now + latency);
        let mutating = false;
        self.log(Call {
            seq,
            at_us: micros(self.now),
            service: Service::Imds,
            caller: node.to_owned(),
            action: format!("{} {}", request.method, request.path()),
            app: request.app(),
            parameters: BTreeMap::new(),
            request_id: String::new(),
            landed_at_us: respond_at.map(|_| micros(self.now)),
            status: outcome.response.as_ref().map(|response| response.status),
            code: None,
            message: None,
            answered_at_us: respond_at.map(micros),
            delivery: if respond_at.is_some() { "answered" } else { "silence" },
            mutating,
            committed: false,
            faults: outcome.faults,
        });
        if let (Some(response), Some(at)) = (outcome.response, respond_at) {
            self.ready(CallId(seq), at, Answer::Respond(response));
        }
        Exchange { call: CallId(seq), respond_at }
    }

    /// Takes the answer to a call. `None` if it is not due yet, was taken, or never comes.
    pub fn answer(&mut self, now: Duration, call: CallId) -> Option<Answer> {
        self.advance(now);
        let due = self.answers.get(&call).is_some_and(|ready| ready.at <= self.now);
        if due { self.answers.remove(&call).map(|ready| ready.answer) } else { None }
    }

    /// Applies everything that is due: calls that land, data paths that switch, thieves.
    pub fn advance(&mut self, now: Duration) {
        let until = now.max(self.now);
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = until;
    }

    /// When something changes next without a call. `None`: nothing is scheduled.
    pub fn next_event(&self) -> Option<Duration> {
        self.pending.keys().next().map(|(at, _)| *at)
    }

    /// Which ENI receives the packets for each address now: primary and secondary addresses and
    /// those of prefixes. An address that is absent is received by nobody.
    pub fn data_path(&mut self, now: Duration) -> BTreeMap<Ipv4Addr, String> {
        self.advance(now);
        let receiver = |address: &Ipv4Addr| {
            let eni = self.timeline.receiver(*address, self.now)?;
            Some((*address, eni.to_string()))
        };
        self.timeline.owners().keys().filter_map(receiver).collect()
    }

    /// The truth about everything.
    pub fn truth(&mut self, now: Duration) -> Truth {
        self.advance(now);
        self.whole_truth()
    }

    /// The nodes, as they are now, in the order of the spec.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.node_views()
    }

    /// The clients, in the order of the spec.
    pub fn clients(&self) -> Vec<ClientView> {
        self.client_views()
    }

    /// The subnets, in the order of the spec.
    pub fn subnets(&self) -> Vec<SubnetView> {
        self.subnet_views()
    }

    /// The account, the region and the VPC's id.
    pub fn place(&self) -> (&str, &str, &str) {
        (&self.ground.account, &self.ground.region, &self.ground.vpc)
    }

    /// The credentials that the metadata service of a node gives out now; also `admin` and
    /// `thief`, two long-lived keys that may do everything.
    pub fn credentials(&self, caller: &str) -> Option<Credentials> {
        self.keys.of(caller, self.now)
    }

    /// The calls with a number above `since`, in the order of their arrival.
    pub fn calls(&self, since: u64) -> Vec<Call> {
        self.calls.iter().filter(|call| call.seq > since).cloned().collect()
    }

    /// The commits with a number above `since`, in the one order of all changes.
    pub fn commits(&self, since: u64) -> Vec<Commit> {
        self.timeline.commits(since)
    }

    /// States that EC2 never gets into. A test that finds one has found a fault in the simulator.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Sets a fault.
    pub fn fault_set(&mut self, now: Duration, spec: FaultSpec) -> Result<FaultId, FaultError> {
        self.advance(now);
        self.check_names(&spec.fault)?;
        let actor = spec.clone();
        let id = self.faults.set(self.now, spec)?;
        self.start_actor(id, &actor);
        Ok(id)
    }

    /// The faults that are set, with how often each fired.
    pub fn fault_list(&self) -> Vec<FaultStatus> {
        self.faults.list()
    }

    /// Clears a fault, or all of them, and gives what they did.
    pub fn fault_clear(
        &mut self,
        now: Duration,
        id: Option<FaultId>,
    ) -> Result<Vec<FaultStatus>, FaultError> {
        self.advance(now);
        self.faults.clear(id)
    }

    /// Lets somebody else do something now.
    pub fn act(&mut self, now: Duration, act: &Act) -> Result<(), ActError> {
        self.advance(now);
        self.perform(act, "act")
    }

    fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    fn log(&mut self, call: Call) {
        self.calls.push_back(call);
        if self.calls.len() > MAX_CALLS {
            self.calls.pop_front();
        }
    }

    /// Changes the record of a call, as long as it is kept.
    fn relog(&mut self, seq: u64, change: impl FnOnce(&mut Call)) {
        let first = self.calls.front().map_or(seq, |call| call.seq);
        let index = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some(call) = self.calls.get_mut(index).filter(|call| call.seq == seq) {
            change(call);
        }
    }

    fn ready(&mut self, call: CallId, at: Duration, answer: Answer) {
        self.answers.insert(call, Ready { at, answer });
        // Answers that nobody takes belong to clients that went away.
        if self.answers.len() > MAX_ANSWERS {
            self.answers.pop_first();
        }
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.last_event += 1;
        self.pending.insert((at.max(self.now), self.last_event), event);
    }
}
