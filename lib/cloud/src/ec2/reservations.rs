//! The CIDR reservations of a subnet.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{SubnetCidrReservation, SubnetCidrReservationType};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::SubnetId;
use firecamp_node::preflight::facts::Reservation;

use super::{Call, Ec2, pages};
use crate::classify::Operation;
use crate::failed;
use crate::metadata::Metadata;

impl Ec2 {
    /// The IPv4 reservations of a subnet.
    pub(crate) async fn reservations(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
    ) -> Result<Vec<Reservation>, CloudFailure> {
        let what = format!("GetSubnetCidrReservations of {subnet}");
        let within = self.config.describe_within;
        let call = Call { operation: Operation::Describe, within, what };
        let what = &call.what;
        let look = |client| self.reserved(client, what, subnet);
        let all = self.run(metadata, &call, look).await?;
        all.iter().map(|one| reservation(what, one)).collect()
    }

    async fn reserved(
        &self,
        client: Client,
        what: &str,
        subnet: &SubnetId,
    ) -> Result<Vec<SubnetCidrReservation>, CloudFailure> {
        let turn = |token| {
            let page = client
                .get_subnet_cidr_reservations()
                .subnet_id(subnet.as_str())
                .max_results(self.config.page_size)
                .set_next_token(token);
            async move {
                let answer = page
                    .send()
                    .await
                    .map_err(|error| failed::from_sdk(Operation::Describe, what, &error))?;
                Ok((answer.subnet_ipv4_cidr_reservations.unwrap_or_default(), answer.next_token))
            }
        };
        pages(what, turn).await
    }
}

fn reservation(what: &str, one: &SubnetCidrReservation) -> Result<Reservation, CloudFailure> {
    let text = one.cidr().unwrap_or_default();
    let block = text.parse().map_err(|why| {
        let detail = format!("{what}: {:?} cannot be read: {why}", failed::clean(text));
        failed::unread(CloudKind::Transient, detail)
    })?;
    let explicit = one.reservation_type() == Some(&SubnetCidrReservationType::Explicit);
    Ok(Reservation { block, explicit })
}
