//! The registry of a cluster: claims, static IPs and pools as custom resources of the Kubernetes
//! API, pods as the kubelet's own.
//!
//! One request is one attempt with a deadline, never repeated here, and every failure says
//! whether a write may have taken effect. Reads are quorum reads. A write is a create, or a JSON
//! patch that names the version that was read and replaces the spec alone, so that labels,
//! finalizers, owners and the status stay whatever they are.

mod board;
mod call;
mod census;
mod choice;
mod classify;
mod cluster;
mod inventory;
mod list;
mod object;
mod pod;
mod registry;
mod source;
mod volumes;
mod watch;
mod write;

pub use board::KubeBoard;
pub use call::Timeouts;
pub use census::Census;
pub use choice::{Choice, Chosen};
pub use cluster::KubeCluster;
pub use inventory::{Inventory, NodeSeen, PodLife, PodSeen, Right, Served, SetSeen};
pub use registry::KubeRegistry;
pub use source::Source;
pub use volumes::VolumeLooks;
pub use watch::{Event, Events, Item, Key, Lost, Watched};
