//! Begins, resumes or undoes a restart: makes this command its only owner.

use std::collections::BTreeMap;
use std::time::Duration;

use firecamp_core::contract::service::{BEFORE, DEFINITION, RESTART};
use firecamp_core::failure::RegistryFailure;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::progress::{Order, Owner, PrimaryBy, Progress, Scope, Turn};
use super::run::{Ended, Run};
use crate::common::json::{at, text};
use crate::failure::Failure;
use crate::service::cluster::{ServiceCluster, kind, path};
use crate::service::members::{invalid, is_owned};
use crate::wait::is_transient;

/// Another command takes a restart over if its owner has not renewed its ownership for this long,
/// which is four times the interval.
const EXPIRY: Duration = Duration::from_secs(40);
/// How often an ownership is looked at.
const POLL: Duration = Duration::from_secs(2);
/// Attempts to store a change of a StatefulSet, which its controller changes as well.
const ATTEMPTS: u32 = 10;

/// What a command wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// Restart all members.
    All(Order),
    /// Restart the members whose pods are not of the current template, which was just changed.
    Outdated(Order),
    /// Go on with a restart that stopped or was interrupted.
    Resume,
    /// Return to the template of before the restart, and restart the members that have another one.
    Undo,
}

impl<C: ServiceCluster> Run<'_, C> {
    /// Makes this command the owner of the restart. Returns how it ended if that is not possible.
    pub async fn begin(
        &self,
        goal: &Goal,
        member_timeout_seconds: u32,
        stop: &watch::Receiver<bool>,
        report: &mut dyn FnMut(&str),
    ) -> Result<Option<Ended>, Failure> {
        if let Some(owner) = self.wait_for_owner(goal, stop, report).await? {
            return Ok(Some(Ended::Busy(owner)));
        }
        let mut left = ATTEMPTS;
        loop {
            if *stop.borrow() {
                return Ok(Some(Ended::Interrupted));
            }
            match self.own(goal, member_timeout_seconds).await {
                Err(Failure::CheckExit { failure, .. })
                    if is_transient(failure.kind) && left > 0 =>
                {
                    left -= 1;
                    sleep(POLL).await;
                }
                Ok(()) => return Ok(None),
                Err(why) => return Err(why),
            }
        }
    }

    /// Stores that this command owns the restart.
    async fn own(&self, goal: &Goal, member_timeout_seconds: u32) -> Result<(), Failure> {
        let (set, last) = self.read().await?;
        // The response to an earlier attempt was lost.
        if last.as_ref().is_some_and(|last| last.is_open() && last.is_owned_by(&self.identity)) {
            return Ok(());
        }
        let mut progress = self.planned(goal, &set, last.as_ref()).await?;
        progress.member_timeout_seconds = member_timeout_seconds;
        match (goal, last) {
            (Goal::Undo, Some(last)) => self.restore(&set, &progress, &last).await?,
            (_, _) => self.store(&set, &progress).await?,
        }
        Ok(())
    }

    /// Waits until nobody owns the restart. Returns the owner if it still performs it.
    async fn wait_for_owner(
        &self,
        goal: &Goal,
        stop: &watch::Receiver<bool>,
        report: &mut dyn FnMut(&str),
    ) -> Result<Option<Owner>, Failure> {
        let owner = |progress: Option<Progress>| {
            progress.filter(Progress::is_open).and_then(|one| one.owner)
        };
        let Some(first) = owner(self.read().await?.1) else { return Ok(None) };
        if matches!(goal, Goal::All(_) | Goal::Outdated(_)) {
            return Ok(Some(first));
        }
        report(&format!(
            "waiting {} s to see whether {} still performs the restart",
            EXPIRY.as_secs(),
            first.identity
        ));
        let begun = Instant::now();
        while begun.elapsed() < EXPIRY && !*stop.borrow() {
            sleep(POLL).await;
            match owner(self.read().await?.1) {
                None => return Ok(None),
                Some(now) if now != first => return Ok(Some(now)),
                Some(_) => {}
            }
        }
        Ok(None)
    }

    async fn planned(
        &self,
        goal: &Goal,
        set: &Value,
        last: Option<&Progress>,
    ) -> Result<Progress, Failure> {
        let open = last.filter(|one| one.is_open());
        self.ensure_on_delete(goal, set)?;
        match (goal, open) {
            (Goal::All(_), Some(open)) => Err(self.is_open(open)),
            (Goal::All(order), None) => {
                let pods = self.members.pods(set).await?;
                let scope = Scope::All { before: uids(&pods) };
                let undo_revision = common_revision(set, &pods);
                Ok(Progress { order: *order, scope, undo_revision, ..self.fresh(None) })
            }
            (Goal::Outdated(order), open) => {
                // A corrected template: to undo still means to return to what worked.
                let undo_revision = match open {
                    Some(open) => open.undo_revision.clone(),
                    None => common_revision(set, &self.members.pods(set).await?),
                };
                Ok(Progress { order: *order, undo_revision, ..self.fresh(None) })
            }
            (Goal::Resume, Some(open)) => {
                let Progress { owner, primary, since, .. } = self.fresh(Some(open));
                let pods = self.members.pods(set).await?;
                let happened = |turn: &Turn| turn.primary && !is_alive(&pods, &turn.uid);
                let primary_restarted =
                    open.primary_restarted || open.turn.as_ref().is_some_and(happened);
                let (turn, stopped) = (None, None);
                let open = open.clone();
                Ok(Progress { primary, owner, turn, since, primary_restarted, stopped, ..open })
            }
            (Goal::Undo, _) => {
                let last = last.filter(|last| can_undo(last, set));
                let last = last.ok_or_else(|| self.nothing_open(goal))?;
                // Undone twice, a restart is as if it had not been undone.
                let undo_revision = text(set, "/status/updateRevision").to_owned();
                Ok(Progress { order: last.order, undo_revision, ..self.fresh(Some(last)) })
            }
            (Goal::Resume, None) => Err(self.nothing_open(goal)),
        }
    }

    /// The progress of a restart that this command begins, or that follows an earlier one.
    fn fresh(&self, earlier: Option<&Progress>) -> Progress {
        let now = (self.now)();
        let primary = match (&self.primary, earlier) {
            (PrimaryBy::Nothing, Some(earlier)) => earlier.primary.clone(),
            (own, _) => own.clone(),
        };
        Progress {
            // People read it.
            begun: Timestamp::from_second(now.as_second()).unwrap_or(now),
            order: Order::default(),
            primary,
            scope: Scope::Outdated,
            member_timeout_seconds: 0,
            undo_revision: String::new(),
            owner: Some(Owner { identity: self.identity.clone(), renewed: now }),
            turn: None,
            since: now,
            primary_restarted: false,
            stopped: None,
            finished: None,
        }
    }

    /// With the update strategy RollingUpdate, the controller itself deletes the pods that have
    /// another template, at the same time as this command.
    fn ensure_on_delete(&self, goal: &Goal, set: &Value) -> Result<(), Failure> {
        let strategy = text(set, "/spec/updateStrategy/type");
        let current = text(set, "/status/currentRevision");
        let rolls = current != text(set, "/status/updateRevision");
        let changes = matches!(goal, Goal::Undo | Goal::Outdated(_));
        if strategy == "OnDelete" || !(rolls || changes) {
            return Ok(());
        }
        let set = &self.members.set;
        Err(Failure::Usage(format!(
            "{set} has the update strategy {strategy:?}: its controller would restart pods at the \
             same time; run `firecamp service adopt --on-delete` first"
        )))
    }

    fn is_open(&self, open: &Progress) -> Failure {
        let why = open.stopped.as_ref().map_or_else(
            || "was interrupted".to_owned(),
            |stopped| format!("stopped at {stopped}"),
        );
        Failure::Usage(format!(
            "the restart of {} that began at {} {why}: go on with --resume, or return to the \
             previous template with --undo",
            self.members.set, open.begun
        ))
    }

    fn nothing_open(&self, goal: &Goal) -> Failure {
        let set = &self.members.set;
        Failure::Usage(match goal {
            Goal::Undo => format!("the template of {set} has not changed since its last restart"),
            Goal::Resume | Goal::All(_) | Goal::Outdated(_) => {
                format!("no restart of {set} is to be resumed")
            }
        })
    }

    /// The template of a revision of the StatefulSet.
    async fn revision(&self, set: &Value, name: &str) -> Result<Value, RegistryFailure> {
        let object = path(kind::REVISION, self.members.namespace(), name);
        let missing = |problem: &str| {
            invalid(format!("read {object}: {problem}: apply the previous manifest instead"))
        };
        let found = self.members.cluster.get(&object).await?;
        let found = found.ok_or_else(|| missing("it does not exist"))?;
        if !is_owned(&found, set) {
            return Err(missing("it belongs to another object"));
        }
        let mut template = at(&found, "/data/spec/template").clone();
        // The patch directive is not part of the template.
        let fields = template.as_object_mut().ok_or_else(|| missing("it has no template"))?;
        fields.remove("$patch");
        Ok(template)
    }

    /// Stores the progress together with the template of before the last restart.
    async fn restore(
        &self,
        set: &Value,
        progress: &Progress,
        last: &Progress,
    ) -> Result<(), RegistryFailure> {
        let template = self.revision(set, &last.undo_revision).await?;
        let annotation = format!("/metadata/annotations/{}", RESTART.replace('/', "~1"));
        let version = at(set, "/metadata/resourceVersion");
        let mut patch = vec![
            json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }),
            json!({ "op": "add", "path": annotation, "value": json!(progress).to_string() }),
            json!({ "op": "replace", "path": "/spec/template", "value": template }),
        ];
        // The next update begins with what the service had before, too.
        let annotations = at(set, "/metadata/annotations");
        if let (Some(now), Some(before)) = (annotations.get(DEFINITION), annotations.get(BEFORE)) {
            for (name, value) in [(DEFINITION, before), (BEFORE, now)] {
                let pointer = format!("/metadata/annotations/{}", name.replace('/', "~1"));
                patch.push(json!({ "op": "add", "path": pointer, "value": value }));
            }
        }
        self.members.cluster.patch(&self.members.set, &Value::from(patch)).await.map(drop)
    }
}

/// Whether a pod with this UID exists and is not being deleted.
fn is_alive(pods: &[Value], uid: &str) -> bool {
    let is_it = |pod: &&Value| text(pod, "/metadata/uid") == uid;
    pods.iter().find(is_it).is_some_and(|pod| at(pod, "/metadata/deletionTimestamp").is_null())
}

/// Whether the template of before the last restart is another one.
fn can_undo(last: &Progress, set: &Value) -> bool {
    last.undo_revision != text(set, "/status/updateRevision") && !last.undo_revision.is_empty()
}

fn uids(pods: &[Value]) -> BTreeMap<String, String> {
    let pair = |pod: &Value| {
        (text(pod, "/metadata/name").to_owned(), text(pod, "/metadata/uid").to_owned())
    };
    pods.iter().map(pair).collect()
}

/// The revision that most pods have, and that is not the current one if there is another. With the
/// update strategy OnDelete, `status.currentRevision` stays that of the first pods.
fn common_revision(set: &Value, pods: &[Value]) -> String {
    let current = text(set, "/status/updateRevision");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        let labels = at(pod, "/metadata/labels");
        let revision = labels.get("controller-revision-hash").and_then(Value::as_str);
        *counts.entry(revision.unwrap_or(current)).or_default() += 1;
    }
    let others = counts.into_iter().filter(|(revision, _count)| *revision != current);
    let most = others.max_by_key(|(_revision, count)| *count);
    most.map_or(current, |(revision, _count)| revision).to_owned()
}

/// The identity of this process: unique, and readable by people.
pub fn identity(now: Timestamp) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "unknown".to_owned());
    format!("{host}/{}/{}", std::process::id(), now.as_microsecond())
}
