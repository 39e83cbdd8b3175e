//! Reads the superblock of a volume in a pod, before anything could mount the volume.
//!
//! The pod has the volume as a raw device, through a PersistentVolume and a claim of its own. All
//! three are removed, and the volume is detached, before the import makes anything.

use std::time::Duration;

use firecamp_core::contract::names::MANAGER_LABEL;
use firecamp_core::failure::{RegistryFailure, RegistryKind};
use firecamp_kube::{Apply, ObjectPath, SERVICE_MANAGER};
use serde_json::Value;

use super::super::cluster::{ServiceCluster, kind};
use super::super::ready::until;
use super::filesystem::Found;
use super::objects::Import;
use crate::common::json::{at, text};
use crate::failure::Failure;

/// How a verification ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// What the volume has.
    Found(Found),
    /// It did not end in time: what is missing.
    NotInTime(String),
}

/// A pod that reads a superblock.
#[derive(Debug)]
pub struct Reader<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// The PersistentVolume, the claim and the pod.
    pub objects: Vec<(ObjectPath, Value)>,
    /// How long the pod may take, and its removal.
    pub within: Duration,
}

impl<'a, C: ServiceCluster> Reader<'a, C> {
    /// A pod in a namespace, with an image that has `sh` and `od`.
    pub fn new(
        cluster: &'a C,
        import: &Import,
        (namespace, image): (&str, &str),
        within: Duration,
    ) -> Self {
        Self { cluster, objects: import.verify_objects(namespace, image), within }
    }

    /// Reads the superblock. Nothing of the verification is left afterwards, unless it is not
    /// removed in time, or the command is interrupted; the next verification removes that.
    pub async fn read(&self, report: &mut dyn FnMut(&str)) -> Result<Verified, Failure> {
        if let Some(left) = self.remove(report).await? {
            return Ok(Verified::NotInTime(left));
        }
        let read = self.run(report).await;
        let left = self.remove(report).await?;
        let read = read?;
        Ok(left.map_or(read, Verified::NotInTime))
    }

    async fn run(&self, report: &mut dyn FnMut(&str)) -> Result<Verified, Failure> {
        for (path, object) in &self.objects {
            let applied = self.cluster.apply(path, object, Apply::default()).await;
            applied.map_err(|failure| denied(path, failure))?;
        }
        let Some((pod, _object)) = self.objects.last() else {
            return Ok(Verified::NotInTime("there is no pod".to_owned()));
        };
        let mut found = None;
        let missing = until(self.within, report, async || {
            let pod = self.cluster.get(pod).await?;
            Ok(match pod.as_ref().map_or_else(|| Err("it does not exist".to_owned()), ended) {
                Ok(read) => {
                    found = Some(read);
                    None
                }
                Err(missing) => Some(waits_for(missing)),
            })
        });
        let missing = missing.await?.unwrap_or_default();
        let not_in_time = || Verified::NotInTime(format!("{pod}: {missing}"));
        Ok(found.map_or_else(not_in_time, Verified::Found))
    }

    /// Removes the objects. The CSI driver keeps the PersistentVolume until the volume is
    /// detached. Returns what is left after the time.
    async fn remove(&self, report: &mut dyn FnMut(&str)) -> Result<Option<String>, Failure> {
        for (path, _object) in self.objects.iter().rev() {
            let Some(found) = self.cluster.get(path).await? else { continue };
            if at(&found, "/metadata/labels").get(MANAGER_LABEL) != Some(&SERVICE_MANAGER.into()) {
                return Err(Failure::Usage(format!(
                    "{path} exists, and this command did not make it: delete it, or omit --verify"
                )));
            }
            self.cluster.delete(path, text(&found, "/metadata/uid")).await?;
        }
        until(self.within, report, async || {
            for (path, _object) in self.objects.iter().rev() {
                if self.cluster.get(path).await?.is_some() {
                    return Ok(Some(waits_for(is_left(path))));
                }
            }
            Ok(None)
        })
        .await
    }
}

/// What is missing, and the line that reports it.
fn waits_for(missing: String) -> (String, String) {
    let line = format!("verification of the filesystem: {missing}");
    (missing, line)
}

/// The Pod Security Standard of a namespace denies the pod, not the other objects.
fn denied(path: &ObjectPath, failure: RegistryFailure) -> Failure {
    if path.kind != kind::POD || failure.kind != RegistryKind::Refused {
        return failure.into();
    }
    let next = "name a namespace that permits the pod with --verify-namespace; nothing is imported";
    Failure::CheckExit { failure, next }
}

fn is_left(path: &ObjectPath) -> String {
    let why = if path.kind == kind::VOLUME { "is not detached yet" } else { "still exists" };
    format!("{path} {why}")
}

/// What a pod has read, or what it waits for.
fn ended(pod: &Value) -> Result<Found, String> {
    let state = at(pod, "/status/containerStatuses/0/state");
    let message = text(state, "/terminated/message");
    match text(pod, "/status/phase") {
        "Succeeded" => Ok(Found::parse(message)),
        "Failed" => {
            let reasons =
                [message, text(state, "/terminated/reason"), text(pod, "/status/message")];
            let why = reasons.into_iter().find(|text| !text.is_empty()).unwrap_or("the pod failed");
            Ok(Found::Unreadable(why.split_whitespace().collect::<Vec<_>>().join(" ")))
        }
        phase => Err(waits(pod, state, phase)),
    }
}

fn waits(pod: &Value, state: &Value, phase: &str) -> String {
    let conditions = at(pod, "/status/conditions").as_array().into_iter().flatten();
    let unscheduled = conditions
        .into_iter()
        .find(|one| text(one, "/type") == "PodScheduled" && text(one, "/status") == "False");
    let reason = text(state, "/waiting/reason");
    match (unscheduled, reason) {
        (Some(one), _) => format!("no node: {}", text(one, "/message")),
        (None, "") => format!("the pod is {}", if phase.is_empty() { "Pending" } else { phase }),
        (None, reason) => format!("the pod waits: {reason} {}", text(state, "/waiting/message")),
    }
    .trim_end()
    .to_owned()
}
