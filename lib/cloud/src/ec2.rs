//! Calls of EC2's query API, one request each.

pub(crate) mod client;
mod describe;
mod pages;
mod reservations;

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::SharedHttpClient;
use aws_sdk_ec2::operation::assign_private_ip_addresses::AssignPrivateIpAddressesOutput;
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_core::ports::Owner;
use firecamp_node::preflight::facts::Clock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::classify::{NotSentReason, Operation};
use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::metadata::Metadata;
use crate::transport::Transport;
use crate::{owner, sdk_error};

/// More than a page of a thousand ENIs with fifty addresses each.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// EC2 with a client that is built at the first call.
#[derive(Debug)]
pub(crate) struct Ec2 {
    config: CloudConfig,
    transport: SharedHttpClient,
    client: Mutex<Option<Client>>,
    skews: ClockSkews,
}

/// A call: operation and object for error messages, and its deadline.
struct Call {
    operation: Operation,
    within: Duration,
    what: String,
}

impl Ec2 {
    pub(crate) fn new(config: CloudConfig, skews: &ClockSkews) -> Self {
        let network = || SharedHttpClient::new(Transport::new(BODY_MAX));
        let transport = config.http.clone().unwrap_or_else(network);
        let transport = skews.watch(Clock::Ec2, transport);
        Self { config, transport, client: Mutex::new(None), skews: skews.clone() }
    }

    pub(crate) async fn owner(
        &self,
        metadata: &Metadata,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<Owner, CloudFailure> {
        let call = Call {
            operation: Operation::Describe,
            within: self.config.describe_within,
            what: format!("DescribeNetworkInterfaces for the owner of {address} in {subnet}"),
        };
        let filters = [
            ("addresses.private-ip-address".to_owned(), address.to_string()),
            ("subnet-id".to_owned(), subnet.to_string()),
        ];
        let describe = |client| self.enis(client, &call.what, &filters);
        let enis = self.run(metadata, &call, describe).await?;
        owner::owner(&call.what, address, subnet, &enis)
    }

    pub(crate) async fn assign(
        &self,
        metadata: &Metadata,
        (eni, address): (&EniId, Ipv4Addr),
        force: bool,
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let how = if force { " by force" } else { "" };
        let what = format!("AssignPrivateIpAddresses of {address} to {eni}{how}");
        let call = Call { operation: Operation::Assign, within, what };
        let send = |client: Client| async move {
            client
                .assign_private_ip_addresses()
                .network_interface_id(eni.as_str())
                .private_ip_addresses(address.to_string())
                .allow_reassignment(force)
                .send()
                .await
        };
        let send = |client| async {
            send(client)
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        let answer = self.run(metadata, &call, send).await?;
        confirm(&call.what, eni, address, &answer)
    }

    pub(crate) async fn unassign(
        &self,
        metadata: &Metadata,
        (eni, address): (&EniId, Ipv4Addr),
        within: Duration,
    ) -> Result<(), CloudFailure> {
        let what = format!("UnassignPrivateIpAddresses of {address} from {eni}");
        let call = Call { operation: Operation::Unassign, within, what };
        let send = |client: Client| async move {
            client
                .unassign_private_ip_addresses()
                .network_interface_id(eni.as_str())
                .private_ip_addresses(address.to_string())
                .send()
                .await
        };
        let send = |client| async {
            send(client)
                .await
                .map_err(|error| sdk_error::from_sdk(call.operation, &call.what, &error))
        };
        self.run(metadata, &call, send).await.map(drop)
    }

    /// Runs one call within its deadline. A failure before the client is built means: not sent.
    async fn run<T, F>(
        &self,
        metadata: &Metadata,
        call: &Call,
        send: impl FnOnce(Client) -> F,
    ) -> Result<T, CloudFailure>
    where
        F: Future<Output = Result<T, CloudFailure>>,
    {
        let Call { operation, within, what } = call;
        let started = Instant::now();
        let late = |_elapsed| {
            let text = format!("{what}: no region or credentials within {within:?}");
            Err(sdk_error::before_sending(NotSentReason::Late, &text))
        };
        let client = timeout(*within, self.client(metadata)).await.unwrap_or_else(late)?;
        let left = within.saturating_sub(started.elapsed());
        let timed_out_call = |_elapsed| Err(sdk_error::timed_out_call(*operation, what, *within));
        let answer = timeout(left, send(client)).await.unwrap_or_else(timed_out_call);
        if answer.as_ref().is_err_and(|failure| failure.kind == CloudKind::Auth) {
            // The next call reads the credentials again, with a new token.
            *self.client.lock().await = None;
        }
        answer
    }

    async fn client(&self, metadata: &Metadata) -> Result<Client, CloudFailure> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let client = client::build(&self.config, &self.transport, metadata).await?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// All interfaces that match.
    async fn enis(
        &self,
        client: Client,
        what: &str,
        filters: &[(String, String)],
    ) -> Result<Vec<NetworkInterface>, CloudFailure> {
        let filters = filters_of(filters);
        let page_request = |token| {
            let request = client
                .describe_network_interfaces()
                .set_filters(Some(filters.clone()))
                .max_results(self.config.page_size)
                .set_next_token(token);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| sdk_error::from_sdk(Operation::Describe, what, &error))?;
                Ok((answer.network_interfaces.unwrap_or_default(), answer.next_token))
            }
        };
        pages::all(what, page_request).await
    }
}

fn filters_of(filters: &[(String, String)]) -> Vec<Filter> {
    let filter =
        |(name, value): &(String, String)| Filter::builder().name(name).values(value).build();
    filters.iter().map(filter).collect()
}

/// A 2xx is a success. The documentation does not guarantee that the body contains the address, but
/// a body with another address or ENI is not the response to our request.
fn confirm(
    what: &str,
    eni: &EniId,
    address: Ipv4Addr,
    answer: &AssignPrivateIpAddressesOutput,
) -> Result<(), CloudFailure> {
    let address = address.to_string();
    let assigned = answer.assigned_private_ip_addresses();
    let named = |entry: &aws_sdk_ec2::types::AssignedPrivateIpAddress| {
        entry.private_ip_address() == Some(address.as_str())
    };
    let other_eni = answer.network_interface_id().is_some_and(|id| id != eni.as_str());
    if other_eni || (!assigned.is_empty() && !assigned.iter().any(named)) {
        let detail = format!("{what}: the response names another address or ENI: {answer:?}");
        let detail = sdk_error::clean(&detail);
        return Err(CloudFailure { kind: CloudKind::Unknown, effect: Effect::Unknown, detail });
    }
    Ok(())
}
