//! Carries the SDK's requests to the simulator without a socket, in virtual time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use firecamp_vpc::{Answer, Cut, CutPoint, WireRequest, WireResponse, World};
use tokio::time::{Instant, sleep_until};

/// The world and the moment at which it began.
#[derive(Clone)]
pub(crate) struct Clockwork {
    world: Arc<Mutex<World>>,
    origin: Instant,
}

impl std::fmt::Debug for Clockwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clockwork")
    }
}

impl Clockwork {
    pub(crate) fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> std::time::Duration {
        self.origin.elapsed()
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.now());
        world
    }
}

/// The network of one node: the metadata service by its address, EC2 at any other.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    clockwork: Clockwork,
    node: String,
}

impl Carrier {
    pub(crate) fn new(clockwork: Clockwork, node: &str) -> Self {
        Self { clockwork, node: node.to_owned() }
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let imds = request.uri().contains("169.254.169.254");
        let wire = wire_request(&request);
        let exchange = {
            let now = self.clockwork.now();
            let mut world = self.clockwork.world();
            if imds {
                world.imds(now, &self.node, &wire)
            } else {
                world.ec2(now, Some(&self.node), &wire)
            }
        };
        let Some(due) = exchange.respond_at else { return std::future::pending().await };
        sleep_until(self.clockwork.origin + due).await;
        let answer = self.clockwork.world().answer(self.clockwork.now(), exchange.call);
        match answer {
            Some(Answer::Respond(response)) => response_of(response),
            Some(Answer::Cut { then: Cut::Silence, .. }) => std::future::pending().await,
            Some(Answer::Cut { after: CutPoint::Nothing, .. }) | None => {
                Err(ConnectorError::other("the connection was closed".into(), None))
            }
            Some(Answer::Cut { mut response, after: CutPoint::BodyBytes(count), .. }) => {
                response.body.truncate(count);
                response_of(response)
            }
        }
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
