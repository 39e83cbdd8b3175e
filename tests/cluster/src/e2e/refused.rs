//! Members whose attach is refused: the error reports the reason.

use std::net::Ipv4Addr;

use firecamp_core::contract::event::Notice;
use serde_json::{Value, json};

use super::events::{EventSource, INIT};
use super::set::{NAMESPACE, Set};
use super::test_cluster::{CLAIMS, POOLS, TestCluster, ensure, text};
use crate::Outcome;
use crate::install::until;

/// Above the addresses that other scenarios allocate.
const WANTED: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 120);
/// A namespace without permissions for members.
pub(super) const APART: &str = "apart";

impl TestCluster<'_> {
    /// Waits until a member's init container exits with this code, and with these words in its
    /// termination message and its Event.
    pub(super) async fn refused(&self, set: &Set, code: i64, words: &[&str]) -> Outcome {
        let (namespace, pod) = (set.namespace, format!("{}-0", set.name));
        let uid = until(&format!("init of {pod} exits with {code}"), || async {
            let place = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
            let object = self.admin.get(&place).await?;
            let init = &object["status"]["initContainerStatuses"][0];
            let ends = [&init["state"]["terminated"], &init["lastState"]["terminated"]];
            let end = ends.into_iter().find(|end| !end.is_null()).unwrap_or(&Value::Null);
            let message = end["message"].as_str().unwrap_or_default();
            let good = end["exitCode"] == code && words.iter().all(|word| message.contains(word));
            ensure(good, || object["status"].to_string())?;
            Ok(text(&object["metadata"]["uid"]))
        })
        .await?;
        let source = EventSource { namespace, pod: &pod, uid: &uid, container: INIT };
        let code = format!(" ({code}): ");
        let all = |one: &Value| {
            let message = text(&one["message"]);
            message.contains(&code) && words.iter().all(|word| message.contains(word))
        };
        self.wait_for_event_by(&source, Notice::AddressAttachFailed, all).await
    }

    async fn drop_claims(&self, members: &[&str]) -> Outcome {
        let words = [&["-n", NAMESPACE, "delete", "staticipclaims"], members].concat();
        self.admin.kubectl(&words).await.map(drop)
    }
}

pub(super) async fn a_member_requesting_an_address_in_use_reports_its_holder(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let (first, second) = (Set::new("asks", 1), Set::new("wants", 1));
    for member in ["asks-0", "wants-0"] {
        let claim = json!({
            "apiVersion": "firecamp.io/v1alpha1",
            "kind": "StaticIPClaim",
            "metadata": { "name": member, "namespace": NAMESPACE },
            "spec": { "pool": "main", "requestedAddress": WANTED.to_string() },
        });
        cluster.create_object(CLAIMS, &claim).await?;
    }
    cluster.create(&first).await?;
    let pod = cluster.wait_ready("asks-0", None).await?;
    let held = cluster.wait_held(&pod).await?;
    ensure(held.address == WANTED, || format!("asks-0 has {}", held.address))?;
    let before = cluster.last_call()?;
    cluster.create(&second).await?;
    cluster.refused(&second, 11, &["requests 10.0.1.120", "names the member"]).await?;
    let now = cluster.wait_held(&pod).await?;
    ensure(now == held, || format!("{now:?} after {held:?}"))?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&second).await?;
    cluster.delete(&first).await?;
    cluster.drop_claims(&["asks-0", "wants-0"]).await
}

pub(super) async fn a_member_in_the_wrong_zone_reports_its_zone_and_pool(
    cluster: &TestCluster<'_>,
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
    cluster.create_object(POOLS, &pool).await?;
    let set = Set { pool: "afar", ..Set::new("elsewhere", 1) };
    let before = cluster.last_call()?;
    cluster.create(&set).await?;
    cluster.refused(&set, 17, &["zone us-east-1a", "pool afar"]).await?;
    cluster.verify_mutations(before, 0)?;
    cluster.delete(&set).await?;
    cluster.admin.kubectl(&["delete", "staticippool", "afar"]).await.map(drop)
}

pub(super) async fn f103_a_member_without_permissions_reports_what_is_forbidden(
    cluster: &TestCluster<'_>,
) -> Outcome {
    let kubectl = |words: &'static [&'static str]| cluster.admin.kubectl(words);
    kubectl(&["create", "namespace", APART]).await?;
    kubectl(&["label", "namespace", APART, "pod-security.kubernetes.io/enforce=privileged"])
        .await?;
    let set = Set { namespace: APART, ..Set::new("foreign", 1) };
    let before = cluster.last_call()?;
    cluster
        .create_object(&format!("/apis/apps/v1/namespaces/{APART}/statefulsets"), &set.object())
        .await?;
    cluster.refused(&set, 22, &["forbidden", "staticip"]).await?;
    cluster.verify_mutations(before, 0)?;
    kubectl(&["delete", "namespace", APART]).await.map(drop)
}
