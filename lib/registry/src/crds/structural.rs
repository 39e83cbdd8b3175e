//! Converts the JSON schema of a type to the structural schema that Kubernetes requires:
//! references inlined, one type for each value, no null, no alternatives.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The structural schema of a type.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = Value::from(schema);
    clean(&mut value);
    value
}

fn clean(value: &mut Value) {
    let Value::Object(schema) = value else { return };
    one_alternative(schema);
    variants(schema);
    // The table of bounds sets the defaults; Kubernetes prunes or rejects unknown fields.
    for key in ["$schema", "title", "default", "additionalProperties"] {
        schema.remove(key);
    }
    not_null(schema);
    if let Some(Value::String(format)) = schema.get_mut("format")
        && format.starts_with("uint")
    {
        "int64".clone_into(format);
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(clean);
    }
    if let Some(items) = schema.get_mut("items") {
        clean(items);
    }
}

/// Replaces an optional type (the type, or null) by the type. An absent field means null.
fn one_alternative(schema: &mut Map<String, Value>) {
    let Some(Value::Array(cases)) = schema.remove("anyOf") else { return };
    let null = json!({ "type": "null" });
    for case in cases.into_iter().filter(|case| *case != null) {
        if let Value::Object(case) = case {
            for (key, inner) in case {
                // The description of the field takes precedence over its type's.
                schema.entry(key).or_insert(inner);
            }
        }
    }
}

fn not_null(schema: &mut Map<String, Value>) {
    let one = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().find(|one| *one != "null").cloned(),
        Some(_) | None => None,
    };
    if let Some(one) = one {
        schema.insert("type".to_owned(), one);
    }
}

/// Merges the variants of an enum into one list of values and one description.
fn variants(schema: &mut Map<String, Value>) {
    let Some(Value::Array(cases)) = schema.remove("oneOf") else { return };
    let mut words = Vec::new();
    let mut texts: Vec<String> =
        schema.get("description").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
    for case in &cases {
        let Some(word) = case.get("const").and_then(Value::as_str) else { continue };
        words.push(word.to_owned());
        if let Some(text) = case.get("description").and_then(Value::as_str) {
            texts.push(format!("{word}: {text}"));
        }
    }
    schema.insert("type".to_owned(), json!("string"));
    schema.insert("enum".to_owned(), json!(words));
    schema.insert("description".to_owned(), json!(texts.join(" ")));
}

/// The schema of the field at a path like `spec.subnets[].cidr`; the empty path is the root.
pub(crate) fn at<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut schema = root;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.trim_end_matches("[]");
        schema = schema.get_mut("properties")?.get_mut(name)?;
        if part.ends_with("[]") {
            schema = schema.get_mut("items")?;
        }
    }
    schema.as_object_mut()
}
