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

use crate::classify::{Cause, classify_metadata};
use crate::config::CloudConfig;
use crate::dates::Dates;
use crate::transport::Transport;
use crate::{failed, token};

/// No value of the metadata service is nearly as long.
const BODY_MAX: usize = 64 * 1024;

/// Reads at one time: each takes its own connection, and the service limits both connections and
/// packets (1024 a second for each ENI).
const READS_MAX: usize = 8;

/// The metadata service of this instance.
#[derive(Debug)]
pub(crate) struct Metadata {
    config: CloudConfig,
    dates: Dates,
    within: Duration,
    session: Mutex<Session>,
    permits: Semaphore,
}

/// A client holds one token and never drops it, so a token that is refused needs a new client.
#[derive(Debug, Clone)]
struct Session {
    number: u64,
    client: Client,
}

impl Metadata {
    pub(crate) fn new(config: &CloudConfig, dates: Dates) -> Result<Self, CloudFailure> {
        let client = patient(config, &dates)?;
        Ok(Self {
            config: config.clone(),
            dates,
            within: config.imds_within,
            session: Mutex::new(Session { number: 0, client }),
            permits: Semaphore::new(READS_MAX),
        })
    }

    /// What answers are looked at for their dates.
    pub(crate) fn dates(&self) -> &Dates {
        &self.dates
    }

    /// The text at this path below `/latest/meta-data/`; that there is none is a failure.
    pub(crate) async fn get(&self, path: &str) -> Result<String, CloudFailure> {
        let missing = || {
            let kind = classify_metadata(Some(404));
            failed::unread(kind, format!("{}: not there (HTTP 404)", asked(path)))
        };
        self.find(path).await?.ok_or_else(missing)
    }

    /// The text at this path, or none if the service says that there is none (404). An empty
    /// text is a failure: the service answers so when it is in trouble.
    pub(crate) async fn find(&self, path: &str) -> Result<Option<String>, CloudFailure> {
        let permit = self.permits.acquire().await;
        let answer = tokio::time::timeout(self.within, self.read(path)).await;
        drop(permit);
        let text = answer.unwrap_or_else(|_elapsed| Err(self.silent(path)))?;
        if text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            let kind = classify_metadata(None);
            return Err(failed::unread(kind, format!("{}: an empty answer", asked(path))));
        }
        Ok(text)
    }

    async fn read(&self, path: &str) -> Result<Option<String>, CloudFailure> {
        let session = self.session();
        match session.read(path).await {
            Err(error) if status(&error) == Some(401) => {
                tracing::info!(path, "the metadata service refuses our token: taking a new one");
                outcome(path, self.renewed(session.number)?.read(path).await)
            }
            answer => outcome(path, answer),
        }
    }

    fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A session after the refused one: of many reads that fail at once, the first makes it.
    fn renewed(&self, refused: u64) -> Result<Session, CloudFailure> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.number == refused {
            let client = patient(&self.config, &self.dates)?;
            *session = Session { number: refused.saturating_add(1), client };
        }
        Ok(session.clone())
    }

    fn silent(&self, path: &str) -> CloudFailure {
        let within = self.within;
        failed::unread(
            classify_metadata(None),
            format!(
                "{}: no answer within {within:?} (blocked, dropped above its packet limit, or the \
                 hop limit of the instance is too low for a pod's own network namespace)",
                asked(path)
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

/// A client whose deadlines come after ours, which explains itself better.
fn patient(config: &CloudConfig, dates: &Dates) -> Result<Client, CloudFailure> {
    client(config, dates, config.imds_within.saturating_mul(2))
}

/// A client of our own making: it sends nothing before the first read.
pub(crate) fn client(
    config: &CloudConfig,
    dates: &Dates,
    within: Duration,
) -> Result<Client, CloudFailure> {
    let network = || SharedHttpClient::new(Transport::new(BODY_MAX));
    let transport = token::checked(config.http.clone().unwrap_or_else(network));
    let transport = dates.watch(Clock::Metadata, transport);
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
        let text = failed::chain(error.as_ref());
        let what = format!("endpoint {endpoint:?} of the metadata service: {text}");
        failed::before_sending(Cause::Misconfigured, &what)
    })?;
    Ok(placed.build())
}

fn asked(path: &str) -> String {
    format!("read {path} from the metadata service")
}

fn outcome(path: &str, answer: Result<String, ImdsError>) -> Result<Option<String>, CloudFailure> {
    let error = match answer {
        Ok(text) => return Ok(Some(text)),
        Err(error) => error,
    };
    let status = status(&error);
    match (&error, status) {
        (ImdsError::ErrorResponse(_), Some(404)) => Ok(None),
        (ImdsError::ErrorResponse(_), Some(status)) => Err(failed::unread(
            classify_metadata(Some(status)),
            format!("{}: HTTP {status}{}", asked(path), hint(status)),
        )),
        (_, status) => Err(failed::unread(
            classify_metadata(status.filter(|status| *status >= 400 && *status != 404)),
            format!("{}: {}{}", asked(path), failed::chain(&error), hint(status.unwrap_or(0))),
        )),
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        403 => " (switched off for this instance, or a proxy stands in between)",
        _ => "",
    }
}

/// The status that the service answered, to the read itself or to the question for a token.
fn status(error: &ImdsError) -> Option<u16> {
    if let ImdsError::ErrorResponse(answer) = error {
        return Some(answer.response().status().as_u16());
    }
    let token = error.source()?.downcast_ref::<SdkError<TokenError, HttpResponse>>()?;
    Some(token.raw_response()?.status().as_u16())
}
