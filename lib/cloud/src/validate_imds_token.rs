//! Validates the metadata service's token before the SDK puts it into a header: the SDK panics on
//! bytes that are not a valid header value.

use std::fmt;

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use thiserror::Error;

/// Comes with every token.
const TIME_TO_LIVE: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The response cannot be a token.
#[derive(Debug, Error)]
#[error("the metadata service's token is not text")]
struct NotText;

/// Wraps a client to accept only tokens that are text.
pub(crate) fn checked(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Checked(client))
}

#[derive(Clone)]
struct Checked<T>(T);

impl<T> fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checked")
    }
}

impl HttpClient for Checked<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Checked(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Checked<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        // Only tokens use PUT; everything else uses GET.
        let token = request.method() == "PUT";
        let answer = self.0.call(request);
        if !token {
            return answer;
        }
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            // Without the TTL header the SDK does not accept a token.
            if answer.headers().get(TIME_TO_LIVE).is_none() {
                return Ok(answer);
            }
            let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
            let body = body.collect().await.map_err(ConnectorError::io)?;
            let token = body.to_bytes();
            if !token.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_control()) {
                return Err(ConnectorError::other(NotText.into(), None));
            }
            *answer.body_mut() = SdkBody::from(token);
            Ok(answer)
        })
    }
}
