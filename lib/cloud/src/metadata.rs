//! Reads of the metadata service (IMDSv2), one attempt each.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::error::{ImdsError, TokenError};
use aws_config::provider_config::ProviderConfig;
use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use firecamp_core::failure::CloudFailure;
use firecamp_node::preflight::facts::Clock;
use tokio::sync::Semaphore;

use crate::classify::{NotSentReason, classify_metadata};
use crate::clock_skew::ClockSkews;
use crate::config::CloudConfig;
use crate::transport::Transport;
use crate::{sdk_error, validate_imds_token};

/// Far more than any value of the metadata service.
const BODY_MAX: usize = 64 * 1024;

/// Concurrent reads: each uses its own connection, and the service limits both connections and
/// packets (1024 per second for each ENI).
const READS_MAX: usize = 8;

/// The metadata service of this instance.
#[derive(Debug)]
pub(crate) struct Metadata {
    config: CloudConfig,
    skews: ClockSkews,
    within: Duration,
    session: Mutex<Session>,
    permits: Semaphore,
}

/// A client keeps one token and never drops it, so a refused token needs a new client.
#[derive(Debug, Clone)]
struct Session {
    number: u64,
    client: Client,
}

impl Metadata {
    pub(crate) fn new(config: &CloudConfig, skews: ClockSkews) -> Result<Self, CloudFailure> {
        let client = client_with_margin(config, &skews)?;
        Ok(Self {
            config: config.clone(),
            skews,
            within: config.imds_within,
            session: Mutex::new(Session { number: 0, client }),
            permits: Semaphore::new(READS_MAX),
        })
    }

    /// The recorded dates of responses.
    pub(crate) fn skews(&self) -> &ClockSkews {
        &self.skews
    }

    /// The text at this path below `/latest/meta-data/`; a missing path is a failure.
    pub(crate) async fn get(&self, path: &str) -> Result<String, CloudFailure> {
        let missing = || {
            let kind = classify_metadata(Some(404));
            sdk_error::read_failure(kind, format!("{}: not found (HTTP 404)", failed_read(path)))
        };
        self.find(path).await?.ok_or_else(missing)
    }

    /// The text at this path, or `None` if the service returns 404. An empty text is a failure: the
    /// service returns one when it is impaired.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<String>, CloudFailure> {
        let permit = self.permits.acquire().await;
        let answer = tokio::time::timeout(self.within, self.read(path)).await;
        drop(permit);
        let text = answer.unwrap_or_else(|_elapsed| Err(self.no_response(path)))?;
        if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            let kind = classify_metadata(None);
            return Err(sdk_error::read_failure(
                kind,
                format!("{}: empty response", failed_read(path)),
            ));
        }
        Ok(text)
    }

    async fn read(&self, path: &str) -> Result<Option<String>, CloudFailure> {
        let session = self.session();
        match session.read(path).await {
            Err(error) if status(&error) == Some(401) => {
                tracing::info!(path, "metadata token refused, requesting a new one");
                outcome(path, self.renewed(session.number)?.read(path).await)
            }
            answer => outcome(path, answer),
        }
    }

    fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A session after the refused one: of many concurrent reads that fail, the first creates it.
    fn renewed(&self, refused: u64) -> Result<Session, CloudFailure> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.number == refused {
            let client = client_with_margin(&self.config, &self.skews)?;
            *session = Session { number: refused.saturating_add(1), client };
        }
        Ok(session.clone())
    }

    fn no_response(&self, path: &str) -> CloudFailure {
        let within = self.within;
        sdk_error::read_failure(
            classify_metadata(None),
            format!(
                "{}: no response within {within:?} (blocked, dropped above the packet limit, or \
                 the instance's hop limit is too low for a pod's own network namespace)",
                failed_read(path)
            ),
        )
    }
}

impl Session {
    async fn read(&self, path: &str) -> Result<String, ImdsError> {
        let text = self.client.get(format!("/latest/meta-data/{path}")).await?;
        Ok(text.as_ref().to_owned())
    }
}

/// A client whose deadlines are later than ours, because our error message explains more.
fn client_with_margin(config: &CloudConfig, skews: &ClockSkews) -> Result<Client, CloudFailure> {
    client(config, skews, config.imds_within.saturating_mul(2))
}

/// Builds a client, which sends nothing before the first read.
pub(crate) fn client(
    config: &CloudConfig,
    skews: &ClockSkews,
    within: Duration,
) -> Result<Client, CloudFailure> {
    let network = || SharedHttpClient::new(Transport::new(BODY_MAX));
    let transport = validate_imds_token::checked(config.http.clone().unwrap_or_else(network));
    let transport = skews.watch(Clock::Metadata, transport);
    let provider = ProviderConfig::empty()
        .with_http_client(transport)
        .with_sleep_impl(TokioSleep::new())
        .with_time_source(config.clock());
    let builder = Client::builder()
        .configure(&provider)
        .max_attempts(1)
        .connect_timeout(within)
        .read_timeout(within)
        .operation_attempt_timeout(within)
        .operation_timeout(within);
    let Some(endpoint) = &config.imds_endpoint else {
        return Ok(builder.build());
    };
    let placed = builder.endpoint(endpoint.as_str()).map_err(|error| {
        let text = sdk_error::chain(error.as_ref());
        let what = format!("invalid endpoint {endpoint:?} of the metadata service: {text}");
        sdk_error::before_sending(NotSentReason::Misconfigured, &what)
    })?;
    Ok(placed.build())
}

fn failed_read(path: &str) -> String {
    format!("failed to read {path} from the metadata service")
}

fn outcome(path: &str, answer: Result<String, ImdsError>) -> Result<Option<String>, CloudFailure> {
    let error = match answer {
        Ok(text) => return Ok(Some(text)),
        Err(error) => error,
    };
    let status = status(&error);
    match (&error, status) {
        (ImdsError::ErrorResponse(_), Some(404)) => Ok(None),
        (ImdsError::ErrorResponse(_), Some(status)) => Err(sdk_error::read_failure(
            classify_metadata(Some(status)),
            format!("{}: HTTP {status}{}", failed_read(path), hint(status)),
        )),
        (_, status) => Err(sdk_error::read_failure(
            classify_metadata(status.filter(|status| *status >= 400 && *status != 404)),
            format!(
                "{}: {}{}",
                failed_read(path),
                sdk_error::chain(&error),
                hint(status.unwrap_or(0))
            ),
        )),
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        403 => " (disabled for this instance, or a proxy is in between)",
        _ => "",
    }
}

/// The status of the service's response to the read or to the token request.
fn status(error: &ImdsError) -> Option<u16> {
    if let ImdsError::ErrorResponse(answer) = error {
        return Some(answer.response().status().as_u16());
    }
    let token = error.source()?.downcast_ref::<SdkError<TokenError, HttpResponse>>()?;
    Some(token.raw_response()?.status().as_u16())
}
