//! Members that cannot have what they ask for, and are told so.

use std::net::Ipv4Addr;

use firecamp_core::contract::event::Notice;
use serde_json::{Value, json};

use super::events::{INIT, Reporter};
use super::scene::{CLAIMS, POOLS, Scene, ensure, text};
use super::set::{NAMESPACE, Set};
use crate::Outcome;
use crate::install::until;

/// Beyond what the other scenarios get.
const WANTED: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 120);
/// No member of it has any right.
pub(super) const APART: &str = "apart";

impl Scene<'_> {
    /// Waits until a member's init container has ended like this, and said so, also to people.
    pub(super) async fn refused(&self, set: &Set, code: i64, words: &[&str]) -> Outcome {
        let (namespace, pod) = (set.namespace, format!("{}-0", set.name));
        let uid = until(&format!("{pod} ends with {code}"), || async {
            let place = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
            let object = self.admin.get(&place).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            let end = ends.into_iter().find(|end| !end.is_null()).unwrap_or(&Value::Null);
            let said = end["message"].as_str().unwrap_or_default();
            let good = end["exitCode"] == code && words.iter().all(|word| said.contains(word));
            ensure(good, || object["status"].to_string())?;
            Ok(text(&object["metadata"]["uid"]))
        })
        .await?;
        let reporter = Reporter { namespace, pod: &pod, uid: &uid, container: INIT };
        let code = format!(" ({code}): ");
        let all = |one: &Value| {
            let message = text(&one["message"]);
            message.contains(&code) && words.iter().all(|word| message.contains(word))
        };
        self.told_by(&reporter, Notice::AddressAttachFailed, all).await
    }

    async fn drop_claims(&self, members: &[&str]) -> Outcome {
        let words = [&["-n", NAMESPACE, "delete", "staticipclaims"], members].concat();
        self.admin.kubectl(&words).await.map(drop)
    }
}

pub(super) async fn two_sets_that_ask_for_one_address_one_is_told_whose_it_is(
    scene: &Scene<'_>,
) -> Outcome {
    let (first, second) = (Set::new("asks", 1), Set::new("wants", 1));
    for member in ["asks-0", "wants-0"] {
        let claim = json!({
            "apiVersion": "firecamp.io/v1alpha1",
            "kind": "StaticIPClaim",
            "metadata": { "name": member, "namespace": NAMESPACE },
            "spec": { "pool": "main", "requestedAddress": WANTED.to_string() },
        });
        scene.made(CLAIMS, &claim).await?;
    }
    scene.create(&first).await?;
    let pod = scene.ready("asks-0", None).await?;
    let held = scene.holds(&pod).await?;
    ensure(held.address == WANTED, || format!("it has {}", held.address))?;
    let before = scene.calls()?;
    scene.create(&second).await?;
    scene.refused(&second, 11, &["requests 10.0.1.120", "names the member"]).await?;
    let now = scene.holds(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    scene.changed(before, 0)?;
    scene.delete(&second).await?;
    scene.delete(&first).await?;
    scene.drop_claims(&["asks-0", "wants-0"]).await
}

pub(super) async fn a_member_in_the_wrong_zone_is_told_which_zone_it_is_in(
    scene: &Scene<'_>,
) -> Outcome {
    let pool = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPPool",
        "metadata": { "name": "afar" },
        "spec": { "subnets": [{
            "subnet": "subnet-0f0e0d0c0b0a09080",
            "cidr": "10.0.2.0/24",
            "zone": "us-east-1b",
            "ranges": [{ "start": "10.0.2.64", "end": "10.0.2.127" }],
        }] },
    });
    scene.made(POOLS, &pool).await?;
    let set = Set { pool: "afar", ..Set::new("elsewhere", 1) };
    let before = scene.calls()?;
    scene.create(&set).await?;
    scene.refused(&set, 17, &["zone us-east-1a", "pool afar"]).await?;
    scene.changed(before, 0)?;
    scene.delete(&set).await?;
    scene.admin.kubectl(&["delete", "staticippool", "afar"]).await.map(drop)
}

pub(super) async fn f103_a_member_in_a_namespace_without_rights_is_told_what_it_lacks(
    scene: &Scene<'_>,
) -> Outcome {
    let kubectl = |words: &'static [&'static str]| scene.admin.kubectl(words);
    kubectl(&["create", "namespace", APART]).await?;
    kubectl(&["label", "namespace", APART, "pod-security.kubernetes.io/enforce=privileged"])
        .await?;
    let set = Set { namespace: APART, ..Set::new("foreign", 1) };
    let before = scene.calls()?;
    scene.made(&format!("/apis/apps/v1/namespaces/{APART}/statefulsets"), &set.object()).await?;
    scene.refused(&set, 22, &["forbidden", "staticip"]).await?;
    scene.changed(before, 0)?;
    kubectl(&["delete", "namespace", APART]).await.map(drop)
}
