//! A simulated VPC with two nodes, each with its own metadata service.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use firecamp_cloud::{AwsCloud, CloudConfig, Credentials};
use firecamp_core::ids::{EniId, SubnetId};
use firecamp_vpc::{
    AddressTruth, Answer, Cut, CutPoint, Exchange, Fault, FaultSpec, Profile, Selector, Simulator,
    Spec, WireRequest,
};
use tokio::time::Instant;

use crate::server::{Reply, Request, Server};

const SPEC: &str = r#"
    [vpc]
    cidr = "10.0.0.0/16"
    [[subnets]]
    name = "a"
    cidr = "10.0.1.0/24"
    zone = "us-east-1a"
    [[subnets]]
    name = "b"
    cidr = "10.0.2.0/24"
    zone = "us-east-1a"
    [[nodes]]
    name = "node-1"
    subnet = "a"
    instance_type = "t3.medium"
    address = "10.0.1.10"
    cluster = "demo"
    [[nodes]]
    name = "node-2"
    subnet = "a"
    instance_type = "t3.medium"
    address = "10.0.1.20"
    cluster = "demo"
    [[nodes.enis]]
    subnet = "b"
    device_index = 1
    cluster = "demo"
"#;

struct Clocked {
    simulator: Simulator,
    start: Instant,
}

impl Clocked {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The VPC, its servers, and a client on each node.
pub(crate) struct TwoNodes {
    shared: Arc<Mutex<Clocked>>,
    pub(crate) ec2: Server,
    _imds: [Server; 2],
    pub(crate) clouds: [AwsCloud; 2],
    pub(crate) enis: [EniId; 2],
    pub(crate) subnet: SubnetId,
}

impl TwoNodes {
    pub(crate) async fn start() -> Self {
        let spec = Spec::from_toml(SPEC).unwrap();
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let simulator = Simulator::new(&spec, Profile::fast(), 7, epoch).unwrap();
        let nodes = simulator.nodes();
        let primary = |node: usize| nodes.get(node).unwrap().enis.first().unwrap().clone();
        let enis = [0, 1].map(|node| EniId::new(&primary(node).id).unwrap());
        let subnet = SubnetId::new(&primary(0).subnet).unwrap();
        let shared = Arc::new(Mutex::new(Clocked { simulator, start: Instant::now() }));
        let ec2 = serve(&shared, |simulator, now, request| simulator.ec2(now, None, request)).await;
        let first =
            serve(&shared, |simulator, now, request| simulator.imds(now, "node-1", request)).await;
        let second =
            serve(&shared, |simulator, now, request| simulator.imds(now, "node-2", request)).await;
        let clouds = [&first, &second].map(|imds| client(&ec2.url, &imds.url));
        Self { shared, ec2, _imds: [first, second], clouds, enis, subnet }
    }

    pub(crate) fn truth(&self, address: Ipv4Addr) -> Option<AddressTruth> {
        let mut clocked = self.shared.lock().unwrap();
        let now = clocked.now();
        assert!(clocked.simulator.violations().is_empty());
        let truth = clocked.simulator.truth(now);
        truth.addresses.into_iter().find(|known| known.address == address)
    }

    pub(crate) fn owner(&self, address: Ipv4Addr) -> Option<String> {
        self.truth(address).and_then(|truth| truth.owner)
    }

    pub(crate) fn break_once(&self, action: &str, fault: Fault) {
        let op = Some(action.to_owned());
        self.set(fault, Selector { op, count: Some(1), ..Selector::default() });
    }

    pub(crate) fn break_all(&self, fault: Fault) {
        self.set(fault, Selector::default());
    }

    fn set(&self, fault: Fault, when: Selector) {
        let mut clocked = self.shared.lock().unwrap();
        let now = clocked.now();
        clocked.simulator.fault_set(now, FaultSpec { fault, when }).unwrap();
    }
}

/// As on a node: everything from the metadata service except the endpoints.
fn client(ec2: &str, imds: &str) -> AwsCloud {
    let config = CloudConfig {
        ec2_endpoint: Some(ec2.to_owned()),
        imds_endpoint: Some(imds.to_owned()),
        credentials: Credentials::InstanceRole,
        // The simulator's lags are short; a longer wait means a busy machine, or no response.
        imds_within: Duration::from_secs(5),
        answer_within: Duration::from_secs(30),
        ..CloudConfig::default()
    };
    AwsCloud::connect(config).unwrap()
}

async fn serve(
    shared: &Arc<Mutex<Clocked>>,
    call: impl Fn(&mut Simulator, Duration, &WireRequest) -> Exchange + Send + Sync + 'static,
) -> Server {
    let shared = Arc::clone(shared);
    Server::start(move |request| {
        let mut clocked = shared.lock().unwrap();
        let now = clocked.now();
        let exchange = call(&mut clocked.simulator, now, &wire(request));
        let Some(due) = exchange.respond_at else {
            return Reply::Silence(Vec::new());
        };
        let shared = Arc::clone(&shared);
        let answer = move || {
            let mut clocked = shared.lock().unwrap();
            let now = clocked.now();
            reply(&clocked.simulator.answer(now, exchange.call).unwrap())
        };
        // Timers have whole milliseconds, and a response is not sent before it is due.
        Reply::After(due.saturating_sub(now) + Duration::from_millis(2), Arc::new(answer))
    })
    .await
}

fn wire(request: &Request) -> WireRequest {
    let mut wire = WireRequest::new(&request.method, &request.path);
    for (name, value) in request.head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        wire = wire.with_header(name, value.trim());
    }
    wire.with_body(request.body.as_bytes())
}

fn reply(answer: &Answer) -> Reply {
    let response = answer.response();
    let mut bytes =
        format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", response.status, response.body.len());
    for (name, value) in &response.headers {
        bytes = format!("{bytes}{name}: {value}\r\n");
    }
    let mut bytes = format!("{bytes}\r\n").into_bytes();
    match answer {
        Answer::Respond(_) => {
            bytes.extend(&response.body);
            Reply::Whole(bytes)
        }
        Answer::Cut { after, then, .. } => {
            match after {
                CutPoint::Nothing => bytes.clear(),
                CutPoint::BodyBytes(count) => bytes.extend(response.body.iter().take(*count)),
            }
            match then {
                Cut::Close => Reply::Cut(bytes),
                Cut::Silence => Reply::Silence(bytes),
            }
        }
    }
}
