//! The admin protocol: one JSON object per line in each direction, over the box's Unix socket.
//! Every request gets one reply, `{"ok": …}` or `{"error": {…}}`. Later versions may add fields but
//! never change the meaning of one; clients ignore unknown fields.

mod actual_state;
mod calls;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_vpc::{Act, FaultSpec};
use serde::{Deserialize, Serialize};

pub use actual_state::{
    Address, Client, Eni, Listing, Node, PreviousOwner, Subnet, Truth, Volume, VolumeAttachment,
};
pub use calls::{Call, Effect};

/// A request to the box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Returns the box's identity: a [`Hello`].
    Hello,
    /// Returns the actual state: a [`Truth`].
    Truth,
    /// Returns the calls with a number above `since`: a list of [`Call`]s.
    Calls {
        /// 0: all.
        #[serde(default)]
        since: u64,
    },
    /// Returns changes of the router's routes with a number above `since`: a list of
    /// [`RouterEvent`]s.
    Router {
        /// 0: all.
        #[serde(default)]
        since: u64,
    },
    /// Sets a fault. Returns its ID.
    FaultSet {
        /// The fault, as in `docs/development/vpcbox.md`.
        spec: FaultSpec,
    },
    /// Returns the faults that are set.
    FaultList,
    /// Clears one fault, or all.
    FaultClear {
        /// Its ID; all if absent.
        #[serde(default)]
        id: Option<u64>,
    },
    /// Performs an action of another party in the VPC.
    Act {
        /// The action.
        act: Act,
    },
    /// Performs an action on the kernel of a node.
    Kernel {
        /// The action.
        act: KernelAct,
    },
    /// Returns how to enter a node or client: a [`Place`].
    Enter {
        /// Its name.
        name: String,
    },
    /// Waits for a condition. Returns `null`, or an error of kind `timed_out`.
    Wait {
        /// The condition.
        condition: Condition,
        /// The timeout, in milliseconds.
        timeout_ms: u64,
    },
}

/// An action on the kernel of a node, as another program there might perform.
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
    /// Adds an address as a /32, as amazon-ec2-net-utils does for addresses that IMDS lists.
    KernelAdd {
        /// The node or client.
        node: String,
        /// The address.
        address: Ipv4Addr,
        /// The link; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
    /// Sets the node's link down and, after a while, up again.
    LinkFlap {
        /// The node or client.
        node: String,
        /// The link; the primary one if absent.
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
        /// The link; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
    /// Sets the node's link up.
    LinkUp {
        /// The node or client.
        node: String,
        /// The link; the primary one if absent.
        #[serde(default)]
        link: Option<String>,
    },
}

/// A condition to wait for. Nodes and clients go by name; `None`: no node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// In EC2's state, the address belongs to the node.
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
    /// At least this many calls of an action have been answered.
    Called {
        /// The action, for example `AssignPrivateIpAddresses` or `GET /latest/...`.
        action: String,
        /// Only calls of this caller.
        #[serde(default)]
        caller: Option<String>,
        /// The number of calls.
        count: u64,
    },
}

/// A reply: `{"ok": …}` or `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The result.
    Ok(serde_json::Value),
    /// The reason.
    Error(Refusal),
}

/// Why the box refused a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `refused` or `timed_out`.
    pub kind: RefusalKind,
    /// A message for users.
    pub reason: String,
}

/// The kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The request is impossible.
    Refused,
    /// The condition did not become true in time; the reason contains the last observation.
    TimedOut,
}

/// The identity and settings of a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of `vpcbox`.
    pub version: String,
    /// Process ID of its `vpcbox run`, as its caller sees it.
    pub outer: u32,
    /// The start of the simulation, in nanoseconds of `CLOCK_MONOTONIC`.
    pub clock_origin_ns: u64,
    /// `fast` or `realistic`.
    pub profile: String,
    /// The seed.
    pub seed: u64,
}

/// How to enter a node or client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The process in the box that holds its namespaces.
    pub holder: i32,
    /// Its network namespace, as `/proc/PID/ns/net` shows it: a process that sees another value
    /// there is not in the box, and must not join.
    pub network: String,
    /// The environment for the AWS SDK, and for programs that need to know where they run.
    pub env: BTreeMap<String, String>,
}

/// A changed route of the router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routed {
    /// When the kernel had it, in microseconds since the start of the simulation.
    pub at_us: u64,
    /// The address.
    pub address: Ipv4Addr,
    /// The ENI that receives its packets now; `None`: none.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Each request as documented, because users write it by hand.
    const REQUESTS: [&str; 12] = [
        r#"{"op":"hello"}"#,
        r#"{"op":"truth"}"#,
        r#"{"op":"calls","since":3}"#,
        r#"{"op":"router","since":0}"#,
        r#"{"op":"fault_set","spec":{"fault":{"kind":"delay","ms":5},"when":{"nth":1}}}"#,
        r#"{"op":"fault_list"}"#,
        r#"{"op":"fault_clear","id":1}"#,
        r#"{"op":"act","act":{"kind":"stop","node":"node-a"}}"#,
        r#"{"op":"kernel","act":{"kind":"kernel_strip","node":"node-a","address":"10.0.1.50"}}"#,
        r#"{"op":"enter","name":"node-a"}"#,
        r#"{"op":"wait","condition":{"kind":"routed","address":"10.0.1.50","node":null},"timeout_ms":5}"#,
        r#"{"op":"wait","condition":{"kind":"called","action":"A","caller":null,"count":2},"timeout_ms":5}"#,
    ];

    #[test]
    fn every_request_round_trips_in_its_documented_form() {
        for text in REQUESTS {
            let request: Request = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
    }

    #[test]
    fn optional_fields_may_be_absent_and_unknown_ones_are_refused() {
        for text in [r#"{"op":"calls"}"#, r#"{"op":"fault_clear"}"#] {
            serde_json::from_str::<Request>(text).unwrap();
        }
        for text in ["", "[]", r#"{"op":"nonesuch"}"#, r#"{"op":"enter"}"#] {
            assert!(serde_json::from_str::<Request>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reply_is_ok_or_error_and_nothing_else() {
        let ok: Reply = serde_json::from_str(r#"{"ok":null}"#).unwrap();
        assert_eq!(ok, Reply::Ok(serde_json::Value::Null));
        let error = r#"{"error":{"kind":"timed_out","reason":"nobody"}}"#;
        let reply: Reply = serde_json::from_str(error).unwrap();
        assert_eq!(serde_json::to_string(&reply).unwrap(), error);
    }

    #[test]
    fn proven_after_is_the_time_until_router_and_imds_show_the_move() {
        let effect = |routed_at_us, imds_at_us| Effect {
            address: Ipv4Addr::new(10, 0, 1, 50),
            before: None,
            after: None,
            committed_at_us: 110,
            data_path_at_us: Some(150),
            routed_at_us,
            imds_at_us,
        };
        let call = |effects| Call {
            seq: 1,
            at_us: 100,
            service: "ec2".to_owned(),
            caller: "node-a".to_owned(),
            action: "AssignPrivateIpAddresses".to_owned(),
            app: String::new(),
            parameters: BTreeMap::new(),
            request_id: String::new(),
            landed_at_us: Some(110),
            status: Some(200),
            code: None,
            message: None,
            answered_at_us: Some(120),
            delivery: "answered".to_owned(),
            mutating: true,
            committed: true,
            faults: Vec::new(),
            effects,
        };
        assert_eq!(call(vec![effect(Some(151), Some(170))]).proven_after_us(), Some(70));
        assert_eq!(call(vec![effect(Some(190), Some(170))]).proven_after_us(), Some(90));
        assert_eq!(call(vec![effect(Some(190), None)]).proven_after_us(), None);
        assert_eq!(call(vec![]).proven_after_us(), None);
    }
}
