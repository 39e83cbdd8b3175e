//! The admin protocol: one JSON object per line each way, over the Unix socket of the box. Every
//! request gets one reply, `{"ok": …}` or `{"error": {…}}`. Readers ignore fields that they do
//! not know; fields are added and never change their meaning.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{Act, FaultSpec};
use serde::{Deserialize, Serialize};

/// A question or an order to the box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Who are you? Answered by [`Hello`].
    Hello,
    /// The truth about everything. Answered by [`Truth`].
    Truth,
    /// The calls with a number above `since`. Answered by a list of [`Call`]s.
    Calls {
        /// 0: all.
        #[serde(default)]
        since: u64,
    },
    /// Changes of the router's routes with a number above `since`: a list of [`RouterEvent`]s.
    Router {
        /// 0: all.
        #[serde(default)]
        since: u64,
    },
    /// Sets a fault. Answered by its number.
    FaultSet {
        /// The fault, as in `docs/vpcbox.md`.
        spec: FaultSpec,
    },
    /// The faults that are set.
    FaultList,
    /// Clears one fault, or all.
    FaultClear {
        /// Its number; all if absent.
        #[serde(default)]
        id: Option<u64>,
    },
    /// Lets somebody else do something in the VPC.
    Act {
        /// What.
        act: Act,
    },
    /// Does something to the kernel of a node.
    Kernel {
        /// What.
        act: KernelAct,
    },
    /// How to enter a node or client. Answered by [`Place`].
    Enter {
        /// Its name.
        name: String,
    },
    /// Waits for a condition. Answered by `null`, or by an error of kind `timed_out`.
    Wait {
        /// The condition.
        condition: Condition,
        /// How long, in milliseconds.
        timeout_ms: u64,
    },
}

/// Something done to the kernel of a node, as another program on it might.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum KernelAct {
    /// Removes an address from all links of the node.
    KernelStrip {
        /// The node or client.
        node: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// Adds an address as a /32, as amazon-ec2-net-utils does for what IMDS lists.
    KernelAdd {
        /// The node or client.
        node: String,
        /// The address.
        address: Ipv4Addr,
        /// The link there; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
    /// Sets the node's link down and, after a while, up again.
    LinkFlap {
        /// The node or client.
        node: String,
        /// The link there; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
        /// How long it stays down.
        #[serde(default)]
        down_ms: u64,
    },
    /// Sets the node's link down.
    LinkDown {
        /// The node or client.
        node: String,
        /// The link there; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
    /// Sets the node's link up.
    LinkUp {
        /// The node or client.
        node: String,
        /// The link there; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
}

/// Something to wait for. Nodes and clients go by name; `None`: nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// EC2 says that the address belongs to the node.
    Owner {
        /// The address.
        address: Ipv4Addr,
        /// The node, or an ENI id.
        node: Option<String>,
    },
    /// The router delivers the address to the node.
    Routed {
        /// The address.
        address: Ipv4Addr,
        /// The node, or an ENI id.
        node: Option<String>,
    },
    /// The metadata service of the node lists the address.
    Listed {
        /// The address.
        address: Ipv4Addr,
        /// The node.
        node: String,
    },
    /// At least so many calls of an action have been answered.
    Called {
        /// The action, as `AssignPrivateIpAddresses` or `GET /latest/...`.
        action: String,
        /// By this caller only.
        #[serde(default)]
        caller: Option<String>,
        /// How many.
        count: u64,
    },
}

/// A reply: `{"ok": …}` or `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// What was asked for.
    Ok(serde_json::Value),
    /// Why not.
    Error(Refusal),
}

/// Why the box does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `refused` or `timed_out`.
    pub kind: RefusalKind,
    /// For people.
    pub reason: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// It cannot be.
    Refused,
    /// It did not come true in time; the reason says what was seen last.
    TimedOut,
}

/// Who a box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of `vpcbox`.
    pub version: String,
    /// Process id of its `vpcbox run`, as its caller knows it.
    pub outer: u32,
    /// The box's time zero, in nanoseconds of `CLOCK_MONOTONIC`.
    pub clock_origin_ns: u64,
    /// `fast` or `realistic`.
    pub profile: String,
    /// The seed.
    pub seed: u64,
}

/// How to enter a node or client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Process in the box that holds its namespaces.
    pub holder: i32,
    /// The environment for the AWS SDK and for whoever wants to know where it is.
    pub env: BTreeMap<String, String>,
}

/// A route of the router that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// When the kernel had it, in microseconds since the start of the world.
    pub at_us: u64,
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that its packets go to since; `None`: nobody.
    pub eni: Option<String>,
    /// The node or client of that ENI.
    pub node: Option<String>,
}

/// A numbered change of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterEvent {
    /// Its number, from 1.
    pub seq: u64,
    /// The change.
    #[serde(flatten)]
    pub routed: Routed,
}

/// The truth, as far as a client of this crate needs it typed. `vpcbox truth --json` prints more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// When, in microseconds since the start of the world.
    pub now_us: u64,
    /// The box itself.
    pub hello: Hello,
    /// Every address that somebody holds or held.
    pub addresses: Vec<Address>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Client>,
    /// The subnets.
    pub subnets: Vec<Subnet>,
    /// States that EC2 never gets into; always empty.
    pub violations: Vec<serde_json::Value>,
}

/// The truth about an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that owns it, as EC2 knows.
    pub owner: Option<String>,
    /// The node, client or foreign instance of that ENI.
    pub node: Option<String>,
    /// `primary`, `secondary` or `prefix`.
    pub held_as: Option<String>,
    /// The ENI that should receive its packets now.
    pub data_path: Option<String>,
    /// The ENI that the router delivers it to.
    #[serde(default)]
    pub routed: Option<String>,
    /// The node or client of that ENI.
    #[serde(default)]
    pub routed_node: Option<String>,
    /// Where the metadata service lists it now.
    pub imds: Vec<Listing>,
    /// Its owners so far, the oldest first.
    pub history: Vec<Past>,
}

/// A metadata service that lists an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The node.
    pub node: String,
    /// The ENI.
    pub eni: String,
}

/// A former or present owner of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// From when.
    pub since_us: u64,
    /// The ENI; `None`: nobody.
    pub eni: Option<String>,
    /// Who did it.
    pub by: String,
    /// When the data path follows.
    pub data_path_at_us: u64,
    /// When the metadata service of the owner's instance shows it.
    pub imds_added_at_us: Option<u64>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its instance id.
    pub instance: String,
    /// Its instance type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// `running`, `stopped` or `terminated`.
    pub state: String,
    /// Its ENIs by device index.
    pub enis: Vec<Eni>,
}

/// An ENI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Its id.
    pub id: String,
    /// Its MAC.
    pub mac: String,
    /// Its device index.
    pub device_index: u32,
    /// Its subnet's id.
    pub subnet: String,
    /// Its subnet's CIDR.
    pub cidr: String,
    /// The subnet's router.
    pub gateway: Ipv4Addr,
    /// Its primary address.
    pub primary: Ipv4Addr,
    /// Its secondary addresses.
    pub secondary: Vec<Ipv4Addr>,
    /// The name of its link in the node.
    #[serde(default)]
    pub link: Option<String>,
}

/// A client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its name in the spec.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its CIDR.
    pub cidr: String,
    /// Its zone.
    pub zone: String,
    /// Its router.
    pub gateway: Ipv4Addr,
}

/// A call to EC2 or to a metadata service. Times are microseconds since the start of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number, from 1, in the order of arrival.
    pub seq: u64,
    /// When it arrived.
    pub at_us: u64,
    /// `ec2` or `imds`.
    pub service: String,
    /// Who called.
    pub caller: String,
    /// The EC2 action, or method and path of a metadata request.
    pub action: String,
    /// The parameters by wire name.
    pub parameters: BTreeMap<String, String>,
    /// The request id in the answer.
    pub request_id: String,
    /// When it took effect, was read or refused.
    pub landed_at_us: Option<u64>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// EC2's error code.
    pub code: Option<String>,
    /// EC2's error message.
    pub message: Option<String>,
    /// When the answer left; `None`: not yet, or never.
    pub answered_at_us: Option<u64>,
    /// What the caller got to see: `answered`, `lost`, `cut` or `silence`.
    pub delivery: String,
    /// Whether the action is one that changes things.
    pub mutating: bool,
    /// Whether it changed something.
    pub committed: bool,
    /// The faults that touched it.
    pub faults: Vec<u64>,
    /// The addresses that it moved, with the times of each step.
    #[serde(default)]
    pub effects: Vec<Effect>,
}

impl Call {
    /// EC2's own time: from the arrival of the call until the box itself first showed the proof,
    /// in the router and in the metadata service. `None`: not shown yet, or nothing moved.
    pub fn proven_after_us(&self) -> Option<u64> {
        let proofs = self.effects.iter().map(|effect| {
            Some(effect.routed_at_us?.max(effect.imds_at_us?).saturating_sub(self.at_us))
        });
        proofs.collect::<Option<Vec<u64>>>()?.into_iter().max()
    }
}

/// What a call did to one address. Times are microseconds since the start of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that held it before.
    pub before: Option<String>,
    /// The ENI that holds it since.
    pub after: Option<String>,
    /// When EC2's record changed.
    pub committed_at_us: u64,
    /// When the data path was to switch.
    pub data_path_at_us: Option<u64>,
    /// When the router delivered to the new ENI.
    pub routed_at_us: Option<u64>,
    /// When the metadata service of the new owner could first show it.
    pub imds_at_us: Option<u64>,
}
