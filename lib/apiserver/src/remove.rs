//! Deletions with preconditions: only the object that was read is deleted.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{About, Answer};
use crate::objects::{Key, ServerState};

/// `DeleteOptions`. Without preconditions a client may delete an object that it has never read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    kind: String,
    api_version: String,
    preconditions: Preconditions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Preconditions {
    uid: String,
    resource_version: String,
}

fn is_held(object: &Value) -> bool {
    let held = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    held.is_some_and(|finalizers| !finalizers.is_empty())
}

/// Whether an object was deleted and has no finalizers.
pub(crate) fn is_over(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some() && !is_held(object)
}

/// Deletes the object; one with finalizers stays and gets a `deletionTimestamp`.
pub(crate) fn one(
    state: &mut ServerState,
    body: &[u8],
    key: &Key,
    about: About<'_>,
) -> Result<Answer, Answer> {
    let options: Options = serde_json::from_slice(body)
        .map_err(|wrong| Answer::bad_request(&wrong.to_string(), about))?;
    if (options.kind.as_str(), options.api_version.as_str()) != ("DeleteOptions", "v1") {
        return Err(Answer::bad_request("the body is not a v1 DeleteOptions", about));
    }
    let mut object = state.get(key).cloned().ok_or_else(|| Answer::not_found(about))?;
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let wanted = options.preconditions;
    for (what, wanted, stored) in [
        ("UID", wanted.uid, text("/metadata/uid")),
        ("ResourceVersion", wanted.resource_version, text("/metadata/resourceVersion")),
    ] {
        if wanted != stored {
            let message = format!(
                "Operation cannot be fulfilled on {} {:?}: Precondition failed: {what} in \
                 precondition: {wanted}, {what} in object meta: {stored}",
                about.plural, about.name
            );
            return Err(Answer::status(409, "Conflict", &message, about));
        }
    }
    if is_held(&object) {
        if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
            metadata.insert("deletionTimestamp".to_owned(), json!("2026-11-20T15:00:00Z"));
        }
        return Ok(Answer::object(200, &state.insert(key.clone(), object)));
    }
    state.remove(key);
    let details = json!({ "name": about.name, "kind": about.plural });
    let done = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "details": details });
    Ok(Answer::object(200, &done))
}
