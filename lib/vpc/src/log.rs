//! What was asked, what came of it, and what changed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

/// Which service a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// EC2's query API.
    Ec2,
    /// The instance metadata service.
    Imds,
}

/// One call. Times are microseconds since the start of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The number of the call, from 1, in the order of arrival.
    pub seq: u64,
    /// When it arrived.
    pub at_us: u64,
    /// The service.
    pub service: Service,
    /// Who called: the owner of the access key, or the node for the metadata service. Before the
    /// key is known to be right, the driver's hint in brackets, or `unknown`.
    pub caller: String,
    /// The EC2 action, or method and path of a metadata request.
    pub action: String,
    /// The program, as it calls itself (`app/NAME` in the SDK's User-Agent); empty if it does not.
    pub app: String,
    /// The parameters by wire name, without `Action` and `Version`.
    pub parameters: BTreeMap<String, String>,
    /// The request id in the answer's headers; empty for the metadata service.
    pub request_id: String,
    /// When it took effect or was read or refused; `None`: not yet.
    pub landed_at_us: Option<u64>,
    /// The HTTP status of the answer as the service gave it, sent or not; `None`: not yet.
    pub status: Option<u16>,
    /// EC2's error code; `None`: success, or not yet known.
    pub code: Option<String>,
    /// EC2's error message.
    pub message: Option<String>,
    /// When the answer leaves; `None`: never.
    pub answered_at_us: Option<u64>,
    /// What the caller got to see: `answered`, `lost`, `cut` or `silence`.
    pub delivery: &'static str,
    /// Whether the action is one that changes things.
    pub mutating: bool,
    /// Whether it changed something. True as well for a call whose answer was lost.
    pub committed: bool,
    /// The faults that touched it, by id.
    pub faults: Vec<u64>,
}

/// One change of who holds an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that held it before.
    pub before: Option<String>,
    /// The ENI that holds it since.
    pub after: Option<String>,
}

/// One commit: a step in the one order of all changes. All its moves happen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its number, from 1.
    pub seq: u64,
    /// When, in microseconds since the start of the world.
    pub at_us: u64,
    /// Who did it.
    pub by: String,
    /// The call that did it, if it was one.
    pub call: Option<u64>,
    /// What was done: the action's name.
    pub what: String,
    /// The addresses that changed hands.
    pub moves: Vec<Move>,
}

/// A state that EC2 never gets into. There must be none: tests assert on it after every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant, as `M1`.
    pub invariant: &'static str,
    /// What is wrong.
    pub what: String,
    /// The commit after which it was found.
    pub commit: u64,
}
