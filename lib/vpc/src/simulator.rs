//! The simulator: every entry point.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::auth::Keys;
use crate::external_actions::{Act, ActError};
use crate::faults::{FaultError, FaultId, FaultSet, FaultSpec, FaultStatus};
use crate::iam::Policy;
use crate::log::{Call, Commit, Service, Violation};
use crate::logs::Groups;
use crate::model::Topology;
use crate::profile::Profile;
use crate::rng::{SeededRng, key_of};
use crate::route53::Route53;
use crate::spec::{Spec, SpecError};
use crate::timeline::Timeline;
use crate::token_buckets::Buckets;
use crate::view::{ClientView, Credentials, NodeView, SubnetView, Truth};
use crate::wire::{Answer, CallId, Exchange, WireRequest};

mod actual_state;
mod attachment_progress;
mod authorize;
mod background_actors;
mod deliver_response;
mod instance_lifecycle;
mod perform_external_actions;
mod receive_call;
mod scheduled_events;
mod volume_actions;

use scheduled_events::Event;
pub(crate) use volume_actions::{device_names, is_device};

/// The largest numbers of logged calls and of responses that wait to be taken.
const MAX_CALLS: usize = 200_000;
const MAX_ANSWERS: usize = 20_000;

/// Microseconds, the unit of all reported times.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A response that waits to be taken.
#[derive(Debug, Clone)]
struct Ready {
    at: Duration,
    answer: Answer,
}

/// A VPC with its control plane, as one state machine.
///
/// Time never goes backwards: a `now` before the latest one counts as the latest one.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub(crate) topology: Topology,
    pub(crate) profile: Profile,
    pub(crate) rng: SeededRng,
    pub(crate) keys: Keys,
    /// The policy of the nodes' roles; without one, they may do everything.
    node_policy: Option<Policy>,
    /// The wall clock at the start of the simulation, since 1970.
    pub(crate) epoch: Duration,
    pub(crate) now: Duration,
    pub(crate) timeline: Timeline,
    pub(crate) buckets: Buckets,
    pub(crate) faults: FaultSet,
    pub(crate) dns: Route53,
    pub(crate) log_groups: Groups,
    last_call: u64,
    calls: VecDeque<Call>,
    last_event: u64,
    pending: BTreeMap<(Duration, u64), Event>,
    answers: BTreeMap<CallId, Ready>,
    violations: Vec<Violation>,
}

impl Simulator {
    /// A simulator for the spec. `epoch` is the wall clock (time since 1970) at the start of the
    /// simulation; signatures and credentials are checked against it.
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
        let rng = SeededRng::new(seed);
        let (topology, vpc) = crate::spec::build(spec, rng)?;
        let nodes = topology.nodes.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self {
            keys: Keys::new(rng, epoch, &topology.region, nodes),
            node_policy: None,
            timeline: Timeline::new(rng, &profile, &vpc),
            faults: FaultSet::new(rng),
            dns: Route53::new(&spec.zones, rng),
            log_groups: Groups::default(),
            topology,
            profile,
            rng,
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

    /// A request to EC2's API. `hint` is the node or client of its source address, only for the
    /// log: the access key identifies the caller.
    pub fn ec2(&mut self, now: Duration, hint: Option<&str>, request: &WireRequest) -> Exchange {
        self.advance(now);
        self.arrive(hint, request)
    }

    /// A request to the metadata service of this node.
    pub fn imds(&mut self, now: Duration, node: &str, request: &WireRequest) -> Exchange {
        self.advance(now);
        let outcome = crate::imds::serve(self, node, request);
        let seq = self.next_call();
        let latency = self.rng.draw(&self.profile.imds_latency, "imds", seq, key_of(node));
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

    /// Takes the response to a call. `None` if it is not due yet, was taken, or never comes.
    pub fn answer(&mut self, now: Duration, call: CallId) -> Option<Answer> {
        self.advance(now);
        let due = self.answers.get(&call).is_some_and(|ready| ready.at <= self.now);
        if due { self.answers.remove(&call).map(|ready| ready.answer) } else { None }
    }

    /// Applies everything that is due: calls that take effect, data paths that switch, background
    /// actors.
    pub fn advance(&mut self, now: Duration) {
        let until = now.max(self.now);
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > until {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.handle(event);
        }
        self.now = until;
    }

    /// When something next changes without a call. `None`: nothing is scheduled.
    pub fn next_event(&self) -> Option<Duration> {
        self.pending.keys().next().map(|(at, _)| *at)
    }

    /// How often what [`Simulator::data_path`], [`Simulator::nodes`] and [`Simulator::clients`]
    /// show may have changed: it did not between two equal numbers.
    pub fn changes(&self) -> u64 {
        self.timeline.changes()
    }

    /// The ENI that receives the packets of each address now: primary and secondary addresses and
    /// those of prefixes. No ENI receives the packets of an absent address.
    pub fn data_path(&mut self, now: Duration) -> BTreeMap<Ipv4Addr, String> {
        self.advance(now);
        let receiver = |address: &Ipv4Addr| {
            let eni = self.timeline.receiver(*address, self.now)?;
            Some((*address, eni.to_string()))
        };
        self.timeline.owners().keys().filter_map(receiver).collect()
    }

    /// The complete actual state.
    pub fn truth(&mut self, now: Duration) -> Truth {
        self.advance(now);
        self.full_truth()
    }

    /// The nodes in their current state, in the order of the spec.
    pub fn nodes(&self) -> Vec<NodeView> {
        self.node_views()
    }

    /// Whether a node has this name.
    pub fn is_node(&self, name: &str) -> bool {
        self.topology.node(name).is_some()
    }

    /// The clients, in the order of the spec.
    pub fn clients(&self) -> Vec<ClientView> {
        self.client_views()
    }

    /// The subnets, in the order of the spec.
    pub fn subnets(&self) -> Vec<SubnetView> {
        self.subnet_views()
    }

    /// The account, the region and the VPC's ID.
    pub fn place(&self) -> (&str, &str, &str) {
        (&self.topology.account, &self.topology.region, &self.topology.vpc)
    }

    /// The credentials that the metadata service of a node returns now; also `admin` and
    /// `external`, two long-lived keys with all permissions.
    pub fn credentials(&self, caller: &str) -> Option<Credentials> {
        self.keys.of(caller, self.now)
    }

    /// The calls with a number above `since`, in order of arrival.
    pub fn calls(&self, since: u64) -> Vec<Call> {
        self.calls.iter().filter(|call| call.seq > since).cloned().collect()
    }

    /// The commits with a number above `since`, in their total order.
    pub fn commits(&self, since: u64) -> Vec<Commit> {
        self.timeline.commits(since)
    }

    /// Violated invariants. If there is one, the simulator has a bug.
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

    /// The faults that are set, with their counters.
    pub fn fault_list(&self) -> Vec<FaultStatus> {
        self.faults.list()
    }

    /// Clears a fault, or all of them, and returns their final status.
    pub fn fault_clear(
        &mut self,
        now: Duration,
        id: Option<FaultId>,
    ) -> Result<Vec<FaultStatus>, FaultError> {
        self.advance(now);
        self.faults.clear(id)
    }

    /// Performs an action of another party now.
    pub fn act(&mut self, now: Duration, act: &Act) -> Result<(), ActError> {
        self.advance(now);
        self.perform(act, "act")
    }

    pub(crate) fn next_call(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    pub(crate) fn log(&mut self, call: Call) {
        self.calls.push_back(call);
        if self.calls.len() > MAX_CALLS {
            self.calls.pop_front();
        }
    }

    /// Updates the log entry of a call, if it is still kept.
    fn update_log(&mut self, seq: u64, change: impl FnOnce(&mut Call)) {
        let first = self.calls.front().map_or(seq, |call| call.seq);
        let index = usize::try_from(seq.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some(call) = self.calls.get_mut(index).filter(|call| call.seq == seq) {
            change(call);
        }
    }

    pub(crate) fn ready(&mut self, call: CallId, at: Duration, answer: Answer) {
        self.answers.insert(call, Ready { at, answer });
        // Responses that are never taken belong to clients that went away.
        if self.answers.len() > MAX_ANSWERS {
            self.answers.pop_first();
        }
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.last_event += 1;
        self.pending.insert((at.max(self.now), self.last_event), event);
    }
}
