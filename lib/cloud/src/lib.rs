//! The real [`Cloud`](firecamp_core::outside::Cloud),
//! [`CloudChecks`](firecamp_node::preflight::CloudChecks) and
//! [`CloudVolumes`](firecamp_node::volumes::CloudVolumes): EC2 through aws-sdk-ec2, and the
//! metadata service of this instance through aws-config's IMDSv2 client.
//!
//! *Guarantees.* One request per call, never a retry; every call ends within a deadline; every
//! failure is classified by one module and names operation, object, code and request id. Until
//! the first EC2 call there is no credentials request, no TLS set-up and no region look-up.
//!
//! *Assumptions.* The node's own metadata service speaks IMDSv2; certificates of certification
//! authorities are there when an endpoint is https.

mod aws;
mod classify;
mod config;
mod dates;
mod ec2;
mod failed;
mod identity;
mod interface;
mod lazy;
mod limits;
mod metadata;
mod owner;
mod token;
mod transport;
mod volume;

pub use aws::AwsCloud;
pub use config::{CloudConfig, Credentials};
pub use lazy::LazyCloud;
