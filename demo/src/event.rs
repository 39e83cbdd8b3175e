//! What happens in a demo, as data: `--json` prints these one a line, and everything that people
//! see is made of them alone. Times are microseconds since the start of the simulated world.
//!
//! Stable: fields are added and never change their meaning.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::args::Profile;
use crate::verdict;

/// What an agent calls itself to EC2.
const AGENT: &str = "firecamp-agent";

/// One thing that happened.
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
        /// What is done.
        title: String,
        /// What it is to show.
        story: String,
    },
    /// Something was seen or done that is worth a line.
    Note {
        /// When.
        at_us: u64,
        /// In which step.
        step: u8,
        /// What.
        text: String,
    },
    /// A process of a pod has ended, or a server has begun to listen.
    Ran(Ran),
    /// A step is over.
    StepEnded(Box<StepResult>),
    /// Everything is over.
    Ended(Box<Summary>),
}

/// Where everything happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// When.
    pub at_us: u64,
    /// Version of the command.
    pub version: String,
    /// How fast EC2 is.
    pub profile: Profile,
    /// `debug` or `release`: how the containers were built.
    pub build: String,
    /// The seed.
    pub seed: u64,
    /// The member, as NAMESPACE/NAME.
    pub member: String,
    /// What the pool hands out.
    pub pool: String,
    /// The nodes.
    pub nodes: Vec<Place>,
    /// The client.
    pub client: Place,
    /// The client tries this often.
    pub every_ms: u64,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Its own address.
    pub address: Ipv4Addr,
}

/// What runs in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The init container.
    Init,
    /// The stop container.
    Stop,
    /// The member's server, from its start until it listens.
    ServerStart,
    /// The member's server, from its SIGTERM or SIGKILL until it is gone.
    ServerEnd,
}

impl Role {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Stop => "stop",
            Self::ServerStart => "start",
            Self::ServerEnd => "end",
        }
    }
}

/// A span of a pod's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// In which step.
    pub step: u8,
    /// What.
    pub role: Role,
    /// The UID of the pod.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// When its start was ordered (or, for a stop, its end).
    pub from_us: u64,
    /// When the program itself began; the time before is the starter's.
    pub began_us: u64,
    /// When it was over.
    pub to_us: u64,
    /// The exit code, if a process ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// What it said last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
}

/// Which promise a step is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// First start of the member.
    First,
    /// Restart on the same node.
    SameNode,
    /// Something strips the address from the node's kernel.
    Stripped,
    /// The agent of the member's node ends and begins again.
    AgentRestarted,
    /// Clean move to another node.
    Moved,
    /// Start elsewhere after a crash.
    Crashed,
    /// A late stop of a superseded pod.
    Zombie,
    /// Start elsewhere after the node has died.
    NodeDied,
    /// The node that died is up again.
    NodeReturned,
    /// Release of a member that is scaled down.
    Released,
    /// Release that gives the address back to EC2.
    Unassigned,
}

/// One call to EC2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it arrived.
    pub at_us: u64,
    /// The action.
    pub action: String,
    /// Who called.
    pub caller: String,
    /// The program there that called, as it calls itself.
    #[serde(default)]
    pub app: String,
    /// Whether it is one that changes something.
    pub mutating: bool,
    /// `ok`, or EC2's error code, or how the answer was lost.
    pub outcome: String,
    /// From its arrival to its answer.
    pub took_us: Option<u64>,
    /// From its arrival until packets went to the new ENI.
    pub routed_after_us: Option<u64>,
    /// From its arrival until the box itself first showed the proof, in the data path and in the
    /// metadata service: EC2's own time.
    pub proven_after_us: Option<u64>,
}

impl Call {
    /// Whether an agent made it, of its own accord, and no container.
    pub fn is_agents(&self) -> bool {
        self.app == AGENT
    }
}

impl From<&vpcbox::protocol::Call> for Call {
    fn from(call: &vpcbox::protocol::Call) -> Self {
        let after = |at: Option<u64>| at.map(|at| at.saturating_sub(call.at_us));
        let routed = call.effects.iter().filter_map(|effect| effect.routed_at_us).max();
        Self {
            at_us: call.at_us,
            action: call.action.clone(),
            caller: call.caller.clone(),
            app: call.app.clone(),
            mutating: call.mutating,
            outcome: verdict::outcome(call.code.as_deref(), call.status, &call.delivery),
            took_us: after(call.answered_at_us),
            routed_after_us: after(routed),
            proven_after_us: call.proven_after_us().filter(|_| !call.effects.is_empty()),
        }
    }
}

/// Where the time of an init container went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitTime {
    /// From the start of the program to its end.
    pub total_us: u64,
    /// EC2's own: from sending Assign until the box itself first showed the proof.
    pub ec2_us: u64,
    /// The rest.
    pub own_us: u64,
    /// The part of the rest in which EC2 answered a Describe.
    pub describe_us: u64,
}

/// How long the client got no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The last attempt before it that was answered.
    pub from_us: u64,
    /// The first attempt after it that was answered.
    pub to_us: u64,
    /// All of it.
    pub total_us: u64,
    /// EC2's part: its own time from Assign to the proof.
    pub ec2_us: u64,
    /// The member's own part: its server's stop and start, and the start of its processes.
    pub member_us: u64,
    /// What is left: ours.
    pub beyond_us: u64,
}

/// What the client saw, one character for each bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strip {
    /// When it begins.
    pub from_us: u64,
    /// Time for each character.
    pub bucket_us: u64,
    /// `a`, `b`, …: answered by that node; `.`: no answer; `!`: wrong node; space: not tried.
    pub text: String,
}

/// Something that must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What must hold.
    pub what: String,
    /// Whether it did.
    pub held: bool,
    /// What was seen.
    pub seen: String,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// Its number.
    pub step: u8,
    /// Which promise it is about.
    pub kind: Kind,
    /// What was done.
    pub title: String,
    /// From when.
    pub from_us: u64,
    /// Until when.
    pub to_us: u64,
    /// The calls to EC2.
    pub calls: Vec<Call>,
    /// Where the time of its init container went.
    pub init: Option<InitTime>,
    /// The time of its stop container, from its SIGTERM to its end.
    pub stop_us: Option<u64>,
    /// How long the kernel lacked the address until the agent had put it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_us: Option<u64>,
    /// How long the client got no answer.
    pub outage: Option<Outage>,
    /// What the client saw.
    pub strip: Strip,
    /// Attempts that were answered by the right node.
    pub answered: u64,
    /// Attempts that were not answered.
    pub silent: u64,
    /// Attempts that were answered by a wrong node.
    pub wrong: u64,
    /// What must hold after it.
    pub checks: Vec<Check>,
}

/// Whether a goal was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
}

/// A line of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The goal.
    pub goal: String,
    /// What it was.
    pub measured: String,
    /// Whether the goal was met.
    pub verdict: Verdict,
    /// A promise; a goal that is no promise is missed without failing the demo.
    pub promise: bool,
}

/// What came of everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// When.
    pub at_us: u64,
    /// `debug` or `release`: which build was measured.
    pub build: String,
    /// How fast EC2 was.
    pub profile: Profile,
    /// The member's address.
    pub address: Ipv4Addr,
    /// The table.
    pub rows: Vec<Row>,
    /// All attempts of the client.
    pub attempts: u64,
    /// What the client saw all along.
    pub strip: Strip,
    /// Whether every promise was kept.
    pub kept: bool,
}
