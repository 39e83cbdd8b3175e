//! Which namespaces may have addresses of a pool through the agents' endpoint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The namespaces whose pods may allocate an address through the agents' endpoint, as in the
/// `allowedRoutes` of the Gateway API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedNamespaces {
    /// Whether all namespaces are allowed, or those that the selector matches.
    pub from: NamespacesFrom,
    /// The labels of the allowed namespaces, if `from` is Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// Which namespaces are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NamespacesFrom {
    /// All of them.
    All,
    /// Those that the selector matches.
    Selector,
}

/// A label selector. All requirements must match; an empty selector matches every namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSelector {
    /// Labels that the namespace must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<NamespaceRequirement>,
}

/// A requirement of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceRequirement {
    /// The name of the label.
    pub key: String,
    /// What is required of it.
    pub operator: SelectorOperator,
    /// The values of In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What a requirement asks of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SelectorOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or is absent.
    NotIn,
    /// It is present.
    Exists,
    /// It is absent.
    DoesNotExist,
}

impl AllowedNamespaces {
    /// Whether a namespace with these labels is allowed.
    pub fn allows(&self, labels: &BTreeMap<String, String>) -> bool {
        match (self.from, &self.selector) {
            (NamespacesFrom::All, _) => true,
            (NamespacesFrom::Selector, Some(selector)) => selector.matches(labels),
            (NamespacesFrom::Selector, None) => false,
        }
    }
}

impl NamespaceSelector {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal && self.match_expressions.iter().all(|one| one.matches(labels))
    }
}

impl NamespaceRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, labels: &[(&str, &str)]) -> bool {
        let allowed: AllowedNamespaces = serde_json::from_str(text).unwrap();
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        allowed.allows(&labels.collect())
    }

    #[test]
    fn all_namespaces_or_those_with_the_labels() {
        assert!(allows(r#"{"from":"All"}"#, &[]));
        let team = r#"{"from":"Selector","selector":{"matchLabels":{"team":"data"}}}"#;
        assert!(allows(team, &[("team", "data"), ("other", "x")]));
        assert!(!allows(team, &[("team", "web")]) && !allows(team, &[]));
        assert!(allows(r#"{"from":"Selector","selector":{}}"#, &[]), "like every LabelSelector");
        assert!(!allows(r#"{"from":"Selector"}"#, &[("team", "data")]));
    }

    #[test]
    fn each_operator_is_that_of_kubernetes() {
        let labels = [("env", "prod")];
        for (operator, values, key, wanted) in [
            ("In", r#"["prod","test"]"#, "env", true),
            ("In", r#"["test"]"#, "env", false),
            ("In", r#"["prod"]"#, "absent", false),
            ("NotIn", r#"["prod"]"#, "env", false),
            ("NotIn", r#"["test"]"#, "env", true),
            ("NotIn", r#"["prod"]"#, "absent", true),
            ("Exists", "[]", "env", true),
            ("Exists", "[]", "absent", false),
            ("DoesNotExist", "[]", "env", false),
            ("DoesNotExist", "[]", "absent", true),
        ] {
            let one = format!(r#"{{"key":"{key}","operator":"{operator}","values":{values}}}"#);
            let text =
                format!(r#"{{"from":"Selector","selector":{{"matchExpressions":[{one}]}}}}"#);
            assert_eq!(allows(&text, &labels), wanted, "{text}");
        }
    }
}
