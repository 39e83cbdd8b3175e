//! Rules and NAT of other programs in this kernel, read-only, for the preflight.

use firecamp_core::failure::HostFailure;
use firecamp_node::preflight::KernelChecks;
use firecamp_node::preflight::facts::{Chain, ForeignRule};

use crate::kernel::{nat, rule};
use crate::linux::{LinuxHost, NETFILTER, ROUTE};

impl KernelChecks for LinuxHost {
    async fn foreign_rules(&self) -> Result<Vec<ForeignRule>, HostFailure> {
        let mut netlink = self.netlink(ROUTE)?;
        Ok(rule::foreign(&mut netlink).await?)
    }

    async fn source_nat(&self) -> Result<Vec<Chain>, HostFailure> {
        let mut netlink = self.netlink(NETFILTER)?;
        Ok(nat::source_nat(&mut netlink).await?.into_iter().collect())
    }
}
