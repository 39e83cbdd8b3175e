//! The events of a demo. `--json` prints one per line; all other output is derived from them. Times
//! are microseconds since the start of the simulated VPC.
//!
//! Stable: fields may be added but never change their meaning.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::args::Profile;
use crate::{fixture, format};

/// The agent's name in the User-Agent of its EC2 calls.
const AGENT: &str = "firecamp-agent";

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The VPC is up.
    Began(Began),
    /// A step begins.
    StepBegan {
        /// When.
        at_us: u64,
        /// Its number, from 1.
        step: u8,
        /// Its title.
        title: String,
        /// What it shows.
        story: String,
    },
    /// A note.
    Note {
        /// When.
        at_us: u64,
        /// The step.
        step: u8,
        /// The text.
        text: String,
    },
    /// A process of a pod has exited, or a server has started to listen.
    Ran(Ran),
    /// A step has ended.
    StepEnded(Box<StepResult>),
    /// The run has ended.
    Ended(Box<Summary>),
}

/// The environment of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// When.
    pub at_us: u64,
    /// The version of FireCamp.
    pub version: String,
    /// The latency profile of EC2.
    pub profile: Profile,
    /// `debug` or `release`: how the containers were built.
    pub build: String,
    /// The seed.
    pub seed: u64,
    /// The member, as NAMESPACE/NAME.
    pub member: String,
    /// The pool with its ranges.
    pub pool: String,
    /// The nodes.
    pub nodes: Vec<Place>,
    /// The client.
    pub client: Place,
    /// The interval between attempts of the client.
    pub every_ms: u64,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its primary address.
    pub address: Ipv4Addr,
}

/// The process of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The init container.
    Init,
    /// The stop container.
    Stop,
    /// The network of a pod, until it has its own address.
    Sandbox,
    /// The member's server, from its start until it listens.
    ServerStart,
    /// The member's server, from its SIGTERM or SIGKILL until its exit.
    ServerEnd,
}

impl Role {
    /// As text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Stop => "stop",
            Self::Sandbox => "sandbox",
            Self::ServerStart => "start",
            Self::ServerEnd => "end",
        }
    }
}

/// One process of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The step.
    pub step: u8,
    /// The process.
    pub role: Role,
    /// The UID of the pod.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// When it was started or, for a stop, signalled.
    pub from_us: u64,
    /// When the program itself began; the time before is for starting the container.
    pub began_us: u64,
    /// When it ended.
    pub to_us: u64,
    /// The exit code, if a process exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// Its termination message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// What an init container could do, and what it asked of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Its user ID in the box.
    pub uid: u32,
    /// The number of its capabilities.
    pub capabilities: u32,
    /// Whether a program that it executes can have more.
    pub can_gain: bool,
    /// The number of its calls to EC2, which need credentials.
    pub calls: usize,
}

impl Privileges {
    /// Whether there are none.
    pub fn none(self) -> bool {
        self.capabilities == 0 && !self.can_gain && self.calls == 0
    }
}

/// The kind of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// First start of the member.
    First,
    /// Restart on the same node.
    SameNode,
    /// Another program removes the address from the node's kernel.
    Stripped,
    /// The agent of the member's node restarts.
    AgentRestarted,
    /// Clean move to another node.
    Moved,
    /// Start on another node after a crash.
    Crashed,
    /// A late stop of a superseded pod.
    Zombie,
    /// Start on another node after a node failure.
    NodeDied,
    /// The failed node is up again.
    NodeReturned,
    /// Release at scale-down.
    Released,
    /// Release that unassigns the address in EC2.
    Unassigned,
    /// First start without privileges, through the agent's endpoint.
    Labelled,
    /// Clean move to another node, through the agents' endpoints.
    LabelledMoved,
}

impl Kind {
    /// Whether the pods of the step ask the agents of their nodes.
    pub fn asks_agent(self) -> bool {
        matches!(self, Self::Labelled | Self::LabelledMoved)
    }
}

/// One call to EC2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it arrived.
    pub at_us: u64,
    /// The action.
    pub action: String,
    /// The calling node.
    pub caller: String,
    /// The calling program, from its User-Agent.
    #[serde(default)]
    pub app: String,
    /// Whether it is for a pod: made by its container, or by the agent that its container asked.
    #[serde(default)]
    pub for_pod: bool,
    /// Whether the call is mutating.
    pub mutating: bool,
    /// `ok`, EC2's error code, or how the response was lost.
    pub outcome: String,
    /// From its arrival to its response.
    pub took_us: Option<u64>,
    /// From its arrival until the data path switched to the new ENI.
    pub routed_after_us: Option<u64>,
    /// From its arrival until the box first showed the result in both data path and metadata
    /// service: the EC2 time.
    pub proven_after_us: Option<u64>,
}

impl Call {
    /// Whether an agent, not a container, made the call.
    pub fn is_agents(&self) -> bool {
        self.app == AGENT
    }
}

impl From<&vpcbox::protocol::Call> for Call {
    fn from(call: &vpcbox::protocol::Call) -> Self {
        let after = |at: Option<u64>| at.map(|at| at.saturating_sub(call.at_us));
        let address = fixture::ADDRESS.to_string();
        let routed = call.effects.iter().filter_map(|effect| effect.routed_at_us).max();
        Self {
            at_us: call.at_us,
            action: call.action.clone(),
            caller: call.caller.clone(),
            app: call.app.clone(),
            for_pod: call.app != AGENT || call.parameters.values().any(|it| *it == address),
            mutating: call.mutating,
            outcome: format::outcome(call.code.as_deref(), call.status, &call.delivery),
            took_us: after(call.answered_at_us),
            routed_after_us: after(routed),
            proven_after_us: call.proven_after_us().filter(|_| !call.effects.is_empty()),
        }
    }
}

/// The components of the time of an init container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitTime {
    /// From the start of the program to its exit.
    pub total_us: u64,
    /// EC2 time: from sending Assign until the box first showed the result.
    pub ec2_us: u64,
    /// The rest.
    pub own_us: u64,
    /// The part of the rest for Describe calls.
    pub describe_us: u64,
}

/// The time in which the client got no response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The last attempt with a response before it.
    pub from_us: u64,
    /// The first attempt with a response after it.
    pub to_us: u64,
    /// The total.
    pub total_us: u64,
    /// EC2 time: from Assign until the result was visible.
    pub ec2_us: u64,
    /// Application time: stop and start of the server, and the start of the containers.
    pub member_us: u64,
    /// The rest: FireCamp's time.
    pub beyond_us: u64,
}

/// What the client saw, one character per bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// When it begins.
    pub from_us: u64,
    /// The duration of a bucket.
    pub bucket_us: u64,
    /// `a`, `b`, …: response of that node; `.`: no response; `!`: wrong node; space: no attempt.
    pub text: String,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked.
    pub what: String,
    /// Whether it held.
    pub held: bool,
    /// What was observed.
    pub seen: String,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// Its number.
    pub step: u8,
    /// Its kind.
    pub kind: Kind,
    /// Its title.
    pub title: String,
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// The calls to EC2.
    pub calls: Vec<Call>,
    /// The components of the time of its init container.
    pub init: Option<InitTime>,
    /// The privileges of its init container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Privileges>,
    /// The time of its stop container, from SIGTERM to exit.
    pub stop_us: Option<u64>,
    /// How long the address was missing from the kernel until the agent had restored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_us: Option<u64>,
    /// The time in which the client got no response.
    pub outage: Option<Outage>,
    /// What the client saw.
    pub strip: Strip,
    /// Attempts with a response from the right node.
    pub answered: u64,
    /// Attempts without a response.
    pub silent: u64,
    /// Attempts with a response from a wrong node.
    pub wrong: u64,
    /// The checks after the step.
    pub checks: Vec<Check>,
}

/// Whether a goal was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The goal was met.
    Met,
    /// The goal was missed.
    Missed,
    /// A time of a debug build: it is shown, not compared with the goal.
    NotJudged,
}

/// A line of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The goal.
    pub goal: String,
    /// The measurement.
    pub measured: String,
    /// Whether the goal was met.
    pub verdict: Verdict,
    /// Whether the goal is a guarantee; missing any other goal does not fail the demo.
    pub promise: bool,
}

/// The summary of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// When.
    pub at_us: u64,
    /// `debug` or `release`: the measured build.
    pub build: String,
    /// The latency profile of EC2.
    pub profile: Profile,
    /// The member's address.
    pub address: Ipv4Addr,
    /// The table.
    pub rows: Vec<Row>,
    /// All attempts of the client.
    pub attempts: u64,
    /// What the client saw during the run.
    pub strip: Strip,
    /// Whether all guarantees held.
    pub kept: bool,
}
