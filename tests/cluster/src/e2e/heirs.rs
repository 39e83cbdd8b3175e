//! Sockets that stay: who waits for them, and for how long.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::audit::Held;
use super::ports::{container, send};
use super::scene::{ADDRESSES, PODS, Pod, Scene, all_but, ensure};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::images::MEMBER;
use crate::install::until;

/// How long a pod has to end, and an init container to wait for another one's sockets.
const WAIT: u32 = 12;
const SETTINGS: &[(&str, &str)] = &[("FIRECAMP_PREDECESSOR_GRACE", "12s")];

/// A pod beside a member's that listens at the member's address, and does not care whose it is.
pub(super) struct Squatter {
    name: String,
    at: String,
}

impl Scene<'_> {
    /// Starts one.
    pub(super) async fn squat(&self, name: &str, pod: &Pod, held: &Held) -> Outcome<Squatter> {
        let at = format!("{}:7000", held.address);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "nodeName": pod.node,
                "hostNetwork": true,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
                "containers": [{
                    "name": "squatter",
                    "image": MEMBER,
                    "command": ["/clusterbox", "occupy", at],
                }],
            },
        });
        self.made(PODS, &object).await?;
        self.ready(name, None).await?;
        Ok(Squatter { name: name.to_owned(), at })
    }

    /// Kills it, and removes what is left of it.
    pub(super) async fn evict(&self, squatter: Squatter) -> Outcome {
        for pid in self.contained("cmdline", &format!("/clusterbox\0occupy\0{}\0", squatter.at)) {
            send(pid, Signal::SIGKILL)?;
        }
        let words = ["-n", NAMESPACE, "delete", "pod", &squatter.name, "--wait=false"];
        self.admin.kubectl(&words).await.map(drop)
    }

    /// Forces a pod out, and waits until the next one has taken its address and waits.
    async fn inherits(&self, old: &Pod, held: &Held) -> Outcome<Pod> {
        self.let_go(old, &["--force", "--grace-period=0"]).await?;
        let place = format!("{ADDRESSES}/{}", held.address);
        let next = until("the next pod takes the address", || async {
            let spec = &self.admin.get(&place).await?["spec"];
            let (at, epoch) = (&spec["attachment"], spec["epoch"].as_u64());
            let uid = at["podUID"].as_str().unwrap_or_default();
            let taken = uid != old.uid && at["state"] == "Attaching" && epoch > Some(held.epoch);
            ensure(taken, || spec.to_string())?;
            let node = at["nodeName"].as_str().unwrap_or_default();
            Ok(Pod { name: old.name.clone(), uid: uid.to_owned(), node: node.to_owned() })
        })
        .await?;
        container(&next.uid, "firecamp-initcontainer")?;
        Ok(next)
    }

    /// The last words of the init container of a pod that is ready, which never failed.
    async fn last_words(&self, pod: &Pod) -> Outcome<Value> {
        let object = self.pod(&pod.name).await?;
        let init = &object["status"]["initContainerStatuses"][0];
        ensure(init["restartCount"] == 0, || init.to_string())?;
        let said = init["state"]["terminated"]["message"].as_str().unwrap_or_default();
        serde_json::from_str(said).map_err(crate::failed(init.to_string()))
    }
}

pub(super) async fn f091_f028_a_successor_waits_for_sockets_and_is_swept_if_it_is_deleted_then(
    scene: &Scene<'_>,
) -> Outcome {
    let set = Set { grace: WAIT, settings: SETTINGS, ..Set::new("heir", 1) };
    let all = scene.started(&set).await?;
    let [(old, held)] = all.as_slice() else { return Err(format!("{all:?}")) };
    let others = all_but(&old.node);
    scene.cordon(&others, true).await?;
    let before = scene.calls()?;

    let squatter = scene.squat("squatter-1", old, held).await?;
    let second = scene.inherits(old, held).await?;
    scene.evict(squatter).await?;
    scene.ready("heir-0", Some(old)).await?;
    let held = scene.holds(&second).await?;

    let squatter = scene.squat("squatter-2", &second, &held).await?;
    let third = scene.inherits(&second, &held).await?;
    scene.ready("heir-0", Some(&second)).await?;
    let held = scene.holds(&third).await?;
    let words = scene.last_words(&third).await?;
    let waited = words["elapsedMs"].as_u64() >= Some(u64::from(WAIT) * 1000);
    let reported = words["message"].as_str().unwrap_or_default().contains("still used it");
    ensure(waited && reported, || words.to_string())?;

    let fourth = scene.inherits(&third, &held).await?;
    let stop = container(&fourth.uid, "firecamp-stopcontainer");
    ensure(stop.is_err(), || format!("a stop container runs: {stop:?}"))?;
    scene.orphan(&set).await?;
    scene.let_go(&fourth, &[]).await?;
    scene.evict(squatter).await?;
    scene.swept(&fourth, &held).await?;
    scene.changed(before, 0)?;
    scene.cordon(&others, false).await
}
