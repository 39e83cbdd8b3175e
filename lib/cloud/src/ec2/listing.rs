//! Listings for `firecamp verify-ec2`: interfaces page by page, and a subnet.

use aws_sdk_ec2::Client;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::SubnetId;

use super::{Call, Ec2, filter};
use crate::listing::{InterfacesBy, ListedInterface, ListedSubnet};
use crate::metadata::Metadata;
use crate::{credentials, listing, sdk_error};

impl Ec2 {
    /// The pages of a listing, each with its interfaces.
    pub(crate) async fn interface_pages(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
        by: &InterfacesBy,
        page_size: i32,
    ) -> Result<Vec<Vec<ListedInterface>>, CloudFailure> {
        let call = Call::read(format!("DescribeNetworkInterfaces of {subnet} {by}"));
        let filters = by.filters(subnet);
        let describe =
            |client| self.eni_pages(client, &call.what, &filters, page_size, |page| page);
        let pages = self.run(metadata, &call, describe).await?;
        let parsed = pages.iter().map(|page| {
            page.iter().map(|one| listing::listed(&call.what, one)).collect::<Result<Vec<_>, _>>()
        });
        parsed.collect()
    }

    /// The subnet with its CIDR reservations.
    pub(crate) async fn subnet(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
    ) -> Result<ListedSubnet, CloudFailure> {
        let call = &Call::read(format!("DescribeSubnets of {subnet}"));
        let send = |client: Client| async move {
            client
                .describe_subnets()
                .filters(filter("subnet-id", std::slice::from_ref(subnet)))
                .send()
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        let answer = self.run(metadata, call, send).await?;
        let found = listing::subnet(&call.what, subnet, answer.subnets())?;
        let reservations = self.reservations(metadata, subnet).await?;
        let reservations = reservations.into_iter().map(|one| one.block).collect();
        Ok(ListedSubnet { reservations, ..found })
    }

    /// The configured region, or that of this instance.
    pub(crate) async fn region(&self, metadata: &Metadata) -> Result<String, CloudFailure> {
        credentials::region(&self.config, metadata).await.map(|region| region.to_string())
    }
}
