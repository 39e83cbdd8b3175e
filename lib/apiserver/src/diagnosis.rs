//! The endpoints for diagnosis: version, resources and SelfSubjectAccessReviews.

use serde_json::{Value, json};

use crate::answer::{About, Answer};
use crate::objects::ServerState;
use crate::route::{self, Known, Route};

pub(crate) const VERSION: &str = "version";
pub(crate) const SERVED: &str = "resources";
pub(crate) const REVIEWS: &str = "selfsubjectaccessreviews";
pub(crate) const REVIEWS_PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// None for stored objects.
pub(crate) fn answer(state: &ServerState, route: &Route, body: &[u8]) -> Option<Answer> {
    match route.plural {
        VERSION => Some(Answer::object(200, &json!({ "gitVersion": "v1.34.4" }))),
        SERVED => Some(served()),
        REVIEWS => Some(review(state, body)),
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
