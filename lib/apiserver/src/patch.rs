//! JSON patches (RFC 6902), as far as they are sent: `test` and `replace`.

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation {
    op: String,
    path: String,
    value: Value,
}

/// The object as the patch makes it, or why the patch does not fit.
pub(crate) fn apply(object: &Value, patch: &[u8]) -> Result<Value, String> {
    let operations: Vec<Operation> =
        serde_json::from_slice(patch).map_err(|wrong| wrong.to_string())?;
    let mut object = object.clone();
    for Operation { op, path, value } in operations {
        let place = object
            .pointer_mut(&path)
            .ok_or_else(|| format!("{op} operation does not apply: {path} is missing"))?;
        match op.as_str() {
            "replace" => *place = value,
            "test" if *place == value => {}
            "test" => return Err(format!("testing value {path} failed")),
            other => return Err(format!("{other} is not known to this server")),
        }
    }
    Ok(object)
}
