//! A cloud that is connected by its first call: most releases make none, and none of them may
//! fail over a setting of AWS that it does not need.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node::NodeIdentity;
use firecamp_core::outside::{Cloud, Owner};
use tokio::sync::OnceCell;

use crate::aws::AwsCloud;
use crate::config::CloudConfig;

/// [`AwsCloud`], connected when it is first needed.
#[derive(Debug, Default)]
pub struct LazyCloud(OnceCell<AwsCloud>);

impl LazyCloud {
    async fn connected(&self) -> Result<&AwsCloud, CloudFailure> {
        self.0.get_or_try_init(async || AwsCloud::connect(CloudConfig::from_env())).await
    }
}

impl Cloud for LazyCloud {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.connected().await?.identity().await
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        self.connected().await?.listed(mac).await
    }

    async fn owner(&self, address: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.connected().await?.owner(address, subnet).await
    }

    async fn assign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.assign(eni, address, force, within).await
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        self.connected().await?.unassign(eni, address, within).await
    }
}
