//! The implementation of [`Cloud`](firecamp_core::ports::Cloud),
//! [`CloudInterfaces`](firecamp_core::ports::CloudInterfaces),
//! [`CloudChecks`](firecamp_node::preflight::CloudChecks) and
//! [`CloudVolumes`](firecamp_node::volumes::CloudVolumes): EC2 through aws-sdk-ec2, and the
//! instance's metadata service through aws-config's IMDSv2 client.
//!
//! *Guarantees.* One request per call, never a retry; every call ends within a deadline; one module
//! classifies every failure, which names operation, object, code and request ID. Before the first
//! EC2 call, no credentials request, TLS setup or region lookup happens.
//!
//! *Assumptions.* The node's metadata service speaks IMDSv2; CA certificates exist when an endpoint
//! is https.

mod aws;
mod classify;
mod clock_skew;
mod config;
mod connect_on_first_call;
mod credentials;
mod ec2;
mod identity;
mod instance_tag;
mod instance_type_limits;
mod interface;
mod listing;
#[cfg(feature = "logs")]
mod logs;
mod managed_interface;
mod metadata;
mod owner;
mod sdk_error;
mod transport;
mod validate_imds_token;
mod volume;

pub use aws::AwsCloud;
pub use config::CloudConfig;
pub use connect_on_first_call::LazyCloud;
pub use credentials::Credentials;
pub use instance_tag::{InstanceTag, instance_tag};
pub use listing::{InterfacesBy, ListedInterface, ListedSubnet};
#[cfg(feature = "logs")]
pub use logs::delete_log_group;
pub use volume::DescribedVolume;
