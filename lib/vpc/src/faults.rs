//! Faults: what they do, and when.
//!
//! JSON: `{"fault":{"kind":"late_landing","after_ms":8000},"when":{"op":"AssignPrivateIpAddresses",
//! "caller":"node-1","nth":1}}`. Everything in `when` is optional and all of it must hold.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

mod book;
mod check;
mod sort;
mod status;

pub(crate) use book::{Book, Moment};
pub(crate) use check::kind_of;
pub(crate) use sort::Stage;
pub use status::{FaultError, FaultStatus};

/// A fault that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// A fault and when it fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// What it does.
    pub fault: Fault,
    /// When.
    #[serde(default)]
    pub when: Selector,
}

/// Which calls a fault touches. All that is given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// The EC2 action, or for the metadata service a path below `/latest/` with `*` as wildcard
    /// (`api/token`, `meta-data/network/*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Who calls: a node's name, `admin`, `thief`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// An address or id that is named in the request, or that the fault is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only the n-th call that the rest of this selector matches, from 1 and since it was set;
    /// with `count`: from the n-th on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// At most so many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// With this probability, drawn from the world's seed; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// From this time on, in milliseconds since the start of the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Before this time, in milliseconds since the start of the world.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What a fault does. Those about EC2 calls apply to EC2 only, those named `imds_` to the metadata
/// service only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Refuses a call before it does anything.
    Error {
        /// EC2's code.
        code: String,
        /// EC2's message.
        #[serde(default)]
        message: String,
        /// The HTTP status.
        #[serde(default = "defaults::bad_request")]
        status: u16,
    },
    /// Closes the connection before the first header; by default after the commit.
    LostResponse {
        /// The call takes effect.
        #[serde(default = "defaults::yes")]
        after_commit: bool,
    },
    /// Delays the answer; the effect lands as usual.
    Delay {
        /// For how long.
        ms: u64,
    },
    /// Accepts the call and never answers; by default before it takes effect.
    Hang {
        /// The call takes effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// Executes the call, then closes the connection.
    DropConn {
        /// Where the answer ends.
        at: CutAt,
        /// The bytes of the body that are sent before, for `body` and `silence`.
        #[serde(default)]
        bytes: usize,
    },
    /// Answers with another status and body.
    HttpStatus {
        /// The status, 200 to 599.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Body,
        /// The call takes effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// Throttles, whatever the bucket holds.
    ThrottleStorm {
        /// The form of the message.
        #[serde(default)]
        form: ThrottleForm,
        /// Sends `x-amz-retry-after` with this value.
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    /// Gives the action in `op` (all, if absent) another token bucket.
    Bucket {
        /// How many tokens it holds.
        capacity: u32,
        /// How many come back in a second.
        refill: f64,
    },
    /// The call takes effect only this long after it was sent, and is answered then.
    LateLanding {
        /// How long.
        after_ms: u64,
        /// It is never answered.
        #[serde(default)]
        silent: bool,
    },
    /// Describe shows the state of this long ago.
    StaleDescribe {
        /// How long ago; without it, the state at the time at which the fault was set.
        #[serde(default)]
        lag_ms: Option<u64>,
    },
    /// Describe shows for one read a state of this much before the one that it showed.
    DescribeTimeTravel {
        /// How much before.
        back_ms: u64,
    },
    /// Describe leaves out the ENI, instance, subnet or holder of the address in `resource`
    /// (everything, if absent).
    DescribeOmits {},
    /// Pages hold no more than this.
    ShortPages {
        /// Items on a page, from 1.
        items: u32,
    },
    /// A page is empty and has a token that leads on.
    EmptyPageWithToken {},
    /// A page's token leads to the same page and token again.
    LoopingToken {},
    /// A token that is presented has expired.
    TokenExpires {},
    /// The metadata service stands still from the moment that the fault is set.
    ImdsFrozen {},
    /// The metadata service lists an ENI that EC2 does not know.
    ImdsGhost {},
    /// The metadata service does not list the ENI with this device index.
    ImdsMissing {
        /// The device index.
        device_index: u32,
    },
    /// The metadata service answers 404 for these keys of every ENI.
    ImdsPartial {
        /// The keys, as `local-ipv4s`.
        keys: Vec<String>,
    },
    /// The metadata service answers 200 and nothing.
    ImdsEmpty {},
    /// The metadata service answers this error.
    ImdsError {
        /// The status, 400 to 599.
        status: u16,
    },
    /// The metadata service does not answer.
    ImdsDown {},
    /// The metadata service drops requests above this rate (1024 by default, for each node).
    ImdsPpsDrop {
        /// Requests in a second.
        per_second: u32,
    },
    /// Tokens that were given out before the fault was set are no longer valid.
    #[serde(rename = "imds_token_401", alias = "imds_token401")]
    ImdsToken401 {},
    /// The answer to the token request does not arrive, as with a hop limit that is too low.
    ImdsHopTimeout {},
    /// `device-number` reads 0 for every ENI.
    ImdsDeviceNumberZero {},
    /// The metadata service shows the state of this long ago.
    ImdsTimeTravel {
        /// How long ago.
        back_ms: u64,
    },
    /// Somebody moves an address to a foreign ENI, once or again and again.
    Thief {
        /// The address.
        address: Ipv4Addr,
        /// The ENI, by id or name; a foreign ENI of the subnet if absent.
        #[serde(default)]
        to: Option<String>,
        /// Again and again after this time.
        #[serde(default)]
        every_ms: Option<u64>,
        /// At this time since the start of the world; at once if absent.
        #[serde(default)]
        at_ms: Option<u64>,
    },
    /// Somebody unassigns an address from whoever holds it.
    ThiefUnassign {
        /// The address.
        address: Ipv4Addr,
        /// Again and again after this time.
        #[serde(default)]
        every_ms: Option<u64>,
        /// At this time since the start of the world; at once if absent.
        #[serde(default)]
        at_ms: Option<u64>,
    },
    /// New foreign ENIs keep taking addresses of a subnet: those freed last first, none of an
    /// explicit reservation.
    AutoAssignPressure {
        /// The subnet, by name or id.
        subnet: String,
        /// The time between two.
        every_ms: u64,
    },
    /// Another limit for an instance type.
    Limit {
        /// The type.
        instance_type: String,
        /// IPv4 addresses of an ENI, the primary one included.
        ips: u32,
    },
    /// Another limit of ENIs for an instance type.
    EniLimit {
        /// The type.
        instance_type: String,
        /// ENIs of an instance, the primary one included.
        enis: u32,
    },
    /// Another quota of ENIs of the account in the region (5,000 by default).
    EniQuota {
        /// How many.
        enis: u32,
    },
    /// An ENI (`resource`: its id, that of its attachment or of the instance) stays attaching or
    /// detaching. Looked at once a second, and each time counts.
    EniStuck {
        /// In which stage; `busy` is for volumes only.
        stage: StuckIn,
    },
    /// A volume (`resource`: its id or name, or the id of the instance) stays attaching,
    /// detaching or busy. Looked at once a second, and each time counts. A detachment by force
    /// and the end of the guest go past it.
    VolumeStuck {
        /// In which stage.
        stage: StuckIn,
    },
    /// Automatic assignment in this subnet finds no free address.
    SubnetFull {
        /// The subnet, by name or id.
        subnet: String,
        /// Which of the two errors.
        #[serde(default)]
        form: FullForm,
    },
    /// IAM denies the calls that the selector matches.
    IamDeny {},
    /// The credentials of the caller have expired.
    CredentialsExpire {},
    /// EC2's clock is ahead by this (behind, if negative).
    ClockSkew {
        /// By how much.
        ms: i64,
    },
    /// What assigning an address that the ENI already holds gives.
    AssignOwn {
        /// The answer.
        answer: OwnAnswer,
    },
    /// An address that is held elsewhere gives `Resource.AlreadyAssigned`.
    ResourceAlreadyAssignedCode {},
}

/// The stage of an attachment that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StuckIn {
    /// It never becomes attached.
    Attaching,
    /// It is never detached.
    Detaching,
    /// It is never detached, because the guest uses the device.
    Busy,
}

/// Where an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutAt {
    /// Before the first header.
    Headers,
    /// In the body.
    Body,
    /// In the body, and the connection stays open.
    Silence,
}

/// The body of a faulty answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// EC2's error XML.
    #[default]
    Xml,
    /// A page of some proxy.
    Html,
    /// Nothing.
    Empty,
}

/// The form of the throttling message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleForm {
    /// `Request limit exceeded.`
    #[default]
    Old,
    /// The one that names account and action.
    New,
}

/// The error of a subnet without free addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FullForm {
    /// `InsufficientFreeAddressesInSubnet`.
    #[default]
    Code,
    /// `InvalidParameterValue` with a text of its own.
    Value,
}

/// What assigning an address that the ENI already holds gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnAnswer {
    /// Success without change, as without the fault.
    Ok,
    /// `[ip] assigned, but move is not allowed.`
    Error,
}

mod defaults {
    pub(super) fn yes() -> bool {
        true
    }

    pub(super) fn bad_request() -> u16 {
        400
    }
}
