//! The manifests are what the code needs and what the documents describe.

#![expect(clippy::unwrap_used, reason = "a test that cannot read the tree has failed")]
#![expect(clippy::indexing_slicing, reason = "what a value lacks reads as null")]

mod aws;
mod chart;
mod cloudformation;
mod daemonset;
mod iam;
mod install;
mod logs;
mod observability;
mod policies;

use serde_json::Value;

/// The texts of a list.
fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The object of this kind in a file.
fn object(file: &str, kind: &str) -> Value {
    let objects = firecamp_checks::deploy::objects(file).unwrap();
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}
