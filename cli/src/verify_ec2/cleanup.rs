//! Deletes what runs made: at the end of each run, also after a failure or a signal, and at the
//! start of the next one what a crashed run left. The tags of an interface say whose it is.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cloud::{InterfacesBy, ListedInterface};
use firecamp_core::contract::{tag, timing};
use firecamp_core::failure::{CloudFailure, CloudKind};
use firecamp_core::ids::{EniId, SubnetId};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::judge::refusal;
use super::ports::Ec2;
use super::session::{Holdings, PAGE, VISIBLE_WITHIN, passes};

/// Between two tries of the same call.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one object is tried.
const PATIENCE: Duration = Duration::from_secs(90);

/// Something that is left in EC2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    /// What is left.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What a cleanup did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleaned {
    /// How many interfaces of earlier runs were deleted.
    pub earlier_deleted: usize,
    /// What is left.
    pub left: Vec<Left>,
}

/// The work in one subnet.
pub(super) struct Cleanup<'a, E> {
    pub(super) ec2: &'a E,
    pub(super) subnet: &'a SubnetId,
    pub(super) progress: &'a mut dyn FnMut(&str),
    pub(super) done: Cleaned,
}

impl<E: Ec2> Cleanup<'_, E> {
    /// Deletes the interfaces of all earlier runs. An interface that names an address of a node is
    /// kept until that address is unassigned.
    pub(super) async fn earlier_runs(&mut self) -> Result<(), CloudFailure> {
        for one in self.tagged().await? {
            (self.progress)(&format!("deleting {}, which an earlier run left", one.id));
            if let Some((eni, address)) = on_node(&one) {
                // The last Assign of a killed process may still take effect.
                sleep(timing::CALL_BOUND).await;
                if !self.unassign(&eni, address).await {
                    continue;
                }
            }
            if self.delete(&one.id, None).await {
                self.done.earlier_deleted = self.done.earlier_deleted.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Unassigns and deletes all that this run has.
    pub(super) async fn this_run(&mut self, run: &str, holdings: Holdings) {
        if let Some((eni, address)) = holdings.on_node {
            let holder = holdings.placed.get(&address);
            if holder.is_none() {
                // An Assign without an answer may still take effect.
                sleep(timing::CALL_BOUND).await;
            }
            if holder.is_none_or(|holder| *holder == eni) {
                self.unassign(&eni, address).await;
            }
        }
        let mut handled = BTreeSet::new();
        for (eni, created) in holdings.created {
            self.delete(&eni, Some(created)).await;
            handled.insert(eni);
        }
        if holdings.unknown_creation {
            sleep(timing::DESCRIBE_LAG).await;
        }
        // Reads lag: a deleted interface may still be listed.
        let found = match self.tagged().await {
            Ok(found) => found,
            Err(why) => return self.leave(&format!("interfaces of run {run}"), &why),
        };
        let of_run =
            |one: &ListedInterface| one.tags.get(tag::VERIFY_EC2_RUN).is_some_and(|it| it == run);
        for one in found.into_iter().filter(of_run) {
            if !handled.contains(&one.id) {
                self.delete(&one.id, None).await;
            }
        }
    }

    /// The interfaces of all runs. EC2's filter is not trusted with a deletion.
    async fn tagged(&self) -> Result<Vec<ListedInterface>, CloudFailure> {
        let by = InterfacesBy::TagKey(tag::VERIFY_EC2.to_owned());
        let begun = Instant::now();
        loop {
            match self.ec2.pages(self.subnet, &by, PAGE).await {
                Ok(pages) => {
                    let all = pages.into_iter().flatten();
                    return Ok(all.filter(|one| one.tags.contains_key(tag::VERIFY_EC2)).collect());
                }
                Err(why) if passes(why.kind) && begun.elapsed() < PATIENCE => sleep(PAUSE).await,
                Err(why) => return Err(why),
            }
        }
    }

    /// Unassigns an address of a run from an interface of a node. Whether it is not there any more.
    async fn unassign(&mut self, eni: &EniId, address: Ipv4Addr) -> bool {
        let begun = Instant::now();
        loop {
            let Err(why) = self.ec2.unassign(eni, address).await else { return true };
            if matches!(why.kind, CloudKind::NotOnInterface | CloudKind::NotFound) {
                return true;
            }
            if !passes(why.kind) || begun.elapsed() > PATIENCE {
                self.leave(&format!("{address} on {eni}"), &why);
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    /// Deletes an interface; a new one may be unknown for a while. Whether it is gone.
    async fn delete(&mut self, eni: &EniId, created: Option<Instant>) -> bool {
        let begun = Instant::now();
        loop {
            let Err(why) = self.ec2.delete(eni).await else { return true };
            let is_unknown = why.kind == CloudKind::NotFound;
            if is_unknown && created.is_none_or(|at| at.elapsed() > VISIBLE_WITHIN) {
                return true;
            }
            let again = is_unknown || why.kind == CloudKind::InterfaceInUse || passes(why.kind);
            if !again || begun.elapsed() > PATIENCE {
                self.leave(eni.as_str(), &why);
                return false;
            }
            sleep(PAUSE).await;
        }
    }

    fn leave(&mut self, what: &str, why: &CloudFailure) {
        (self.progress)(&format!("failed to clean up {what}: {why}"));
        self.done.left.push(Left { what: what.to_owned(), why: refusal(why) });
    }
}

/// The interface of a node and the address that a run may have left on it.
fn on_node(one: &ListedInterface) -> Option<(EniId, Ipv4Addr)> {
    let (eni, address) = one.tags.get(tag::VERIFY_EC2_ON_NODE)?.split_once(' ')?;
    Some((EniId::new(eni).ok()?, address.parse().ok()?))
}
