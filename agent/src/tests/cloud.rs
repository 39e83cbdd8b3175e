//! One instance whose ENIs are what they are; every call that would change EC2 is counted.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId};
use firecamp_core::interface::Interface;
use firecamp_core::node::{Eni, NodeIdentity, TypeLimits};
use firecamp_core::outside::{Cloud, Owner, OwnerEni};
use firecamp_preflight::CloudChecks;
use firecamp_preflight::facts::{Permission, Reading, Right};
use firecamp_volumes::CloudVolumes;
use firecamp_volumes::seen::Attachment;

/// What EC2 and the metadata service have.
#[derive(Debug, Default)]
pub(crate) struct Vpc {
    pub(crate) enis: Vec<Eni>,
    /// Nobody answers what is asked of EC2 and the metadata service.
    pub(crate) hangs: bool,
    /// What the metadata service lists, and EC2 has no more.
    pub(crate) lost: BTreeSet<Ipv4Addr>,
    pub(crate) looks: u32,
    /// What EC2 says of the instance's type; none if it denies to say it.
    pub(crate) limits: Option<TypeLimits>,
    /// How often that was asked.
    pub(crate) type_looks: u32,
    pub(crate) volumes: Vec<Attachment>,
    pub(crate) volume_looks: u32,
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
    async fn answers(&self) {
        let hangs = self.0.lock().unwrap().hangs;
        if hangs {
            std::future::pending::<()>().await;
        }
    }
}

fn failed(detail: &str) -> CloudFailure {
    CloudFailure { kind: CloudKind::Transient, effect: Effect::None, detail: detail.to_owned() }
}

impl Cloud for FixedCloud {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.answers().await;
        let vpc = self.0.lock().unwrap();
        Ok(NodeIdentity {
            instance: "i-0000000a".parse().unwrap(),
            instance_type: "m5.large".to_owned(),
            zone: "us-east-1a".parse().unwrap(),
            region: "us-east-1".to_owned(),
            enis: vpc.enis.clone(),
        })
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        let vpc = self.0.lock().unwrap();
        let eni = vpc.enis.iter().find(|eni| eni.mac == mac);
        eni.map(|eni| eni.listed.clone()).ok_or_else(|| failed("no such ENI"))
    }

    async fn owner(&self, address: Ipv4Addr, _subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        self.answers().await;
        let vpc = self.0.lock().unwrap();
        let has = |eni: &&Eni| eni.listed.contains(&address) && !vpc.lost.contains(&address);
        let holder = vpc.enis.iter().find(has);
        Ok(holder.map_or(Owner::Nobody, |eni| {
            Owner::Eni(OwnerEni {
                id: eni.id.clone(),
                primary: false,
                cluster: Some("prod".to_owned()),
                instance: None,
                description: String::new(),
            })
        }))
    }

    async fn assign(
        &self,
        _eni: &EniId,
        address: Ipv4Addr,
        _force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        let mut vpc = self.0.lock().unwrap();
        vpc.mutations += 1;
        vpc.lost.remove(&address);
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
        let interface = |eni: &Eni| Interface {
            id: eni.id.clone(),
            subnet: eni.subnet.clone(),
            device_index: eni.device_index,
            network_card: eni.network_card,
            primary: eni.primary_address,
            addresses: eni.listed.difference(&vpc.lost).copied().collect(),
            prefixes: eni.prefixes,
            groups: BTreeSet::new(),
            cluster: Some("prod".to_owned()),
            no_manage: None,
            operator: None,
        };
        Ok(vpc.enis.iter().map(interface).collect())
    }

    async fn type_limits(&self, _name: &str) -> Result<TypeLimits, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.type_looks += 1;
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
        Vec::new()
    }
}

impl CloudVolumes for FixedCloud {
    async fn attachments(&self, _instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        self.answers().await;
        let mut vpc = self.0.lock().unwrap();
        vpc.volume_looks += 1;
        Ok(vpc.volumes.clone())
    }
}
