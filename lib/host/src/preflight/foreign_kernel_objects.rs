//! The node's files combined with foreign objects in its kernel.

use firecamp_core::failure::HostFailure;

use super::NodeFiles;
use firecamp_node::preflight::facts::{Nat, NodeFacts};
use firecamp_node::preflight::{KernelChecks, NodeChecks};

/// The tables of legacy iptables, one per line.
const LEGACY: &str = "/proc/net/ip_tables_names";

/// A node's files and its kernel.
#[derive(Debug, Clone)]
pub struct Node<K> {
    pub(super) files: NodeFiles,
    pub(super) kernel: K,
}

impl<K: KernelChecks> Node<K> {
    async fn nat(&self) -> Result<Nat, String> {
        let chains = self.kernel.source_nat().await.map_err(why)?;
        let tables = self.files.text(LEGACY)?;
        let legacy = tables.is_some_and(|text| text.lines().any(|line| line == "nat"));
        Ok(Nat { chains, legacy })
    }
}

impl<K: KernelChecks> NodeChecks for Node<K> {
    async fn facts(&self) -> NodeFacts {
        let rules = self.kernel.foreign_rules().await.map_err(why).into();
        let nat = self.nat().await.into();
        NodeFacts { rules, nat, ..self.files.facts().await }
    }
}

fn why(failure: HostFailure) -> String {
    failure.detail
}
