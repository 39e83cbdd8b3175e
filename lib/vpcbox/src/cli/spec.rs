//! The example spec.

/// Three nodes in two zones, clients inside and outside of the VPC, and a foreign ENI.
pub(super) const EXAMPLE: &str = include_str!("spec/example.toml");
