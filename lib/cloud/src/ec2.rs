//! EC2's query API: one client, and one request for each call within its deadline.

mod addresses;
pub(crate) mod client;
mod describe;
mod dry_run;
mod interfaces;
mod listing;
mod pages;
mod reservations;

use std::future::Future;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::SharedHttpClient;
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_node::preflight::facts::Clock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::classify::{NotSentReason, Operation};
use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::metadata::Metadata;
use crate::sdk_error;
use crate::transport::Transport;

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
        filters: &[Filter],
    ) -> Result<Vec<NetworkInterface>, CloudFailure> {
        let pages = self.eni_pages(client, what, filters, self.config.page_size, |page| page);
        Ok(pages.await?.into_iter().flatten().collect())
    }

    /// All interfaces that match, as EC2 divides them into pages; of each page what `keep` returns.
    async fn eni_pages<T>(
        &self,
        client: Client,
        what: &str,
        filters: &[Filter],
        page_size: i32,
        keep: impl Fn(Vec<NetworkInterface>) -> T,
    ) -> Result<Vec<T>, CloudFailure> {
        let keep = &keep;
        let page_request = |token| {
            let request = client
                .describe_network_interfaces()
                .set_filters(Some(filters.to_vec()))
                .max_results(page_size)
                .set_next_token(token);
            async move {
                let answer = request
                    .send()
                    .await
                    .map_err(|error| sdk_error::from_sdk(Operation::Describe, what, &error))?;
                let page = keep(answer.network_interfaces.unwrap_or_default());
                Ok((vec![page], answer.next_token))
            }
        };
        pages::all(what, page_request).await
    }
}

/// A filter that any of the values passes.
pub(crate) fn filter(name: &str, values: &[impl ToString]) -> Filter {
    let values = values.iter().map(ToString::to_string).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}
