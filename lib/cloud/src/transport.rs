//! HTTP for the AWS clients: plain for http URLs; TLS is set up at the first https request.
//!
//! The SDK's own client loads CA certificates when it is built, also for http URLs, and asserts
//! that there are some. This client does neither.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use rustls_native_certs::CertificateResult;
use thiserror::Error;

/// An https endpoint was requested on a machine without CA certificates.
#[derive(Debug, Clone, Error)]
#[error(
    "no usable CA certificates, so no https endpoint can be trusted: ship a CA bundle in the image \
     (/etc/ssl/certs/ca-certificates.crt) or name one in SSL_CERT_FILE ({found})"
)]
pub(crate) struct NoRoots {
    found: String,
}

type Key = (Option<Duration>, Option<Duration>);

/// The HTTP client of one AWS client, with a limit on the response body.
#[derive(Debug)]
pub(crate) struct Transport {
    cap: usize,
    connectors: RwLock<HashMap<Key, SharedHttpConnector>>,
}

impl Transport {
    pub(crate) fn new(cap: usize) -> Self {
        Self { cap, connectors: RwLock::default() }
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let key = (settings.connect_timeout(), settings.read_timeout());
        let known = self.connectors.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = known.get(&key) {
            return connector.clone();
        }
        drop(known);
        let mut known = self.connectors.write().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let by_scheme = ByScheme::new(self.cap, settings.clone(), components.sleep_impl());
            SharedHttpConnector::new(by_scheme)
        };
        known.entry(key).or_insert_with(fresh).clone()
    }
}

#[derive(Debug)]
struct ByScheme {
    cap: usize,
    settings: HttpConnectorSettings,
    sleep: Option<SharedAsyncSleep>,
    plain: Connector,
    secure: OnceLock<Result<Arc<Connector>, NoRoots>>,
}

impl ByScheme {
    fn new(cap: usize, settings: HttpConnectorSettings, sleep: Option<SharedAsyncSleep>) -> Self {
        let plain = builder(&settings, sleep.as_ref()).build_http();
        Self { cap, settings, sleep, plain, secure: OnceLock::new() }
    }

    fn secure(&self) -> Result<Arc<Connector>, NoRoots> {
        let build = || {
            check_roots(rustls_native_certs::load_native_certs())?;
            let connector = builder(&self.settings, self.sleep.as_ref())
                .proxy_config(ProxyConfig::from_env())
                .tls_provider(Provider::rustls(CryptoMode::AwsLc))
                .build();
            Ok(Arc::new(connector))
        };
        self.secure.get_or_init(build).clone()
    }
}

impl HttpConnector for ByScheme {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let https = request.uri().get(..6).is_some_and(|s| s.eq_ignore_ascii_case("https:"));
        let answer = if https {
            match self.secure() {
                Ok(connector) => connector.call(request),
                Err(none) => {
                    return HttpConnectorFuture::ready(Err(ConnectorError::user(none.into())));
                }
            }
        } else {
            self.plain.call(request)
        };
        let cap = self.cap;
        HttpConnectorFuture::new(async move {
            let capped = move |body| SdkBody::from_body_1_x(Limited::new(body, cap));
            Ok(answer.await?.map(capped))
        })
    }
}

fn builder(settings: &HttpConnectorSettings, sleep: Option<&SharedAsyncSleep>) -> ConnectorBuilder {
    let mut builder = Connector::builder().connector_settings(settings.clone());
    builder.set_sleep_impl(sleep.cloned());
    builder
}

fn check_roots(loaded: CertificateResult) -> Result<(), NoRoots> {
    let CertificateResult { certs, errors, .. } = loaded;
    let (usable, unusable) = rustls::RootCertStore::empty().add_parsable_certificates(certs);
    if usable > 0 {
        return Ok(());
    }
    let error = errors.first().map_or_else(|| "no read error".to_owned(), ToString::to_string);
    Err(NoRoots { found: format!("{unusable} certificates could not be parsed; {error}") })
}
