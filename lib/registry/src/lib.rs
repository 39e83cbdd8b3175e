//! Where claims, static IPs and attachments are kept: the wire types of the three kinds, the file
//! registry (one machine, no cluster) and the registry in memory (tests). Both implement
//! [`firecamp_core::outside::Registry`] and pass the same [`conformance`] suite.

pub mod api;
#[doc(hidden)]
pub mod conformance;
#[cfg(feature = "schema")]
pub mod crds;
mod failure;
pub mod file;
pub mod memory;
pub mod registry_url;
#[doc(hidden)]
pub mod rules;

pub use file::{Everything, FileRegistry, Follower, Timeouts};
pub use memory::MemoryRegistry;
pub use registry_url::RegistryUrl;
