//! EC2's query API: one client, and one request for each call.
//!
//! A call has three bounds, because they fail for different reasons: loading the credentials (STS
//! or the metadata service), connecting, and the answer. Without credentials nothing was sent.
//! After a change was sent, its bound means that its effect is unknown. Only the answers to reads
//! may take longer in a brown-out: a change must take effect within the time that authorised it.

mod addresses;
mod answer_bound;
pub(crate) mod client;
mod describe;
mod dry_run;
mod interfaces;
mod listing;
mod pages;
mod reservations;
mod used_endpoint;

use std::future::Future;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::SharedHttpClient;
use aws_sdk_ec2::types::{Filter, NetworkInterface};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_node::preflight::facts::Clock;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use self::answer_bound::AnswerBound;
use self::used_endpoint::UsedEndpoint;
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
    client: Mutex<Option<client::Signed>>,
    answers: AnswerBound,
    skews: ClockSkews,
    used: UsedEndpoint,
}

/// A call: operation and object for error messages, and the bound of a change.
struct Call {
    operation: Operation,
    /// The whole time of a change, or of a list of many pages. None for another read.
    within: Option<Duration>,
    what: String,
}

impl Call {
    fn read(what: String) -> Self {
        Self { operation: Operation::Describe, within: None, what }
    }

    fn change(operation: Operation, within: Duration, what: String) -> Self {
        Self { operation, within: Some(within), what }
    }
}

impl Ec2 {
    pub(crate) fn new(config: CloudConfig, skews: &ClockSkews) -> Self {
        let network = || SharedHttpClient::new(Transport::new(BODY_MAX));
        let transport = config.http.clone().unwrap_or_else(network);
        let transport = skews.watch(Clock::Ec2, transport);
        let answers = AnswerBound::new(config.answer_within);
        let (client, skews, used) = (Mutex::new(None), skews.clone(), UsedEndpoint::default());
        Self { config, transport, client, answers, skews, used }
    }

    /// The URL to which the first request was sent; none before it.
    pub(crate) fn used_endpoint(&self) -> Option<String> {
        self.used.url()
    }

    /// Runs one call. After a denial, the next one reads the credentials again, with a new token.
    async fn run<T, F>(
        &self,
        metadata: &Metadata,
        call: &Call,
        send: impl FnOnce(Client) -> F,
    ) -> Result<T, CloudFailure>
    where
        F: Future<Output = Result<T, CloudFailure>>,
    {
        let answer = self.attempt(metadata, call, send).await;
        if answer.as_ref().is_err_and(|failure| failure.kind == CloudKind::Auth) {
            *self.client.lock().await = None;
        }
        answer
    }

    /// One call within its bounds.
    async fn attempt<T, F>(
        &self,
        metadata: &Metadata,
        call: &Call,
        send: impl FnOnce(Client) -> F,
    ) -> Result<T, CloudFailure>
    where
        F: Future<Output = Result<T, CloudFailure>>,
    {
        let started = Instant::now();
        let client = self.ready(metadata, call).await?;
        let answer_within = self.answers.next();
        let left = match call.within {
            Some(within) => within.saturating_sub(started.elapsed()),
            None => client::CONNECT.saturating_add(answer_within),
        };
        let begun = Instant::now();
        let Ok(answer) = timeout(left, Box::pin(send(client))).await else {
            self.answers.elapsed(answer_within.min(left));
            return Err(sdk_error::timed_out_call(call.operation, &call.what, left));
        };
        answer.inspect(|_| self.answers.answered(begun.elapsed()))
    }

    /// The client, with credentials. A failure means that nothing was sent. The credentials of a
    /// change take at most half of its time, because its answer needs the rest.
    async fn ready(&self, metadata: &Metadata, call: &Call) -> Result<Client, CloudFailure> {
        let longest = self.config.credentials_within;
        let within = call.within.map_or(longest, |within| longest.min(within / 2));
        let loaded = async {
            let client::Signed { client, keys } = self.client(metadata).await?;
            let loaded = keys.provide_credentials().await;
            loaded.map_err(|error| sdk_error::no_credentials(&call.what, &error))?;
            Ok(client)
        };
        let late = |_elapsed| {
            let text = format!("{}: no region or credentials within {within:?}", call.what);
            Err(sdk_error::before_sending(NotSentReason::Late, &text))
        };
        timeout(within, Box::pin(loaded)).await.unwrap_or_else(late)
    }

    async fn client(&self, metadata: &Metadata) -> Result<client::Signed, CloudFailure> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let client = client::build(&self.config, &self.transport, metadata, &self.used).await?;
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
