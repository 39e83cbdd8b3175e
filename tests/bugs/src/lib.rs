//! Deliberate bugs: patches that break one rule of the protocol each, and what must find them.
//!
//! `patches/NAME.patch` says in its first line what the bug breaks; `hunts.toml` says what finds
//! it. No product code knows of the bugs: they are applied to a copy of the tree.

pub mod catalogue;
pub mod patch;
