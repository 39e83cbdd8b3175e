//! The real SDK, connected to a simulated VPC.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{
    BehaviorVersion, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use bytes::Bytes;
use firecamp_vpc::{
    Answer, Cut, CutPoint, Exchange, Fault, FaultId, FaultSpec, Profile, Selector, Simulator, Spec,
    WireRequest, WireResponse,
};
use futures_util::FutureExt as _;

use crate::clock::{Clock, EPOCH};

/// The service that a connector connects to.
#[derive(Debug, Clone)]
enum Service {
    Ec2,
    Imds(String),
}

/// A simulated VPC with a virtual clock.
#[derive(Debug, Clone)]
pub struct TestVpc {
    pub clock: Clock,
    simulator: Arc<Mutex<Simulator>>,
}

/// Two subnets in two zones, three nodes of several types, foreign ENIs.
pub const SPEC: &str = r#"
[vpc]
id = "vpc-0000000000000000a"
cidr = "10.0.0.0/16"

[[subnets]]
name = "a"
id = "subnet-0000000000000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
reservations = ["10.0.1.224/27"]

[[subnets]]
name = "b"
id = "subnet-0000000000000000b"
cidr = "10.0.2.0/28"
zone = "us-east-1b"

[[nodes]]
name = "node-1"
id = "i-00000000000000001"
subnet = "a"
instance_type = "t3.medium"
address = "10.0.1.11"

[[nodes.enis]]
id = "eni-00000000000000011"
subnet = "a"
device_index = 1
address = "10.0.1.12"

[[nodes]]
name = "node-2"
id = "i-00000000000000002"
subnet = "a"
instance_type = "m5.large"
address = "10.0.1.21"
secondary = ["10.0.1.100"]

[[nodes.enis]]
id = "eni-00000000000000021"
subnet = "a"
device_index = 2
address = "10.0.1.22"
secondary = ["10.0.1.101", "10.0.1.102"]

[[nodes]]
name = "node-3"
id = "i-00000000000000003"
subnet = "b"
instance_type = "m7i.large"
address = "10.0.2.5"

[[clients]]
name = "client-1"
subnet = "a"
address = "10.0.1.50"

[[foreign]]
name = "other"
id = "eni-000000000000000f0"
subnet = "a"
address = "10.0.1.60"
secondary = ["10.0.1.61"]
prefixes = ["10.0.1.128/28"]

[[foreign]]
name = "managed"
id = "eni-000000000000000f1"
subnet = "a"
address = "10.0.1.70"
operator = { principal = "eks.amazonaws.com", hidden = true }
"#;

pub const NODE_1: &str = "eni-00000000000000011";
pub const NODE_2: &str = "eni-00000000000000021";
pub const OTHER: &str = "eni-000000000000000f0";
pub const MANAGED: &str = "eni-000000000000000f1";
pub const SUBNET_A: &str = "subnet-0000000000000000a";
pub const SUBNET_B: &str = "subnet-0000000000000000b";

/// The outcome of a failed call, as the SDK reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub request_id: String,
}

/// Extracts the fields of an SDK error.
pub fn refused<E: ProvideErrorMetadata + std::fmt::Debug>(
    error: &SdkError<E, HttpResponse>,
) -> Refused {
    let service = error.as_service_error();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Refused {
        status: error.raw_response().map_or(0, |raw| raw.status().as_u16()),
        code: text(service.and_then(ProvideErrorMetadata::code)),
        message: text(service.and_then(ProvideErrorMetadata::message)),
        request_id: text(error.raw_response().and_then(|raw| raw.headers().request_id_header())),
    }
}

trait RequestIdHeader {
    fn request_id_header(&self) -> Option<&str>;
}

impl RequestIdHeader for aws_smithy_runtime_api::http::Headers {
    fn request_id_header(&self) -> Option<&str> {
        self.get("x-amzn-requestid").or_else(|| self.get("x-amz-request-id"))
    }
}

impl TestVpc {
    pub fn new() -> Self {
        Self::with(&Profile::fast(), 7)
    }

    pub fn with(profile: &Profile, seed: u64) -> Self {
        let spec = Spec::from_toml(SPEC).unwrap();
        let simulator = Simulator::new(&spec, *profile, seed, EPOCH).unwrap();
        Self { clock: Clock::default(), simulator: Arc::new(Mutex::new(simulator)) }
    }

    /// The simulator, advanced to the clock's time.
    pub fn simulator(&self) -> MutexGuard<'_, Simulator> {
        let mut simulator = self.simulator.lock().unwrap();
        simulator.advance(self.clock.now());
        simulator
    }

    pub fn run<F: Future>(&self, task: F) -> F::Output {
        let output = self.clock.run(task);
        assert!(self.simulator().violations().is_empty(), "{:?}", self.simulator().violations());
        output
    }

    /// A client that makes one attempt, with the credentials of a node, `admin` or `external`.
    pub fn ec2(&self, caller: &str) -> aws_sdk_ec2::Client {
        self.ec2_with(caller, RetryConfig::disabled())
    }

    pub fn ec2_with(&self, caller: &str, retry: RetryConfig) -> aws_sdk_ec2::Client {
        let own = self.simulator().credentials(caller).unwrap();
        let own =
            Credentials::new(own.access_key, own.secret_key, own.session_token, None, "simulator");
        self.ec2_as(own, retry)
    }

    pub fn ec2_as(&self, own: Credentials, retry: RetryConfig) -> aws_sdk_ec2::Client {
        let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_mins(1)).build();
        // No test streams an upload, so the upload stall protection would always trigger.
        let guard = StalledStreamProtectionConfig::enabled().upload_enabled(false).build();
        let config = aws_sdk_ec2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(own)
            .http_client(self.http(&Service::Ec2))
            .time_source(self.clock.clone())
            .sleep_impl(self.clock.clone())
            .retry_config(retry)
            .timeout_config(timeouts)
            .stalled_stream_protection(guard)
            .build();
        aws_sdk_ec2::Client::from_conf(config)
    }

    fn http(&self, service: &Service) -> SharedHttpClient {
        let connector =
            SharedHttpConnector::new(Connector { vpc: self.clone(), service: service.clone() });
        http_client_fn(move |_, _| connector.clone())
    }

    pub fn provider(&self, node: &str) -> ProviderConfig {
        ProviderConfig::empty()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_region(Some(Region::new("us-east-1")))
            .with_http_client(self.http(&Service::Imds(node.to_owned())))
            .with_time_source(self.clock.clone())
            .with_sleep_impl(self.clock.clone())
    }

    /// The SDK's metadata client on a node.
    pub fn imds(&self, node: &str) -> imds::Client {
        imds::Client::builder().configure(&self.provider(node)).max_attempts(1).build()
    }

    /// Sets a fault for every call.
    pub fn fault(&self, fault: Fault) -> FaultId {
        self.fault_when(fault, Selector::default())
    }

    pub fn fault_when(&self, fault: Fault, when: Selector) -> FaultId {
        let now = self.clock.now();
        self.simulator().fault_set(now, FaultSpec { fault, when }).unwrap()
    }

    /// How often a fault fired.
    pub fn fired(&self, id: FaultId) -> u64 {
        let all = self.simulator().fault_list();
        all.iter().find(|status| status.id == id).map(|status| status.fired).unwrap()
    }

    /// Sends a handwritten request.
    pub async fn raw_imds(&self, node: &str, request: &WireRequest) -> Option<WireResponse> {
        let exchange = self.simulator().imds(self.clock.now(), node, request);
        self.clock.until(exchange.respond_at?).await;
        let answer = self.simulator().answer(self.clock.now(), exchange.call).unwrap();
        Some(answer.response().clone())
    }

    pub async fn raw_ec2(&self, request: &WireRequest) -> WireResponse {
        let exchange = self.simulator().ec2(self.clock.now(), None, request);
        self.clock.until(exchange.respond_at.unwrap()).await;
        let answer = self.simulator().answer(self.clock.now(), exchange.call).unwrap();
        answer.response().clone()
    }

    /// Waits until every lag has passed.
    pub async fn settle(&self) {
        self.clock.pass(Duration::from_mins(10)).await;
    }

    fn send(&self, service: &Service, request: &WireRequest) -> Exchange {
        let now = self.clock.now();
        match service {
            Service::Ec2 => self.simulator().ec2(now, None, request),
            Service::Imds(node) => self.simulator().imds(now, node, request),
        }
    }

    async fn exchange(
        self,
        service: Service,
        request: WireRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let Exchange { call, respond_at } = self.send(&service, &request);
        let Some(at) = respond_at else { return std::future::pending().await };
        self.clock.until(at).await;
        let answer = self.simulator().answer(self.clock.now(), call).expect("the answer is due");
        match answer {
            Answer::Respond(response) => Ok(whole(&response)),
            Answer::Cut { after: CutPoint::Nothing, .. } => {
                let error = std::io::Error::other("connection closed before a message completed");
                // As the SDK's own connector reports it.
                Err(ConnectorError::other(error.into(), Some(ErrorKind::TransientError)))
            }
            Answer::Cut { response, after: CutPoint::BodyBytes(count), then } => {
                Ok(cut(&response, count, then))
            }
        }
    }
}

/// The SDK's HTTP connection to a simulator.
#[derive(Debug, Clone)]
struct Connector {
    vpc: TestVpc,
    service: Service,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = wire(&request);
        let (vpc, service) = (self.vpc.clone(), self.service.clone());
        HttpConnectorFuture::new(vpc.exchange(service, wire).map(|result| result))
    }
}

/// The request as a server reads it from its socket: with a Host header, which hyper adds.
fn wire(request: &HttpRequest) -> WireRequest {
    let uri: http::Uri = request.uri().parse().unwrap();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut wire = WireRequest::new(request.method(), path);
    wire = wire.with_header("host", uri.authority().unwrap().as_str());
    for (name, value) in request.headers() {
        wire = wire.with_header(name, value);
    }
    wire.with_body(request.body().bytes().unwrap_or_default())
}

fn whole(response: &WireResponse) -> HttpResponse {
    let body = SdkBody::from(response.body.clone());
    with_headers(response, body)
}

fn with_headers(response: &WireResponse, body: SdkBody) -> HttpResponse {
    let mut reply = HttpResponse::new(response.status.try_into().unwrap(), body);
    for (name, value) in &response.headers {
        reply.headers_mut().append(name.clone(), value.clone());
    }
    reply
}

fn cut(response: &WireResponse, count: usize, then: Cut) -> HttpResponse {
    let part = Bytes::copy_from_slice(&response.body[..count]);
    with_headers(response, SdkBody::from_body_1_x(Torn { part: Some(part), then }))
}

/// A body that ends early.
struct Torn {
    part: Option<Bytes>,
    then: Cut,
}

impl hyper::body::Body for Torn {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        use std::task::Poll;
        match (self.part.take(), self.then) {
            (Some(part), _) => Poll::Ready(Some(Ok(hyper::body::Frame::data(part)))),
            (None, Cut::Close) => {
                Poll::Ready(Some(Err(std::io::Error::other("connection closed"))))
            }
            (None, Cut::Silence) => Poll::Pending,
        }
    }
}
