//! A strict VPC simulator: EC2's query API, the instance metadata service (IMDSv2), propagation
//! lags, throttling and faults, as one pure and deterministic state machine.
//!
//! It has no clock, I/O or threads. The caller passes the time as the
//! [`Duration`](std::time::Duration) since the start of the simulation, one seed for all
//! randomness, and requests as [`WireRequest`]s. The same seed and the same calls at the same times
//! produce the same bytes and the same log.
//!
//! # Use
//!
//! ```
//! use std::time::Duration;
//! use firecamp_vpc::{Profile, Spec, WireRequest, Simulator};
//!
//! let spec = Spec::from_toml(
//!     r#"
//!     [vpc]
//!     cidr = "10.0.0.0/16"
//!     [[subnets]]
//!     name = "a"
//!     cidr = "10.0.1.0/24"
//!     zone = "us-east-1a"
//!     [[nodes]]
//!     name = "node-1"
//!     subnet = "a"
//!     instance_type = "m5.large"
//!     "#,
//! )?;
//! let epoch = Duration::from_secs(1_790_000_000); // wall clock at the start of the simulator
//! let mut simulator = Simulator::new(&spec, Profile::fast(), 7, epoch)?;
//! let request = WireRequest::new("GET", "/latest/meta-data/instance-id");
//! let exchange = simulator.imds(Duration::ZERO, "node-1", &request);
//! // A driver waits until `respond_at` (`None`: this call is never answered) ...
//! let due = exchange.respond_at.expect("no fault is set");
//! // ... and takes the answer. The call takes effect between the two, by itself.
//! let answer = simulator.answer(due, exchange.call).expect("it is due");
//! assert_eq!(answer.response().status, 401); // no token
//! # Ok::<(), firecamp_vpc::SpecError>(())
//! ```
//!
//! A driver with real sockets calls [`Simulator::advance`] whenever [`Simulator::next_event`] is
//! due, and then programs its routes from [`Simulator::data_path`]. Every other entry point also
//! advances the simulation.

mod auth;
mod calendar;
mod ec2;
mod external_actions;
mod faults;
mod iam;
mod imds;
mod immediate;
mod log;
mod logs;
mod model;
mod profile;
mod rng;
mod route53;
mod simulator;
mod spec;
mod timeline;
mod token_buckets;
mod view;
mod wire;

pub use external_actions::{Act, ActError};
pub use faults::{
    Body, CutAt, Fault, FaultError, FaultId, FaultSpec, FaultStatus, FullForm, OwnAnswer, Selector,
    StuckIn, ThrottleForm,
};
pub use iam::{AuthorizationRequest, Policy, PolicyError};
pub use log::{Call, Commit, Move, Service, Violation};
pub use profile::{Distribution, Profile, ProfileError};
pub use route53::{Lookup, Record, RecordType};
pub use simulator::Simulator;
pub use spec::{
    ClientSpec, EniSpec, ForeignSpec, NodeSpec, Operator, ProfileName, Spec, SpecError, SubnetSpec,
    VolumeSpec, VpcSpec,
};
pub use view::{
    AddressTruth, BucketTruth, ClientView, Credentials, EniView, HeldAs, ImdsListing, NodeState,
    NodeView, PreviousOwner, SubnetView, Truth, VolumeAttachmentView, VolumeView,
};
pub use wire::{Answer, CallId, Cut, CutPoint, Exchange, WireRequest, WireResponse};
