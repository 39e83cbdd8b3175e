//! The cluster that scenarios run on: objects, the VPC, and waiting.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use serde_json::Value;
use vpcbox::client::Client;
use vpcbox::protocol::Call;

use super::processes::output_of;
use super::reset::is_member_suffix;
use super::set::{FirecampContainers, NAMESPACE, Set};
use super::vpc_cni::is_firecamps;
use crate::cli::print_line;
use crate::install::{Admin, is_condition_true, until};
use crate::topology::{Layout, WORKERS};
use crate::up::Running;
use crate::{Outcome, failed};

/// API paths of the members' objects.
pub(super) const PODS: &str = "/api/v1/namespaces/prod/pods";
pub(super) const SETS: &str = "/apis/apps/v1/namespaces/prod/statefulsets";
pub(super) const ADDRESSES: &str = "/apis/firecamp.io/v1alpha1/staticips";
pub(super) const POOLS: &str = "/apis/firecamp.io/v1alpha1/staticippools";
pub(super) const CLAIMS: &str = "/apis/firecamp.io/v1alpha1/namespaces/prod/staticipclaims";

/// A running cluster, its API server and its VPC.
pub(super) struct TestCluster<'a> {
    pub(super) running: &'a Running,
    pub(super) admin: Admin,
    vpc: RefCell<Client>,
    /// Addresses that an agent may unassign at any time, in parallel with other scenarios.
    unassignable: RefCell<BTreeSet<Ipv4Addr>>,
}

/// A pod that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) node: String,
}

/// Fails with this text if the condition is false.
pub(super) fn ensure(condition: bool, message: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(message()) }
}

/// The string in a JSON value; empty if it is not a string.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// All workers except this one.
pub(super) fn all_but(worker: &str) -> Vec<&'static str> {
    WORKERS.iter().map(|one| one.name).filter(|name| *name != worker).collect()
}

impl<'a> TestCluster<'a> {
    pub(super) async fn new(running: &'a Running) -> Outcome<Self> {
        let vpc = Client::attach(running.vpcbox).map_err(failed("the VPC"))?;
        let admin = Admin::of(running).await?;
        Ok(Self { running, admin, vpc: RefCell::new(vpc), unassignable: RefCell::default() })
    }

    /// Excludes an Unassign of this address from [`Self::mutations`].
    pub(super) fn allow_unassign(&self, address: Ipv4Addr) {
        self.unassignable.borrow_mut().insert(address);
    }

    /// Counts every change of this address again.
    pub(super) fn disallow_unassign(&self, address: Ipv4Addr) {
        self.unassignable.borrow_mut().remove(&address);
    }

    fn is_allowed_unassign(&self, call: &Call) -> bool {
        let unassignable = self.unassignable.borrow();
        let mut named =
            call.parameters.iter().filter(|(name, _)| name.starts_with("PrivateIpAddress."));
        let unassigns = call.action == "UnassignPrivateIpAddresses";
        let ours =
            |text: &String| text.parse().is_ok_and(|address| unassignable.contains(&address));
        unassigns && named.clone().count() > 0 && named.all(|(_, text)| ours(text))
    }

    /// Reads or changes the VPC.
    pub(super) fn vpc<T>(
        &self,
        ask: impl FnOnce(&mut Client) -> Result<T, vpcbox::failure::Failure>,
    ) -> Outcome<T> {
        ask(&mut self.vpc.borrow_mut()).map_err(|error| error.chain())
    }

    /// Imports the images of an archive on each node.
    pub(super) fn import_images(&self, archive: &Path) -> Outcome {
        for worker in WORKERS {
            let mut import = self.running.on(worker.name, "ctr")?;
            import.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
            output_of(&mut import)?;
        }
        Ok(())
    }

    /// Creates a StatefulSet.
    pub(super) async fn create(&self, set: &Set) -> Outcome {
        self.create_object(SETS, &self.manifest_of(set).await?).await
    }

    /// Creates an object.
    pub(super) async fn create_object(&self, place: &str, object: &Value) -> Outcome {
        let answer = self.admin.api.post(place, object).await?;
        ensure(answer.code == 201, || answer.text)
    }

    /// Deletes a StatefulSet and waits until its pods are gone and its addresses parked.
    pub(super) async fn delete(&self, set: &Set) -> Outcome {
        self.admin.kubectl(&["-n", NAMESPACE, "delete", "statefulset", set.name]).await?;
        let is_of = |name: &str| name.strip_prefix(set.name).is_some_and(is_member_suffix);
        until(&format!("the pods of {} are gone", set.name), || async {
            let pods = self.admin.get(PODS).await?;
            let all = pods["items"].as_array().cloned().unwrap_or_default();
            let names = all.iter().map(|pod| text(&pod["metadata"]["name"]));
            let left: Vec<String> = names.filter(|name| is_of(name)).collect();
            ensure(left.is_empty(), || left.join(", "))
        })
        .await?;
        until(&format!("the addresses of {} are parked", set.name), || async {
            let all = self.admin.get(ADDRESSES).await?;
            for one in all["items"].as_array().into_iter().flatten() {
                let owner = text(&one["spec"]["claimRef"]["name"]);
                let state = &one["spec"]["attachment"]["state"];
                let released = !is_of(&owner) || state != "Attached";
                ensure(released, || format!("{owner}: {}", one["spec"]))?;
            }
            Ok(())
        })
        .await
    }

    /// The object of a pod; null if it does not exist.
    pub(super) async fn pod(&self, name: &str) -> Outcome<Value> {
        self.admin.get(&format!("{PODS}/{name}")).await
    }

    /// Waits for a ready pod of this name that is not `before`.
    pub(super) async fn wait_ready(&self, name: &str, before: Option<&Pod>) -> Outcome<Pod> {
        self.wait_ready_in(NAMESPACE, name, before).await
    }

    /// The same in any namespace.
    pub(super) async fn wait_ready_in(
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
            let terminating = !object["metadata"]["deletionTimestamp"].is_null();
            let good = other && !terminating && is_condition_true(&object["status"], "Ready");
            ensure(good, || object["status"].to_string())?;
            Ok(pod)
        })
        .await
    }

    /// Waits until all members of a set are ready and returns their pods.
    pub(super) async fn wait_all_ready(&self, set: &Set) -> Outcome<Vec<Pod>> {
        let mut pods = Vec::new();
        for member in set.members() {
            pods.push(self.wait_ready(&member, None).await?);
        }
        Ok(pods)
    }

    /// The address in a member's claim.
    pub(super) async fn address(&self, member: &str) -> Outcome<Ipv4Addr> {
        self.address_in(NAMESPACE, member).await
    }

    /// The addresses of a service's first members.
    pub(super) async fn addresses_of(&self, service: &str, count: u8) -> Outcome<Vec<Ipv4Addr>> {
        let mut all = Vec::new();
        for number in 0..count {
            all.push(self.address(&format!("{service}-{number}")).await?);
        }
        Ok(all)
    }

    /// The address of a member of any namespace.
    pub(super) async fn address_in(&self, namespace: &str, member: &str) -> Outcome<Ipv4Addr> {
        let claims = format!("/apis/firecamp.io/v1alpha1/namespaces/{namespace}/staticipclaims");
        let claim = self.admin.get(&format!("{claims}/{member}")).await?;
        let address = text(&claim["spec"]["address"]);
        address.parse().map_err(failed(format!("the claim of {member}: {claim}")))
    }

    /// The sequence number of the last EC2 call.
    pub(super) fn last_call(&self) -> Outcome<u64> {
        let all = self.vpc(|vpc| vpc.calls(0))?;
        Ok(all.last().map_or(0, |call| call.seq))
    }

    /// Mutating EC2 calls after call number `since`, without those of the VPC CNI.
    pub(super) fn mutations(&self, since: u64) -> Outcome<Vec<Call>> {
        let mut all = self.vpc(|vpc| vpc.calls(since))?;
        let alone = self.running.home.layout() != Layout::VpcCni;
        all.retain(|call| call.service == "ec2");
        all.retain(|call| call.mutating && (alone || is_firecamps(call)));
        all.retain(|call| !self.is_allowed_unassign(call));
        Ok(all)
    }

    /// Lets the namespace of the members admit no more than those of this run need.
    pub(super) async fn restrict_members(&self) -> Outcome {
        if !FirecampContainers::of_members().has_own_network() {
            return Ok(());
        }
        let label = "pod-security.kubernetes.io/enforce=restricted";
        let words = ["label", "--overwrite", "namespace", NAMESPACE, label];
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Checks the number of mutating EC2 calls after call number `since`.
    pub(super) fn verify_mutations(&self, since: u64, wanted: usize) -> Outcome {
        let calls = self.mutations(since)?;
        let describe =
            |call: &Call| format!("{} by {}: {:?}", call.action, call.caller, call.parameters);
        ensure(calls.len() == wanted, || {
            let all: Vec<String> = calls.iter().map(describe).collect();
            format!("{} mutating EC2 calls instead of {wanted}: {}", calls.len(), all.join("; "))
        })
    }

    /// Cordons or uncordons nodes.
    pub(super) async fn cordon(&self, workers: &[&str], cordoned: bool) -> Outcome {
        let verb = if cordoned { "cordon" } else { "uncordon" };
        self.admin.kubectl(&[&[verb], workers].concat()).await.map(drop)
    }

    /// Prints objects, Events and logs, to find out why a scenario failed.
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
            let shown = self.admin.kubectl(look).await.unwrap_or_else(|error| error);
            print_line(&format!("--- kubectl {}\n{shown}", look.join(" ")))?;
        }
        // Why the box is gone, if it is.
        let log = self.running.home.path("box.log");
        let log = std::fs::read_to_string(&log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().rev().take(10).collect();
        let last: Vec<&str> = lines.into_iter().rev().collect();
        print_line(&format!("--- box.log\n{}", last.join("\n")))
    }

    /// Prints the logs of these pods if the outcome is a failure, and returns it.
    pub(super) async fn with_logs_of(&self, pods: &[&str], outcome: Outcome) -> Outcome {
        for pod in pods.iter().filter(|_| outcome.is_err()) {
            let words = ["-n", NAMESPACE, "logs", pod, "--tail=40"];
            let shown = self.admin.kubectl(&words).await.unwrap_or_else(|error| error);
            print_line(&format!("--- {pod}\n{shown}"))?;
        }
        outcome
    }
}
