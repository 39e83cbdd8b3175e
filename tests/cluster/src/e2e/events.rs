//! What people are told: Events of containers and agents, where the object is that they are about.

use std::net::Ipv4Addr;

use firecamp_core::contract::event::Notice;
use serde_json::Value;

use super::scene::{ADDRESSES, Pod, Scene, ensure, text};
use super::set::NAMESPACE;
use crate::Outcome;
use crate::install::until;

/// A container says so whose Event could not be written: it tries once, and for moments only.
const EVENT_FAILED: &str = "failed to write event";
/// Those of our containers that attach and that release.
pub(super) const INIT: &str = "memberinit";
pub(super) const STOP: &str = "memberstop";
/// The agent tells so that it put an address back into the kernel.
const RESTORED: &str = "AddressRestored";
/// Where Events about an object are that is in no namespace.
const NOWHERE: &str = "default";

/// A pod's container of ours that tells of its end.
pub(super) struct Reporter<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
    pub(super) container: &'a str,
}

impl<'a> Reporter<'a> {
    /// A container of a member that is a pod of ours.
    pub(super) fn of(pod: &'a Pod, container: &'a str) -> Self {
        Self { namespace: NAMESPACE, pod: &pod.name, uid: &pod.uid, container }
    }
}

impl Scene<'_> {
    /// All Events of this reason about an object that this field chooses.
    async fn events(&self, namespace: &str, reason: &str, field: &str) -> Outcome<Vec<Value>> {
        let chosen = format!("fieldSelector=reason%3D{reason},involvedObject.{field}");
        let place = format!("/api/v1/namespaces/{namespace}/events?{chosen}");
        let all = self.admin.get(&place).await?;
        all["items"].as_array().cloned().ok_or_else(|| format!("{place}: {all}"))
    }

    /// Whether there is an Event of this reason about the pod.
    pub(super) async fn reported_of(&self, reason: &str, uid: &str) -> Outcome<bool> {
        let all = self.events(NAMESPACE, reason, &format!("uid%3D{uid}")).await?;
        Ok(!all.is_empty())
    }

    /// Waits for an Event of this reason about the pod.
    pub(super) async fn event(&self, reason: &str, pod: &Pod) -> Outcome {
        until(&format!("the Event {reason} of {}", pod.name), || async {
            let some = self.reported_of(reason, &pod.uid).await?;
            ensure(some, || "there is none".to_owned())
        })
        .await
    }

    /// How many Events of this reason there are about an address.
    pub(super) async fn reported_address(&self, reason: &str, address: Ipv4Addr) -> Outcome<usize> {
        let all = self.events(NOWHERE, reason, &format!("name%3D{address}")).await?;
        Ok(all.iter().filter(|one| one["involvedObject"]["kind"] == "StaticIP").count())
    }

    /// Waits for more than so many.
    pub(super) async fn tells_of_address(
        &self,
        reason: &str,
        address: Ipv4Addr,
        than: usize,
    ) -> Outcome {
        until(&format!("the Event {reason} of {address}"), || async {
            let all = self.reported_address(reason, address).await?;
            ensure(all > than, || format!("{all} of them, as before"))
        })
        .await
    }

    /// How often it was told that an address was put back.
    pub(super) async fn restores(&self, address: Ipv4Addr) -> Outcome<usize> {
        self.reported_address(RESTORED, address).await
    }

    /// Waits until that is told of an address that was taken from a pod's kernel, once more than
    /// so often. An agent that has only just begun does not know the pod yet.
    pub(super) async fn reported_restore(
        &self,
        pod: &Pod,
        address: Ipv4Addr,
        than: usize,
    ) -> Outcome {
        until(&format!("it is told that {address} was put back"), || async {
            let reported =
                self.reported_of(RESTORED, &pod.uid).await? || self.restores(address).await? > than;
            ensure(reported, || "it is not".to_owned())
        })
        .await
    }

    /// Waits for an Event that a container wrote of its end, in these words and about this address,
    /// or until its log says that it could not be written.
    pub(super) async fn told_by(
        &self,
        reporter: &Reporter<'_>,
        notice: Notice,
        good: impl Fn(&Value) -> bool,
    ) -> Outcome {
        let (reason, field) = (notice.reason(), format!("uid%3D{}", reporter.uid));
        let kind = if notice.warns() { "Warning" } else { "Normal" };
        until(&format!("{} of {} tells {reason}", reporter.container, reporter.pod), || async {
            let all = self.events(reporter.namespace, reason, &field).await?;
            if all.iter().any(|one| one["type"] == kind && good(one)) {
                return Ok(());
            }
            let said = self.says(reporter).await;
            ensure(said.contains(EVENT_FAILED), || format!("{all:?}; its log: {said}"))
        })
        .await
    }

    /// What a container said in this run and in the one before.
    async fn says(&self, reporter: &Reporter<'_>) -> String {
        let logs =
            ["-n", reporter.namespace, "logs", reporter.pod, "--container", reporter.container];
        let mut said = String::new();
        for run in [[].as_slice(), &["--previous"]] {
            // There may be no earlier run.
            said += &self.admin.kubectl(&[&logs, run].concat()).await.unwrap_or_default();
        }
        said
    }

    /// Its init container has told of a pod's attach.
    pub(super) async fn reported_attach(&self, pod: &Pod, address: Ipv4Addr) -> Outcome {
        let names = |one: &Value| about(one, address);
        self.told_by(&Reporter::of(pod, INIT), Notice::AddressAttached, names).await
    }

    /// The stop container of a pod that is gone, which said this, has told that it took an address
    /// from sockets.
    pub(super) async fn reported_sockets(
        &self,
        pod: &Pod,
        address: Ipv4Addr,
        said: &str,
    ) -> Outcome {
        if said.contains(EVENT_FAILED) {
            return Ok(());
        }
        let names = |one: &Value| about(one, address);
        self.told_by(&Reporter::of(pod, STOP), Notice::AddressStillUsed, names).await
    }

    /// Waits until the conditions of an address say that nobody has it, and EC2 keeps it.
    pub(super) async fn rests(&self, address: Ipv4Addr) -> Outcome {
        until(&format!("{address} is said to be parked"), || async {
            let object = self.admin.get(&format!("{ADDRESSES}/{address}")).await?;
            let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let reported = [("Ready", "False"), ("Assigned", "True"), ("Configured", "False")];
            let so = reported.iter().all(|(kind, status)| {
                let said = all.iter().find(|one| one["type"] == *kind);
                said.is_some_and(|one| one["status"] == *status && one["reason"] == "Parked")
            });
            ensure(so, || object["status"].to_string())
        })
        .await
    }
}

/// Whether an Event names a static IP beside what it is about.
fn about(event: &Value, address: Ipv4Addr) -> bool {
    let related = &event["related"];
    related["kind"] == "StaticIP" && text(&related["name"]) == address.to_string()
}
