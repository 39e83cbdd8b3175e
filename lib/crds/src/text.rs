//! Definitions as YAML, the same text from every build.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

const HEADER: &str = "# Generated from the types in lib/registry/src/api by lib/crds; to change it, \
                      change those and\n# run `scripts/generated.sh bless`.\n";

/// A value whose keys are sorted, whatever map `serde_json` was built with.
#[derive(Serialize)]
#[serde(untagged)]
enum Sorted<'a> {
    Map(BTreeMap<&'a str, Sorted<'a>>),
    List(Vec<Sorted<'a>>),
    Leaf(&'a Value),
}

fn sorted(value: &Value) -> Sorted<'_> {
    match value {
        Value::Object(map) => {
            Sorted::Map(map.iter().map(|(key, value)| (key.as_str(), sorted(value))).collect())
        }
        Value::Array(list) => Sorted::List(list.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Sorted::Leaf(value),
    }
}

pub(crate) fn render(value: &Value) -> Result<String, String> {
    let body = serde_saphyr::to_string(&sorted(value)).map_err(|wrong| wrong.to_string())?;
    Ok(format!("{HEADER}{body}"))
}
