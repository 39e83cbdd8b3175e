//! An HTTP client for the SDK that calls the simulator directly, in virtual time.
#![expect(clippy::expect_used, reason = "test support: a failure here fails the test")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_ec2::config::SharedHttpClient;
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_vpc::{
    Answer, Cut, CutPoint, Exchange, Profile, Simulator, Spec, WireRequest, WireResponse,
};
use tokio::time::{Instant, sleep_until};

/// The wall-clock time at which every simulation begins.
pub const EPOCH: Duration = Duration::from_secs(1_790_000_000);

/// The simulator and its clock.
#[derive(Clone)]
pub struct SharedSim {
    world: Arc<Mutex<Simulator>>,
    origin: Instant,
}

impl std::fmt::Debug for SharedSim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSim")
    }
}

impl SharedSim {
    /// A simulation that begins now. Its wall clock begins at [`EPOCH`].
    pub fn new(world: Simulator) -> Self {
        Self { world: Arc::new(Mutex::new(world)), origin: Instant::now() }
    }

    /// A simulation of the VPC of this spec.
    pub fn of(spec: &str, profile: &Profile) -> Self {
        let spec = Spec::from_toml(spec).expect("a valid spec");
        Self::new(Simulator::new(&spec, *profile, 7, EPOCH).expect("the simulator starts"))
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The simulator, advanced to the present.
    pub fn world(&self) -> MutexGuard<'_, Simulator> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.now());
        world
    }
}

/// The SDK signs requests and checks credentials in virtual time, too.
impl TimeSource for SharedSim {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + EPOCH + Self::now(self)
    }
}

/// Which service a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// EC2's query API, or CloudWatch Logs.
    Ec2,
    /// The metadata service of the node.
    Metadata,
}

/// What happens to a call on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The simulator's response arrives.
    Answered,
    /// The request arrives, but the connection breaks this long after it was sent.
    Broken(Duration),
}

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub struct InFlight<'a> {
    /// When it was sent.
    pub now: Duration,
    /// Its destination.
    pub service: Service,
    /// The request.
    pub request: &'a WireRequest,
}

/// Intercepts calls between a client and the simulator; may set and clear faults.
pub trait Interceptor: std::fmt::Debug + Send + Sync {
    /// Forwards a request to the simulator by calling `send`.
    fn forward(
        &self,
        world: &mut Simulator,
        in_flight: InFlight<'_>,
        send: &mut dyn FnMut(&mut Simulator) -> Exchange,
    ) -> (Exchange, Delivery);

    /// Is called when the response to a call is due.
    fn answered(&self, world: &mut Simulator, exchange: &Exchange);
}

/// Forwards every request unchanged.
#[derive(Debug, Clone, Copy)]
struct PassThrough;

impl Interceptor for PassThrough {
    fn forward(
        &self,
        world: &mut Simulator,
        _in_flight: InFlight<'_>,
        send: &mut dyn FnMut(&mut Simulator) -> Exchange,
    ) -> (Exchange, Delivery) {
        (send(world), Delivery::Answered)
    }

    fn answered(&self, _world: &mut Simulator, _exchange: &Exchange) {}
}

/// The network of one node: the metadata service at its address, EC2 and CloudWatch Logs at any
/// other.
#[derive(Debug, Clone)]
pub struct Carrier {
    shared_sim: SharedSim,
    node: String,
    interceptor: Arc<dyn Interceptor>,
}

impl Carrier {
    /// The network of this node.
    pub fn new(shared_sim: SharedSim, node: &str) -> Self {
        Self { shared_sim, node: node.to_owned(), interceptor: Arc::new(PassThrough) }
    }

    /// Adds an interceptor.
    #[must_use]
    pub fn intercepted_by(mut self, interceptor: Arc<dyn Interceptor>) -> Self {
        self.interceptor = interceptor;
        self
    }

    /// A client of EC2 and IMDS for one process.
    pub fn cloud(self) -> AwsCloud {
        AwsCloud::connect(self.config()).expect("the settings in this file are valid")
    }

    /// The settings of a client of the simulator.
    pub fn config(self) -> CloudConfig {
        CloudConfig {
            region: Some("us-east-1".to_owned()),
            ec2_endpoint: Some("http://ec2.test".to_owned()),
            credentials: Credentials::InstanceRole,
            clock: Some(SharedTimeSource::new(self.shared_sim.clone())),
            http: Some(SharedHttpClient::new(self)),
            ..CloudConfig::default()
        }
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (exchange, delivery) = self.send(&request);
        let closed = || ConnectorError::other("the connection was closed".into(), None);
        if let Delivery::Broken(after) = delivery {
            tokio::time::sleep(after).await;
            return Err(closed());
        }
        let Some(due) = exchange.respond_at else { return std::future::pending().await };
        sleep_until(self.shared_sim.origin + due).await;
        let answer = {
            let mut world = self.shared_sim.world();
            self.interceptor.answered(&mut world, &exchange);
            world.answer(self.shared_sim.now(), exchange.call)
        };
        match answer {
            Some(Answer::Respond(response)) => response_of(response),
            Some(Answer::Cut { then: Cut::Silence, .. }) => std::future::pending().await,
            Some(Answer::Cut { after: CutPoint::Nothing, .. }) | None => Err(closed()),
            Some(Answer::Cut { mut response, after: CutPoint::BodyBytes(count), .. }) => {
                response.body.truncate(count);
                response_of(response)
            }
        }
    }

    fn send(&self, request: &HttpRequest) -> (Exchange, Delivery) {
        let imds = request.uri().contains("169.254.169.254");
        let service = if imds { Service::Metadata } else { Service::Ec2 };
        let wire = wire_request(request);
        let now = self.shared_sim.now();
        let mut send = |world: &mut Simulator| match service {
            Service::Metadata => world.imds(now, &self.node, &wire),
            Service::Ec2 if wire.header("x-amz-target").is_some() => {
                world.logs(now, Some(&self.node), &wire)
            }
            Service::Ec2 => world.ec2(now, Some(&self.node), &wire),
        };
        let in_flight = InFlight { now, service, request: &wire };
        self.interceptor.forward(&mut self.shared_sim.world(), in_flight, &mut send)
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
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

fn wire_request(request: &HttpRequest) -> WireRequest {
    let uri: http::Uri = request.uri().parse().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut wire = WireRequest::new(request.method(), path);
    for (name, value) in request.headers() {
        wire = wire.with_header(name, value);
    }
    if let (None, Some(host)) = (wire.header("host"), uri.authority()) {
        wire = wire.with_header("host", host.as_str());
    }
    wire.with_body(request.body().bytes().unwrap_or_default())
}

fn response_of(response: WireResponse) -> Result<HttpResponse, ConnectorError> {
    let status =
        response.status.try_into().map_err(|error| ConnectorError::other(Box::new(error), None))?;
    let mut out = HttpResponse::new(status, SdkBody::from(response.body));
    for (name, value) in response.headers {
        out.headers_mut().append(name, value);
    }
    Ok(out)
}
