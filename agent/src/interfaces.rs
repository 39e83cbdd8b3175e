//! Performs the steps of interfaces that FireCamp makes for this node.

use std::time::Duration;

use firecamp_controllers::node::{InterfaceRead, InterfaceStep, StepEnd};
use firecamp_core::contract::{cluster::STARTUP_TAINT, timing};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{EniId, InterfaceName, NodeName};
use firecamp_core::managed_interface::{
    InterfaceFilter, NewInterface, NodeInterface, StoredInterface,
};
use firecamp_core::ports::CloudInterfaces;
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::time::timeout;

/// Bound of one read of EC2.
const READ_BOUND: Duration = Duration::from_secs(10);
/// Bound of one call that changes EC2. It is sent right after the record was read.
const WITHIN: Duration = timing::CALL_BOUND;

/// The records of the interfaces of a node.
pub(crate) trait InterfaceRecords {
    /// The records, the pools that want interfaces, and the Node: quorum reads, all or nothing.
    fn interface_facts(
        &self,
        node: &NodeName,
    ) -> impl Future<Output = Result<InterfaceRead, RegistryFailure>>;

    /// Creates a record; fails if one of that name exists.
    fn create_interface(
        &self,
        name: &InterfaceName,
        record: &NodeInterface,
    ) -> impl Future<Output = Result<(), RegistryFailure>>;

    /// Replaces a record by compare-and-swap.
    fn update_interface(
        &self,
        next: &StoredInterface,
    ) -> impl Future<Output = Result<(), RegistryFailure>>;

    /// Removes the startup taint from the Node, if it has it.
    fn lift_taint(&self, node: &NodeName) -> impl Future<Output = Result<(), RegistryFailure>>;
}

impl InterfaceRecords for AnyRegistry {
    async fn interface_facts(&self, node: &NodeName) -> Result<InterfaceRead, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::Kube(registry) => registry.interface_facts(node).await,
            // A file registry has no interfaces of FireCamp's.
            OpenRegistry::File(_) => Ok(InterfaceRead::default()),
        }
    }

    async fn create_interface(
        &self,
        name: &InterfaceName,
        record: &NodeInterface,
    ) -> Result<(), RegistryFailure> {
        match self.get().await? {
            OpenRegistry::Kube(registry) => registry.create_interface(name, record).await,
            OpenRegistry::File(_) => Err(no_cluster(name)),
        }
    }

    async fn update_interface(&self, next: &StoredInterface) -> Result<(), RegistryFailure> {
        match self.get().await? {
            OpenRegistry::Kube(registry) => registry.update_interface(next).await,
            OpenRegistry::File(_) => Err(no_cluster(&next.name)),
        }
    }

    async fn lift_taint(&self, node: &NodeName) -> Result<(), RegistryFailure> {
        match self.get().await? {
            OpenRegistry::Kube(registry) => registry.lift_taint(node, STARTUP_TAINT).await,
            OpenRegistry::File(_) => Ok(()),
        }
    }
}

fn no_cluster(name: &InterfaceName) -> RegistryFailure {
    let detail = format!("a file registry has no NodeInterface {name}");
    RegistryFailure { kind: RegistryKind::Refused, effect: Effect::None, detail }
}

/// Performs a step, in one attempt.
pub(crate) async fn perform(
    step: InterfaceStep,
    node: &NodeName,
    cloud: &impl CloudInterfaces,
    records: &impl InterfaceRecords,
) -> StepEnd {
    match step {
        InterfaceStep::Read => {
            let read = records.interface_facts(node).await;
            let failed = |why: &RegistryFailure| {
                tracing::debug!(error = %why, "failed to read the node's interfaces");
            };
            StepEnd::Read(read.inspect_err(failed))
        }
        InterfaceStep::Record(name, record) => {
            tracing::info!(interface = %name, subnet = %record.subnet, "recording a new interface");
            written(records.create_interface(&name, &record).await)
        }
        InterfaceStep::Create(stored, request) => {
            match found_or_created(cloud, &stored, &request).await {
                Ok(eni) => {
                    tracing::info!(interface = %stored.name, %eni, "interface created");
                    let mut next = stored;
                    next.record.eni = Some(eni);
                    written(records.update_interface(&next).await)
                }
                Err(why) => {
                    tracing::warn!(interface = %stored.name, error = %why,
                        "failed to create interface");
                    StepEnd::Cloud(why)
                }
            }
        }
        InterfaceStep::Attach(eni, instance, index) => {
            match cloud.attach_interface(&eni, &instance, index, WITHIN).await {
                Ok(()) => {
                    tracing::info!(%eni, index, "interface attached");
                    StepEnd::Done
                }
                Err(why) => {
                    tracing::warn!(%eni, index, error = %why, "failed to attach interface");
                    StepEnd::Cloud(why)
                }
            }
        }
        InterfaceStep::Update(next) => {
            tracing::info!(interface = %next.name, phase = ?next.record.phase, "interface recorded");
            written(records.update_interface(&next).await)
        }
        InterfaceStep::LiftTaint => written(records.lift_taint(node).await),
    }
}

/// The interface of the record. EC2 forgets client tokens after a day, so it looks by the tag
/// first; just after a creation that may show nothing, and then the token returns the same one.
async fn found_or_created(
    cloud: &impl CloudInterfaces,
    stored: &StoredInterface,
    request: &NewInterface,
) -> Result<EniId, CloudFailure> {
    let filter = InterfaceFilter::Record(stored.uid.to_string());
    let late = |_elapsed| CloudFailure {
        kind: CloudKind::Transient,
        effect: Effect::None,
        detail: format!("EC2 did not answer within {READ_BOUND:?}"),
    };
    let found = timeout(READ_BOUND, cloud.describe_interfaces(&filter)).await.map_err(late)??;
    match found.into_iter().next() {
        Some(one) => Ok(one.id),
        None => cloud.create_interface(request, WITHIN).await,
    }
}

fn written(written: Result<(), RegistryFailure>) -> StepEnd {
    match written {
        Ok(()) => StepEnd::Done,
        Err(why) => {
            tracing::warn!(error = %why, "failed to write the record of an interface");
            StepEnd::Registry(why)
        }
    }
}
