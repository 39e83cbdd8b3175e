//! The pinned commit has one extended resource. Its capacity is a text or a number there, and a map
//! with an entry for each resource now.

use firecamp_core::contract::api::EXTENDED_RESOURCE;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Recorded arguments in the present form.
pub(super) fn present(recorded: &str) -> String {
    let Ok(mut value) = serde_json::from_str(recorded) else { return recorded.to_owned() };
    each_object(&mut value, &|object| {
        if let Some(capacity) = capacity_of_node(object) {
            let one = capacity.take();
            *capacity = if one.is_null() { json!({}) } else { json!({ EXTENDED_RESOURCE: one }) };
        }
    });
    value.to_string()
}

/// An effect in the recorded form. Another resource than the default stays, and differs.
pub(super) fn recorded(present: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(present).expect("effects have texts for keys");
    each_object(&mut value, &|object| {
        if let Some(capacity) = capacity_of_node(object) {
            single(capacity);
        }
        if let Some(capacity) = object.get_mut("UpdateCapacity") {
            single(capacity);
        }
    });
    value
}

/// The capacity in what was read about a node.
fn capacity_of_node(object: &mut Map<String, Value>) -> Option<&mut Value> {
    object.contains_key("attachments").then_some(())?;
    object.get_mut("capacity")
}

fn single(capacity: &mut Value) {
    let Value::Object(all) = capacity else { return };
    match (all.len(), all.remove(EXTENDED_RESOURCE)) {
        (0, None) => *capacity = Value::Null,
        (1, Some(one)) => *capacity = one,
        (_, one) => all.extend(one.map(|one| (EXTENDED_RESOURCE.to_owned(), one))),
    }
}

fn each_object(value: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            object.values_mut().for_each(|one| each_object(one, change));
        }
        Value::Array(all) => all.iter_mut().for_each(|one| each_object(one, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
