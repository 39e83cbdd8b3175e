//! The fast EC2 compared with the strict simulator: the same calls, the same answers, the same
//! state.

#![expect(clippy::unwrap_used, reason = "test support: a failure here fails the test")]

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;
use firecamp_histories::names::{EniIx, FOREIGN_ENI, NodeIx};
use firecamp_histories::seed::{Purpose, SeededRng};
use firecamp_histories::simulated_cluster::ec2::{Ec2, Lags};
use firecamp_vpc::{Act, Distribution, Profile, Simulator, Spec, WireRequest};

const EPOCH: Duration = Duration::from_secs(1_790_000_000);
const NODES: u8 = 3;

/// t3.medium: six IPv4 addresses on an ENI.
const LIMIT: u8 = 6;

const SPEC: &str = r#"
[vpc]
cidr = "10.0.0.0/16"
[[subnets]]
name = "a"
id = "subnet-0000000a"
cidr = "10.0.1.0/24"
zone = "us-east-1a"
[[nodes]]
name = "node-0"
subnet = "a"
instance_type = "t3.medium"
address = "10.0.1.100"
[[nodes.enis]]
subnet = "a"
device_index = 1
address = "10.0.1.101"
[[nodes]]
name = "node-1"
subnet = "a"
instance_type = "t3.medium"
address = "10.0.1.104"
[[nodes.enis]]
subnet = "a"
device_index = 1
address = "10.0.1.105"
[[nodes]]
name = "node-2"
subnet = "a"
instance_type = "t3.medium"
address = "10.0.1.108"
[[nodes.enis]]
subnet = "a"
device_index = 1
address = "10.0.1.109"
[[foreign]]
name = "stranger"
subnet = "a"
id = "eni-000000f0"
address = "10.0.1.200"
"#;

/// No latencies and no lags.
fn instant() -> Profile {
    let zero = Distribution::new(0.0, 0.0, 0.0);
    Profile {
        describe_latency: zero,
        assign_latency: zero,
        data_path_remap: zero,
        describe_lag: zero,
        free_count_lag: zero,
        imds_add_lag: zero,
        imds_removal_lag: zero,
        imds_latency: zero,
        eni_detach: zero,
        eni_create: zero,
        eni_attach: zero,
        eni_hot_plug: zero,
        imds_settle: zero,
        volume_lag: zero,
        ebs_attach: zero,
        ebs_detach: zero,
        dns_propagation: zero,
        landing_limit_ms: 4_500,
    }
}

/// Both implementations.
struct Pair {
    strict: Simulator,
    fast: Ec2,
    ids: Vec<(EniIx, String)>,
    addresses: Vec<Ipv4Addr>,
    now: Duration,
}

impl Pair {
    fn new() -> Self {
        let spec = Spec::from_toml(SPEC).unwrap();
        let strict = Simulator::new(&spec, instant(), 7, EPOCH).unwrap();
        let mut ids = Vec::new();
        let mut primaries = vec![(FOREIGN_ENI, Ipv4Addr::new(10, 0, 1, 200))];
        for (number, node) in strict.nodes().iter().enumerate() {
            for eni in &node.enis {
                let slot = u8::try_from(eni.device_index).unwrap();
                let ix = NodeIx(u8::try_from(number).unwrap()).eni(slot);
                ids.push((ix, eni.id.clone()));
                primaries.push((ix, eni.primary));
            }
        }
        ids.push((FOREIGN_ENI, "eni-000000f0".to_owned()));
        let addresses: Vec<Ipv4Addr> = (50..58).map(|last| Ipv4Addr::new(10, 0, 1, last)).collect();
        let cidr = "10.0.1.0/24".parse().unwrap();
        let fast = Ec2::new(cidr, LIMIT, primaries, addresses.clone());
        Self { strict, fast, ids, addresses, now: Duration::ZERO }
    }

    fn id(&self, eni: EniIx) -> &str {
        let found = self.ids.iter().find(|(ix, _)| *ix == eni);
        found.map_or("eni-0000dead", |(_, id)| id)
    }

    fn moment(&self) -> Moment {
        Moment(self.now)
    }

    /// The answer of the strict simulator.
    fn ask(&mut self, body: &str) -> Result<(), CloudKind> {
        let body = format!("Version=2016-11-15&{body}");
        let request = signed(&self.strict, self.now, &body);
        let exchange = self.strict.ec2(self.now, Some("admin"), &request);
        let due = exchange.respond_at.unwrap();
        self.now = self.now.max(due);
        let answer = self.strict.answer(self.now, exchange.call).unwrap();
        let response = answer.response();
        if response.status == 200 {
            return Ok(());
        }
        Err(kind(&String::from_utf8_lossy(&response.body), body.contains("Unassign")))
    }

    fn assign(&mut self, eni: EniIx, address: Ipv4Addr, force: bool) {
        let strict = self.ask(&format!(
            "Action=AssignPrivateIpAddresses&NetworkInterfaceId={}&PrivateIpAddress.1={address}\
             &AllowReassignment={force}",
            self.id(eni)
        ));
        let fast = self.fast.assign(self.moment(), (eni, address), force, Lags::default());
        assert_eq!(fast.map(|_| ()), strict, "assign {address} to {eni:?}, force: {force}");
    }

    fn unassign(&mut self, eni: EniIx, address: Ipv4Addr) {
        let strict = self.ask(&format!(
            "Action=UnassignPrivateIpAddresses&NetworkInterfaceId={}&PrivateIpAddress.1={address}",
            self.id(eni)
        ));
        let fast = self.fast.unassign(self.moment(), (eni, address), Lags::default());
        assert_eq!(fast.map(|_| ()), strict, "unassign {address} from {eni:?}");
    }

    fn steal(&mut self, address: Ipv4Addr) {
        let act = Act::Reassign { address, to: Some("stranger".to_owned()) };
        let strict = self.strict.act(self.now, &act).is_ok();
        let before = self.fast.holder(address);
        let fast = self.fast.steal(self.moment(), address, Lags::default());
        assert_eq!(fast, strict && before != Some((FOREIGN_ENI, false)), "steal {address}");
    }

    fn terminate(&mut self, node: NodeIx) {
        let name = format!("node-{}", node.0);
        let act = Act::Terminate { node: name, delete_on_termination: Some(true) };
        if self.strict.act(self.now, &act).is_ok() {
            self.fast.terminate(self.moment(), node, Lags::default());
        }
    }

    /// Compares owner, data path, Describe and metadata of every address.
    fn compare(&mut self) {
        let truth = self.strict.truth(self.now);
        let now = self.moment();
        let names = self.ids.clone();
        let ix = |id: &str| names.iter().find(|(_, known)| known == id).map(|(ix, _)| *ix);
        for address in self.addresses.clone() {
            let seen = truth.addresses.iter().find(|seen| seen.address == address);
            let owner = seen.and_then(|seen| seen.owner.as_deref()).and_then(ix);
            let path = seen.and_then(|seen| seen.data_path.as_deref()).and_then(ix);
            let shown = seen.and_then(|seen| seen.describe.as_deref()).and_then(ix);
            assert_eq!(self.fast.holder(address).map(|(eni, _)| eni), owner, "owner of {address}");
            assert_eq!(self.fast.receiver(address, now), path, "data path of {address}");
            let fast = self.fast.shown(address, now).map(|(eni, _)| eni);
            assert_eq!(fast, shown, "Describe of {address}");
            let listed = seen.map(|seen| seen.imds.clone()).unwrap_or_default();
            let mut listed: Vec<_> = listed.iter().filter_map(|at| ix(&at.eni)).collect();
            listed.sort_unstable();
            let here = |eni: &EniIx| self.fast.listed(*eni, now).any(|a| a == address);
            let nodes = (0..NODES).flat_map(|node| [0, 1].map(|slot| NodeIx(node).eni(slot)));
            let own: Vec<EniIx> = nodes.filter(|eni| here(eni)).collect();
            assert_eq!(own, listed, "metadata of {address}");
        }
    }
}

/// The meaning of an error: the product's table, restricted to the errors that occur here.
fn kind(body: &str, unassign: bool) -> CloudKind {
    let has = |text: &str| body.contains(text);
    if has("InvalidNetworkInterfaceID.NotFound") || has("Malformed") {
        CloudKind::NotFound
    } else if has("PrivateIpAddressLimitExceeded") {
        CloudKind::CapacityExceeded
    } else if has("move is not allowed") || has("secondary-addresses") {
        CloudKind::HeldElsewhere
    } else if has("are not assigned to interface") {
        CloudKind::NotOnInterface
    } else if has("does not fall within") || has("reserved") || (unassign && has("primary")) {
        CloudKind::BadAddress
    } else {
        CloudKind::Unknown
    }
}

fn signed(world: &Simulator, now: Duration, body: &str) -> WireRequest {
    let own = world.credentials("admin").unwrap();
    let own = Credentials::new(own.access_key, own.secret_key, own.session_token, None, "world");
    let own = own.into();
    let params = v4::SigningParams::builder()
        .identity(&own)
        .region("us-east-1")
        .name("ec2")
        .time(SystemTime::UNIX_EPOCH + EPOCH + now)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("host", "ec2.local")];
    let whole = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", "http://ec2.local/", headers.into_iter(), whole);
    let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
    let mut request = WireRequest::new("POST", "/").with_body(body);
    for (name, value) in headers.into_iter().chain(instructions.headers()) {
        request = request.with_header(name, value);
    }
    request
}

fn eni(rng: &mut SeededRng) -> EniIx {
    let node = NodeIx(rng.small(NODES));
    if rng.once_in(20) { EniIx(0xee) } else { node.eni(rng.small(2)) }
}

/// Mostly one of the tracked addresses; sometimes a primary, a reserved or an unknown one.
fn address(rng: &mut SeededRng, followed: &[Ipv4Addr]) -> Ipv4Addr {
    let odd = [(1, 105), (1, 200), (1, 1), (1, 255), (2, 9)];
    if rng.once_in(8) {
        let (net, last) = odd.get(usize::from(rng.small(5))).unwrap();
        return Ipv4Addr::new(10, 0, *net, *last);
    }
    *followed.get(usize::from(rng.small(8))).unwrap()
}

#[test]
fn the_fast_ec2_agrees_with_the_strict_simulator_on_every_answer_and_state() {
    for seed in 0..150 {
        let mut rng = SeededRng::new(seed, Purpose::Test, 0);
        let mut pair = Pair::new();
        for _ in 0..60 {
            pair.now += rng.millis(300, 2_000);
            let (eni, force) = (eni(&mut rng), rng.once_in(2));
            let address = address(&mut rng, &pair.addresses);
            match rng.below(16) {
                0..=8 => pair.assign(eni, address, force),
                9..=12 => pair.unassign(eni, address),
                13 | 14 if pair.addresses.contains(&address) => pair.steal(address),
                // Node 1 stays, because its primary addresses are used.
                15 if rng.once_in(6) => pair.terminate(NodeIx(rng.small(2) * 2)),
                _ => {}
            }
            pair.compare();
        }
    }
}
