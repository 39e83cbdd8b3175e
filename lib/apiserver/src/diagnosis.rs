//! The endpoints without stored objects: version, resources, SelfSubjectAccessReviews and
//! TokenReviews.

use serde_json::{Value, json};

use crate::answer::{About, Answer};
use crate::objects::ServerState;
use crate::route::{self, Known, Route};

pub(crate) const VERSION: &str = "version";
pub(crate) const SERVED: &str = "resources";
pub(crate) const REVIEWS: &str = "selfsubjectaccessreviews";
pub(crate) const REVIEWS_PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

pub(crate) const TOKEN_REVIEWS: &str = "tokenreviews";
pub(crate) const TOKEN_REVIEWS_PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// None for stored objects.
pub(crate) fn answer(state: &ServerState, route: &Route, body: &[u8]) -> Option<Answer> {
    match route.plural {
        VERSION => Some(Answer::object(200, &json!({ "gitVersion": "v1.34.4" }))),
        SERVED => Some(served()),
        REVIEWS => Some(review(state, body)),
        TOKEN_REVIEWS => Some(review_token(state, body)),
        _ => None,
    }
}

fn served() -> Answer {
    let one = |name: String, kind: &str, namespaced: bool| {
        json!({ "name": name, "singularName": "", "kind": kind, "namespaced": namespaced,
            "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"] })
    };
    let both = |(plural, kind, namespaced): Known| {
        let status = one(format!("{plural}/status"), kind, namespaced);
        [one(plural.to_owned(), kind, namespaced), status]
    };
    let resources: Vec<Value> = route::kinds().into_iter().flat_map(both).collect();
    let list = json!({ "kind": "APIResourceList", "apiVersion": "v1", "resources": resources });
    Answer::object(200, &list)
}

fn review(state: &ServerState, body: &[u8]) -> Answer {
    let about = About { plural: REVIEWS, name: "" };
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        return Answer::bad_request("the review is not JSON", about);
    };
    let attribute = |name: &str| {
        let path = format!("/spec/resourceAttributes/{name}");
        review.pointer(&path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let denied = state.denied.contains(&(attribute("verb"), attribute("resource")));
    if let Value::Object(map) = &mut review {
        map.insert("status".to_owned(), json!({ "allowed": !denied }));
    }
    Answer::object(201, &review)
}

/// Like an API server that knows audiences: it intersects those of the token with those of the
/// review.
fn review_token(state: &ServerState, body: &[u8]) -> Answer {
    let about = About { plural: TOKEN_REVIEWS, name: "" };
    let Ok(mut review) = serde_json::from_slice::<Value>(body) else {
        return Answer::bad_request("the review is not JSON", about);
    };
    let token = review.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
    let asked = review.pointer("/spec/audiences").cloned().unwrap_or_default();
    let found = state.tokens.get(token).filter(|status| {
        let has = |audience| status.pointer("/audiences/0") == Some(audience);
        asked.as_array().is_some_and(|all| all.iter().any(has))
    });
    let invalid = json!({ "user": {}, "error": "invalid bearer token" });
    let status = found.cloned().unwrap_or(invalid);
    if let Value::Object(map) = &mut review {
        map.insert("status".to_owned(), status);
    }
    Answer::object(201, &review)
}
