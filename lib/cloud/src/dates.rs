//! What other clocks say, by the dates of their answers. Asks nothing of its own.

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

/// By how many seconds this node's clock was ahead of each other one, at its last answer.
#[derive(Debug, Clone)]
pub(crate) struct Dates {
    own: SharedTimeSource,
    seen: Arc<Mutex<BTreeMap<Clock, i64>>>,
}

impl Dates {
    pub(crate) fn new(own: SharedTimeSource) -> Self {
        Self { own, seen: Arc::default() }
    }

    pub(crate) fn readings(&self) -> Vec<Reading> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(clock, ahead)| Reading { clock: *clock, ahead: *ahead }).collect()
    }

    /// What that clock shows by now, as its last answer tells; none before it has told.
    pub(crate) fn now_of(&self, clock: Clock) -> Option<SystemTime> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = *seen.get(&clock)?;
        let (own, apart) = (self.own.now(), Duration::from_secs(ahead.unsigned_abs()));
        if ahead < 0 { own.checked_add(apart) } else { own.checked_sub(apart) }
    }

    /// A client whose answers are looked at for their dates.
    pub(crate) fn watch(&self, clock: Clock, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Watched { inner: client, clock, dates: self.clone() })
    }

    /// An answer without a date, or with one that cannot be read, says nothing.
    fn note(&self, clock: Clock, date: Option<&str>) {
        let read = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let Some(theirs) = read.map(|date| date.secs()) else { return };
        let ours = DateTime::from(self.own.now()).secs();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(clock, ours.saturating_sub(theirs));
    }
}

#[derive(Clone)]
struct Watched<T> {
    inner: T,
    clock: Clock,
    dates: Dates,
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl HttpClient for Watched<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let Self { clock, dates, .. } = self.clone();
        SharedHttpConnector::new(Watched { inner, clock, dates })
    }
}

impl HttpConnector for Watched<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        let (clock, dates) = (self.clock, self.dates.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            dates.note(clock, answer.headers().get("date"));
            Ok(answer)
        })
    }
}
