//! Faults: what they do and when they apply.
//!
//! JSON: `{"fault":{"kind":"late_landing","after_ms":8000},"when":{"op":"AssignPrivateIpAddresses",
//! "caller":"node-1","nth":1}}`. Every condition in `when` is optional; all given conditions must
//! hold.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

mod check;
mod fault_set;
mod fault_stage;
mod status;

pub(crate) use check::kind_of;
pub(crate) use fault_set::{FaultContext, FaultSet};
pub(crate) use fault_stage::Stage;
pub use status::{FaultError, FaultStatus};

/// The ID of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// A fault and when it fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// The effect.
    pub fault: Fault,
    /// The condition.
    #[serde(default)]
    pub when: Selector,
}

/// Which calls a fault applies to. All given conditions must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// The EC2 action, or for the metadata service a path below `/latest/` with `*` as wildcard
    /// (`api/token`, `meta-data/network/*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// The caller: a node's name, `admin` or `external`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// An address or ID that the request names or that the fault is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only the n-th call that the other conditions match, counted from 1 since the fault was set;
    /// with `count`: from the n-th call on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// At most this many times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// With this probability, drawn from the seed; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// From this time on, in milliseconds since the start of the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Before this time, in milliseconds since the start of the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// The effect of a fault. Faults of EC2 calls apply only to EC2, those with the prefix `imds_` only
/// to the metadata service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Refuses a call before it takes effect.
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
        /// Whether the call takes effect.
        #[serde(default = "defaults::yes")]
        after_commit: bool,
    },
    /// Delays the response; the call takes effect at the usual time.
    Delay {
        /// The delay.
        ms: u64,
    },
    /// Accepts the call and never responds; by default the call has no effect.
    Hang {
        /// Whether the call takes effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// Executes the call, then closes the connection.
    DropConn {
        /// Where the response ends.
        at: CutAt,
        /// The bytes of the body that are sent before the end, for `body` and `silence`.
        #[serde(default)]
        bytes: usize,
    },
    /// Responds with another status and body.
    HttpStatus {
        /// The status, 200 to 599.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Body,
        /// Whether the call takes effect.
        #[serde(default)]
        after_commit: bool,
    },
    /// Throttles the call, whatever the bucket holds.
    ThrottleStorm {
        /// The form of the message.
        #[serde(default)]
        form: ThrottleForm,
        /// Sends `x-amz-retry-after` with this value.
        #[serde(default)]
        retry_after_ms: Option<u64>,
    },
    /// Replaces the token bucket of the action in `op` (of all actions, if absent).
    Bucket {
        /// The capacity, in tokens.
        capacity: u32,
        /// The refill rate, in tokens per second.
        refill: f64,
    },
    /// Delays the effect of the call until this long after it was sent; EC2 responds then.
    LateLanding {
        /// The delay.
        after_ms: u64,
        /// Never respond.
        #[serde(default)]
        silent: bool,
    },
    /// Describe returns an old state.
    StaleDescribe {
        /// The age of that state; if absent, the state when the fault was set.
        #[serde(default)]
        lag_ms: Option<u64>,
    },
    /// One Describe returns a state that is older than the one before it.
    DescribeTimeTravel {
        /// How much older.
        back_ms: u64,
    },
    /// Describe omits the ENI, instance, subnet or holder of the address in `resource` (everything,
    /// if absent).
    DescribeOmits {},
    /// Limits the items on a page.
    ShortPages {
        /// Items on a page, from 1.
        items: u32,
    },
    /// A page is empty and has a token for the next page.
    EmptyPageWithToken {},
    /// A page's token leads to the same page and token again.
    LoopingToken {},
    /// The presented token has expired.
    TokenExpires {},
    /// The metadata service is frozen in the state at the time when the fault was set.
    ImdsFrozen {},
    /// The metadata service lists an ENI that EC2 does not have.
    ImdsGhost {},
    /// The metadata service omits the ENI with this device index.
    ImdsMissing {
        /// The device index.
        device_index: u32,
    },
    /// The metadata service responds with 404 for these keys of every ENI.
    ImdsPartial {
        /// The keys, for example `local-ipv4s`.
        keys: Vec<String>,
    },
    /// The metadata service responds with 200 and an empty body.
    ImdsEmpty {},
    /// The metadata service responds with this error.
    ImdsError {
        /// The status, 400 to 599.
        status: u16,
    },
    /// The metadata service does not respond.
    ImdsDown {},
    /// The metadata service drops requests above this rate (1024 by default, per node).
    ImdsPpsDrop {
        /// Requests per second.
        per_second: u32,
    },
    /// Tokens issued before the fault was set are no longer valid.
    #[serde(rename = "imds_token_401", alias = "imds_token401")]
    ImdsToken401 {},
    /// The token response does not arrive, as with a hop limit that is too low.
    ImdsHopTimeout {},
    /// `device-number` reads 0 for every ENI.
    ImdsDeviceNumberZero {},
    /// The metadata service returns an old state.
    ImdsTimeTravel {
        /// The age of that state.
        back_ms: u64,
    },
    /// Another party reassigns an address to a foreign ENI, once or repeatedly.
    ExternalReassignment {
        /// The address.
        address: Ipv4Addr,
        /// The ENI, by ID or name; if absent, a foreign ENI of the subnet.
        #[serde(default)]
        to: Option<String>,
        /// The interval of repetitions.
        #[serde(default)]
        every_ms: Option<u64>,
        /// The time since the start of the simulation; if absent, at once.
        #[serde(default)]
        at_ms: Option<u64>,
    },
    /// Another party unassigns an address from the ENI that holds it.
    ExternalUnassign {
        /// The address.
        address: Ipv4Addr,
        /// The interval of repetitions.
        #[serde(default)]
        every_ms: Option<u64>,
        /// The time since the start of the simulation; if absent, at once.
        #[serde(default)]
        at_ms: Option<u64>,
    },
    /// New foreign ENIs keep taking addresses of a subnet: the most recently freed ones first, none
    /// of an explicit reservation.
    AutoAssignPressure {
        /// The subnet, by name or ID.
        subnet: String,
        /// The interval.
        every_ms: u64,
    },
    /// Changes the address limit of an instance type.
    Limit {
        /// The instance type.
        instance_type: String,
        /// IPv4 addresses per ENI, including the primary one.
        ips: u32,
    },
    /// Changes the ENI limit of an instance type.
    EniLimit {
        /// The instance type.
        instance_type: String,
        /// ENIs per instance, including the primary one.
        enis: u32,
    },
    /// Changes the account's ENI quota in the region (5,000 by default).
    EniQuota {
        /// The quota.
        enis: u32,
    },
    /// An ENI (`resource`: its ID, the attachment's or the instance's) stays attaching or
    /// detaching. The simulator checks once a second, and each check counts as a match.
    EniStuck {
        /// The stage in which it is stuck; `busy` is for volumes only.
        stage: StuckIn,
    },
    /// A volume (`resource`: its ID or name, or the instance's ID) stays attaching, detaching or
    /// busy. The simulator checks once a second, and each check counts as a match. A forced
    /// detachment and the end of the guest override it.
    VolumeStuck {
        /// The stage in which it is stuck.
        stage: StuckIn,
    },
    /// Automatic assignment in this subnet finds no free address.
    SubnetFull {
        /// The subnet, by name or ID.
        subnet: String,
        /// Which of the two errors.
        #[serde(default)]
        form: FullForm,
    },
    /// IAM denies the matching calls.
    IamDeny {},
    /// The caller's credentials have expired.
    CredentialsExpire {},
    /// EC2's clock is ahead (behind, if negative).
    ClockSkew {
        /// The skew.
        ms: i64,
    },
    /// Changes the response to the assignment of an address that the ENI already holds.
    AssignOwn {
        /// The response.
        answer: OwnAnswer,
    },
    /// Assigning an address that another ENI holds returns `Resource.AlreadyAssigned`.
    ResourceAlreadyAssignedCode {},
}

/// The stage in which an attachment is stuck.
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

/// Where a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutAt {
    /// Before the first header.
    Headers,
    /// In the body.
    Body,
    /// In the body; the connection stays open.
    Silence,
}

/// The body of a faulty response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// EC2's error XML.
    #[default]
    Xml,
    /// An HTML page, as a proxy sends.
    Html,
    /// An empty body.
    Empty,
}

/// The form of the throttling error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleForm {
    /// `Request limit exceeded.`
    #[default]
    Old,
    /// The form that names account and action.
    New,
}

/// The error for a subnet without free addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FullForm {
    /// `InsufficientFreeAddressesInSubnet`.
    #[default]
    Code,
    /// `InvalidParameterValue` with its own message.
    Value,
}

/// The response to the assignment of an address that the ENI already holds.
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
