//! Records that somebody changes by hand, and members with a name that there was before.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use firecamp_testkit::build::binaries;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::asked::unversioned;
use super::audit::Held;
use super::ports::{container, send};
use super::scene::{ADDRESSES, Pod, Scene, ensure};
use super::set::Set;
use crate::cli::say;
use crate::install::{nodes_ready, until};
use crate::{Outcome, failed};

/// Another namespace with members.
pub(super) const SECOND: &str = "second";

impl Scene<'_> {
    /// Changes an address by hand: that is refused in these words.
    async fn fixed(&self, held: &Held, change: &Value, words: &str) -> Outcome {
        let (address, change) = (held.address.to_string(), json!({ "spec": change }).to_string());
        let patch = ["patch", "staticip", &address, "--type=merge", "--patch", &change];
        let said = self.admin.kubectl(&patch).await.err().unwrap_or_default();
        ensure(said.contains(words), || format!("{change}: {said:?} instead of {words:?}"))
    }
}

pub(super) async fn f072_members_that_race_for_addresses_share_none(scene: &Scene<'_>) -> Outcome {
    let sets = ["racing", "chasing"].map(|name| Set { parallel: true, ..Set::new(name, 6) });
    for set in &sets {
        scene.create(set).await?;
    }
    let mut addresses = BTreeSet::new();
    for set in &sets {
        for pod in scene.all_ready(set).await? {
            addresses.insert(scene.holds(&pod).await?.address);
        }
    }
    ensure(addresses.len() == 12, || format!("they share: {addresses:?}"))?;
    let (with, without) = unversioned(scene)?;
    say(&format!("        {with} writes named the version that was read"))?;
    ensure(with > 12 && without.is_empty(), || format!("writes without: {without:?}"))?;
    for set in &sets {
        scene.delete(set).await?;
    }
    Ok(())
}

pub(super) async fn f073_the_server_itself_keeps_an_address_with_its_claim(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("fixed", 1);
    let all = scene.started(&set).await?;
    let [(pod, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let kept = "must not change";
    scene.fixed(held, &json!({ "address": "10.0.1.99" }), kept).await?;
    scene.fixed(held, &json!({ "zone": "us-east-1b" }), kept).await?;
    scene.fixed(held, &json!({ "claimRef": { "name": "thief-0" } }), kept).await?;
    scene.fixed(held, &json!({ "claimRef": { "namespace": "other" } }), kept).await?;

    let place = format!("{ADDRESSES}/{}", held.address);
    let mut twin = scene.admin.get(&place).await?;
    twin["metadata"] = json!({ "name": held.address.to_string() });
    twin["spec"]["claimRef"]["name"] = json!("thief-0");
    let answer = scene.admin.api.post(ADDRESSES, &twin).await?;
    ensure(answer.code == 409 && answer.text.contains("already exists"), || answer.text)?;
    twin["metadata"]["name"] = json!("10.0.1.99");
    let answer = scene.admin.api.post(ADDRESSES, &twin).await?;
    let reported = answer.text.contains("a StaticIP is named after its address");
    ensure(answer.code == 422 && reported, || answer.text)?;
    twin["metadata"]["name"] = json!("10.0.9.9");
    twin["spec"]["address"] = json!("10.0.9.9");
    let answer = scene.admin.api.post(ADDRESSES, &twin).await?;
    let reported = answer.text.contains("is outside of spec.cidr");
    ensure(answer.code == 422 && reported, || answer.text)?;

    let now = scene.holds(pod).await?;
    ensure(now == *held, || format!("{now:?} after {held:?}"))?;
    scene.delete(&set).await
}

pub(super) async fn f079_what_an_earlier_set_of_the_name_left_neither_claims_nor_releases(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set::new("twice", 1);
    let all = scene.started(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let before = scene.calls()?;
    scene.cordon(&[&old.node], true).await?;
    let kubelet = scene.kubelet(&old.node)?;
    send(kubelet, Signal::SIGSTOP)?;
    let outcome = made_again(scene, &set, old, held).await;
    send(kubelet, Signal::SIGCONT)?;
    let (next, now) = outcome?;
    scene.dead(old).await?;
    nodes_ready(&scene.admin).await?;
    let after = scene.holds(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    scene.changed(before, 1)?;
    scene.cordon(&[&old.node], false).await?;
    namesake(scene, &set, &next).await?;
    let after = scene.holds(&next).await?;
    ensure(after == now, || format!("{after:?} after {now:?}"))?;
    scene.delete(&set).await
}

/// Another set of the name takes over, while the first one's pod lives and does what it can.
async fn made_again(scene: &Scene<'_>, set: &Set, old: &Pod, held: &Held) -> Outcome<(Pod, Held)> {
    scene.orphan(set).await?;
    scene.let_go(old, &["--force", "--grace-period=0"]).await?;
    scene.create(set).await?;
    let next = scene.ready(&old.name, Some(old)).await?;
    let now = scene.holds(&next).await?;
    let same = now.address == held.address && now.epoch > held.epoch;
    ensure(same && next.node != old.node, || format!("{next:?}, {now:?} after {held:?}"))?;
    let stop = container(&old.uid, "firecamp-stopcontainer")?;
    let said = late_init(stop)?;
    ensure(said.contains("\"result\":\"failed\""), || said)?;
    send(stop, Signal::SIGTERM)?;
    until("the old stop container has ended", || async {
        let lives = container(&old.uid, "firecamp-stopcontainer").ok();
        ensure(lives.is_none(), || "it lives".to_owned())
    })
    .await?;
    Ok((next, now))
}

/// Runs the init container's program where a pod's stop container is, with all that this knows.
fn late_init(stop: Pid) -> Outcome<String> {
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
    ensure(!ended.status.success(), || "it took the address".to_owned())?;
    Ok([ended.stdout, ended.stderr].iter().map(|text| String::from_utf8_lossy(text)).collect())
}

/// The binding that lets the members of a namespace have addresses.
fn binding(namespace: &str) -> String {
    format!("firecamp-member-addresses-{namespace}")
}

impl Scene<'_> {
    /// Makes a namespace whose pods may be members.
    pub(super) async fn settle(&self, namespace: &str) -> Outcome {
        let group = format!("--group=system:serviceaccounts:{namespace}");
        let role = ["create", "rolebinding", "firecamp-member", "--clusterrole=firecamp-member"];
        let name = binding(namespace);
        let cluster = ["create", "clusterrolebinding", &name];
        let label = "pod-security.kubernetes.io/enforce=privileged";
        let orders = [
            vec!["create", "namespace", namespace],
            vec!["label", "namespace", namespace, label],
            [role.as_slice(), &["--namespace", namespace, &group]].concat(),
            [cluster.as_slice(), &["--clusterrole=firecamp-member-addresses", &group]].concat(),
        ];
        for order in orders {
            self.admin.kubectl(&order).await?;
        }
        Ok(())
    }

    /// Removes it with all that is in it.
    pub(super) async fn unsettle(&self, namespace: &str) -> Outcome {
        self.admin.kubectl(&["delete", "clusterrolebinding", &binding(namespace)]).await?;
        self.admin.kubectl(&["delete", "namespace", namespace]).await.map(drop)
    }
}

/// A set of the same name in another namespace has an address of its own.
async fn namesake(scene: &Scene<'_>, set: &Set, first: &Pod) -> Outcome {
    scene.settle(SECOND).await?;
    let set = Set { namespace: SECOND, ..set.clone() };
    scene.made(&format!("/apis/apps/v1/namespaces/{SECOND}/statefulsets"), &set.object()).await?;
    let claim = format!("/apis/firecamp.io/v1alpha1/namespaces/{SECOND}/staticipclaims");
    let address = until("the namesake serves", || async {
        let claim = scene.admin.get(&format!("{claim}/{}", first.name)).await?;
        let address = claim["spec"]["address"].as_str().ok_or_else(|| claim.to_string())?;
        let address: std::net::Ipv4Addr = address.parse().map_err(failed(address))?;
        let answer = scene.dial(address)?;
        ensure(answer.starts_with(&first.name), || answer)?;
        Ok(address)
    })
    .await?;
    let own = scene.address(&first.name).await?;
    ensure(own != address, || format!("both have {own}"))?;
    let object = scene.admin.get(&format!("{ADDRESSES}/{address}")).await?;
    let owner = &object["spec"]["claimRef"];
    ensure(owner["namespace"] == SECOND, || object.to_string())?;
    scene.unsettle(SECOND).await
}
