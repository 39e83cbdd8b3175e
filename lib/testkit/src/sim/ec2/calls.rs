//! The calls of the product's clients.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, SubnetId, VolumeId};
use firecamp_core::managed_interface::{
    DescribedInterface, InstanceState, InterfaceFilter, NewInterface,
};
use firecamp_core::network_interface::Interface;
use firecamp_core::node_identity::{NodeIdentity, TypeLimits};
use firecamp_core::ports::{Cloud, CloudInterfaces, Owner, OwnerEni};
use firecamp_node::preflight::facts::{
    AttachedVolumes, Clock, NodeFacts, Permission, Reading, Reservation, Right,
};
use firecamp_node::preflight::{AccountChecks, CloudChecks, NodeChecks};
use firecamp_node::volumes::CloudVolumes;
use firecamp_node::volumes::observation::{Attachment, Elsewhere};
use tokio::time::sleep;

use super::{Account, Calls, SimEc2, failed};

/// How often an unanswered Assign looks whether it may be answered.
const POLL: Duration = Duration::from_millis(100);

impl SimEc2 {
    /// A read takes its time, or is never answered.
    async fn delayed(&self) {
        let delay = self.account().faults.read_delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        {
            let mut account = self.account();
            if !account.faults.hangs {
                return;
            }
            account.calls.unanswered = account.calls.unanswered.saturating_add(1);
        }
        std::future::pending::<()>().await;
    }

    /// A read of EC2: counted, and denied if the policy denies it.
    async fn read(
        &self,
        right: Right,
        counter: impl FnOnce(&mut Calls) -> &mut u32,
    ) -> Result<MutexGuard<'_, Account>, CloudFailure> {
        let account = self.counted(counter).await;
        if account.denied.contains(&right) {
            let detail = format!("{right}: UnauthorizedOperation: the policy denies it");
            return Err(failed(CloudKind::Auth, &detail));
        }
        account.refuses_reads()?;
        Ok(account)
    }

    async fn counted(
        &self,
        counter: impl FnOnce(&mut Calls) -> &mut u32,
    ) -> MutexGuard<'_, Account> {
        self.delayed().await;
        let mut account = self.account();
        let counter = counter(&mut account.calls);
        *counter = counter.saturating_add(1);
        account
    }

    /// A call that changes something. Its caller may be killed before and after its effect.
    async fn change<T>(
        &self,
        delay: Duration,
        change: impl FnOnce(&mut Account) -> Result<T, CloudFailure>,
    ) -> Result<T, CloudFailure> {
        self.sent()?;
        self.step().await;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let answer = change(&mut self.account());
        self.step().await;
        answer
    }

    /// A call that changes something was sent. A refused one has no effect.
    fn sent(&self) -> Result<(), CloudFailure> {
        let mut account = self.account();
        account.calls.mutations = account.calls.mutations.saturating_add(1);
        account.refuses_mutations()
    }

    /// The caller may be killed here.
    async fn step(&self) {
        {
            let mut account = self.account();
            account.calls.steps = account.calls.steps.saturating_add(1);
        }
        tokio::task::yield_now().await;
    }
}

impl Account {
    fn owner(&self, address: Ipv4Addr) -> Owner {
        let Some((instance, eni)) = self.interface_of(address) else { return Owner::Unassigned };
        Owner::Eni(OwnerEni {
            id: eni.id.clone(),
            primary: false,
            cluster: eni.cluster.clone(),
            instance: instance.and_then(|instance| instance.parse().ok()),
            description: String::new(),
        })
    }

    fn refuses_reads(&self) -> Result<(), CloudFailure> {
        let refused = |kind| Err(failed(kind, "refused on purpose"));
        self.faults.reads.map_or(Ok(()), refused)
    }

    fn refuses_mutations(&self) -> Result<(), CloudFailure> {
        let refused = |kind| Err(failed(kind, "refused on purpose"));
        self.faults.mutations.map_or(Ok(()), refused)
    }
}

impl Cloud for SimEc2 {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        self.delayed().await;
        let mut account = self.account();
        account.calls.metadata = account.calls.metadata.saturating_add(1);
        let own = account.instances.get(self.own.as_str());
        let detail = || format!("failed to read instance-id: no metadata service for {}", self.own);
        own.and_then(|own| own.identity.clone())
            .ok_or_else(|| failed(CloudKind::Transient, &detail()))
    }

    async fn listed(&self, mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        let listed = self.own(|own| {
            let eni = own.enis().find(|eni| eni.mac == mac)?;
            Some(eni.listed.clone())
        });
        listed.ok_or_else(|| failed(CloudKind::Transient, "no such interface"))
    }

    async fn owners(
        &self,
        addresses: &[Ipv4Addr],
        _subnet: &SubnetId,
    ) -> Result<BTreeMap<Ipv4Addr, Owner>, CloudFailure> {
        let account =
            self.read(Right::DescribeNetworkInterfaces, |calls| &mut calls.owners).await?;
        Ok(addresses.iter().map(|address| (*address, account.owner(*address))).collect())
    }

    async fn assign(
        &self,
        eni: &EniId,
        addresses: &[Ipv4Addr],
        force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        let hook = self.assign_hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            for address in addresses {
                hook(*address);
            }
        }
        let refused = self.sent();
        while self.account().faults.assigns_hang {
            sleep(POLL).await;
        }
        refused?;
        self.account().assign(eni, addresses, force)
    }

    async fn unassign(
        &self,
        eni: &EniId,
        address: Ipv4Addr,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        let delay = self.account().faults.unassign_delay;
        self.change(delay, |account| account.unassign(eni, address)).await
    }
}

impl CloudInterfaces for SimEc2 {
    async fn create_interface(
        &self,
        request: &NewInterface,
        _within: Duration,
    ) -> Result<EniId, CloudFailure> {
        self.change(Duration::ZERO, |account| account.create(request)).await
    }

    async fn attach_interface(
        &self,
        eni: &EniId,
        instance: &InstanceId,
        device_index: u32,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.change(Duration::ZERO, |account| account.attach(eni, instance, device_index)).await
    }

    async fn detach_interface(
        &self,
        attachment: &str,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        self.change(Duration::ZERO, |account| account.detach(attachment)).await
    }

    async fn delete_interface(&self, eni: &EniId, _within: Duration) -> Result<(), CloudFailure> {
        self.change(Duration::ZERO, |account| account.delete(eni)).await
    }

    async fn describe_interfaces(
        &self,
        filter: &InterfaceFilter,
    ) -> Result<Vec<DescribedInterface>, CloudFailure> {
        let right = Right::DescribeNetworkInterfaces;
        let account = self.read(right, |calls| &mut calls.managed).await?;
        Ok(account.describe(filter))
    }

    async fn is_reserved(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Result<bool, CloudFailure> {
        let found = self.reservations(subnet).await?;
        Ok(found.iter().any(|one| one.explicit && one.block.contains(&address)))
    }

    async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, CloudFailure> {
        let account = self.counted(|calls| &mut calls.managed).await;
        account.refuses_reads()?;
        Ok(account.state(instance))
    }
}

impl CloudVolumes for SimEc2 {
    async fn attachments(&self, instance: &InstanceId) -> Result<Vec<Attachment>, CloudFailure> {
        let account = self.read(Right::DescribeVolumes, |calls| &mut calls.volumes).await?;
        let found = account.instances.get(instance.as_str());
        Ok(found.map(|found| found.volumes.clone()).unwrap_or_default())
    }

    async fn elsewhere(
        &self,
        instance: &InstanceId,
        volumes: &BTreeSet<VolumeId>,
    ) -> Result<Vec<Elsewhere>, CloudFailure> {
        let account = self.read(Right::DescribeVolumes, |calls| &mut calls.checks).await?;
        let mut found = Vec::new();
        for (id, there) in account.instances.iter().filter(|(id, _)| **id != instance.as_str()) {
            let Ok(at) = id.parse::<InstanceId>() else { continue };
            for one in there.volumes.iter().filter(|one| volumes.contains(&one.volume)) {
                let (volume, instance) = (one.volume.clone(), at.clone());
                found.push(Elsewhere { volume, instance, state: one.state });
            }
        }
        Ok(found)
    }
}

impl CloudChecks for SimEc2 {
    async fn instance(&self) -> Result<NodeIdentity, CloudFailure> {
        self.identity().await
    }

    async fn interfaces(&self, instance: &InstanceId) -> Result<Vec<Interface>, CloudFailure> {
        let right = Right::DescribeNetworkInterfaces;
        let account = self.read(right, |calls| &mut calls.interfaces).await?;
        let Some(found) = account.instances.get(instance.as_str()) else { return Ok(Vec::new()) };
        Ok(found.stale_interfaces.clone().unwrap_or_else(|| found.interfaces.clone()))
    }

    async fn type_limits(&self, name: &str) -> Result<TypeLimits, CloudFailure> {
        let account = self.read(Right::DescribeInstanceTypes, |calls| &mut calls.types).await?;
        let detail = || format!("DescribeInstanceTypes: InvalidInstanceType: {name}");
        account.types.get(name).cloned().ok_or_else(|| failed(CloudKind::Unknown, &detail()))
    }

    async fn peers(
        &self,
        subnet: &SubnetId,
        cluster: &ClusterName,
    ) -> Result<Vec<Interface>, CloudFailure> {
        let account =
            self.read(Right::DescribeNetworkInterfaces, |calls| &mut calls.checks).await?;
        let all = account.instances.values().flat_map(|instance| &instance.interfaces);
        let all = all.chain(account.created.free());
        let fits = |one: &&Interface| {
            one.subnet == *subnet && one.cluster.as_deref() == Some(cluster.as_str())
        };
        Ok(all.filter(fits).cloned().collect())
    }

    async fn reservations(&self, subnet: &SubnetId) -> Result<Vec<Reservation>, CloudFailure> {
        let account =
            self.read(Right::GetSubnetCidrReservations, |calls| &mut calls.checks).await?;
        Ok(account.reservations.get(subnet.as_str()).cloned().unwrap_or_default())
    }

    async fn permission(&self, right: Right) -> Result<Permission, CloudFailure> {
        if !right.has_dry_run() {
            return Err(failed(CloudKind::Unknown, &format!("{right}: UnknownParameter: DryRun")));
        }
        match self.read(right, |calls| &mut calls.checks).await {
            Ok(_account) => Ok(Permission::Allowed),
            Err(denied) => Ok(Permission::Denied(denied.detail)),
        }
    }

    fn clocks(&self) -> Vec<Reading> {
        vec![Reading { clock: Clock::Ec2, ahead: self.account().ahead }]
    }
}

impl AccountChecks for SimEc2 {
    async fn volumes(&self, instance: &InstanceId) -> Result<AttachedVolumes, CloudFailure> {
        let account = self.read(Right::DescribeVolumes, |calls| &mut calls.checks).await?;
        let found = account.instances.get(instance.as_str());
        Ok(found.map(|found| AttachedVolumes::of(&found.volumes)).unwrap_or_default())
    }
}

impl NodeChecks for SimEc2 {
    async fn facts(&self) -> NodeFacts {
        self.account().node.clone()
    }
}
