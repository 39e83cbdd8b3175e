//! Performs a restart, pass by pass: reads the facts, decides, stores the progress, deletes a pod.

use std::time::Duration;

use firecamp_core::contract::service::RESTART;
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::Evicted;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::decide::{Next, after, bounded, needs_roles, next};
use super::facts::{Facts, PodFacts, Role, parse};
use super::progress::{Owner, PrimaryBy, Progress, StopReason, Stopped, Turn};
use crate::common::json::{at, text};
use crate::common::progress::Reported;
use crate::failure::Failure;
use crate::service::cluster::{ServiceCluster, kind, path};
use crate::service::members::{Members, invalid};
use crate::wait::is_transient;

/// How often the facts are read.
const POLL: Duration = Duration::from_secs(1);
/// Attempts to give the ownership up.
const ATTEMPTS: u32 = 5;
/// How often the owner of a restart renews its ownership, in seconds.
const RENEW: i64 = 10;
/// The members that are asked for their role at the same time.
const ASKED_AT_ONCE: usize = 10;

/// One command that performs the restart of one StatefulSet.
pub struct Run<'a, C> {
    /// The members.
    pub members: Members<'a, C>,
    /// The identity of this command.
    pub identity: String,
    /// How the primary is known. A restart that is resumed knows it already.
    pub primary: PrimaryBy,
    /// Whether pods are deleted instead of evicted.
    pub delete: bool,
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
}

/// How a restart ended for this command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All members are restarted.
    Done,
    /// It stopped. It can be resumed or undone.
    Stopped(Stopped),
    /// The user interrupted it. It can be resumed or undone.
    Interrupted,
    /// Another command performs it.
    Busy(Owner),
}

/// The result of a pass.
enum Pass {
    Ended(Ended),
    Waits(String),
    Acted(String),
}

impl<C: ServiceCluster> Run<'_, C> {
    /// Performs a restart that this command owns until it is done, stops or is interrupted.
    pub async fn perform(
        &self,
        mut stop: watch::Receiver<bool>,
        report: &mut dyn FnMut(&str),
    ) -> Result<Ended, Failure> {
        let (begun, mut reported) = (Instant::now(), Reported::default());
        loop {
            if *stop.borrow() {
                return self.interrupted().await;
            }
            match self.pass().await {
                Ok(Pass::Ended(ended)) => return Ok(ended),
                Ok(Pass::Waits(line)) => reported.report(begun.elapsed(), line, report),
                Ok(Pass::Acted(line)) => report(&line),
                Err(why) if is_transient(why.kind) => {
                    reported.report(begun.elapsed(), format!("{why}; retrying"), report);
                }
                Err(why) => return Err(why.into()),
            }
            // A closed channel is no signal.
            drop(timeout(POLL, stop.wait_for(|stop| *stop)).await);
        }
    }

    /// Gives the ownership up, so that another command can resume at once.
    async fn interrupted(&self) -> Result<Ended, Failure> {
        for _attempt in 0..ATTEMPTS {
            match self.give_up().await {
                Err(why) if is_transient(why.kind) => {}
                // If it cannot be given up, it expires.
                Ok(()) | Err(_) => break,
            }
        }
        Ok(Ended::Interrupted)
    }

    async fn give_up(&self) -> Result<(), RegistryFailure> {
        let (set, progress) = self.read().await?;
        match progress.filter(|one| one.is_owned_by(&self.identity)) {
            Some(own) => self.store(&set, &Progress { owner: None, ..own }).await,
            None => Ok(()),
        }
    }

    async fn pass(&self) -> Result<Pass, RegistryFailure> {
        let (set, progress) = self.read().await?;
        let Some(progress) = progress else { return Ok(Pass::Ended(Ended::Interrupted)) };
        if !progress.is_owned_by(&self.identity) {
            return Ok(Pass::Ended(ended(progress)));
        }
        let facts = self.facts(&set, &progress).await?;
        let now = (self.now)();
        let next = next(&progress, &facts, now);
        let stored = self.advance(&set, &progress, &next, now).await?;
        match next {
            Next::Done => Ok(Pass::Ended(Ended::Done)),
            Next::Stop(stopped) => Ok(Pass::Ended(Ended::Stopped(stopped))),
            Next::Wait(waiting) => Ok(Pass::Waits(waiting.to_string())),
            Next::Back => Ok(Pass::Acted(back(&progress))),
            Next::Delete(turn) => self.take_down(&stored, &turn).await,
        }
    }

    /// Stores the progress after a decision, if it changed or the ownership must be renewed.
    async fn advance(
        &self,
        set: &Value,
        progress: &Progress,
        next: &Next,
        now: Timestamp,
    ) -> Result<Progress, RegistryFailure> {
        let mut after = after(progress, next, now);
        match next {
            Next::Done | Next::Stop(_) => after.owner = None,
            Next::Wait(_) | Next::Back | Next::Delete(_) => {
                let changed = after != *progress;
                let owner = after.owner.as_mut();
                let is_due = |owner: &&mut Owner| {
                    changed || now.duration_since(owner.renewed).as_secs() >= RENEW
                };
                if let Some(owner) = owner.filter(is_due) {
                    owner.renewed = now;
                }
            }
        }
        if after != *progress {
            self.store(set, &after).await?;
        }
        Ok(after)
    }

    async fn take_down(&self, progress: &Progress, turn: &Turn) -> Result<Pass, RegistryFailure> {
        let pod = path(kind::POD, self.members.namespace(), &turn.pod);
        let primary = if turn.primary { ", the primary" } else { "" };
        if self.delete {
            self.members.cluster.delete(&pod, &turn.uid).await?;
            return Ok(Pass::Acted(format!("deleted {pod}{primary}")));
        }
        let (reason, message) = match self.members.cluster.evict(&pod, &turn.uid).await {
            Ok(Evicted::Deleted) => return Ok(Pass::Acted(format!("evicted {pod}{primary}"))),
            Ok(Evicted::Forbidden(message)) => (StopReason::BudgetForbids, message),
            // Two budgets for one pod are such a failure, for example.
            Err(why) if is_transient(why.kind) => (StopReason::EvictionFailed, why.detail),
            Err(why) => return Err(why),
        };
        let waiting = Stopped { object: turn.pod.clone(), reason, message };
        let now = (self.now)();
        let next = bounded(progress, waiting.clone(), now);
        if next == Next::Wait(waiting.clone()) {
            return Ok(Pass::Waits(waiting.to_string()));
        }
        let (set, _progress) = self.read().await?;
        self.advance(&set, progress, &next, now).await?;
        Ok(Pass::Ended(Ended::Stopped(waiting)))
    }

    /// The StatefulSet and the progress on it.
    pub async fn read(&self) -> Result<(Value, Option<Progress>), RegistryFailure> {
        let set = self.members.stateful_set().await?;
        let stored = at(&set, "/metadata/annotations").get(RESTART).and_then(Value::as_str);
        let progress = stored.map(serde_json::from_str).transpose();
        let progress = progress.map_err(|why| {
            invalid(format!("annotation {RESTART} of {}: {why}", self.members.set))
        })?;
        Ok((set, progress))
    }

    /// Stores the progress on exactly this version of the StatefulSet.
    pub async fn store(&self, set: &Value, progress: &Progress) -> Result<(), RegistryFailure> {
        let text = json!(progress).to_string();
        let fields = json!({ "metadata": {
            "resourceVersion": at(set, "/metadata/resourceVersion"),
            "annotations": { RESTART: text },
        } });
        self.members.cluster.patch(&self.members.set, &fields).await.map(drop)
    }

    async fn facts(&self, set: &Value, progress: &Progress) -> Result<Facts, RegistryFailure> {
        let pods = self.members.pods(set).await?;
        let mut facts = parse(set, &pods, &self.members.addresses().await?);
        facts.primary_by = progress.primary.to_string();
        if needs_roles(progress) {
            ask_roles(&self.members, &progress.primary, &mut facts, &pods).await;
        }
        Ok(facts)
    }
}

/// A member that does not answer has an unknown role. The members are asked at the same time,
/// because one that is silent takes ten seconds.
pub(in crate::service) async fn ask_roles<C: ServiceCluster>(
    members: &Members<'_, C>,
    primary: &PrimaryBy,
    facts: &mut Facts,
    pods: &[Value],
) {
    let ask = async |pod: &PodFacts, name: &str| match primary {
        PrimaryBy::Nothing => Ok(None),
        PrimaryBy::Label(label, value) => {
            let object = pods.iter().find(|one| text(one, "/metadata/uid") == pod.uid);
            let labels = object.map(|one| at(one, "/metadata/labels"));
            let found = labels.and_then(|all| all.get(label)).and_then(Value::as_str);
            Ok(Some(found == Some(value.as_str())))
        }
        PrimaryBy::Command(command) => {
            let pod = path(kind::POD, members.namespace(), name);
            members.cluster.succeeds(&pod, command).await.map(Some)
        }
    };
    let serving = facts.members.iter_mut().filter_map(|member| {
        let pod = member.pod.as_mut().filter(|pod| pod.ready && !pod.terminating)?;
        Some((&*member.name, pod))
    });
    let asked = stream::iter(serving).map(async |(name, pod)| {
        let answer = ask(pod, name).await;
        (pod, answer)
    });
    let answers: Vec<_> = asked.buffered(ASKED_AT_ONCE).collect().await;
    for (pod, is_primary) in answers {
        pod.role = match is_primary {
            Ok(Some(true)) => Role::Primary,
            Ok(Some(false)) => Role::Other,
            Ok(None) => continue,
            Err(failure) => {
                facts.unanswered.get_or_insert_with(|| failure.to_string());
                Role::Unknown
            }
        };
    }
}

/// How a restart ended that this command does not own any more: the response to its last write may
/// have been lost.
fn ended(progress: Progress) -> Ended {
    match progress {
        Progress { owner: Some(owner), .. } => Ended::Busy(owner),
        Progress { finished: Some(_), .. } => Ended::Done,
        Progress { stopped: Some(stopped), .. } => Ended::Stopped(stopped),
        _ => Ended::Interrupted,
    }
}

fn back(progress: &Progress) -> String {
    let name = progress.turn.as_ref().map(|turn| turn.pod.as_str()).unwrap_or_default();
    format!("{name} is back")
}
