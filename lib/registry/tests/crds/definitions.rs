//! `deploy/crds` matches the types, and every field has a description, a type and bounds.
//! `BLESS=1` rewrites the files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use firecamp_registry::crds::Definition;
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds")
}

fn all() -> Vec<Definition> {
    firecamp_registry::crds::all().expect("the tables fit the types")
}

fn schema(definition: &Definition) -> &Value {
    &definition.object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Calls `visit` with every schema and its path.
fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        walk(inner, &format!("{path}.{name}"), visit);
    }
    if schema.get("items").is_some() {
        walk(&schema["items"], &format!("{path}[]"), visit);
    }
}

fn every_field(mut visit: impl FnMut(&str, &Value)) {
    for definition in all() {
        walk(schema(&definition), definition.plural, &mut visit);
    }
}

#[test]
fn the_files_match_the_types() {
    let mut wanted = BTreeSet::new();
    for definition in all() {
        let file = directory().join(format!("{}.yaml", definition.plural));
        let text = definition.yaml().expect("a text");
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all(directory()).expect("a directory");
            fs::write(&file, &text).expect("a file");
        }
        let stored = fs::read_to_string(&file).unwrap_or_default();
        let differs = stored.lines().zip(text.lines()).find(|(stored, wanted)| stored != wanted);
        assert!(stored == text, "{} is outdated, run with BLESS=1: {differs:?}", file.display());
        wanted.insert(file);
    }
    let there = fs::read_dir(directory()).expect("the directory");
    let there: BTreeSet<PathBuf> = there.map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(there, wanted, "files that no kind has, or kinds without a file");
}

#[test]
fn the_yaml_parses_as_the_same_object() {
    for definition in all() {
        let text = definition.yaml().expect("a text");
        let back: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(back, definition.object, "{}", definition.plural);
    }
}

#[test]
fn every_field_has_a_description() {
    let known = [".metadata", ".items"];
    every_field(|path, field| {
        let item = path.ends_with("[]") && field["type"] != "object";
        let reported = item || known.iter().any(|end| path.ends_with(end));
        let text = field["description"].as_str().unwrap_or_default();
        assert!(reported || text.len() > 10, "{path} has no description");
        assert!(!text.contains("[`"), "{path}: a rustdoc link in the description: {text}");
    });
}

#[test]
fn every_schema_is_structural() {
    let refused = ["$ref", "oneOf", "anyOf", "allOf", "not", "const", "additionalProperties"];
    let types = ["object", "array", "string", "integer", "boolean"];
    every_field(|path, field| {
        let kind = field["type"].as_str().unwrap_or("no single type");
        assert!(types.contains(&kind), "{path}: {}", field["type"]);
        assert_eq!(kind == "array", field.get("items").is_some(), "{path}");
        for key in refused {
            assert!(field.get(key).is_none(), "{path} has {key}");
        }
    });
}

/// Without a bound the API server estimates too high a cost for a rule and rejects the definition.
#[test]
fn every_string_and_list_of_a_spec_has_a_bound() {
    every_field(|path, field| {
        if !path.contains(".spec") {
            return;
        }
        match field["type"].as_str().expect("a type") {
            "string" => assert!(
                field.get("maxLength").is_some() || field.get("enum").is_some(),
                "{path}: any text"
            ),
            "array" => assert!(field.get("maxItems").is_some(), "{path}: any number"),
            "integer" => assert!(field.get("minimum").is_some(), "{path}: any integer"),
            _other => {}
        }
    });
}

/// A column or a selectable field with a misspelt path is always empty.
#[test]
fn columns_and_selectable_fields_name_existing_fields() {
    for definition in all() {
        let mut fields = BTreeSet::new();
        walk(schema(&definition), "", &mut |path, _| {
            fields.insert(path.to_owned());
        });
        let version = &definition.object["spec"]["versions"][0];
        let listed = |key: &str| version[key].as_array().cloned().unwrap_or_default();
        let columns = listed("additionalPrinterColumns");
        assert!(columns.len() > 3, "{}", definition.plural);
        for place in columns.iter().chain(&listed("selectableFields")) {
            let path = place["jsonPath"].as_str().expect("a path");
            let path = path.split("[?").next().expect("a start");
            let known = fields.contains(path) || path.starts_with(".metadata");
            assert!(known, "{}: {path} does not exist", definition.plural);
        }
    }
}
