//! Carries the SDK's requests to the simulator without a socket, in virtual time.
#![expect(clippy::expect_used, reason = "test support: what fails here fails the test")]

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
use firecamp_vpc::{Answer, Cut, CutPoint, Exchange, Simulator, WireRequest, WireResponse};
use tokio::time::{Instant, sleep_until};

/// The time of day at which every world begins.
pub const EPOCH: Duration = Duration::from_secs(1_790_000_000);

/// The world and the moment at which it began.
#[derive(Clone)]
pub struct Clockwork {
    world: Arc<Mutex<Simulator>>,
    origin: Instant,
}

impl std::fmt::Debug for Clockwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clockwork")
    }
}

impl Clockwork {
    /// A world that begins now, and at [`EPOCH`] for those who are in it.
    pub fn new(world: Simulator) -> Self {
        Self { world: Arc::new(Mutex::new(world)), origin: Instant::now() }
    }

    /// Virtual time since the beginning.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The world as it is now.
    pub fn world(&self) -> MutexGuard<'_, Simulator> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.now());
        world
    }
}

/// Signatures and credentials live in virtual time, too.
impl TimeSource for Clockwork {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + EPOCH + Self::now(self)
    }
}

/// Which service a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// EC2's query API.
    Ec2,
    /// The metadata service of the node.
    Metadata,
}

/// What a call meets on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Whatever the simulator says.
    Answered,
    /// The connection breaks this long after the request was sent, which arrives all the same.
    Broken(Duration),
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// When.
    pub now: Duration,
    /// Where to.
    pub service: Service,
    /// The request.
    pub request: &'a WireRequest,
}

/// Stands between a client and the simulator, and may set and clear faults there.
pub trait Customs: std::fmt::Debug + Send + Sync {
    /// Hands a request over to the world.
    fn pass(
        &self,
        world: &mut Simulator,
        parcel: Parcel<'_>,
        send: &mut dyn FnMut(&mut Simulator) -> Exchange,
    ) -> (Exchange, Fate);

    /// The answer to a call is there.
    fn answered(&self, world: &mut Simulator, exchange: &Exchange);
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy)]
struct Free;

impl Customs for Free {
    fn pass(
        &self,
        world: &mut Simulator,
        _parcel: Parcel<'_>,
        send: &mut dyn FnMut(&mut Simulator) -> Exchange,
    ) -> (Exchange, Fate) {
        (send(world), Fate::Answered)
    }

    fn answered(&self, _world: &mut Simulator, _exchange: &Exchange) {}
}

/// The network of one node: the metadata service by its address, EC2 at any other.
#[derive(Debug, Clone)]
pub struct Carrier {
    clockwork: Clockwork,
    node: String,
    customs: Arc<dyn Customs>,
}

impl Carrier {
    /// From a node of the world.
    pub fn new(clockwork: Clockwork, node: &str) -> Self {
        Self { clockwork, node: node.to_owned(), customs: Arc::new(Free) }
    }

    /// The same, with something in between.
    #[must_use]
    pub fn through(mut self, customs: Arc<dyn Customs>) -> Self {
        self.customs = customs;
        self
    }

    /// A client of EC2 and IMDS for one process.
    pub fn cloud(self) -> AwsCloud {
        let config = CloudConfig {
            region: Some("us-east-1".to_owned()),
            ec2_endpoint: Some("http://ec2.test".to_owned()),
            credentials: Credentials::InstanceRole,
            clock: Some(SharedTimeSource::new(self.clockwork.clone())),
            http: Some(SharedHttpClient::new(self)),
            ..CloudConfig::default()
        };
        AwsCloud::connect(config).expect("settings of this file")
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (exchange, fate) = self.send(&request);
        let closed = || ConnectorError::other("the connection was closed".into(), None);
        if let Fate::Broken(after) = fate {
            tokio::time::sleep(after).await;
            return Err(closed());
        }
        let Some(due) = exchange.respond_at else { return std::future::pending().await };
        sleep_until(self.clockwork.origin + due).await;
        let answer = {
            let mut world = self.clockwork.world();
            self.customs.answered(&mut world, &exchange);
            world.answer(self.clockwork.now(), exchange.call)
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

    fn send(&self, request: &HttpRequest) -> (Exchange, Fate) {
        let imds = request.uri().contains("169.254.169.254");
        let service = if imds { Service::Metadata } else { Service::Ec2 };
        let wire = wire_request(request);
        let now = self.clockwork.now();
        let mut send = |world: &mut Simulator| match service {
            Service::Metadata => world.imds(now, &self.node, &wire),
            Service::Ec2 => world.ec2(now, Some(&self.node), &wire),
        };
        let parcel = Parcel { now, service, request: &wire };
        self.customs.pass(&mut self.clockwork.world(), parcel, &mut send)
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
