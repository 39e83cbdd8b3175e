//! A zone is lost and returns on new nodes, in virtual time: as many addresses as it has members
//! move there, onto interfaces that the nodes make first.
//!
//! 1,000 nodes with 50 members each are in three zones, so 16,650 members return. The tests take
//! one member in [`SHARE`], and as small a part of EC2's documented token buckets, so that
//! everything takes as long. Not here: the leader, which gives each pod its zone, the kubelet's
//! image pulls, and the start of the instances.

mod agent;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::node::PoolPolicy;
use firecamp_core::contract::timing;
use firecamp_core::ids::{EniId, Epoch, InterfaceName, Member, ResourceName};
use firecamp_core::machine::Outcome;
use firecamp_core::managed_interface::{NodeInterface, StoredInterface};
use firecamp_core::ports::{PodLifecycle, PodView};
use firecamp_core::record::{
    Attachment, Claim, OrphanPolicy, Pool, PoolSubnet, ReleasePolicy, State, StaticIp, Stored,
};
use firecamp_engine::Ended;
use firecamp_registry::memory::Snapshot;
use firecamp_sim_tests::{Cluster, Pod};
use firecamp_testkit::sim::{Op, Script};
use firecamp_vpc::{Fault, Profile};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

use self::agent::Agent;

const WITHIN: Duration = timing::CALL_BOUND;
const SHARE: u32 = 37;
const MEMBERS_OF_NODE: u32 = 50;
const MEMBERS: u32 = 333 / SHARE * MEMBERS_OF_NODE;
/// Members on each interface of the lost nodes.
const LOST: u32 = MEMBERS_OF_NODE / 2;
/// EC2's buckets (ec2-semantics, throttling).
const BUCKETS: [(&str, u32, u32); 4] = [
    ("AssignPrivateIpAddresses", 100, 5),
    ("CreateNetworkInterface", 100, 5),
    ("AttachNetworkInterface", 50, 5),
    ("DescribeNetworkInterfaces", 100, 20),
];
/// The addresses of members. Nodes have theirs in another subnet.
const SPEC: &str = "[vpc]\ncidr = \"10.0.0.0/16\"\n\
    [[subnets]]\nname = \"members\"\nid = \"subnet-0000000a\"\ncidr = \"10.0.0.0/17\"\n\
    zone = \"us-east-1a\"\n\
    [[subnets]]\nname = \"nodes\"\ncidr = \"10.0.128.0/18\"\nzone = \"us-east-1a\"\n";

fn node_name(number: u32) -> String {
    format!("node-{number}")
}

fn member(number: u32) -> Member {
    Member::new("demo", &format!("redis-{number}")).unwrap()
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 32, 0)) + number)
}

/// The interface of a lost node that has the member's address.
fn lost_eni(number: u32) -> EniId {
    format!("eni-{:017x}", 0xdead_0000 + number / LOST).parse().unwrap()
}

/// The nodes on which the zone returns.
#[derive(Debug, Clone, Copy)]
struct Nodes {
    kind: &'static str,
    /// Addresses on one interface that FireCamp makes.
    of_interface: u32,
    /// Interfaces that FireCamp can make.
    interfaces: u32,
}

impl Nodes {
    fn members_of_each(self) -> u32 {
        (self.of_interface * self.interfaces).min(MEMBERS_OF_NODE)
    }

    fn count(self) -> u32 {
        MEMBERS.div_ceil(self.members_of_each())
    }
}

struct Zone {
    cluster: Cluster,
    interfaces: RefCell<BTreeMap<InterfaceName, StoredInterface>>,
    /// Versions of interfaces so far.
    versions: Cell<u32>,
    /// The next member whose pod waits for a node.
    next: Cell<u32>,
    /// When each member was attached.
    attached: RefCell<Vec<Duration>>,
    /// Counts the requests of attaches.
    script: Script,
    /// Init containers that failed.
    failed: Cell<u32>,
}

impl Zone {
    fn new(nodes: Nodes) -> Rc<Self> {
        let (kind, on) = (nodes.kind, "cluster = \"\"\nsubnet = \"nodes\"\n");
        let node = |number| {
            let name = node_name(number);
            format!("[[nodes]]\nname = \"{name}\"\n{on}instance_type = \"{kind}\"\n")
        };
        let lost = |first| {
            let of = first..first + LOST;
            let addresses: Vec<_> = of.map(|number| address(number).to_string()).collect();
            format!(
                "[[foreign]]\nname = \"lost-{first}\"\nid = \"{}\"\nsubnet = \"members\"\n\
                 secondary = {addresses:?}\ntags = {{ \"firecamp.io/cluster\" = \"demo\" }}\n",
                lost_eni(first),
            )
        };
        let lost = (0..MEMBERS).step_by(usize::try_from(LOST).unwrap()).map(lost);
        let spec: String = (0..nodes.count()).map(node).chain(lost).collect();
        let spec = format!("{SPEC}{spec}");
        let cluster = Cluster::of(&spec, &Profile::realistic(), pool());
        for (op, capacity, refill) in BUCKETS {
            let (capacity, refill) = ((capacity / SHARE).max(1), f64::from(refill));
            cluster.fault(op, Fault::Bucket { capacity, refill: refill / f64::from(SHARE) });
        }
        lose_nodes(&cluster);
        Rc::new(Self {
            cluster,
            interfaces: RefCell::default(),
            versions: Cell::new(0),
            next: Cell::new(0),
            attached: RefCell::default(),
            script: Script::new(),
            failed: Cell::new(0),
        })
    }

    fn policy() -> PoolPolicy {
        PoolPolicy {
            pool: pool().name,
            subnets: [("subnet-0000000a".parse().unwrap(), "us-east-1a".parse().unwrap())].into(),
            node_selector: BTreeMap::new(),
            groups: ["sg-0f1ecaca000000001".to_owned()].into(),
            maximum: MEMBERS_OF_NODE,
        }
    }

    fn version(&self) -> String {
        self.versions.set(self.versions.get() + 1);
        self.versions.get().to_string()
    }

    fn record(&self, name: InterfaceName, record: NodeInterface) {
        let version = self.version();
        let (uid, version) = (format!("uid-{version}").parse().unwrap(), version.parse().unwrap());
        let stored = StoredInterface { name: name.clone(), uid, version, record };
        self.interfaces.borrow_mut().entry(name).or_insert(stored);
    }

    fn update(&self, next: StoredInterface) {
        let version = self.version().parse().unwrap();
        self.interfaces.borrow_mut().insert(next.name.clone(), StoredInterface { version, ..next });
    }

    /// A member whose pod the scheduler binds next.
    fn next_pod(&self) -> Option<u32> {
        let next = self.next.get();
        self.next.set(next + 1);
        (next < MEMBERS).then_some(next)
    }

    /// The pod's init container, until it has succeeded: the kubelet starts it again.
    async fn start_pod(&self, number: u32, agent: &Agent) {
        let node = node_name(agent.number);
        self.cluster.registry.set_pod(&member(number), present(number, Some(&node)));
        let (name, mut pause) = (format!("redis-{number}"), Duration::from_secs(10));
        loop {
            let pod = Pod::of(&name, &format!("u{number}-new"), &node)
                .avoiding(agent.avoided.borrow().clone())
                .breaking(self.script.clone())
                .with_rng(agent.queues.rng());
            let ended = pod.attach(&self.cluster, agent.queues.cloud(&agent.cloud)).await;
            if matches!(ended, Ended::Outcome(Outcome::Attached(_))) {
                return self.attached.borrow_mut().push(self.cluster.now());
            }
            self.failed.set(self.failed.get() + 1);
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_mins(5));
        }
    }
}

/// The records of the lost nodes. Their members have new pods, without a node.
fn lose_nodes(cluster: &Cluster) {
    let mut state = Snapshot { writes: 1, ..cluster.registry.snapshot() };
    let pool = pool();
    for number in 0..MEMBERS {
        let (at, member) = (address(number), member(number));
        let (name, set, requested) = (pool.name.clone(), None, None);
        let object =
            Claim { member: member.clone(), pool: name, requested, address: Some(at), set };
        state.claims.insert(member.clone(), Stored { version: "1".parse().unwrap(), object });
        let object = lost(number, &pool);
        state.static_ips.insert(at, Stored { version: "1".parse().unwrap(), object });
        state.pods.insert(member, present(number, None));
    }
    cluster.registry.restore(state);
}

fn present(number: u32, node: Option<&str>) -> PodView {
    PodView::Present {
        pod: format!("u{number}-new").parse().unwrap(),
        node: node.map(|node| node.parse().unwrap()),
        lifecycle: PodLifecycle::Running,
        controller: None,
    }
}

fn pool() -> Pool {
    Pool {
        name: "pool".parse().unwrap(),
        release_policy: ReleasePolicy::Keep,
        orphaned: OrphanPolicy::Report,
        resource: ResourceName::default(),
        subnets: vec![PoolSubnet {
            subnet: "subnet-0000000a".parse().unwrap(),
            cidr: "10.0.0.0/17".parse().unwrap(),
            zone: "us-east-1a".parse().unwrap(),
            ranges: vec![(Ipv4Addr::new(10, 0, 32, 0), Ipv4Addr::new(10, 0, 127, 200))],
        }],
    }
}

fn lost(number: u32, pool: &Pool) -> StaticIp {
    let PoolSubnet { subnet, cidr, zone, .. } = pool.subnets.first().unwrap().clone();
    StaticIp {
        address: address(number),
        pool: pool.name.clone(),
        subnet,
        cidr,
        zone,
        member: member(number),
        epoch: Epoch(5),
        attachment: Some(Attachment {
            state: State::Attached,
            pod: format!("u{number}-lost").parse().unwrap(),
            node: format!("lost-{}", number / MEMBERS_OF_NODE).parse().unwrap(),
            eni: Some(lost_eni(number)),
            run: "run".parse().unwrap(),
            served: true,
        }),
        reserved_on: Some(lost_eni(number)),
        pending_mutations: BTreeSet::new(),
    }
}

/// Lets the zone return, until every member is attached.
async fn return_on(nodes: Nodes) -> String {
    let zone = Zone::new(nodes);
    for number in 0..nodes.count() {
        let zone = Rc::clone(&zone);
        spawn_local(async move {
            // Nodes start within a minute.
            sleep(Duration::from_mins(1) * number / nodes.count()).await;
            agent::run(zone, number).await;
        });
    }
    let began = Instant::now();
    while zone.attached.borrow().len() < usize::try_from(MEMBERS).unwrap() {
        sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_hours(1), "{}", zone.attached.borrow().len());
    }
    zone.judge(nodes)
}

impl Zone {
    /// The time after which this part of the members was attached, in minutes.
    fn minutes(&self, percent: usize) -> f64 {
        let attached = self.attached.borrow();
        let last = (attached.len() * percent / 100).saturating_sub(1);
        attached.get(last).unwrap().as_secs_f64() / 60.0
    }

    /// A row of the page of scale.
    fn judge(&self, nodes: Nodes) -> String {
        self.cluster.audit();
        let (now, mut world) = (self.cluster.now(), self.cluster.world());
        let (truth, commits) = (world.truth(now), world.commits(0));
        drop(world);
        let mut moved = BTreeSet::new();
        let of_calls = commits.iter().filter(|commit| commit.call.is_some());
        for step in of_calls.flat_map(|commit| &commit.moves).filter(|step| step.before.is_some()) {
            assert!(moved.insert(step.address), "{} moved twice", step.address);
        }
        let assigns = commits.iter().filter(|commit| commit.what == BUCKETS[0].0).count();
        let throttled: u64 = truth.buckets.values().map(|bucket| bucket.refused).sum();
        let requests = [Op::Member, Op::StaticIp, Op::Pod, Op::Write];
        let requests = requests.map(|op| self.script.made(op)).iter().sum::<u32>();
        let (half, most, all) = (self.minutes(50), self.minutes(90), self.minutes(100));
        assert!(half <= 10.0 && most <= 15.0 && all <= 30.0, "{half:.1}, {most:.1}, {all:.1}");
        let (members, count) = (nodes.members_of_each(), nodes.count());
        let (interfaces, failed) = (self.interfaces.borrow().len(), self.failed.get());
        format!(
            "| {} | {members} | {count} | {interfaces} | {assigns} | {throttled} | {} | {failed} \
             | {half:.1} | {most:.1} | {all:.1} |",
            nodes.kind,
            requests / MEMBERS,
        )
    }
}

async fn returns(kind: &'static str, of_interface: u32, interfaces: u32) -> String {
    let nodes = Nodes { kind, of_interface, interfaces };
    LocalSet::new().run_until(Box::pin(return_on(nodes))).await
}

#[tokio::test(start_paused = true)]
async fn f149_a_zone_returns_on_nodes_with_9_addresses_on_each_of_two_interfaces() {
    println!("{}", returns("m5.large", 9, 2).await);
}

#[tokio::test(start_paused = true)]
async fn f149_a_zone_returns_on_nodes_with_14_addresses_on_each_of_three_interfaces() {
    println!("{}", returns("m5.xlarge", 14, 3).await);
}

#[tokio::test(start_paused = true)]
async fn f149_a_zone_returns_on_nodes_with_29_addresses_on_an_interface() {
    println!("{}", returns("m5.4xlarge", 29, 7).await);
}

#[tokio::test(start_paused = true)]
async fn f149_a_zone_returns_on_nodes_with_49_addresses_on_an_interface() {
    println!("{}", returns("m5.16xlarge", 49, 14).await);
}
