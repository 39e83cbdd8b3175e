//! A cluster with one member, and agents that may hold the Lease.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_apiserver::ApiServer;
use firecamp_controllers::leader::{AllowedZones, Change, Cluster as _, Identity};
use firecamp_core::contract::tag;
use firecamp_core::ids::{EniId, Epoch, Member, Uid};
use firecamp_core::managed_interface::NewInterface;
use firecamp_core::ports::{CloudInterfaces as _, Registry};
use firecamp_core::record::{Attachment, Claim, Pool, State, StaticIp, Stored, Write};
use firecamp_kube::{KubeCluster, KubeRegistry, Timeouts};
use firecamp_node::preflight::facts::Reservation;
use firecamp_registry::conformance;
use firecamp_run::connect::AnyRegistry;
use firecamp_testkit::sim::{Account, SimEc2, interface};
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::leader::{RemoteSystems, lead};
use crate::publish::SharedStatus;
use crate::status::Status;

pub(in crate::tests) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 20);
const POD: &str = "pod-1";
/// The member's instance and its ENI.
const INSTANCE: &str = "i-0000000a";
const ENI: &str = "eni-0000000a";
/// The first interface that a call creates, and its record.
const OWN_ENI: &str = "eni-c0000000000000001";
const OWN_RECORD: &str = "i-0000000a-0";
const CALL: Duration = Duration::from_secs(5);
/// The leader's instance, whose metadata service does not answer.
const OWN: &str = "i-00000009";

/// Nothing that is waited for takes longer, by the clock that jumps.
const DEADLINE: Duration = Duration::from_hours(1);

/// All that agents find outside.
pub(in crate::tests) struct ClusterFixture {
    pub(in crate::tests) server: ApiServer,
    pub(in crate::tests) registry: KubeRegistry,
    pub(in crate::tests) ec2: SimEc2,
    /// Of all its agents.
    pub(in crate::tests) status: Status,
    /// What its agents have read last.
    pub(in crate::tests) shared_status: SharedStatus,
    /// Whether its agents keep the names of members, also in the zone of the cluster.
    pub(in crate::tests) keeps_names: bool,
}

impl ClusterFixture {
    /// Member redis-0 of StatefulSet redis is attached on node-1; the agents run on node-2 and
    /// node-3. The pool deletes whatever nobody wants.
    pub(in crate::tests) async fn new() -> Self {
        let server = ApiServer::default();
        let pool = Pool {
            release_policy: firecamp_core::record::ReleasePolicy::Keep,
            ..conformance::pool("a", &[1]).unwrap()
        };
        server.create_pool(&pool);
        let registry = KubeRegistry::new(server.client(), Timeouts::default());
        let fixture = Self {
            server,
            registry,
            ec2: SimEc2::new(OWN.parse().unwrap(), Account::default()),
            status: Status::default(),
            shared_status: SharedStatus::default(),
            keeps_names: false,
        };
        fixture.policies("Delete", "Delete");
        for node in ["node-1", "node-2", "node-3"] {
            fixture.node(node, "True");
        }
        fixture.set("set-1", 1);
        fixture.claimed(ADDRESS, &conformance::member(0).unwrap()).await;
        fixture.pod(Some("set-1"));
        fixture
    }

    pub(in crate::tests) fn policies(&self, reclaim: &str, retention: &str) {
        let changed = self.server.change("staticippools", None, "a", |pool| {
            pool["spec"]["reclaimPolicy"] = json!(reclaim);
            pool["spec"]["claimRetentionPolicy"] =
                json!({ "whenDeleted": retention, "whenScaled": retention });
        });
        assert!(changed);
    }

    pub(in crate::tests) fn node(&self, name: &str, ready: &str) {
        let conditions = json!([{ "type": "Ready", "status": ready }]);
        let node = json!({ "metadata": {}, "status": { "conditions": conditions } });
        self.server.set("nodes", (None, name), node);
    }

    pub(in crate::tests) fn set(&self, uid: &str, replicas: u32) {
        let set = json!({ "metadata": { "uid": uid }, "spec": { "replicas": replicas } });
        self.server.set("statefulsets", (Some("prod"), "redis"), set);
    }

    pub(in crate::tests) fn pod(&self, set: Option<&str>) {
        let owner = |uid: &str| {
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "redis", "uid": uid,
                "controller": true })
        };
        let owners: Vec<Value> = set.into_iter().map(owner).collect();
        let pod = json!({
            "metadata": { "uid": POD, "ownerReferences": owners },
            "spec": { "nodeName": "node-1" },
            "status": { "phase": "Running" },
        });
        self.server.set_pod("prod", "redis-0", pod);
    }

    pub(in crate::tests) fn no_pod(&self) {
        assert!(self.server.remove("pods", Some("prod"), "redis-0"));
    }

    pub(in crate::tests) async fn record(&self, state: State, epoch: u64) {
        self.record_of(ADDRESS, state, epoch).await;
    }

    /// An address that no claim names, parked and in EC2.
    pub(in crate::tests) async fn orphan(&self, address: Ipv4Addr, number: u32) {
        self.known(address, &conformance::member(number).unwrap(), State::Parked).await;
    }

    /// An address of a member, on record and in EC2.
    async fn known(&self, address: Ipv4Addr, member: &Member, state: State) {
        let pool = conformance::pool("a", &[1]).unwrap();
        let ip = conformance::static_ip(address, member, &pool).unwrap();
        self.registry.write(&Write::CreateStaticIp(ip)).await.unwrap();
        self.record_of(address, state, 5).await;
        self.in_ec2(address, ENI, INSTANCE);
    }

    /// EC2 has the address on this ENI of the cluster.
    pub(in crate::tests) fn in_ec2(&self, address: Ipv4Addr, eni: &str, instance: &str) {
        let eni = interface(eni.parse().unwrap(), "subnet-00000001".parse().unwrap());
        self.ec2.put(address, &instance.parse().unwrap(), eni);
    }

    /// The member's instance and its ENI are gone.
    pub(in crate::tests) fn terminate_instance(&self) {
        self.ec2.terminate(&INSTANCE.parse().unwrap());
    }

    /// The address of another member on node-1, whose pod stays on record.
    pub(in crate::tests) async fn held(&self, address: Ipv4Addr, number: u32) {
        let member = conformance::member(number).unwrap();
        self.claimed(address, &member).await;
        let pod = json!({
            "metadata": { "uid": POD },
            "spec": { "nodeName": "node-1" },
            "status": { "phase": "Running" },
        });
        self.server.set_pod(member.namespace(), member.name(), pod);
    }

    async fn claimed(&self, address: Ipv4Addr, member: &Member) {
        let pool = conformance::pool("a", &[1]).unwrap();
        let claim = Claim { address: Some(address), ..conformance::claim(member, &pool) };
        self.registry.write(&Write::CreateClaim(claim)).await.unwrap();
        self.known(address, member, State::Attached).await;
    }

    async fn record_of(&self, address: Ipv4Addr, state: State, epoch: u64) {
        self.record_on(ENI, address, state, epoch).await;
    }

    async fn record_on(&self, eni: &str, address: Ipv4Addr, state: State, epoch: u64) {
        let Stored { version, mut object } =
            self.registry.static_ip(address).await.unwrap().unwrap();
        let eni: EniId = eni.parse().unwrap();
        object.epoch = Epoch(epoch);
        object.reserved_on = Some(eni.clone());
        object.attachment = Some(Attachment {
            state,
            pod: POD.parse().unwrap(),
            node: "node-1".parse().unwrap(),
            eni: Some(eni),
            run: "init-1".parse().unwrap(),
            served: true,
        });
        self.registry.write(&Write::UpdateStaticIp(Stored { version, object })).await.unwrap();
    }

    /// The member's address is parked on an interface that FireCamp made for its instance, and a
    /// second interface has another cluster's tags.
    pub(in crate::tests) async fn on_own_interface(&self) {
        let record = json!({
            "apiVersion": "firecamp.io/v1alpha1",
            "kind": "NodeInterface",
            "metadata": {},
            "spec": {
                "nodeName": "node-1",
                "instance": INSTANCE,
                "subnet": "subnet-00000001",
                "securityGroups": ["sg-0000000a"],
                "phase": "Attached",
                "eni": OWN_ENI,
            },
        });
        self.server.set("nodeinterfaces", (None, OWN_RECORD), record);
        let uid = self.interface("/metadata/uid").unwrap();
        for (number, (uid, cluster)) in
            [(uid.as_str(), "prod"), ("another", "staging")].into_iter().enumerate()
        {
            let tags = [(tag::INTERFACE, uid), (tag::CLUSTER, cluster)];
            let request = NewInterface {
                subnet: "subnet-00000001".parse().unwrap(),
                groups: ["sg-0000000a".to_owned()].into(),
                description: String::new(),
                tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
                token: number.to_string(),
            };
            self.ec2.create_interface(&request, CALL).await.unwrap();
        }
        let (eni, instance) = (OWN_ENI.parse().unwrap(), INSTANCE.parse().unwrap());
        self.ec2.attach_interface(&eni, &instance, 2, CALL).await.unwrap();
        self.in_ec2(ADDRESS, OWN_ENI, INSTANCE);
        self.record_on(OWN_ENI, ADDRESS, State::Parked, 5).await;
    }

    /// This text in the record of the interface that FireCamp made.
    pub(in crate::tests) fn interface(&self, path: &str) -> Option<String> {
        let record = self.server.object("nodeinterfaces", None, OWN_RECORD)?;
        record.pointer(path).and_then(Value::as_str).map(str::to_owned)
    }

    /// A person removes the interface, and the agent of its node has excluded it.
    pub(in crate::tests) fn drain(&self) {
        let changed = self.server.change("nodeinterfaces", None, OWN_RECORD, |record| {
            record["spec"]["phase"] = json!("Draining");
            record["spec"]["excluded"] = json!(true);
        });
        assert!(changed);
    }

    /// A CIDR reservation keeps the member's address.
    pub(in crate::tests) fn reserve(&self) {
        let reservation = Reservation { block: "10.1.0.16/28".parse().unwrap(), explicit: true };
        let reservations = &mut self.ec2.account().reservations;
        reservations.insert("subnet-00000001".to_owned(), vec![reservation]);
    }

    /// Deletes the StaticIP, as a person does.
    pub(in crate::tests) async fn delete(&self) {
        let ip = self.ip().unwrap();
        let text = |path: &str| ip.pointer(path).and_then(Value::as_str).unwrap();
        let id = Identity {
            uid: Uid::new(text("/metadata/uid")).unwrap(),
            version: text("/metadata/resourceVersion").parse().unwrap(),
            deleting: false,
        };
        let person = KubeCluster::new(&self.registry);
        person.change(&Change::DeleteStaticIp(ADDRESS, id)).await.unwrap();
    }

    pub(in crate::tests) async fn read(&self) -> Option<StaticIp> {
        self.registry.static_ip(ADDRESS).await.unwrap().map(|stored| stored.object)
    }

    pub(in crate::tests) fn ip(&self) -> Option<Value> {
        self.server.object("staticips", None, &ADDRESS.to_string())
    }

    pub(in crate::tests) fn state(&self) -> Option<String> {
        let ip = self.ip()?;
        ip.pointer("/spec/attachment/state").and_then(Value::as_str).map(str::to_owned)
    }

    pub(in crate::tests) fn claim(&self) -> Option<Value> {
        self.server.object("staticipclaims", Some("prod"), "redis-0")
    }

    /// The StatefulSet on record as the claim's.
    pub(in crate::tests) fn owner(&self) -> Option<String> {
        let claim = self.claim()?;
        let owner = claim.pointer("/metadata/annotations/firecamp.io~1statefulset-uid");
        owner.and_then(Value::as_str).map(str::to_owned)
    }

    pub(in crate::tests) fn holder(&self, namespace: &str) -> Option<String> {
        let lease = self.server.object("leases", Some(namespace), "firecamp-agents")?;
        let holder = lease.pointer("/spec/holderIdentity").and_then(Value::as_str);
        holder.map(str::to_owned)
    }

    /// An agent of this node holds the Lease of the default namespace.
    pub(in crate::tests) fn is_led_by(&self, node: &str) -> bool {
        self.holder("default").is_some_and(|holder| holder.starts_with(&format!("{node}_")))
    }

    /// Runs an agent on this node until the end; its Lease is in this namespace.
    pub(in crate::tests) async fn agent(
        &self,
        node: &str,
        namespace: &str,
        end: &CancellationToken,
    ) {
        let registry = AnyRegistry::from(self.registry.clone());
        let cluster = KubeCluster::new(&self.registry).with_lease_in(namespace);
        let cluster_name = "prod".parse().unwrap();
        let zones = AllowedZones::new(&["default".parse().unwrap()], &cluster_name);
        let names = (node.parse().unwrap(), cluster_name, Some(zones).filter(|_| self.keeps_names));
        let remote = RemoteSystems::new(names, cluster, (self.ec2.clone(), registry));
        // Dropping it drops the agent's tasks, as a crash does.
        let agent = LocalSet::new();
        let metrics = self.status.leader.clone();
        agent.run_until(lead(remote, (metrics, self.shared_status.clone()), end)).await;
    }

    /// Runs an agent on node-2, meanwhile `body`, and then ends the agent.
    pub(in crate::tests) async fn during(&self, body: impl AsyncFnOnce()) {
        let end = CancellationToken::new();
        let body = async {
            body().await;
            end.cancel();
        };
        tokio::join!(self.agent("node-2", "default", &end), body);
    }
}

/// Waits for a condition, by the clock that jumps, and says how long it took. Passes are half a
/// minute apart, so that nothing is missed by looking once a second.
pub(in crate::tests) async fn until(what: &str, condition: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain until {what}");
        sleep(Duration::from_secs(1)).await;
    }
    begun.elapsed()
}
