//! Manual changes of records, races, and members whose name was used before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use firecamp_testkit::build::binaries;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::api_requests::writes_by_version;
use super::audit::Held;
use super::processes::{container, send};
use super::set::Set;
use super::test_cluster::{ADDRESSES, Pod, TestCluster, ensure};
use crate::cli::print_line;
use crate::install::{nodes_ready, until};
use crate::{Outcome, failed};

/// Another namespace with members.
pub(super) const SECOND: &str = "second";

impl TestCluster<'_> {
    /// Patches a StaticIP. The API server must refuse with these words.
    async fn verify_patch_refused(&self, held: &Held, change: &Value, words: &str) -> Outcome {
        let (address, change) = (held.address.to_string(), json!({ "spec": change }).to_string());
        let patch = ["patch", "staticip", &address, "--type=merge", "--patch", &change];
        let error = self.admin.kubectl(&patch).await.err().unwrap_or_default();
        ensure(error.contains(words), || format!("{change}: {error:?} instead of {words:?}"))
    }
}

pub(super) async fn f072_racing_members_never_share_an_address(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let sets = ["racing", "chasing"].map(|name| Set { parallel: true, ..Set::new(name, 6) });
    for set in &sets {
        cluster.create(set).await?;
    }
    let mut addresses = BTreeSet::new();
    for set in &sets {
        for pod in cluster.wait_all_ready(set).await? {
            addresses.insert(cluster.wait_held(&pod).await?.address);
        }
    }
    ensure(addresses.len() == 12, || format!("members share addresses: {addresses:?}"))?;
    let (with, without) = writes_by_version(cluster)?;
    print_line(&format!("        {with} writes had a resourceVersion"))?;
    ensure(with > 12 && without.is_empty(), || {
        format!("writes without resourceVersion: {without:?}")
    })?;
    for set in &sets {
        cluster.delete(set).await?;
    }
    Ok(())
}

pub(super) async fn f073_the_api_server_rejects_changes_of_address_zone_and_claim(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("fixed", 1);
    let all = cluster.start_members(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let kept = "must not change";
    cluster.verify_patch_refused(held, &json!({ "address": "10.0.1.99" }), kept).await?;
    cluster.verify_patch_refused(held, &json!({ "zone": "us-east-1b" }), kept).await?;
    cluster.verify_patch_refused(held, &json!({ "claimRef": { "name": "other-0" } }), kept).await?;
    cluster
        .verify_patch_refused(held, &json!({ "claimRef": { "namespace": "other" } }), kept)
        .await?;

    let place = format!("{ADDRESSES}/{}", held.address);
    let mut twin = cluster.admin.get(&place).await?;
    twin["metadata"] = json!({ "name": held.address.to_string() });
    twin["spec"]["claimRef"]["name"] = json!("other-0");
    let answer = cluster.admin.api.post(ADDRESSES, &twin).await?;
    ensure(answer.code == 409 && answer.text.contains("already exists"), || answer.text)?;
    twin["metadata"]["name"] = json!("10.0.1.99");
    let answer = cluster.admin.api.post(ADDRESSES, &twin).await?;
    let named = answer.text.contains("a StaticIP is named after its address");
    ensure(answer.code == 422 && named, || answer.text)?;
    twin["metadata"]["name"] = json!("10.0.9.9");
    twin["spec"]["address"] = json!("10.0.9.9");
    let answer = cluster.admin.api.post(ADDRESSES, &twin).await?;
    let named = answer.text.contains("is outside of spec.cidr");
    ensure(answer.code == 422 && named, || answer.text)?;

    let now = cluster.wait_held(pod).await?;
    ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    cluster.delete(&set).await
}

pub(super) async fn f079_a_pod_of_an_earlier_set_of_the_same_name_neither_claims_nor_releases(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let set = Set::new("twice", 1);
    let all = cluster.start_members(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = cluster.last_call()?;
    cluster.cordon(&[&old.node], true).await?;
    let kubelet = cluster.kubelet(&old.node)?;
    send(kubelet, Signal::SIGSTOP)?;
    let outcome = recreate_set(cluster, &set, old, held).await;
    send(kubelet, Signal::SIGCONT)?;
    let (next, now) = outcome?;
    cluster.wait_dead(old).await?;
    nodes_ready(&cluster.admin).await?;
    let after = cluster.wait_held(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    cluster.verify_mutations(before, 1)?;
    cluster.cordon(&[&old.node], false).await?;
    verify_same_name_elsewhere(cluster, &set, &next).await?;
    let after = cluster.wait_held(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    cluster.delete(&set).await
}

/// Another set of the same name takes over while the first one's pod runs init again and its stop
/// container ends.
async fn recreate_set(
    cluster: &TestCluster<'_>,
    set: &Set,
    old: &Pod,
    held: &Held,
) -> Outcome<(Pod, Held)> {
    cluster.orphan(set).await?;
    cluster.begin_delete(old, &["--force", "--grace-period=0"]).await?;
    cluster.create(set).await?;
    let next = cluster.wait_ready(&old.name, Some(old)).await?;
    let now = cluster.wait_held(&next).await?;
    let same = now.address == held.address && now.epoch > held.epoch;
    ensure(same && next.node != old.node, || format!("{next:?}, {now:?} after {held:?}"))?;
    let stop = container(&old.uid, "firecamp-stopcontainer")?;
    let output = run_init_late(stop)?;
    ensure(output.contains("\"result\":\"failed\""), || output)?;
    send(stop, Signal::SIGTERM)?;
    until("the old stop container exits", || async {
        let runs = container(&old.uid, "firecamp-stopcontainer").ok();
        ensure(runs.is_none(), || "it still runs".to_owned())
    })
    .await?;
    Ok((next, now))
}

/// Runs init in the namespaces and with the environment of a pod's stop container.
fn run_init_late(stop: Pid) -> Outcome<String> {
    let place = PathBuf::from(format!("/proc/{stop}"));
    let program = place.join("root").join("run/firecamp/late");
    let init = &binaries().map_err(failed("build FireCamp"))?.init;
    std::fs::copy(init, &program).map_err(failed(program.display()))?;
    let known = std::fs::read(place.join("environ")).map_err(failed("its environment"))?;
    let known = String::from_utf8_lossy(&known).into_owned();
    let target = stop.to_string();
    let mut late = Command::new("/usr/bin/nsenter");
    late.args(["--mount", "--net", "--target", &target, "--", "/run/firecamp/late"])
        .args(["--conf-dir=/run/firecamp/conf", "--require-mount=false", "--timeout=5s"])
        .env_clear()
        .envs(known.split('\0').filter_map(|word| word.split_once('=')));
    let ended = late.output().map_err(failed(format!("{late:?}")))?;
    std::fs::remove_file(&program).map_err(failed(program.display()))?;
    ensure(!ended.status.success(), || "init of the superseded pod succeeded".to_owned())?;
    Ok([ended.stdout, ended.stderr].iter().map(|text| String::from_utf8_lossy(text)).collect())
}

/// The ClusterRoleBinding that lets members of a namespace use addresses.
fn binding(namespace: &str) -> String {
    format!("firecamp-member-addresses-{namespace}")
}

impl TestCluster<'_> {
    /// Creates a namespace with permissions for members.
    pub(super) async fn create_member_namespace(&self, namespace: &str) -> Outcome {
        let group = format!("--group=system:serviceaccounts:{namespace}");
        let role = ["create", "rolebinding", "firecamp-member", "--clusterrole=firecamp-member"];
        let name = binding(namespace);
        let cluster_binding = ["create", "clusterrolebinding", &name];
        let label = "pod-security.kubernetes.io/enforce=privileged";
        let commands = [
            vec!["create", "namespace", namespace],
            vec!["label", "namespace", namespace, label],
            [role.as_slice(), &["--namespace", namespace, &group]].concat(),
            [cluster_binding.as_slice(), &["--clusterrole=firecamp-member-addresses", &group]]
                .concat(),
        ];
        for command in commands {
            self.admin.kubectl(&command).await?;
        }
        Ok(())
    }

    /// Deletes such a namespace and its binding.
    pub(super) async fn delete_member_namespace(&self, namespace: &str) -> Outcome {
        self.admin.kubectl(&["delete", "clusterrolebinding", &binding(namespace)]).await?;
        self.admin.kubectl(&["delete", "namespace", namespace]).await.map(drop)
    }
}

/// A set of the same name in another namespace gets a different address.
async fn verify_same_name_elsewhere(cluster: &TestCluster<'_>, set: &Set, first: &Pod) -> Outcome {
    cluster.create_member_namespace(SECOND).await?;
    let set = Set { namespace: SECOND, ..set.clone() };
    cluster
        .create_object(&format!("/apis/apps/v1/namespaces/{SECOND}/statefulsets"), &set.object())
        .await?;
    let claim = format!("/apis/firecamp.io/v1alpha1/namespaces/{SECOND}/staticipclaims");
    let address = until("the set in the other namespace serves", || async {
        let claim = cluster.admin.get(&format!("{claim}/{}", first.name)).await?;
        let address = claim["spec"]["address"].as_str().ok_or_else(|| claim.to_string())?;
        let address: std::net::Ipv4Addr = address.parse().map_err(failed(address))?;
        let answer = cluster.dial(address)?;
        ensure(answer.starts_with(&first.name), || answer)?;
        Ok(address)
    })
    .await?;
    let own = cluster.address(&first.name).await?;
    ensure(own != address, || format!("both have {own}"))?;
    let object = cluster.admin.get(&format!("{ADDRESSES}/{address}")).await?;
    let owner = &object["spec"]["claimRef"];
    ensure(owner["namespace"] == SECOND, || object.to_string())?;
    cluster.delete_member_namespace(SECOND).await
}
