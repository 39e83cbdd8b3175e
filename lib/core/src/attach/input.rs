//! The input of an attach.

use std::time::Duration;

use crate::choose_interface::{EniRule, Preference, UnwantedEnis};
use crate::ids::{ClusterName, Member, NodeName, PodUid, PoolName, RunId, Version};
use crate::ports::Owner;
use crate::record::StaticIp;
use crate::time::Moment;

/// Input of an attach: who attaches, where and by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AttachInput {
    /// The member.
    pub member: Member,
    /// Its pod.
    pub pod: PodUid,
    /// The node that this process runs on.
    pub node: NodeName,
    /// The cluster whose ENIs lose the address if one of them holds it.
    pub cluster: ClusterName,
    /// The pool for a member that has no claim yet.
    pub pool: Option<PoolName>,
    /// Whether a member without an address may get one of this pool alone, also if its claim names
    /// another one: an agent has checked that this pool allows the member's namespace.
    #[cfg_attr(feature = "serde", serde(default))]
    pub pool_is_approved: bool,
    /// Which ENI carries the address.
    pub rule: EniRule,
    /// The ENIs to leave out.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub unwanted: UnwantedEnis,
    /// How often it polls IMDS: [`METADATA_POLL`](crate::contract::timing::METADATA_POLL), or
    /// [`QUEUED_METADATA_POLL`](crate::contract::timing::QUEUED_METADATA_POLL) in an agent.
    #[cfg_attr(feature = "serde", serde(default = "direct_poll"))]
    pub metadata_poll: Duration,
    /// This run of the process: random and never used before.
    pub run: RunId,
    /// The attach fails after this long.
    pub deadline: Duration,
    /// How long a terminating predecessor may keep using the address on this node.
    pub predecessor_grace: Duration,
    /// What an agent looked up before its pod asked.
    #[cfg_attr(feature = "serde", serde(default))]
    pub looked_up: Option<Box<LookedUp>>,
}

#[cfg(feature = "serde")]
fn direct_poll() -> Duration {
    crate::contract::timing::METADATA_POLL
}

/// An owner look-up from before the run. An attach uses it only if the record that it reads has
/// this version: then it is as if the attach had read the record first, and looked up since.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LookedUp {
    /// The version of the member's record, which was read before the look-up was sent.
    pub version: Version,
    /// The answer of EC2.
    pub owner: Owner,
    /// Until when it is used:
    /// [`EARLY_LOOK_UP`](crate::contract::timing::EARLY_LOOK_UP) after it was sent.
    pub until: Moment,
}

impl AttachInput {
    /// What decides between several ENIs.
    pub(super) fn preference<'a>(&'a self, record: Option<&'a StaticIp>) -> Preference<'a> {
        Preference { unwanted: Some(&self.unwanted), record }
    }
}
