//! What the scenarios work with: the cluster, its VPC, and waiting.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::Value;
use vpcbox::client::Client;
use vpcbox::protocol::Call;

use super::set::{NAMESPACE, Set};
use crate::cli::say;
use crate::install::{Admin, is, until};
use crate::topology::WORKERS;
use crate::up::Running;
use crate::{Outcome, failed};

/// The objects of the members.
pub(super) const PODS: &str = "/api/v1/namespaces/prod/pods";
pub(super) const SETS: &str = "/apis/apps/v1/namespaces/prod/statefulsets";
pub(super) const ADDRESSES: &str = "/apis/firecamp.io/v1alpha1/staticips";
pub(super) const POOLS: &str = "/apis/firecamp.io/v1alpha1/staticippools";
pub(super) const CLAIMS: &str = "/apis/firecamp.io/v1alpha1/namespaces/prod/staticipclaims";

/// A cluster with FireCamp and without members.
pub(super) struct Scene<'a> {
    pub(super) running: &'a Running,
    pub(super) admin: Admin,
    vpc: RefCell<Client>,
    /// What the agents may take from EC2 at any moment, whatever else goes on.
    given_back: RefCell<BTreeSet<Ipv4Addr>>,
}

/// A pod that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) node: String,
}

/// Fails with this if it is not so.
pub(super) fn ensure(good: bool, wrong: impl FnOnce() -> String) -> Outcome {
    if good { Ok(()) } else { Err(wrong()) }
}

/// A text in an object.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The workers but this one.
pub(super) fn all_but(worker: &str) -> Vec<&'static str> {
    WORKERS.iter().map(|one| one.name).filter(|name| *name != worker).collect()
}

impl<'a> Scene<'a> {
    pub(super) async fn new(running: &'a Running) -> Outcome<Self> {
        let vpc = Client::attach(running.vpcbox).map_err(failed("the VPC"))?;
        let admin = Admin::of(running).await?;
        Ok(Self { running, admin, vpc: RefCell::new(vpc), given_back: RefCell::default() })
    }

    /// From now on agents may unassign this address: no other scenario counts that.
    pub(super) fn give_back(&self, address: Ipv4Addr) {
        self.given_back.borrow_mut().insert(address);
    }

    /// They have done so: every change of this address counts again.
    pub(super) fn given_back(&self, address: Ipv4Addr) {
        self.given_back.borrow_mut().remove(&address);
    }

    fn is_given_back(&self, call: &Call) -> bool {
        let given_back = self.given_back.borrow();
        let mut named =
            call.parameters.iter().filter(|(name, _)| name.starts_with("PrivateIpAddress."));
        let unassigns = call.action == "UnassignPrivateIpAddresses";
        let ours = |text: &String| text.parse().is_ok_and(|address| given_back.contains(&address));
        unassigns && named.clone().count() > 0 && named.all(|(_, text)| ours(text))
    }

    /// Asks the VPC, or changes it.
    pub(super) fn vpc<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, vpcbox::failure::Failure>,
    ) -> Outcome<T> {
        ask(&mut self.vpc.borrow_mut()).map_err(|wrong| wrong.chain())
    }

    /// Creates a StatefulSet.
    pub(super) async fn create(&self, set: &Set) -> Outcome {
        self.made(SETS, &set.object()).await
    }

    /// Creates an object.
    pub(super) async fn made(&self, place: &str, object: &Value) -> Outcome {
        let answer = self.admin.api.post(place, object).await?;
        ensure(answer.code == 201, || answer.text)
    }

    /// Deletes a StatefulSet and waits until its pods are gone, and its addresses at rest.
    pub(super) async fn delete(&self, set: &Set) -> Outcome {
        self.admin.kubectl(&["-n", NAMESPACE, "delete", "statefulset", set.name]).await?;
        let prefix = format!("{}-", set.name);
        let prefix = prefix.as_str();
        until("the set's pods are gone", || async {
            let pods = self.admin.get(PODS).await?;
            let all = pods["items"].as_array().cloned().unwrap_or_default();
            let names = all.iter().map(|pod| text(&pod["metadata"]["name"]));
            let left: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
            ensure(left.is_empty(), || left.join(", "))
        })
        .await?;
        until("the set's addresses are parked", || async {
            let all = self.admin.get(ADDRESSES).await?;
            for one in all["items"].as_array().into_iter().flatten() {
                let owner = text(&one["spec"]["claimRef"]["name"]);
                let state = &one["spec"]["attachment"]["state"];
                let rests = !owner.starts_with(prefix) || state != "Attached";
                ensure(rests, || format!("{owner}: {}", one["spec"]))?;
            }
            Ok(())
        })
        .await
    }

    /// A pod as it is.
    pub(super) async fn pod(&self, name: &str) -> Outcome<Value> {
        self.admin.get(&format!("{PODS}/{name}")).await
    }

    /// Waits for a pod of this name that is ready and another one than `before`.
    pub(super) async fn ready(&self, name: &str, before: Option<&Pod>) -> Outcome<Pod> {
        self.ready_in(NAMESPACE, name, before).await
    }

    /// The same in any namespace.
    pub(super) async fn ready_in(
        &self,
        namespace: &str,
        name: &str,
        before: Option<&Pod>,
    ) -> Outcome<Pod> {
        until(&format!("{name} is ready"), || async {
            let place = format!("/api/v1/namespaces/{namespace}/pods/{name}");
            let object = self.admin.get(&place).await?;
            let pod = Pod {
                name: name.to_owned(),
                uid: text(&object["metadata"]["uid"]),
                node: text(&object["spec"]["nodeName"]),
            };
            let other = before.is_none_or(|before| before.uid != pod.uid);
            let leaves = !object["metadata"]["deletionTimestamp"].is_null();
            let good = other && !leaves && is(&object["status"], "Ready");
            ensure(good, || object["status"].to_string())?;
            Ok(pod)
        })
        .await
    }

    /// All members of a set, once they are ready.
    pub(super) async fn all_ready(&self, set: &Set) -> Outcome<Vec<Pod>> {
        let mut pods = Vec::new();
        for member in set.members() {
            pods.push(self.ready(&member, None).await?);
        }
        Ok(pods)
    }

    /// The address that a member's claim names.
    pub(super) async fn address(&self, member: &str) -> Outcome<Ipv4Addr> {
        self.address_in(NAMESPACE, member).await
    }

    /// The same in any namespace.
    pub(super) async fn address_in(&self, namespace: &str, member: &str) -> Outcome<Ipv4Addr> {
        let claims = format!("/apis/firecamp.io/v1alpha1/namespaces/{namespace}/staticipclaims");
        let claim = self.admin.get(&format!("{claims}/{member}")).await?;
        let address = text(&claim["spec"]["address"]);
        address.parse().map_err(failed(format!("the claim of {member}: {claim}")))
    }

    /// The number of the last call of EC2.
    pub(super) fn calls(&self) -> Outcome<u64> {
        let all = self.vpc(|vpc| vpc.calls(0))?;
        Ok(all.last().map_or(0, |call| call.seq))
    }

    /// The calls since then that were to change something.
    pub(super) fn changes(&self, since: u64) -> Outcome<Vec<Call>> {
        let mut all = self.vpc(|vpc| vpc.calls(since))?;
        all.retain(|call| call.mutating && !self.is_given_back(call));
        Ok(all)
    }

    /// That many calls since then were to change something.
    pub(super) fn changed(&self, since: u64, wanted: usize) -> Outcome {
        let changes = self.changes(since)?;
        let reported =
            |call: &Call| format!("{} by {}: {:?}", call.action, call.caller, call.parameters);
        ensure(changes.len() == wanted, || {
            let all: Vec<String> = changes.iter().map(reported).collect();
            format!("{} changes in EC2 instead of {wanted}: {}", changes.len(), all.join("; "))
        })
    }

    /// Lets the scheduler place nothing on these, or again something.
    pub(super) async fn cordon(&self, workers: &[&str], cordoned: bool) -> Outcome {
        let verb = if cordoned { "cordon" } else { "uncordon" };
        self.admin.kubectl(&[&[verb], workers].concat()).await.map(drop)
    }

    /// Everything that helps to see why a scenario failed.
    pub(super) async fn dump(&self) -> Outcome {
        let looks: [&[&str]; 5] = [
            &["get", "nodes,pods,staticips,staticipclaims", "-A", "-o", "wide"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &["get", "staticips", "-o", "yaml"],
            &["-n", "prod", "describe", "pods"],
            &[
                "-n",
                "firecamp-system",
                "logs",
                "-l",
                "app.kubernetes.io/name=firecamp",
                "--tail=30",
            ],
        ];
        for look in looks {
            let shown = self.admin.kubectl(look).await.unwrap_or_else(|wrong| wrong);
            say(&format!("--- kubectl {}\n{shown}", look.join(" ")))?;
        }
        Ok(())
    }
}
