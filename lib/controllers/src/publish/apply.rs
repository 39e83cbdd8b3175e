//! A step, carried out.

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::NodeName;
use firecamp_core::record::StaticIp;
use firecamp_registry::api::Condition;

use crate::publish::claim;
use crate::publish::outside::{Board, Reported, Subject};
use crate::publish::static_ip::merged;
use crate::publish::step::{Done, Step};

/// Does a step: one read or one write, and of a static IP a read and at most one write.
pub async fn carry_out<B: Board>(
    board: &B,
    node: &NodeName,
    step: &Step,
) -> Result<Done, RegistryFailure> {
    match step {
        Step::Learn => {
            let learned = board.learn(node).await?;
            Ok(Done::Learned(Box::new(learned)))
        }
        Step::Create(object) => board.create_attachments(object).await.map(Done::Written),
        Step::Replace(object) => board.replace_attachments(object).await.map(Done::Written),
        Step::Capacity(capacity) => board.set_capacity(node, *capacity).await.map(|()| Done::Well),
        Step::Tell(event) => board.post(event).await.map(|()| Done::Well),
        Step::Say { record, conditions, wall } => {
            let subject = Subject::StaticIp(record.address);
            say(board, &subject, |there| to_write(there, record, conditions, wall)).await
        }
        Step::SayOfClaim { member, saying, wall } => {
            let subject = Subject::Claim(member.clone());
            say(board, &subject, |there| claim::to_write(there, saying, (node, wall))).await
        }
    }
}

/// Reads what is said of a subject and replaces it, if there is something to replace.
async fn say<B: Board>(
    board: &B,
    subject: &Subject,
    to_write: impl FnOnce(&Reported) -> Option<Vec<Condition>>,
) -> Result<Done, RegistryFailure> {
    let Some(there) = board.reported(subject).await? else { return Ok(Done::Nothing) };
    let Some(all) = to_write(&there) else { return Ok(Done::Nothing) };
    board.replace_conditions(subject, &there.version, &all).await?;
    Ok(Done::Well)
}

/// None if nothing changes by it, or if the record has moved on.
fn to_write(
    there: &Reported,
    record: &StaticIp,
    conditions: &[Condition],
    wall: &str,
) -> Option<Vec<Condition>> {
    let node = record.attachment.as_ref().map(|a| a.node.as_str());
    if there.epoch != record.epoch.0 || there.node.as_deref() != node {
        return None;
    }
    let all = merged(&there.conditions, conditions, there.generation, wall);
    (all != there.conditions).then_some(all)
}
