//! One instance whose ENIs are what they are; every call that would change EC2 is counted.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firecamp_apiserver::ApiServer;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{Eni, NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, Owner, OwnerEni};
use firecamp_node::preflight::CloudChecks;
use firecamp_node::preflight::facts::{Clock, Permission, Reading, Right};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};
use serde_json::Value;
use tokio::time::sleep;

/// What EC2 and the metadata service have.
#[derive(Debug, Default)]
pub(crate) struct Vpc {
    pub(crate) enis: Vec<Eni>,
    /// Nobody answers what is asked of EC2 and the metadata service.
    pub(crate) hangs: bool,
    /// An Assign that was sent is not answered as long as this is so.
    pub(crate) assign_hangs: bool,
    /// What the metadata service lists, and EC2 has no more.
    pub(crate) lost: BTreeSet<Ipv4Addr>,
    /// What EC2 has on an ENI of another node.
    pub(crate) elsewhere: BTreeSet<Ipv4Addr>,
    /// What EC2 has here, and the metadata service does not list.
    pub(crate) unlisted: BTreeSet<Ipv4Addr>,
    /// A service of AWS manages the ENIs.
    pub(crate) operator: bool,
    /// ENIs of other nodes are not this cluster's.
    pub(crate) strangers: bool,
    /// By how many seconds this node's clock is ahead of EC2's.
    pub(crate) ahead: i64,
    /// Why nothing that is asked of EC2 succeeds.
    pub(crate) refuses: Option<CloudKind>,
    /// Reads succeed all the same.
    pub(crate) reads: bool,
    /// The metadata service does not answer.
    pub(crate) is_silent: bool,
    /// How often the metadata service was asked.
    pub(crate) identities: u32,
    /// Nobody has what members had here, whatever is done.
    pub(crate) misplaced: bool,
    pub(crate) looks: u32,
    /// What EC2 says of the instance's type; none if it denies to say it.
    pub(crate) limits: Option<TypeLimits>,
    /// How often that was asked.
    pub(crate) type_looks: u32,
    pub(crate) volumes: Vec<Attachment>,
    /// What EC2 has on other instances.
    pub(crate) volumes_elsewhere: Vec<Elsewhere>,
    pub(crate) volume_looks: u32,
    /// How often the owner of an address was looked up.
    pub(crate) lookups: u32,
    /// Whose record is to show a mark when an Assign is sent, and what it showed each time.
    pub(crate) witness: Option<ApiServer>,
    pub(crate) marks: Vec<Value>,
    /// Calls that would change something, whatever came of them.
    pub(crate) mutations: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FixedCloud(pub(crate) Arc<Mutex<Vpc>>);

impl FixedCloud {
    pub(crate) fn looks(&self) -> u32 {
        self.0.lock().unwrap().looks
    }

    pub(crate) fn mutations(&self) -> u32 {
        self.0.lock().unwrap().mutations
    }
}

impl FixedCloud {
    /// Somebody has moved the address to another node of the cluster.
    pub(crate) fn moves_away(&self, address: Ipv4Addr) {
        let mut vpc = self.0.lock().unwrap();
        for eni in &mut vpc.enis {
            eni.listed.remove(&address);
        }
        vpc.elsewhere.insert(address);
    }

    pub(crate) fn is_here(&self, address: Ipv4Addr) -> bool {
        self.0.lock().unwrap().enis.iter().any(|eni| eni.listed.contains(&address))
    }

    /// EC2 has it here again, and everybody says so.
    pub(crate) fn is_back(&self, address: Ipv4Addr) {
        let mut vpc = self.0.lock().unwrap();
        vpc.elsewhere.remove(&address);
        vpc.enis[0].listed.insert(address);
    }

    async fn answers(&self) {
        let hangs = self.0.lock().unwrap().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
    }
}

/// An ENI of another node of the cluster.
const OTHER_ENI: &str = "eni-0000000b";

/// This instance.
const OWN: &str = "i-0000000a";

fn owned(id: EniId, cluster: Option<&str>, instance: Option<&str>) -> Owner {
    Owner::Eni(OwnerEni {
        id,
        primary: false,
        cluster: cluster.map(str::to_owned),
        instance: instance.map(|id| id.parse().unwrap()),
        description: String::new(),
    })
}

impl Vpc {
    /// What the metadata service says of it.
    fn shown(&self, eni: &Eni) -> Eni {
        let listed = eni.listed.difference(&self.unlisted).copied().collect();
        Eni { listed, ..eni.clone() }
    }

    /// An Assign was sent.
    fn sent(&mut self, address: Ipv4Addr) {
        self.mutations += 1;
        let record = self
            .witness
            .as_ref()
            .and_then(|server| server.object("staticips", None, &address.to_string()));
        self.marks.extend(record.map(|record| record["spec"]["pendingMutations"].clone()));
    }

    fn answers_reads(&self) -> Result<(), CloudFailure> {
        if self.reads { Ok(()) } else { self.accepts() }
    }

    fn accepts(&self) -> Result<(), CloudFailure> {
        let refuse = |kind| Err(CloudFailure { kind, ..failed("refused on purpose") });
        self.refuses.map_or(Ok(()), refuse)
    }
}

fn failed(detail: &str) -> CloudFailure {
    CloudFailure { kind: CloudKind::Transient, effect: Effect::None, detail: detail.to_owned() }
}

impl Cloud for FixedCloud {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.identities += 1;
        if vpc.is_silent {
            return Err(failed("no answer"));
        }
        Ok(NodeIdentity {
            instance: OWN.parse().unwrap(),
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".parse().unwrap(),
            region: "us-east-1".to_owned(),
            enis: vpc.enis.iter().map(|eni| vpc.shown(eni)).collect(),
        })
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        let vpc = self.0.lock().unwrap();
        let eni = vpc.enis.iter().find(|eni| eni.mac == mac);
        eni.map(|eni| vpc.shown(eni).listed).ok_or_else(|| failed("no such ENI"))
    }

    async fn owner(&self, address: Ipv4Addr, _subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.lookups += 1;
        vpc.answers_reads()?;
        if vpc.elsewhere.contains(&address) {
            let cluster = (!vpc.strangers).then_some("prod");
            return Ok(owned(OTHER_ENI.parse().unwrap(), cluster, None));
        }
        let has = |eni: &&Eni| eni.listed.contains(&address) && !vpc.lost.contains(&address);
        let holder = vpc.enis.iter().find(has);
        Ok(holder.map_or(Owner::Unassigned, |eni| owned(eni.id.clone(), Some("prod"), Some(OWN))))
    }

    async fn assign(
        &self,
        _eni: &EniId,
        address: Ipv4Addr,
        _force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.0.lock().unwrap().sent(address);
        while self.0.lock().unwrap().assign_hangs {
            sleep(Duration::from_millis(100)).await;
        }
        let mut vpc = self.0.lock().unwrap();
        vpc.accepts()?;
        vpc.lost.remove(&address);
        if vpc.elsewhere.remove(&address) {
            vpc.enis[0].listed.insert(address);
        }
        Ok(())
    }

    async fn unassign(
        &self,
        _eni: &EniId,
        _address: Ipv4Addr,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.0.lock().unwrap().mutations += 1;
        Ok(())
    }
}

impl CloudChecks for FixedCloud {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.identity().await
    }

    async fn interfaces(&self, _instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.looks += 1;
        vpc.answers_reads()?;
        let interface = |eni: &Eni| Interface {
            id: eni.id.clone(),
            subnet: eni.subnet.clone(),
            device_index: eni.device_index,
            network_card: eni.network_card,
            primary: eni.primary_address,
            addresses: if vpc.misplaced {
                BTreeSet::new()
            } else {
                eni.listed.difference(&vpc.lost).copied().collect()
            },
            prefixes: eni.prefixes,
            groups: BTreeSet::new(),
            cluster: Some("prod".to_owned()),
            no_manage: None,
            operator: vpc.operator.then(|| "eks.amazonaws.com".to_owned()),
            delete_on_termination: false,
        };
        Ok(vpc.enis.iter().map(interface).collect())
    }

    async fn type_limits(&self, _name: &str) -> Result<TypeLimits, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.type_looks += 1;
        vpc.answers_reads()?;
        let denied = || CloudFailure { kind: CloudKind::Auth, ..failed("denied") };
        vpc.limits.clone().ok_or_else(denied)
    }

    async fn peers(
        &self,
        _subnet: &SubnetId,
        _cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        Err(failed("an agent looks at its own node"))
    }

    async fn permission(&self, _right: Right) -> Result<Permission, CloudFailure> {
        Err(failed("an agent makes no dry run"))
    }

    fn clocks(&self) -> Vec<Reading> {
        vec![Reading { clock: Clock::Ec2, ahead: self.0.lock().unwrap().ahead }]
    }
}

impl CloudVolumes for FixedCloud {
    async fn attachments(&self, _instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.volume_looks += 1;
        vpc.answers_reads()?;
        Ok(vpc.volumes.clone())
    }

    async fn elsewhere(
        &self,
        _instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        self.answers().await;
        let vpc = self.0.lock().unwrap();
        vpc.answers_reads()?;
        let of_these = vpc.volumes_elsewhere.iter().filter(|one| volumes.contains(&one.volume));
        Ok(of_these.cloned().collect())
    }
}
