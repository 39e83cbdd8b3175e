//! Stateless services: their members are the pods of a Deployment, which replaces them by itself.

use std::time::Duration;

use firecamp_core::contract::service::{NAME_LABEL, UUID_LABEL};
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::Selector;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cluster::{ServiceCluster, kind};
use super::members::{Members, is_owned};
use super::ready::{self, until};
use super::restart::facts::{Facts, MemberFacts, PodFacts, parse_pod};
use super::restart::run::Ended;
use super::restart::{Report, RestartArguments};
use super::scale::change;
use crate::common::json::{at, text};
use crate::failure::Failure;
use crate::wait;
use crate::wait::decide::Missing;
use crate::wait::facts::Want;
use crate::wait::reason::Reason;

/// Annotation of a Deployment and of its ReplicaSets with the number of their template.
const NUMBER: &str = "deployment.kubernetes.io/revision";
/// Label of a ReplicaSet and of its pods.
const REVISION: &str = "pod-template-hash";
/// Annotation of a template that `kubectl rollout restart` sets: another value replaces all pods.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// The facts of a Deployment, its ReplicaSets and its pods. Pods that end do not count.
pub fn parse(deployment: &Value, revisions: &[Value], pods: &[Value]) -> Facts {
    let number = |one: &Value| at(one, "/metadata/annotations").get(NUMBER).cloned();
    let is_current = |one: &&Value| is_owned(one, deployment) && number(one) == number(deployment);
    let current = revisions.iter().find(is_current).map(revision).unwrap_or_default();
    let ends = |pod: &Value| is_over(pod) || !at(pod, "/metadata/deletionTimestamp").is_null();
    let member = |pod: &Value| {
        let (revision, parsed) = (revision(pod), parse_pod(pod, None));
        let pod_facts = PodFacts { replaced: revision != current, revision, ..parsed };
        let name = text(pod, "/metadata/name").to_owned();
        MemberFacts { name, address: None, pod: Some(pod_facts) }
    };
    let mut members: Vec<MemberFacts> = pods.iter().filter(|pod| !ends(pod)).map(member).collect();
    // What keeps a new pod from being ready explains why old ones are still there.
    members.sort_by_key(|one| one.pod.as_ref().is_some_and(|pod| pod.replaced));
    let name = text(deployment, "/metadata/name");
    let replicas = at(deployment, "/spec/replicas").as_u64().unwrap_or(1);
    let missing = usize::try_from(replicas).unwrap_or_default().saturating_sub(members.len());
    let absent = MemberFacts { name: format!("{name}-?"), address: None, pod: None };
    members.extend(std::iter::repeat_n(absent, missing));
    let generation = |pointer| at(deployment, pointer).as_u64().unwrap_or_default();
    Facts {
        set: format!("{}/{name}", text(deployment, "/metadata/namespace")),
        observed: generation("/status/observedGeneration") >= generation("/metadata/generation"),
        update_revision: current,
        primary_by: String::new(),
        unanswered: None,
        stateless: true,
        members,
    }
}

fn revision(object: &Value) -> String {
    let label = at(object, "/metadata/labels").get(REVISION).and_then(Value::as_str);
    label.unwrap_or_default().to_owned()
}

/// Restarts all pods, as `kubectl rollout restart` does, and waits until the Deployment has
/// replaced them.
///
/// # Errors
///
/// If a flag needs a StatefulSet.
pub async fn restart<C: ServiceCluster>(
    members: &Members<'_, C>,
    arguments: &RestartArguments,
    report: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let how = &arguments.how;
    let refused = [
        ("--order", how.order.is_some()),
        ("--primary-label", how.primary_label.is_some()),
        ("--primary-command", how.primary_command.is_some()),
        ("--resume", arguments.resume),
        ("--undo", arguments.undo),
        ("--delete", how.pace.delete),
    ];
    refuse(members, &refused)?;
    let annotations = json!({ RESTARTED: Timestamp::now().to_string() });
    let template = json!({ "metadata": { "annotations": annotations } });
    let patch = json!({ "metadata": {}, "spec": { "template": template } });
    change(members, |_deployment| Ok(Some(patch.clone()))).await?;
    rolled_out(members, how.pace.member_timeout, report).await
}

/// Waits until all pods are ready and of the current template.
pub async fn rolled_out<C: ServiceCluster>(
    members: &Members<'_, C>,
    within: Duration,
    report: &mut dyn FnMut(&str),
) -> Result<Report, Failure> {
    let missing = ready::wait(members, within, report).await?;
    let service = format!("{}/{}", members.namespace(), members.set.name);
    let report = Report::new(service, missing.map_or(Ended::Done, Ended::Stopped));
    Ok(Report { stateless: true, ..report })
}

/// Refuses flags that need a StatefulSet.
pub(super) fn refuse<C: ServiceCluster>(
    members: &Members<'_, C>,
    flags: &[(&'static str, bool)],
) -> Result<(), Failure> {
    let Some((flag, _)) = flags.iter().find(|(_flag, is_given)| *is_given) else { return Ok(()) };
    let (namespace, name) = (members.namespace(), &members.set.name);
    Err(Failure::Usage(format!(
        "{flag}: {namespace}/{name} is stateless, and its Deployment replaces the pods by itself: \
         follow it with `kubectl -n {namespace} rollout status deployment {name}`, return to the \
         template of before with `kubectl -n {namespace} rollout undo deployment {name}`"
    )))
}

/// Waits until no pod of the service exists.
pub async fn released<C: ServiceCluster>(
    members: &Members<'_, C>,
    registry: String,
    within: Duration,
    report: &mut dyn FnMut(&str),
) -> Result<wait::Report, Failure> {
    let begun = Instant::now();
    let left = until(within, report, async || {
        let missing = remaining(members).await?;
        let first = missing.first().map(|one| format!("{}: {}", one.name, one.message));
        Ok(first.map(|line| (missing, line)))
    });
    let missing = left.await?.unwrap_or_default();
    Ok(wait::Report {
        registry,
        stateful_set: format!("{}/{}", members.namespace(), members.set.name),
        state: Want::Released,
        reached: missing.is_empty(),
        waited_seconds: begun.elapsed().as_secs(),
        missing,
    })
}

/// The pods with the labels of the service, whether the Deployment exists or not.
async fn remaining<C: ServiceCluster>(
    members: &Members<'_, C>,
) -> Result<Vec<Missing>, RegistryFailure> {
    let labels = format!("{NAME_LABEL}={},{UUID_LABEL}", members.set.name);
    let selector = Selector { labels, ..Selector::default() };
    let pods = members.cluster.list(kind::POD, Some(members.namespace()), &selector).await?;
    // A pod that has failed runs nothing, and its ReplicaSet does not delete it.
    Ok(pods.iter().filter(|pod| !is_over(pod)).map(remains).collect())
}

fn is_over(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}

fn remains(pod: &Value) -> Missing {
    let known = |pointer| Some(text(pod, pointer).to_owned()).filter(|text| !text.is_empty());
    let deleted = known("/metadata/deletionTimestamp");
    let (reason, message) = match &deleted {
        Some(until) => {
            (Reason::PodTerminating, format!("terminating; its grace period ends at {until}"))
        }
        None => (Reason::PodNotDeleted, "it is not deleted".to_owned()),
    };
    Missing {
        kind: kind::POD.kind,
        name: format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name")),
        node: known("/spec/nodeName"),
        since: known("/metadata/creationTimestamp").filter(|_| deleted.is_none()),
        reason,
        message,
    }
}
