//! [`PodAuthority`] for the Kubernetes API: TokenReview, and reads of pod, pool and namespace.

use std::collections::BTreeMap;

use firecamp_core::contract::endpoint::AUDIENCE;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PodUid, PoolName};
use firecamp_core::ports::{AskingPod, PodAuthority, Registry as _, Review, ReviewedPod};
use firecamp_registry::api::{AllowedNamespaces, StaticIPPoolSpec};
use http::{Method, StatusCode};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Namespace;

use crate::http_request::{self, Answer, Call};
use crate::object_paths::{self, Place};
use crate::registry::KubeRegistry;
use crate::{classify, pod};

/// Path of reviews (`authentication.k8s.io/v1`).
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
/// What a token of a pod says about it; the node from Kubernetes 1.30 on (KEP-4193).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// The user of a ServiceAccount: this, its namespace, `:` and its name.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

impl PodAuthority for KubeRegistry {
    async fn review(&self, token: &str) -> Result<Review, RegistryFailure> {
        let mut call = Call::write(Method::POST, "review a token".to_owned(), PATH.to_owned());
        let spec = TokenReviewSpec {
            audiences: Some(vec![AUDIENCE.to_owned()]),
            token: Some(token.to_owned()),
        };
        let review = TokenReview { spec, ..TokenReview::default() };
        let invalid = |wrong: serde_json::Error| RegistryFailure {
            kind: RegistryKind::Invalid,
            effect: Effect::None,
            detail: format!("review a token: {wrong}"),
        };
        call.body = Some(("application/json", serde_json::to_vec(&review).map_err(invalid)?));
        let (client, timeouts) = self.connection();
        let answer = http_request::send(&client, &call, timeouts.call).await?;
        if !answer.status.is_success() {
            return Err(classify::refused(&call, &answer));
        }
        let review: TokenReview = serde_json::from_slice(&answer.body).map_err(invalid)?;
        Ok(reviewed(review).map_or_else(Review::Refused, Review::Pod))
    }

    async fn asking_pod(&self, member: &Member) -> Result<Option<AskingPod>, RegistryFailure> {
        let place = Place::pod(member);
        let (call, answer): (Call, Answer) = self.get(&place).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let names = (member.namespace(), member.name());
        let pod = pod::asking(&answer.body, names)
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(Some(pod))
    }

    async fn approved_pool(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<Result<PoolName, String>, RegistryFailure> {
        let (pool, from) = match self.claim(member).await? {
            Some(claim) => (claim.object.pool, ", which its claim names,"),
            None => (self.pool_of_new_member(member, pool).await?.name, ""),
        };
        let allowed = self.allowed_namespaces(&pool).await?;
        let labels = match &allowed {
            Some(_) => self.namespace_labels(member.namespace()).await?,
            None => BTreeMap::new(),
        };
        if allowed.is_some_and(|allowed| allowed.allows(&labels)) {
            return Ok(Ok(pool));
        }
        let namespace = member.namespace();
        Ok(Err(format!(
            "pool {pool}{from} does not allow namespace {namespace} in allowedNamespaces"
        )))
    }
}

impl KubeRegistry {
    /// The pool of the member's address, if it has one: its claim names one, whose StaticIP names
    /// the member. A user who may create claims can name any pool and address in one, but cannot
    /// make the address's StaticIP name the member.
    pub async fn pool_of_holder(
        &self,
        member: &Member,
    ) -> Result<Option<PoolName>, RegistryFailure> {
        let Some(claim) = self.claim(member).await? else { return Ok(None) };
        let Some(address) = claim.object.address else { return Ok(None) };
        let record = self.static_ip(address).await?.map(|stored| stored.object);
        let held = record.filter(|record| record.member == *member);
        Ok(held.map(|record| record.pool))
    }

    async fn allowed_namespaces(
        &self,
        pool: &PoolName,
    ) -> Result<Option<AllowedNamespaces>, RegistryFailure> {
        let place = Place::pool(pool);
        let (call, answer) = self.get(&place).await?;
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let (object, _version) = object_paths::read::<StaticIPPoolSpec>(&call, &place, &answer)?;
        Ok(object.spec.allowed_namespaces)
    }

    async fn namespace_labels(
        &self,
        name: &str,
    ) -> Result<BTreeMap<String, String>, RegistryFailure> {
        let call =
            Call::get(format!("read Namespace {name}"), format!("/api/v1/namespaces/{name}"));
        let (client, timeouts) = self.connection();
        let answer = http_request::send(&client, &call, timeouts.call).await?;
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let namespace: Namespace = serde_json::from_slice(&answer.body)
            .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))?;
        Ok(namespace.metadata.labels.unwrap_or_default())
    }
}

/// The pod of a review; otherwise why the token is refused. An API server that does not know
/// audiences authenticates any token and returns none, so the audience is required.
fn reviewed(review: TokenReview) -> Result<ReviewedPod, String> {
    let status = review.status.unwrap_or_default();
    if status.authenticated != Some(true) {
        let why = status.error.unwrap_or_else(|| "it is not valid".to_owned());
        return Err(format!("the API server does not accept the token: {why}"));
    }
    if !status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE) {
        return Err(format!("the token does not have the audience {AUDIENCE}"));
    }
    pod_of(status.user.unwrap_or_default())
}

fn pod_of(user: UserInfo) -> Result<ReviewedPod, String> {
    let name = user.username.unwrap_or_default();
    let account = name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'));
    let Some((namespace, _account)) = account else {
        return Err(format!("the token belongs to {name:?}, which is not a ServiceAccount"));
    };
    let extra = user.extra.unwrap_or_default();
    let only = |key: &str| match extra.get(key).map(Vec::as_slice) {
        Some([value]) => Some(value.as_str()),
        Some(_) | None => None,
    };
    let (Some(pod), Some(uid)) = (only(POD_NAME), only(POD_UID)) else {
        return Err("the token is not bound to a pod".to_owned());
    };
    let member = Member::new(namespace, pod).map_err(|wrong| wrong.to_string())?;
    let pod = PodUid::new(uid).map_err(|wrong| wrong.to_string())?;
    let node = only(NODE_NAME).map(NodeName::new).transpose();
    Ok(ReviewedPod { member, pod, node: node.map_err(|wrong| wrong.to_string())? })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const UID: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";

    fn status() -> Value {
        json!({
            "authenticated": true,
            "audiences": ["firecamp.io"],
            "user": {
                "username": "system:serviceaccount:prod:redis",
                "extra": { POD_NAME: ["redis-0"], POD_UID: [UID], NODE_NAME: ["n1"] },
            },
        })
    }

    fn read(status: &Value) -> Result<ReviewedPod, String> {
        let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {}, "status": status });
        reviewed(serde_json::from_value(review).unwrap())
    }

    #[test]
    fn a_review_names_the_pod_and_its_node() {
        let ReviewedPod { member, pod, node } = read(&status()).unwrap();
        assert_eq!((member.namespace(), member.name()), ("prod", "redis-0"));
        assert_eq!((pod.as_str(), node.unwrap().as_str()), (UID, "n1"));
    }

    #[test]
    fn tokens_before_kubernetes_1_30_name_no_node() {
        let mut status = status();
        status["user"]["extra"].as_object_mut().unwrap().remove(NODE_NAME);
        assert_eq!(read(&status).unwrap().node, None);
    }

    #[test]
    fn f122_every_token_but_a_valid_one_of_a_pod_for_this_audience_is_refused() {
        let user = "/user/username";
        for (path, value, why) in [
            ("/authenticated", json!(false), "does not accept"),
            ("/audiences", json!(["https://kubernetes.default.svc"]), "audience firecamp.io"),
            ("/audiences", json!(null), "audience firecamp.io"),
            (user, json!("system:node:n1"), "not a ServiceAccount"),
            (user, json!("system:serviceaccount:prod"), "not a ServiceAccount"),
            ("/user/extra", json!({}), "not bound to a pod"),
            ("/user/extra/authentication.kubernetes.io~1pod-uid", json!([]), "not bound"),
            ("/user/extra/authentication.kubernetes.io~1pod-uid", json!(["a", "b"]), "not bound"),
            ("/user/extra/authentication.kubernetes.io~1pod-name", json!(["../x"]), "name"),
        ] {
            let mut status = status();
            *status.pointer_mut(path).unwrap() = value;
            let refused = read(&status).unwrap_err();
            assert!(refused.contains(why), "{path}: {refused}");
        }
        assert!(read(&json!({})).unwrap_err().contains("does not accept"));
    }
}
