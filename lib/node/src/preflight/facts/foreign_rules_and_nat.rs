//! Routing rules and NAT chains of other programs.

use std::fmt;
use std::net::Ipv4Addr;

/// A routing rule without our protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignRule {
    /// The kernel evaluates lower numbers first.
    pub priority: u32,
    /// The source prefix that it matches; none for all.
    pub from: Option<(Ipv4Addr, u8)>,
    /// The destination prefix that it matches; none for all.
    pub to: Option<(Ipv4Addr, u8)>,
    /// The table that it looks up; none for another action.
    pub table: Option<u32>,
}

impl fmt::Display for ForeignRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        for (word, part) in [("from", self.from), ("to", self.to)] {
            match part {
                Some((address, 32)) => write!(f, " {word} {address}")?,
                Some((address, length)) => write!(f, " {word} {address}/{length}")?,
                None => {}
            }
        }
        match self.table {
            Some(table) => write!(f, " lookup {table}"),
            None => f.write_str(" (no lookup)"),
        }
    }
}

/// What applies source NAT on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Nat {
    /// Chains of nf_tables that apply SNAT to what they match.
    pub chains: Vec<Chain>,
    /// Whether iptables-legacy has a nat table; only iptables-legacy itself can read it.
    pub legacy: bool,
}

/// A chain of nf_tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in table {}", self.name, self.table)
    }
}
