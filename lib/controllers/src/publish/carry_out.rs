//! Executes a step.

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::NodeName;
use firecamp_core::record::StaticIp;
use firecamp_registry::api::Condition;

use crate::publish::ports::{ObservedStatus, StatusWriter, Subject};
use crate::publish::request::{Done, Step};
use crate::publish::static_ip_conditions::merged;
use crate::publish::volume_ready_condition;

/// Executes a step: one read or one write; for a status of a static IP or a claim one read and at
/// most one write.
pub async fn carry_out<B: StatusWriter>(
    status_writer: &B,
    node: &NodeName,
    step: &Step,
) -> Result<Done, RegistryFailure> {
    match step {
        Step::Get => {
            let fetched = status_writer.get_node(node).await?;
            Ok(Done::FetchedNode(Box::new(fetched)))
        }
        Step::Create(object) => status_writer.create_attachments(object).await.map(Done::Written),
        Step::Update(object) => status_writer.replace_attachments(object).await.map(Done::Written),
        Step::UpdateCapacity(capacity) => {
            status_writer.set_capacity(node, capacity).await.map(|()| Done::Success)
        }
        Step::EmitEvent(event) => status_writer.post(event).await.map(|()| Done::Success),
        Step::UpdateStatus { record, conditions, timestamp } => {
            let subject = Subject::StaticIp(record.address);
            update_conditions(status_writer, &subject, |current| {
                to_write(current, record, conditions, timestamp)
            })
            .await
        }
        Step::UpdateClaimStatus { member, report, timestamp } => {
            let subject = Subject::Claim(member.clone());
            update_conditions(status_writer, &subject, |current| {
                volume_ready_condition::to_write(current, report, (node, timestamp))
            })
            .await
        }
    }
}

/// Reads the conditions of a subject and replaces them if they differ.
async fn update_conditions<B: StatusWriter>(
    status_writer: &B,
    subject: &Subject,
    to_write: impl FnOnce(&ObservedStatus) -> Option<Vec<Condition>>,
) -> Result<Done, RegistryFailure> {
    let Some(current) = status_writer.observed_status(subject).await? else {
        return Ok(Done::Nothing);
    };
    let Some(all) = to_write(&current) else { return Ok(Done::Nothing) };
    status_writer.replace_conditions(subject, &current.version, &all).await?;
    Ok(Done::Success)
}

/// None if nothing changes, or if the record has changed since.
fn to_write(
    current: &ObservedStatus,
    record: &StaticIp,
    conditions: &[Condition],
    timestamp: &str,
) -> Option<Vec<Condition>> {
    let node = record.attachment.as_ref().map(|a| a.node.as_str());
    if current.epoch != record.epoch.0 || current.node.as_deref() != node {
        return None;
    }
    let all = merged(&current.conditions, conditions, current.generation, timestamp);
    (all != current.conditions).then_some(all)
}
