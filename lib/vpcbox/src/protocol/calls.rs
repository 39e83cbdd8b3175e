//! The typed call log.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// A call to EC2 or to a metadata service. Times are microseconds since the start of the
/// simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number, from 1, in the order of arrival.
    pub seq: u64,
    /// When it arrived.
    pub at_us: u64,
    /// `ec2` or `imds`.
    pub service: String,
    /// The caller.
    pub caller: String,
    /// The EC2 action, or method and path of a metadata request.
    pub action: String,
    /// The program, according to its User-Agent; empty without one.
    #[serde(default)]
    pub app: String,
    /// The parameters by wire name.
    pub parameters: BTreeMap<String, String>,
    /// The request ID in the response.
    pub request_id: String,
    /// When it took effect, was read or refused.
    pub landed_at_us: Option<u64>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// EC2's error code.
    pub code: Option<String>,
    /// EC2's error message.
    pub message: Option<String>,
    /// When the response was sent; `None`: not yet, or never.
    pub answered_at_us: Option<u64>,
    /// What the caller received: `answered`, `lost`, `cut` or `silence`.
    pub delivery: String,
    /// Whether it is a mutating action.
    pub mutating: bool,
    /// Whether it changed something.
    pub committed: bool,
    /// The faults that affected it.
    pub faults: Vec<u64>,
    /// The addresses that it moved, with the time of each step.
    #[serde(default)]
    pub effects: Vec<Effect>,
}

impl Call {
    /// EC2's own time: from the arrival of the call until the box itself first showed the result,
    /// in the router and in the metadata service. `None`: not shown yet, or nothing moved.
    pub fn proven_after_us(&self) -> Option<u64> {
        let proofs = self.effects.iter().map(|effect| {
            Some(effect.routed_at_us?.max(effect.imds_at_us?).saturating_sub(self.at_us))
        });
        proofs.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

/// The effect of a call on one address. Times are microseconds since the start of the simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The address.
    pub address: Ipv4Addr,
    /// The previous holder.
    pub before: Option<String>,
    /// The new holder.
    pub after: Option<String>,
    /// When EC2 committed the change.
    pub committed_at_us: u64,
    /// When the data path was scheduled to switch.
    pub data_path_at_us: Option<u64>,
    /// When the router delivered to the new ENI.
    pub routed_at_us: Option<u64>,
    /// When the new owner's metadata service could first list it.
    pub imds_at_us: Option<u64>,
}
