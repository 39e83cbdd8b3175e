//! The endpoint of EC2 that is in use. A flag, variables and two places of the configuration file
//! can name it, and only the SDK knows all the rules: so the URL of its request decides.

use std::sync::{Arc, OnceLock};

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// The URL of the first request to EC2.
#[derive(Debug, Clone, Default)]
pub(super) struct UsedEndpoint(Arc<OnceLock<String>>);

impl UsedEndpoint {
    pub(super) fn url(&self) -> Option<String> {
        self.0.get().cloned()
    }

    /// Wraps the HTTP client of EC2 alone: the requests for credentials have other endpoints.
    pub(super) fn watch(&self, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(UrlRecorder { inner: client, used: self.clone() })
    }
}

#[derive(Debug)]
struct UrlRecorder<T> {
    inner: T,
    used: UsedEndpoint,
}

impl HttpClient for UrlRecorder<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(UrlRecorder { inner, used: self.used.clone() })
    }
}

impl HttpConnector for UrlRecorder<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.used.0.get_or_init(|| request.uri().to_owned());
        self.inner.call(request)
    }
}
