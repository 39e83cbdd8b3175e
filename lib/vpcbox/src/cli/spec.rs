//! The example spec.

/// Three nodes in two zones, clients inside and outside of the VPC, and something foreign.
pub(super) const EXAMPLE: &str = include_str!("spec/example.toml");
