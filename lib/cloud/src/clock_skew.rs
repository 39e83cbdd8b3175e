//! Clock skew, measured from the `Date` headers of responses. Sends no requests of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use firecamp_node::preflight::facts::{Clock, Reading};

/// How many seconds this node's clock was ahead of each service's clock at its last response.
#[derive(Debug, Clone)]
pub(crate) struct ClockSkews {
    own: SharedTimeSource,
    skews: Arc<Mutex<BTreeMap<Clock, i64>>>,
}

impl ClockSkews {
    pub(crate) fn new(own: SharedTimeSource) -> Self {
        Self { own, skews: Arc::default() }
    }

    pub(crate) fn readings(&self) -> Vec<Reading> {
        let skews = self.skews.lock().unwrap_or_else(PoisonError::into_inner);
        skews.iter().map(|(clock, ahead)| Reading { clock: *clock, ahead: *ahead }).collect()
    }

    /// The current time of that clock, according to its last response; `None` before the first one.
    pub(crate) fn now_of(&self, clock: Clock) -> Option<SystemTime> {
        let skews = self.skews.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = *skews.get(&clock)?;
        let (own, apart) = (self.own.now(), Duration::from_secs(ahead.unsigned_abs()));
        if ahead < 0 { own.checked_add(apart) } else { own.checked_sub(apart) }
    }

    /// Wraps a client to record the dates of its responses.
    pub(crate) fn watch(&self, clock: Clock, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(DateRecorder { inner: client, clock, skews: self.clone() })
    }

    /// A response with a missing or invalid date is ignored.
    fn record(&self, clock: Clock, date: Option<&str>) {
        let read = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let Some(theirs) = read.map(|date| date.secs()) else { return };
        let ours = DateTime::from(self.own.now()).secs();
        let mut skews = self.skews.lock().unwrap_or_else(PoisonError::into_inner);
        skews.insert(clock, ours.saturating_sub(theirs));
    }
}

#[derive(Clone)]
struct DateRecorder<T> {
    inner: T,
    clock: Clock,
    skews: ClockSkews,
}

impl<T> fmt::Debug for DateRecorder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DateRecorder")
    }
}

impl HttpClient for DateRecorder<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let Self { clock, skews, .. } = self.clone();
        SharedHttpConnector::new(DateRecorder { inner, clock, skews })
    }
}

impl HttpConnector for DateRecorder<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let (clock, skews) = (self.clock, self.skews.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            skews.record(clock, answer.headers().get("date"));
            Ok(answer)
        })
    }
}
