//! Test support. No shipped program links this crate.
//!
//! * [`sim`]: the outside systems in memory, and wrappers that inject faults.
//! * [`netns`]: tests against the real kernel, in separate network namespaces.
//! * [`build`]: the binaries of this workspace, built for programs that start them.
//! * [`kubernetes`]: the binaries, keys and kubeconfigs of a real Kubernetes.
//!
//! Each is a feature of the same name, so that the simulation builds without any client.

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(feature = "netns")]
pub mod netns;
#[cfg(feature = "sim")]
pub mod sim;
