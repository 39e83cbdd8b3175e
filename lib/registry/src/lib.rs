//! Storage of pools, claims, static IPs and node attachments: the API types, the file registry
//! (one machine, no cluster) and the in-memory registry (tests). Both registries implement
//! [`firecamp_core::ports::Registry`] and pass the same [`conformance`] suite.

pub mod api;
#[doc(hidden)]
pub mod choose_pool;
#[doc(hidden)]
pub mod conformance;
#[cfg(feature = "schema")]
pub mod crds;
mod failure;
pub mod file;
pub mod memory;
mod pool_resources;
pub mod registry_url;
#[doc(hidden)]
pub mod rules;

pub use file::{FileListing, FileRegistry, Follower, Timeouts};
pub use memory::MemoryRegistry;
pub use pool_resources::{ResourceFault, resource_faults};
pub use registry_url::RegistryUrl;
