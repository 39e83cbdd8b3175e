//! Events of containers and agents, in the namespace of the object that they are about.

use std::net::Ipv4Addr;

use firecamp_core::contract::event::Notice;
use serde_json::Value;

use super::set::NAMESPACE;
use super::test_cluster::{ADDRESSES, Pod, TestCluster, ensure, text};
use crate::Outcome;
use crate::install::until;

/// Logged by a container whose Event could not be written: it tries only once.
const EVENT_FAILED: &str = "failed to write event";
/// Names of FireCamp's containers in a pod.
pub(super) const INIT: &str = "memberinit";
pub(super) const STOP: &str = "memberstop";
/// Event of the agent: it restored an address in the kernel.
const RESTORED: &str = "AddressRestored";
/// Namespace of Events about cluster-scoped objects.
const CLUSTER_SCOPED: &str = "default";

/// A container that writes an Event when it ends.
pub(super) struct EventSource<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
    pub(super) container: &'a str,
}

impl<'a> EventSource<'a> {
    /// A container of a pod in the default namespace of members.
    pub(super) fn of(pod: &'a Pod, container: &'a str) -> Self {
        Self { namespace: NAMESPACE, pod: &pod.name, uid: &pod.uid, container }
    }
}

impl TestCluster<'_> {
    /// All Events with this reason about the object selected by `field`.
    async fn list_events(&self, namespace: &str, reason: &str, field: &str) -> Outcome<Vec<Value>> {
        let chosen = format!("fieldSelector=reason%3D{reason},involvedObject.{field}");
        let place = format!("/api/v1/namespaces/{namespace}/events?{chosen}");
        let all = self.admin.get(&place).await?;
        all["items"].as_array().cloned().ok_or_else(|| format!("{place}: {all}"))
    }

    /// Whether there is an Event with this reason about the pod.
    pub(super) async fn has_pod_event(&self, reason: &str, uid: &str) -> Outcome<bool> {
        let all = self.list_events(NAMESPACE, reason, &format!("uid%3D{uid}")).await?;
        Ok(!all.is_empty())
    }

    /// Waits for an Event with this reason about the pod.
    pub(super) async fn wait_for_pod_event(&self, reason: &str, pod: &Pod) -> Outcome {
        until(&format!("the Event {reason} of {}", pod.name), || async {
            let some = self.has_pod_event(reason, &pod.uid).await?;
            ensure(some, || "no such Event".to_owned())
        })
        .await
    }

    /// Number of Events with this reason about an address.
    pub(super) async fn count_address_events(
        &self,
        reason: &str,
        address: Ipv4Addr,
    ) -> Outcome<usize> {
        let all = self.list_events(CLUSTER_SCOPED, reason, &format!("name%3D{address}")).await?;
        Ok(all.iter().filter(|one| one["involvedObject"]["kind"] == "StaticIP").count())
    }

    /// Waits for more than `than` Events with this reason about an address.
    pub(super) async fn wait_for_address_event(
        &self,
        reason: &str,
        address: Ipv4Addr,
        than: usize,
    ) -> Outcome {
        until(&format!("the Event {reason} of {address}"), || async {
            let all = self.count_address_events(reason, address).await?;
            ensure(all > than, || format!("{all} such Events, as before"))
        })
        .await
    }

    /// Number of Events about restores of an address.
    pub(super) async fn count_restores(&self, address: Ipv4Addr) -> Outcome<usize> {
        self.count_address_events(RESTORED, address).await
    }

    /// Waits for an Event about a restore of the address: about the pod, or more than `than` about
    /// the address, because an agent that has just started does not know the pod yet.
    pub(super) async fn wait_for_restore_event(
        &self,
        pod: &Pod,
        address: Ipv4Addr,
        than: usize,
    ) -> Outcome {
        until(&format!("an Event reports the restore of {address}"), || async {
            let restored = self.has_pod_event(RESTORED, &pod.uid).await?
                || self.count_restores(address).await? > than;
            ensure(restored, || "no such Event".to_owned())
        })
        .await
    }

    /// Waits for the Event that a container writes when it ends and that satisfies `good`, or until
    /// its log reports that the Event could not be written.
    pub(super) async fn wait_for_event_by(
        &self,
        source: &EventSource<'_>,
        notice: Notice,
        good: impl Fn(&Value) -> bool,
    ) -> Outcome {
        let (reason, field) = (notice.reason(), format!("uid%3D{}", source.uid));
        let kind = if notice.warns() { "Warning" } else { "Normal" };
        until(&format!("the Event {reason} by {} of {}", source.container, source.pod), || async {
            let all = self.list_events(source.namespace, reason, &field).await?;
            if all.iter().any(|one| one["type"] == kind && good(one)) {
                return Ok(());
            }
            let log = self.container_logs(source).await;
            ensure(log.contains(EVENT_FAILED), || format!("{all:?}; its log: {log}"))
        })
        .await
    }

    /// Logs of a container's current and previous run.
    async fn container_logs(&self, source: &EventSource<'_>) -> String {
        let logs = ["-n", source.namespace, "logs", source.pod, "--container", source.container];
        let mut text = String::new();
        for run in [[].as_slice(), &["--previous"]] {
            // There may be no previous run.
            text += &self.admin.kubectl(&[&logs, run].concat()).await.unwrap_or_default();
        }
        text
    }

    /// Waits for the Event of a pod's attach.
    pub(super) async fn wait_for_attach_event(
        &self,
        namespace: &str,
        pod: &Pod,
        address: Ipv4Addr,
    ) -> Outcome {
        let names = |one: &Value| relates_to(one, address);
        let source = EventSource { namespace, ..EventSource::of(pod, INIT) };
        self.wait_for_event_by(&source, Notice::AddressAttached, names).await
    }

    /// Waits for the Event of a stop container that removed an address in use, unless its log
    /// reports that the Event could not be written.
    pub(super) async fn wait_for_still_used_event(
        &self,
        pod: &Pod,
        address: Ipv4Addr,
        log: &str,
    ) -> Outcome {
        if log.contains(EVENT_FAILED) {
            return Ok(());
        }
        let names = |one: &Value| relates_to(one, address);
        self.wait_for_event_by(&EventSource::of(pod, STOP), Notice::AddressStillUsed, names).await
    }

    /// Waits until the conditions of an address report that it is parked and still in EC2.
    pub(super) async fn wait_for_parked_conditions(&self, address: Ipv4Addr) -> Outcome {
        until(&format!("the conditions of {address} report Parked"), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let wanted = [("Ready", "False"), ("Assigned", "True"), ("Configured", "False")];
            let so = wanted.iter().all(|(kind, status)| {
                let found = all.iter().find(|one| one["type"] == *kind);
                found.is_some_and(|one| one["status"] == *status && one["reason"] == "Parked")
            });
            ensure(so, || object["status"].to_string())
        })
        .await
    }
}

/// Whether the related object of an Event is this StaticIP.
fn relates_to(event: &Value, address: Ipv4Addr) -> bool {
    let related = &event["related"];
    related["kind"] == "StaticIP" && text(&related["name"]) == address.to_string()
}
