//! The JSON patches (RFC 6902) that FireCamp sends (`test`, `replace`, `remove`, and `add` of
//! members), and merge patches (RFC 7386).

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// The patched object, or why the patch does not apply.
pub(crate) fn apply(object: &Value, patch: &[u8]) -> Result<Value, String> {
    let operations: Vec<Operation> =
        serde_json::from_slice(patch).map_err(|wrong| wrong.to_string())?;
    let mut object = object.clone();
    for Operation { op, path, value } in operations {
        let missing = || format!("{op} operation does not apply: {path} is missing");
        match op.as_str() {
            "add" => add(&mut object, &path, value)?,
            "remove" => remove(&mut object, &path)?,
            "replace" => *object.pointer_mut(&path).ok_or_else(missing)? = value,
            "test" if *object.pointer(&path).ok_or_else(missing)? == value => {}
            "test" => return Err(format!("testing value {path} failed")),
            other => return Err(format!("this server does not support {other}")),
        }
    }
    Ok(object)
}

/// Sets a member of an existing object.
fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let missing = || format!("add operation does not apply: doc is missing path: {path}");
    let (parent, name) = path.rsplit_once('/').ok_or_else(missing)?;
    let Some(Value::Object(parent)) = object.pointer_mut(parent) else { return Err(missing()) };
    parent.insert(name.replace("~1", "/").replace("~0", "~"), value);
    Ok(())
}

/// Removes a member of an object, or an element of an array.
fn remove(object: &mut Value, path: &str) -> Result<(), String> {
    let missing = || format!("remove operation does not apply: doc is missing path: {path}");
    let (parent, name) = path.rsplit_once('/').ok_or_else(missing)?;
    match object.pointer_mut(parent) {
        Some(Value::Object(parent)) => parent.remove(name).map(drop).ok_or_else(missing),
        Some(Value::Array(parent)) => {
            let index = name.parse().ok().filter(|index: &usize| *index < parent.len());
            parent.remove(index.ok_or_else(missing)?);
            Ok(())
        }
        _ => Err(missing()),
    }
}

/// Applies the merge patch to the object.
pub(crate) fn merge(object: &mut Value, patch: Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    object.remove(&name);
                } else {
                    merge(object.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        // The nulls in a new member are dropped.
        (object, Value::Object(patch)) => {
            *object = Value::Object(serde_json::Map::new());
            merge(object, Value::Object(patch));
        }
        (object, patch) => *object = patch,
    }
}
