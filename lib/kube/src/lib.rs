//! The Kubernetes registry: claims, static IPs and pools are custom resources.
//!
//! Each request is one attempt with a deadline and is never retried here. Every failure states
//! whether a write may have taken effect. Reads are quorum reads. A write is a create, or a JSON
//! patch that tests the version that was read and replaces only the spec, so labels, finalizers,
//! owners and the status are preserved.

mod api_server_credentials;
mod classify;
mod cluster;
mod http_request;
mod interfaces;
mod inventory;
mod list;
mod object_paths;
mod objects;
mod orphan_census;
mod pod;
mod pod_authority;
mod registry;
mod removal;
mod select_cluster;
mod status_writer;
mod volumes;
mod watch;
mod write;

pub use api_server_credentials::Source;
pub use cluster::KubeCluster;
pub use http_request::Timeouts;
pub use inventory::{Inventory, ObservedNode, ObservedPod, ObservedSet, PodState, Right, Served};
pub use kube::runtime::utils::Backoff;
pub use kube::runtime::watcher::{self, ExponentialBackoff};
pub use objects::{Apply, Evicted, ObjectKind, ObjectPath, Objects, SERVICE_MANAGER, Selector};
pub use orphan_census::Census;
pub use pod::NodePod;
pub use registry::KubeRegistry;
pub use removal::{ObjectName, ReadObject};
pub use select_cluster::{Choice, Chosen};
pub use status_writer::KubeStatusWriter;
pub use volumes::VolumeReader;
pub use watch::{Collection, Interrupted, Item, Watchable, Watched, WatchedPool, backoff};
