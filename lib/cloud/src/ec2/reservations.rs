//! The CIDR reservations of a subnet.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{SubnetCidrReservation, SubnetCidrReservationType};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::SubnetId;
use firecamp_node::preflight::facts::Reservation;

use super::{Call, Ec2, pages};
use crate::classify::Operation;
use crate::metadata::Metadata;
use crate::sdk_error;

impl Ec2 {
    /// The IPv4 reservations of a subnet.
    pub(crate) async fn reservations(
        &self,
        metadata: &Metadata,
        subnet: &SubnetId,
    ) -> Result<Vec<Reservation>, CloudFailure> {
        let call = Call::read(format!("GetSubnetCidrReservations of {subnet}"));
        let what = &call.what;
        let describe = |client| self.reserved(client, what, subnet);
        let all = self.run(metadata, &call, describe).await?;
        all.iter().map(|one| reservation(what, one)).collect()
    }

    async fn reserved(
        &self,
        client: Client,
        what: &str,
        subnet: &SubnetId,
    ) -> Result<Vec<SubnetCidrReservation>, CloudFailure> {
        let page_request = |token| {
            let request = client
                .get_subnet_cidr_reservations()
                .subnet_id(subnet.as_str())
                .max_results(self.config.page_size)
                .set_next_token(token);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| sdk_error::from_sdk(Operation::Describe, what, &error))?;
                Ok((answer.subnet_ipv4_cidr_reservations.unwrap_or_default(), answer.next_token))
            }
        };
        pages::all(what, page_request).await
    }
}

fn reservation(what: &str, one: &SubnetCidrReservation) -> Result<Reservation, CloudFailure> {
    let text = one.cidr().unwrap_or_default();
    let block = text.parse().map_err(|why| {
        let detail = format!("{what}: failed to parse {:?}: {why}", sdk_error::clean(text));
        sdk_error::read_failure(CloudKind::Transient, detail)
    })?;
    let explicit = one.reservation_type() == Some(&SubnetCidrReservationType::Explicit);
    Ok(Reservation { block, explicit })
}
