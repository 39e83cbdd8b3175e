//! Logs of calls and commits.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;

/// The service that a call went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// EC2's query API.
    Ec2,
    /// The instance metadata service.
    Imds,
    /// Route 53's API.
    Route53,
    /// CloudWatch Logs' API.
    Logs,
}

/// A call. Times are microseconds since the start of the simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The number of the call, from 1, in order of arrival.
    pub seq: u64,
    /// When it arrived.
    pub at_us: u64,
    /// The service.
    pub service: Service,
    /// The caller: the owner of the access key, or the node for the metadata service. Until the key
    /// is verified, the driver's hint in brackets, or `unknown`.
    pub caller: String,
    /// The action, or method and path of a metadata request.
    pub action: String,
    /// The program, according to `app/NAME` in the SDK's User-Agent; empty without one.
    pub app: String,
    /// The parameters by wire name, without `Action` and `Version`.
    pub parameters: BTreeMap<String, String>,
    /// The request ID in the response headers; empty for the metadata service.
    pub request_id: String,
    /// When it took effect, was read or was refused; `None`: not yet.
    pub landed_at_us: Option<u64>,
    /// The HTTP status of the service's response, sent or not; `None`: not yet.
    pub status: Option<u16>,
    /// EC2's error code; `None`: success, or not yet known.
    pub code: Option<String>,
    /// EC2's error message.
    pub message: Option<String>,
    /// When the response is sent; `None`: never.
    pub answered_at_us: Option<u64>,
    /// What the caller received: `answered`, `lost`, `cut` or `silence`.
    pub delivery: &'static str,
    /// Whether it is a mutating action.
    pub mutating: bool,
    /// Whether it changed something, also if the response was lost.
    pub committed: bool,
    /// The IDs of the faults that affected it.
    pub faults: Vec<u64>,
}

/// A change of an address's holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The address.
    pub address: Ipv4Addr,
    /// The previous holder.
    pub before: Option<String>,
    /// The new holder.
    pub after: Option<String>,
}

/// A commit: a step in the total order of all changes. All its moves take effect at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// Its number, from 1.
    pub seq: u64,
    /// When, in microseconds since the start of the simulation.
    pub at_us: u64,
    /// The caller or actor.
    pub by: String,
    /// The call that caused it, if any.
    pub call: Option<u64>,
    /// The name of the action.
    pub what: String,
    /// The addresses whose holder changed.
    pub moves: Vec<Move>,
}

/// A violated invariant: a state that EC2 never reaches. Tests assert after every step that there
/// is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The invariant, for example `M1`.
    pub invariant: &'static str,
    /// The problem.
    pub what: String,
    /// The commit after which it was found.
    pub commit: u64,
}
