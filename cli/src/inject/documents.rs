//! The documents of a text of manifests.

use firecamp_core::contract::{api, endpoint};
use serde_json::Value;

use crate::common::json::{at, text};
use crate::inject::pod::{self, DEFAULT_RESOURCE, Pools, Settings};

/// Injects into every document. Those without a member stay as they are.
///
/// # Errors
///
/// The number of the first document that is no YAML or cannot be a member, and why.
pub fn inject(text: &str, settings: &Settings) -> Result<String, String> {
    let mut result = String::new();
    for (number, document) in split(text).into_iter().enumerate() {
        let wrong = |why: String| format!("document {}: {why}", number + 1);
        let Some(mut object) = with_label(document).map_err(wrong)? else {
            result.push_str(document);
            continue;
        };
        if pod::inject_object(&mut object, settings).map_err(wrong)? {
            result.push_str(if document.starts_with("---") { "---\n" } else { "" });
            result.push_str(&yaml(&object).map_err(wrong)?);
        } else {
            result.push_str(document);
        }
    }
    Ok(result)
}

/// The object of a document that mentions a member.
fn with_label(document: &str) -> Result<Option<Value>, String> {
    if !document.contains(endpoint::POOL_LABEL) {
        return Ok(None);
    }
    let object = parse(document)?;
    Ok((!object.is_null()).then_some(object))
}

/// Injects into the items of a KRM function's ResourceList.
///
/// # Errors
///
/// The first item that cannot be a member, and why.
pub fn inject_list(mut list: Value, settings: &Settings) -> Result<String, String> {
    pod::inject_object(&mut list, settings)?;
    yaml(&list)
}

/// The ResourceList of a KRM function, if the text is one.
pub fn resource_list(manifests: &str) -> Option<Value> {
    let object = manifests.contains("ResourceList").then(|| parse(manifests).ok())??;
    (text(&object, "/kind") == "ResourceList").then_some(object)
}

/// The extended resource of each StaticIPPool.
///
/// # Errors
///
/// If a document is no YAML, or none is a pool.
pub fn pools(manifests: &str) -> Result<Pools, String> {
    let mut pools = Pools::new();
    for document in split(manifests) {
        let object = parse(document)?;
        let items = at(&object, "/items").as_array().into_iter().flatten();
        for pool in items.chain([&object]).filter(|one| text(one, "/kind") == api::POOL) {
            let resource = at(pool, "/spec/resource").as_str().unwrap_or(DEFAULT_RESOURCE);
            pools.insert(text(pool, "/metadata/name").to_owned(), resource.to_owned());
        }
    }
    if pools.is_empty() { Err(format!("there is no {}", api::POOL)) } else { Ok(pools) }
}

/// Numbers are those of kubectl, which reads YAML 1.1: a mode of 0400 is octal.
fn parse(document: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(document, options).map_err(|wrong| wrong.to_string())
}

fn yaml(object: &Value) -> Result<String, String> {
    serde_saphyr::to_string(object).map_err(|wrong| wrong.to_string())
}

/// Whether a line separates documents (YAML 1.2, section 9.1.4).
fn separates(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.trim_start() != rest || rest.is_empty())
}

/// The documents with their separators: together they are the text.
fn split(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let (mut begin, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if separates(line) && at > begin {
            documents.extend(text.get(begin..at));
            begin = at;
        }
        at += line.len();
    }
    documents.extend(text.get(begin..).filter(|rest| !rest.is_empty()));
    documents
}
