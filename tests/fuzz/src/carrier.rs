//! An HTTP client for the SDK that answers requests in this process, in virtual time.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use http_body_util::Limited;

/// Longer than the sum of all deadlines of a call.
const HANG: Duration = Duration::from_hours(1);

/// How a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A complete response.
    Answer { status: u16, body: Vec<u8> },
    /// A response whose body ends before this byte.
    Cut { status: u16, body: Vec<u8>, at: usize },
    /// The connection is refused.
    Refused,
    /// The connection is reset before a response.
    Reset,
    /// No response.
    Silence,
}

type Answerer = dyn Fn(&HttpRequest) -> Ending + Send + Sync;

#[derive(Clone)]
struct Carrier(Arc<Answerer>);

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

impl HttpClient for Carrier {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Carrier {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let ending = (self.0)(&request);
        HttpConnectorFuture::new(async move {
            match ending {
                Ending::Answer { status, body } => answer(status, SdkBody::from(body)),
                Ending::Cut { status, body, at } => {
                    let cut = Limited::new(SdkBody::from(body), at);
                    answer(status, SdkBody::from_body_1_x(cut))
                }
                Ending::Refused => Err(ConnectorError::io(
                    io::Error::from(io::ErrorKind::ConnectionRefused).into(),
                )),
                Ending::Reset => {
                    Err(ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into()))
                }
                Ending::Silence => std::future::pending().await,
            }
        })
    }
}

fn answer(status: u16, body: SdkBody) -> Result<HttpResponse, ConnectorError> {
    let status = status.try_into().expect("the targets draw only valid statuses");
    let mut response = HttpResponse::new(status, body);
    // The metadata service sends this header with every token; in EC2's responses it has no effect.
    response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    Ok(response)
}

/// The product's client over a network that responds with `answers`.
pub(crate) fn cloud(answers: impl Fn(&HttpRequest) -> Ending + Send + Sync + 'static) -> AwsCloud {
    let keys = Credentials::Fixed { key_id: "AKIDTEST".to_owned(), secret: "secret".to_owned() };
    let config = CloudConfig {
        region: Some("us-east-1".to_owned()),
        ec2_endpoint: Some("http://ec2.test".to_owned()),
        credentials: keys,
        http: Some(SharedHttpClient::new(Carrier(Arc::new(answers)))),
        ..CloudConfig::default()
    };
    AwsCloud::connect(config).expect("the settings are valid")
}

/// Runs a call to its end in virtual time, so a missing response costs no real time.
pub(crate) fn ended<T>(call: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O starts");
    runtime
        .block_on(async { tokio::time::timeout(HANG, call).await })
        .expect("every call ends within its deadline")
}

/// Failure texts may repeat hostile input, but never its line breaks or escape sequences.
pub(crate) fn is_one_short_line(text: &str) -> bool {
    text.len() < 8000 && !text.chars().any(char::is_control)
}
