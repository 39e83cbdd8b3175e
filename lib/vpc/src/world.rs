//! The world: every entry point.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::act::{Act, ActError};
use crate::faults::{FaultError, FaultId, FaultSpec, FaultStatus};
use crate::log::{Call, Commit, Violation};
use crate::profile::Profile;
use crate::spec::{Spec, SpecError};
use crate::view::{ClientView, Credentials, NodeView, SubnetView, Truth};
use crate::wire::{Answer, CallId, Exchange, WireRequest};

/// A VPC with its control plane, as one state machine.
///
/// Time never goes backwards: a `now` before the latest one counts as the latest one.
#[derive(Debug, Clone)]
pub struct World {}

impl World {
    /// A world as the spec describes it. `epoch` is the wall clock (time since 1970) at the
    /// world's time zero; signatures and credentials are checked against it.
    pub fn new(
        spec: &Spec,
        profile: Profile,
        seed: u64,
        epoch: Duration,
    ) -> Result<Self, SpecError> {
        let _ = (spec, profile, seed, epoch);
        Ok(Self {})
    }

    /// One request to EC2's API. `hint` is the node or client that its source address belongs to,
    /// for the log only: who calls is decided by the access key.
    pub fn ec2(&mut self, now: Duration, hint: Option<&str>, request: &WireRequest) -> Exchange {
        let _ = (hint, request);
        Exchange { call: CallId(0), respond_at: Some(now) }
    }

    /// One request to the metadata service of this node.
    pub fn imds(&mut self, now: Duration, node: &str, request: &WireRequest) -> Exchange {
        let _ = (node, request);
        Exchange { call: CallId(0), respond_at: Some(now) }
    }

    /// Takes the answer to a call. `None` if it is not due yet, was taken, or never comes.
    pub fn answer(&mut self, now: Duration, call: CallId) -> Option<Answer> {
        let _ = (now, call);
        None
    }

    /// Applies everything that is due: calls that land, data paths that switch, thieves.
    pub fn advance(&mut self, now: Duration) {
        let _ = now;
    }

    /// When something changes next without a call. `None`: nothing is scheduled.
    pub fn next_event(&self) -> Option<Duration> {
        None
    }

    /// Which ENI receives the packets for each address now: primary and secondary addresses and
    /// those of prefixes. An address that is absent is received by nobody.
    pub fn data_path(&mut self, now: Duration) -> BTreeMap<Ipv4Addr, String> {
        let _ = now;
        BTreeMap::new()
    }

    /// The truth about everything.
    pub fn truth(&mut self, now: Duration) -> Truth {
        Truth {
            now_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            addresses: Vec::new(),
            nodes: Vec::new(),
            clients: Vec::new(),
            subnets: Vec::new(),
            buckets: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// The nodes, as they are now, in the order of the spec.
    pub fn nodes(&self) -> Vec<NodeView> {
        Vec::new()
    }

    /// The clients, in the order of the spec.
    pub fn clients(&self) -> Vec<ClientView> {
        Vec::new()
    }

    /// The subnets, in the order of the spec.
    pub fn subnets(&self) -> Vec<SubnetView> {
        Vec::new()
    }

    /// The credentials that the metadata service of a node gives out now; also `admin` and
    /// `thief`, two long-lived keys that may do everything.
    pub fn credentials(&self, caller: &str) -> Option<Credentials> {
        let _ = caller;
        None
    }

    /// The calls with a number above `since`, in the order of their arrival.
    pub fn calls(&self, since: u64) -> Vec<Call> {
        let _ = since;
        Vec::new()
    }

    /// The commits with a number above `since`, in the one order of all changes.
    pub fn commits(&self, since: u64) -> Vec<Commit> {
        let _ = since;
        Vec::new()
    }

    /// States that EC2 never gets into. A test that finds one has found a fault in the simulator.
    pub fn violations(&self) -> &[Violation] {
        &[]
    }

    /// Sets a fault.
    pub fn fault_set(&mut self, now: Duration, spec: FaultSpec) -> Result<FaultId, FaultError> {
        let _ = (now, spec);
        Ok(FaultId(0))
    }

    /// The faults that are set, with how often each fired.
    pub fn fault_list(&self) -> Vec<FaultStatus> {
        Vec::new()
    }

    /// Clears a fault, or all of them, and gives what they did.
    pub fn fault_clear(
        &mut self,
        now: Duration,
        id: Option<FaultId>,
    ) -> Result<Vec<FaultStatus>, FaultError> {
        let _ = (now, id);
        Ok(Vec::new())
    }

    /// Lets somebody else do something now.
    pub fn act(&mut self, now: Duration, act: &Act) -> Result<(), ActError> {
        let _ = (now, act);
        Ok(())
    }
}
