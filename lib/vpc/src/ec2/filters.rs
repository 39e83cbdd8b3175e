//! Filters: AND between names, OR between values, wildcards, case-sensitive.

use std::collections::BTreeMap;

use super::errors::ApiError;
use super::matches_pattern;

/// One filter of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
}

/// Refuses filters that the action does not support.
pub(crate) fn known(filters: &[Filter], names: &[&str]) -> Result<(), ApiError> {
    let unknown = |filter: &&Filter| {
        let tag = filter.name.strip_prefix("tag:").is_some_and(|key| !key.is_empty());
        !tag && !names.contains(&filter.name.as_str())
    };
    match filters.iter().find(unknown) {
        Some(filter) => Err(ApiError::invalid_filter(&filter.name)),
        None => Ok(()),
    }
}

/// Whether an item matches every filter. `values` returns the item's values for a filter name.
pub(crate) fn pass(
    filters: &[Filter],
    tags: &BTreeMap<String, String>,
    values: impl Fn(&str) -> Vec<String>,
) -> bool {
    filters.iter().all(|filter| {
        let own = match filter.name.strip_prefix("tag:") {
            Some(key) => tags.get(key).cloned().into_iter().collect(),
            None if filter.name == "tag-key" => tags.keys().cloned().collect(),
            None => values(&filter.name),
        };
        filter.values.iter().any(|want| own.iter().any(|have| matches_pattern(want, have)))
    })
}

/// A Boolean value as filters compare it.
pub(crate) fn boolean(value: bool) -> Vec<String> {
    vec![if value { "true" } else { "false" }.to_owned()]
}
