//! A simulated VPC with a clock that waits for each response.

use std::time::Duration;

use firecamp_vpc::{
    Act, Distribution, FaultId, NodeView, Profile, Simulator, Spec, VolumeView, WireRequest,
};

use crate::client::{EPOCH, send};

const SPEC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000000000000a"
cidr = "10.0.1.0/26"
zone = "us-east-1a"
[[subnets]]
name = "b"
id = "subnet-0000000000000000b"
cidr = "10.0.2.0/28"
zone = "us-east-1b"
[[nodes]]
name = "node-1"
id = "i-00000000000000001"
subnet = "a"
instance_type = "m5.large"
[[nodes]]
name = "node-2"
id = "i-00000000000000002"
subnet = "a"
instance_type = "t3.medium"
[[nodes.enis]]
id = "eni-00000000000000002"
subnet = "a"
device_index = 1
[[nodes]]
name = "node-3"
id = "i-00000000000000003"
subnet = "b"
instance_type = "m7i.large"
[[foreign]]
name = "other"
id = "eni-0000000000000000f"
subnet = "a"
address = "10.0.1.60"
secondary = ["10.0.1.50", "10.0.1.51", "10.0.1.52", "10.0.1.53", "10.0.1.54", "10.0.1.55"]
[[foreign]]
name = "managed"
id = "eni-000000000000000ff"
subnet = "a"
operator = { principal = "eks.amazonaws.com" }
[[volumes]]
name = "data-0"
id = "vol-00000000000000001"
node = "node-1"
size_gib = 100
tags = { app = "db" }
[[volumes]]
name = "spare"
id = "vol-00000000000000002"
zone = "us-east-1a"
volume_type = "gp2"
[[volumes]]
name = "far"
id = "vol-00000000000000003"
zone = "us-east-1b"
encrypted = true
"#;

pub const NODE_1: &str = "i-00000000000000001";
pub const NODE_2: &str = "i-00000000000000002";
pub const OTHER: &str = "eni-0000000000000000f";
pub const MANAGED: &str = "eni-000000000000000ff";
pub const SUBNET: &str = "subnet-0000000000000000a";

/// A response of EC2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub text: String,
}

impl Response {
    /// The text of the first element of this name.
    pub fn get(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// The texts of all elements of this name.
    pub fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.text.split(&open).skip(1);
        parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
    }

    /// `400 InvalidParameterValue`, or `200`.
    pub fn code(&self) -> String {
        let code = self.get("Code").map(|code| format!(" {code}")).unwrap_or_default();
        format!("{}{code}", self.status)
    }

    pub fn message(&self) -> String {
        self.get("Message").unwrap_or_default().replace("&apos;", "'").replace("&quot;", "\"")
    }
}

/// A simulator and its clock.
pub struct TestVpc {
    pub simulator: Simulator,
    pub now: Duration,
}

impl TestVpc {
    pub fn fast() -> Self {
        Self::with(&Profile::fast(), 1)
    }

    pub fn with(profile: &Profile, seed: u64) -> Self {
        let spec = Spec::from_toml(SPEC).unwrap();
        Self {
            simulator: Simulator::new(&spec, *profile, seed, EPOCH).unwrap(),
            now: Duration::ZERO,
        }
    }

    /// With realistic durations, and a Describe that shows every commit at once.
    pub fn with_consistent_reads(seed: u64) -> Self {
        let now = Distribution::new(0.0, 0.0, 0.0);
        let profile = Profile { describe_lag: now, volume_lag: now, ..Profile::realistic() };
        let quick = Distribution::new(10.0, 20.0, 30.0);
        Self::with(&Profile { describe_latency: quick, ..profile }, seed)
    }

    /// Waits, and asserts that no invariant is violated.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.simulator.advance(self.now);
        assert_eq!(self.simulator.violations(), []);
    }

    /// Waits until every lag has passed.
    pub fn settle(&mut self) {
        self.pass(Duration::from_mins(10));
    }

    /// Sends a request and waits for its response.
    pub fn send(&mut self, caller: &str, body: &str) -> Response {
        let exchange = send(&mut self.simulator, caller, self.now, body);
        let at = exchange.respond_at.expect("a response");
        self.pass(at.saturating_sub(self.now));
        let answer = self.simulator.answer(self.now, exchange.call).expect("it is due");
        let response = answer.response();
        let text = String::from_utf8(response.body.clone()).unwrap();
        Response { status: response.status, text }
    }

    /// The same as `admin`.
    pub fn admin(&mut self, body: &str) -> Response {
        self.send("admin", body)
    }

    /// Creates an ENI in the first subnet, waits until it is visible, and returns its ID.
    pub fn create(&mut self, more: &str) -> String {
        let response =
            self.admin(&format!("Action=CreateNetworkInterface&SubnetId={SUBNET}{more}"));
        assert_eq!(response.status, 200, "{}", response.text);
        self.settle();
        response.get("networkInterfaceId").unwrap()
    }

    /// Requests an attachment.
    pub fn attach(&mut self, eni: &str, instance: &str, index: u32) -> Response {
        self.admin(&format!(
            "Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}\
             &DeviceIndex={index}"
        ))
    }

    pub fn act(&mut self, act: &Act) {
        self.simulator.act(self.now, act).unwrap();
    }

    pub fn fault(&mut self, text: &str) -> FaultId {
        let spec = serde_json::from_str(text).unwrap();
        self.simulator.fault_set(self.now, spec).unwrap()
    }

    pub fn clear(&mut self) {
        self.simulator.fault_clear(self.now, None).unwrap();
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> NodeView {
        self.simulator.nodes().into_iter().find(|node| node.name == name).unwrap()
    }

    /// A volume by name.
    pub fn volume(&mut self, name: &str) -> VolumeView {
        let volumes = self.simulator.truth(self.now).volumes;
        volumes.into_iter().find(|volume| volume.name.as_deref() == Some(name)).unwrap()
    }

    /// Status and body of a path below `meta-data/` on a node.
    pub fn metadata(&mut self, node: &str, path: &str) -> (u16, String) {
        let ttl = "x-aws-ec2-metadata-token-ttl-seconds";
        let put = WireRequest::new("PUT", "/latest/api/token").with_header(ttl, "60");
        let (_, token) = self.imds(node, &put);
        let get = WireRequest::new("GET", &format!("/latest/meta-data/{path}"));
        self.imds(node, &get.with_header("x-aws-ec2-metadata-token", &token))
    }

    fn imds(&mut self, node: &str, request: &WireRequest) -> (u16, String) {
        let exchange = self.simulator.imds(self.now, node, request);
        let at = exchange.respond_at.expect("a response");
        self.pass(at.saturating_sub(self.now));
        let answer = self.simulator.answer(self.now, exchange.call).expect("it is due");
        let text = String::from_utf8(answer.response().body.clone()).unwrap();
        (answer.response().status, text)
    }
}
