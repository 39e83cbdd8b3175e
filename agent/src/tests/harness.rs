//! A node, its API server and one member that runs on it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use firecamp_apiserver::ApiServer;
use firecamp_controllers::publish::Notice;
use firecamp_core::agent::KernelOwner;
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::path;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{Epoch, Mac, Member, PodUid};
use firecamp_core::lock_rule::{Hold, LockRecord};
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::{Holder, HostNet as _, KernelTarget, KernelView, Registry};
use firecamp_core::record::{Attachment, Claim, Pool, State, StaticIp, Stored, Write};
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_node::kernel::{Change, KernelSnapshot, ObservedLink};
use firecamp_registry::conformance;
use firecamp_run::connect::AnyRegistry;
use firecamp_testkit::sim::{SimEc2, SimHost, SimVolumes, Tag};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::agent_files::AgentFiles;
use crate::kernel::{Kernel, KernelEvents, PodKernel};
use crate::kube_status::KubeStatus;
use crate::ports::{Environment, MeteredCloud, Ports, SystemsOf};
use crate::publish::{self, SharedStatus};
use crate::source::KubeSource;
use crate::status::Status;
use crate::volumes;

pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);
pub(crate) const NODE: &str = "node-1";
pub(crate) const POD: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";
pub(crate) const OTHER_POD: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e22";
pub(crate) const IPS: &str = "staticips";
const ENI: &str = "eni-0000000a";
type Uids = BTreeSet<PodUid>;

/// A client on another machine.
pub(crate) const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const MAC: &str = "06:00:00:00:00:01";

/// Nothing that is waited for takes longer, by the clock that jumps.
pub(crate) const DEADLINE: Duration = Duration::from_mins(20);

/// The systems of a simulated node.
pub(crate) struct SimEnvironment;

impl Environment for SimEnvironment {
    type Cloud = SimEc2;
    type Kernel = SimHost;
    type Registry = AnyRegistry;
    type Source = KubeSource;
    type Files = SimEc2;
}

impl PodKernel for SimHost {
    async fn ensure_endpoint(&self, address: Ipv4Addr) -> Result<bool, HostFailure> {
        let target = KernelTarget { address, mac: MAC.parse().unwrap(), routing: None };
        self.add_address(&target, &Holder { pod: POD.parse().unwrap(), epoch: Epoch(0) }).await
    }

    async fn is_elsewhere(&self, client: Ipv4Addr) -> Result<bool, HostFailure> {
        Ok(client == ELSEWHERE)
    }

    /// Its pods use the node's network.
    async fn note_pods(&self, _: &Uids, _: &Uids) -> Result<(), HostFailure> {
        Ok(())
    }

    async fn find_pod_network(
        &self,
        pod: &PodUid,
        _: (SocketAddrV4, SocketAddrV4),
    ) -> Result<Result<(), String>, HostFailure> {
        Ok(Err(format!("failed to use the network of pod {pod}: there is none")))
    }
}

impl Kernel for SimHost {
    /// Its locks know no versions.
    fn withdrawing(self) -> Self {
        self
    }

    async fn kernel_snapshot(&self) -> Result<KernelSnapshot, HostFailure> {
        let kernel = self.kernel();
        let mark = |tag: Tag| match tag {
            Tag::Ours => KernelOwner::Ours,
            Tag::Foreign => KernelOwner::Foreign,
        };
        let addresses = kernel.addresses.iter().map(|(at, (_, tag))| (*at, mark(*tag)));
        let routed = kernel.routed.iter().map(|at| (*at, KernelOwner::Ours));
        let kernel_has = addresses.chain(routed).collect();
        Ok(KernelSnapshot { kernel: kernel_has, locks: kernel.locks, ..KernelSnapshot::default() })
    }

    async fn views(&self, targets: &[KernelTarget]) -> Vec<Result<KernelView, HostFailure>> {
        let mut views = Vec::new();
        for target in targets {
            views.push(self.observe(target).await);
        }
        views
    }

    /// The ENI's link is there and up, with the node's own address.
    async fn links(&self) -> Result<Vec<ObservedLink>, HostFailure> {
        let (name, mac) = ("eth0".to_owned(), MAC.parse().unwrap());
        Ok(vec![ObservedLink { name, index: 2, mac, up: true, bare: false }])
    }

    async fn raise(&self, _mac: Mac, _own: Ipv4Addr) -> Result<bool, HostFailure> {
        Ok(false)
    }

    async fn withhold(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostFailure> {
        let mut there = false;
        self.change(|kernel| {
            let held = LockRecord { holder: holder.clone(), hold: Hold::Held };
            assert_eq!(kernel.locks.get(&address), Some(&held), "nobody else's is withheld");
            there = kernel.addresses.remove(&address).is_some();
        });
        Ok(there)
    }
}

/// What the kernel tells.
pub(crate) struct WorkResult(UnboundedReceiver<Vec<Change>>);

impl KernelEvents for WorkResult {
    async fn changed(&mut self) -> Result<Vec<Change>, HostFailure> {
        match self.0.recv().await {
            Some(changes) => Ok(changes),
            None => std::future::pending().await,
        }
    }
}

/// All that outlives an agent.
pub(crate) struct Node {
    pub(crate) server: ApiServer,
    pub(crate) registry: KubeRegistry,
    pub(crate) host: SimHost,
    pub(crate) cloud: SimEc2,
    pub(crate) volumes: SimVolumes,
    run_dir: tempfile::TempDir,
}

/// One agent while it runs.
pub(crate) struct Running<'a> {
    pub(crate) node: &'a Node,
    pub(crate) status: &'a Status,
    pub(crate) shared_status: &'a SharedStatus,
    kernel: UnboundedSender<Vec<Change>>,
}

pub(super) fn eni() -> Eni {
    Eni {
        id: ENI.parse().unwrap(),
        mac: MAC.parse().unwrap(),
        device_index: 0,
        network_card: 0,
        subnet: "subnet-00000001".parse().unwrap(),
        cidr: "10.1.0.0/24".parse().unwrap(),
        primary_address: Ipv4Addr::new(10, 1, 0, 10),
        listed: [ADDRESS].into(),
        prefixes: 0,
    }
}

pub(crate) fn attachment(node: &str, pod: &str, state: State) -> Attachment {
    Attachment {
        state,
        pod: pod.parse().unwrap(),
        node: node.parse().unwrap(),
        eni: Some(ENI.parse().unwrap()),
        run: "init-1".parse().unwrap(),
        served: true,
    }
}

impl Node {
    /// The member runs here, and its address is in record, kernel and lock.
    pub(crate) async fn new() -> Self {
        let server = ApiServer::default();
        let pool = Pool {
            release_policy: firecamp_core::record::ReleasePolicy::Keep,
            ..conformance::pool("a", &[1]).unwrap()
        };
        server.create_pool(&pool);
        server.set("nodes", (None, NODE), json!({ "metadata": {}, "spec": {} }));
        let registry = KubeRegistry::new(server.client(), Timeouts::default());
        let cloud = super::instance::ec2(&eni());
        let host = SimHost::with_links([MAC.parse().unwrap()]);
        let run_dir = tempfile::tempdir().unwrap();
        let node = Self { server, registry, host, cloud, volumes: SimVolumes::default(), run_dir };
        let member = member();
        let claim = Claim { address: Some(ADDRESS), ..conformance::claim(&member, &pool) };
        node.registry.write(&Write::CreateClaim(claim)).await.unwrap();
        let ip = conformance::static_ip(ADDRESS, &member, &pool).unwrap();
        node.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
        node.set_pod(POD, Some(NODE), "Running");
        node.hand_to(NODE, POD, 5).await;
        node.host.change(|kernel| {
            kernel.addresses.insert(ADDRESS, (MAC.parse().unwrap(), Tag::Ours));
            let holder = Holder { pod: POD.parse().unwrap(), epoch: Epoch(5) };
            kernel.locks.insert(ADDRESS, LockRecord { holder, hold: Hold::Held });
        });
        node
    }

    /// The record, read afresh.
    pub(crate) async fn record(&self) -> StaticIp {
        self.registry.static_ip(ADDRESS).await.unwrap().unwrap().object
    }

    pub(crate) async fn write(&self, change: impl FnOnce(&mut StaticIp)) {
        let Stored { version, mut object } =
            self.registry.static_ip(ADDRESS).await.unwrap().unwrap();
        change(&mut object);
        let write = Write::UpdateStaticIp(Stored { version, object });
        self.registry.write(&write).await.unwrap();
    }

    /// An init container has attached the address there.
    pub(crate) async fn hand_to(&self, node: &str, pod: &str, epoch: u64) {
        self.write(|record| {
            record.epoch = Epoch(epoch);
            record.attachment = Some(attachment(node, pod, State::Attached));
        })
        .await;
    }

    /// The same pod holds it here, by record and lock.
    pub(crate) async fn held_again(&self, epoch: u64) {
        self.hand_to(NODE, POD, epoch).await;
        self.host.change(|kernel| {
            for lock in kernel.locks.values_mut() {
                lock.holder.epoch = Epoch(epoch);
            }
        });
    }

    /// Whatever changes, lists show what is there now.
    pub(crate) fn old_lists_from_now_on(&self) {
        self.server.remember();
        self.server.show_old_lists(true);
    }

    pub(crate) fn set_pod(&self, uid: &str, node: Option<&str>, phase: &str) {
        let spec = node.map_or_else(|| json!({}), |node| json!({ "nodeName": node }));
        let metadata = json!({ "uid": uid });
        let pod = json!({ "metadata": metadata, "spec": spec, "status": { "phase": phase } });
        self.server.set_pod("prod", "redis-0", pod);
    }

    /// The member's pod is being deleted, and its grace period ends then.
    pub(crate) fn set_ending_pod(&self, end: &str) {
        let metadata = json!({ "uid": POD, "deletionTimestamp": end });
        let (spec, status) = (json!({ "nodeName": NODE }), json!({ "phase": "Running" }));
        let pod = json!({ "metadata": metadata, "spec": spec, "status": status });
        self.server.set_pod("prod", "redis-0", pod);
    }

    pub(crate) fn remove_pod(&self) {
        assert!(self.server.remove("pods", Some("prod"), "redis-0"));
    }

    /// The interfaces that init containers do not use.
    pub(crate) fn excluded(&self) -> String {
        std::fs::read_to_string(self.run_dir.path().join(path::EXCLUDED_ENIS)).unwrap_or_default()
    }

    pub(crate) fn holds(&self) -> bool {
        self.host.addresses().contains_key(&ADDRESS)
    }

    /// Requests of that verb so far, whatever they are about.
    pub(crate) fn asked(&self, verb: &str) -> usize {
        self.server.requests().iter().filter(|asked| asked.starts_with(verb)).count()
    }

    pub(crate) fn writes(&self) -> usize {
        ["POST", "PATCH", "PUT", "DELETE"].iter().map(|verb| self.asked(verb)).sum()
    }

    /// The systems of an endpoint.
    pub(crate) fn systems(&self, status: &Status) -> Arc<SystemsOf<SimEnvironment>> {
        self.ports(status).systems()
    }

    fn ports(&self, status: &Status) -> Ports<SimEnvironment> {
        let registry = AnyRegistry::from(self.registry.clone());
        let source = KubeSource::new(NODE.parse().unwrap(), registry.clone(), channel(1).0);
        let cloud = MeteredCloud { inner: self.cloud.clone(), observer: status.ec2_calls.clone() };
        Ports::new(cloud, self.host.clone(), registry, source, self.cloud.clone())
    }

    /// Runs an agent, meanwhile `body`, and then ends the agent.
    pub(crate) async fn agent(&self, body: impl AsyncFnOnce(Running<'_>)) {
        self.run(false, body).await;
    }

    /// The same with an agent that tells the API what it knows, which looks at volumes as well.
    pub(crate) async fn reporting_agent(&self, body: impl AsyncFnOnce(Running<'_>)) {
        self.run(true, body).await;
    }

    async fn run(&self, reports: bool, body: impl AsyncFnOnce(Running<'_>)) {
        let status = Status::default();
        let registry = AnyRegistry::from(self.registry.clone());
        let kube_status = Rc::new(KubeStatus::new(registry, NODE.parse().unwrap()));
        let ports = self.ports(&status);
        let keep = AgentFiles::open(self.run_dir.path()).unwrap();
        let names = (NODE.parse().unwrap(), "prod".parse().unwrap(), EniRule::Auto);
        let shared_status = SharedStatus::default();
        let agent = Agent::new(names, ports, keep, (&status, &shared_status));
        let (kernel, events) = unbounded_channel();
        let end = CancellationToken::new();
        let body = async {
            let shared_status = &shared_status;
            body(Running { node: self, status: &status, shared_status, kernel }).await;
            end.cancel();
        };
        let reported = async {
            if reports {
                let node = NODE.parse().unwrap();
                let cluster = Some(Rc::clone(&kube_status));
                let published = publish::run((node, cluster), &shared_status, &status, &end);
                let volumes = (Rc::new(self.volumes.clone()), Some(kube_status));
                let looks = volumes::run(volumes, &shared_status, &status, &end);
                tokio::join!(Box::pin(published), Box::pin(looks));
            }
        };
        let agent = Box::pin(agent.run(WorkResult(events), &end));
        let all = async { tokio::join!(agent, Box::pin(body), reported) };
        let (ended, (), ()) = tokio::task::LocalSet::new().run_until(all).await;
        ended.unwrap();
    }
}

pub(crate) fn member() -> Member {
    conformance::member(0).unwrap()
}

/// Waits for a condition, by the clock that jumps, and says how long it took.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}

impl Running<'_> {
    pub(crate) async fn ready(&self) {
        until("the agent is ready", || self.status.health.is_ready()).await;
    }

    /// Something strips the address, and the kernel tells of it.
    pub(crate) fn strip(&self) {
        self.node.host.strip(ADDRESS);
        self.kernel.send(vec![Change::Address(ADDRESS)]).unwrap();
    }

    /// The kernel has told more than there was room for.
    pub(crate) fn drop_events(&self) {
        self.kernel.send(vec![Change::Overrun]).unwrap();
    }

    /// What it has done so far that is told as Events, and was not asked for yet.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.shared_status.take().take_notices().into()
    }

    /// What is stripped is back at once.
    pub(crate) async fn restores(&self) {
        self.strip();
        let took = until("the address is back", || self.node.holds()).await;
        assert!(took < Duration::from_millis(50), "{took:?}");
    }

    /// The number of a metric's line.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = self.status.metrics().unwrap();
        let found = text.lines().find_map(|have| have.strip_prefix(line)?.strip_prefix(' '));
        found.map_or(0, |number| number.parse().unwrap())
    }
}
