//! AWS and a node's files in memory, for preflight checks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{ClusterName, InstanceId, SubnetId};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_node::preflight::facts::{Clock, NodeFacts, Permission, Reading, Reservation, Right};
use firecamp_node::preflight::{AccountChecks, CloudChecks, NodeChecks};

/// The state of the account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// For each instance: its metadata, and its interfaces in EC2.
    pub instances: BTreeMap<String, (NodeIdentity, Vec<Interface>)>,
    /// The limits of each instance type.
    pub types: BTreeMap<String, TypeLimits>,
    /// The permissions that the IAM policy denies.
    pub denied: BTreeSet<Right>,
    /// The seconds by which the node's clock is ahead of AWS's.
    pub ahead: i64,
    /// The CIDR reservations of each subnet.
    pub reservations: BTreeMap<String, Vec<Reservation>>,
    /// The number of volumes of each instance.
    pub volumes: BTreeMap<String, u32>,
    /// The contents of the node's files.
    pub node: NodeFacts,
    /// The number of EC2 calls.
    pub calls: u32,
}

/// An account as seen from one instance. Clones share it.
#[derive(Debug, Clone)]
pub struct SimChecks {
    own: InstanceId,
    account: Arc<Mutex<Account>>,
}

impl SimChecks {
    /// The view of this instance.
    pub fn new(own: InstanceId, account: Account) -> Self {
        Self { own, account: Arc::new(Mutex::new(account)) }
    }

    /// The account, to be read or changed.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counted(&self) -> MutexGuard<'_, Account> {
        let mut account = self.account();
        account.calls = account.calls.saturating_add(1);
        account
    }

    /// One EC2 call: counted, and denied if the policy denies it.
    fn call(&self, right: Right) -> Result<MutexGuard<'_, Account>, CloudFailure> {
        let account = self.counted();
        if account.denied.contains(&right) {
            let detail = format!("{right}: UnauthorizedOperation: the policy denies it");
            return Err(CloudFailure { kind: CloudKind::Auth, effect: Effect::None, detail });
        }
        Ok(account)
    }
}

impl CloudChecks for SimChecks {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        let account = self.account();
        let own = account.instances.get(self.own.as_str()).map(|(identity, _)| identity.clone());
        let detail = || format!("failed to read instance-id: no metadata service for {}", self.own);
        own.ok_or_else(|| CloudFailure {
            kind: CloudKind::Transient,
            effect: Effect::None,
            detail: detail(),
        })
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        let account = self.call(Right::DescribeNetworkInterfaces)?;
        let found = account.instances.get(instance.as_str());
        Ok(found.map(|(_, interfaces)| interfaces.clone()).unwrap_or_default())
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        let account = self.call(Right::DescribeInstanceTypes)?;
        let detail = || format!("DescribeInstanceTypes: InvalidInstanceType: {name}");
        account.types.get(name).cloned().ok_or_else(|| CloudFailure {
            kind: CloudKind::Unknown,
            effect: Effect::None,
            detail: detail(),
        })
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let account = self.call(Right::DescribeNetworkInterfaces)?;
        let all = account.instances.values().flat_map(|(_, interfaces)| interfaces);
        let fits = |one: &&Interface| {
            one.subnet == *subnet && one.cluster.as_deref() == Some(cluster.as_str())
        };
        Ok(all.filter(fits).cloned().collect())
    }

    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        if !right.has_dry_run() {
            let detail = format!("{right}: UnknownParameter: DryRun");
            return Err(CloudFailure { kind: CloudKind::Unknown, effect: Effect::None, detail });
        }
        match self.call(right) {
            Ok(_account) => Ok(Permission::Allowed),
            Err(denied) => Ok(Permission::Denied(denied.detail)),
        }
    }

    fn clocks(&self) -> Vec<Reading> {
        vec![Reading { clock: Clock::Ec2, ahead: self.account().ahead }]
    }
}

impl AccountChecks for SimChecks {
    async fn reservations(&self, subnet: &SubnetId) -> Result<Vec<Reservation>, CloudFailure> {
        Ok(self
            .call(Right::GetSubnetCidrReservations)?
            .reservations
            .get(subnet.as_str())
            .cloned()
            .unwrap_or_default())
    }

    async fn volumes(&self, instance: &InstanceId) -> Result<u32, CloudFailure> {
        let account = self.call(Right::DescribeVolumes)?;
        Ok(account.volumes.get(instance.as_str()).copied().unwrap_or_default())
    }
}

impl NodeChecks for SimChecks {
    async fn facts(&self) -> NodeFacts {
        self.account().node.clone()
    }
}
