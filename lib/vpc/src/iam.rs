//! Evaluates an IAM policy as AWS does: every request for which no statement matches is denied. It
//! supports the elements of FireCamp's policy and rejects every other one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use crate::ec2::matches_pattern;

/// One question of a service to IAM. A call that names several resources asks one for each of
/// them, and all have to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// For example `ec2:AssignPrivateIpAddresses`.
    pub action: String,
    /// The ARN of the resource, or `*` for an action without resources.
    pub resource: String,
    /// The condition keys that this action supports for this resource, with their values.
    pub context: BTreeMap<String, String>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy(Vec<Statement>);

/// Why a policy is rejected.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// It is not a policy, or has an element that is not supported.
    #[error("failed to parse the policy")]
    Parse(#[from] serde_json::Error),
    /// An element has a value that is not supported.
    #[error("the policy has an unsupported {element}: {value}")]
    Unsupported {
        /// The element.
        element: &'static str,
        /// Its value.
        value: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    statement: Vec<Statement>,
}

/// A statement that allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: String,
    effect: String,
    action: OneOrMore,
    resource: OneOrMore,
    #[serde(default)]
    condition: BTreeMap<Operator, BTreeMap<String, String>>,
}

/// Both compare a single value; without wildcards, `ArnEquals` is an equality as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Operator {
    StringEquals,
    ArnEquals,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

impl Policy {
    /// Parses a policy document.
    ///
    /// # Errors
    ///
    /// If it has an element that is not supported here.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let Document { version, statement: statements } = serde_json::from_str(text)?;
        let unsupported = |element, value: &str| {
            Err(PolicyError::Unsupported { element, value: value.to_owned() })
        };
        if version != "2012-10-17" {
            return unsupported("Version", &version);
        }
        for one in &statements {
            if one.effect != "Allow" {
                return unsupported("Effect", &one.effect);
            }
            let wild =
                |action: &&String| !action.starts_with("ec2:") || action.contains(['*', '?']);
            if let Some(action) = one.action.all().iter().find(wild) {
                return unsupported("Action", action);
            }
            // Policy variables, and wildcards in a condition.
            let special = |value: &&String| value.contains(['$', '*', '?']);
            if let Some(value) = one.condition.values().flat_map(BTreeMap::values).find(special) {
                return unsupported("Condition", value);
            }
            if let Some(resource) = one.resource.all().iter().find(|text| text.contains('$')) {
                return unsupported("Resource", resource);
            }
        }
        Ok(Self(statements))
    }

    /// The actions of all statements.
    pub fn actions(&self) -> BTreeSet<&str> {
        self.0.iter().flat_map(|one| one.action.all()).map(String::as_str).collect()
    }

    /// What this policy or the other one allows.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The policy without an action.
    #[must_use]
    pub fn without(&self, action: &str) -> Self {
        let mut less = self.clone();
        for statement in &mut less.0 {
            let rest = statement.action.all().iter().filter(|one| *one != action);
            statement.action = OneOrMore::More(rest.cloned().collect());
        }
        less
    }

    /// Whether a statement allows the request. A key that the request lacks matches no value.
    pub fn allows(&self, request: &AuthorizationRequest) -> bool {
        self.0.iter().any(|one| {
            let covers = |resource: &String| matches_pattern(resource, &request.resource);
            one.action.all().contains(&request.action)
                && one.resource.all().iter().any(covers)
                && one
                    .condition
                    .values()
                    .flatten()
                    .all(|(key, value)| request.context.get(key) == Some(value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATEMENT: &str = r#"{"Sid":"A","Effect":"Allow","Action":["ec2:X","ec2:Y"],
        "Resource":["arn:a/*","arn:b/1"],
        "Condition":{"StringEquals":{"k":"v"},"ArnEquals":{"l":"w"}}}"#;

    fn policy(statement: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#))
    }

    fn request(action: &str, resource: &str, context: &[(&str, &str)]) -> AuthorizationRequest {
        let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        AuthorizationRequest {
            action: action.to_owned(),
            resource: resource.to_owned(),
            context: context.iter().map(text).collect(),
        }
    }

    #[test]
    fn a_statement_matches_by_action_resource_and_all_conditions() {
        let policy = policy(STATEMENT).unwrap();
        let both = [("k", "v"), ("l", "w"), ("m", "x")];
        for (action, resource, context, allowed) in [
            ("ec2:X", "arn:a/7", &both[..], true),
            ("ec2:Y", "arn:b/1", &both[..], true),
            ("ec2:Z", "arn:a/7", &both[..], false),
            ("ec2:X", "arn:b/2", &both[..], false),
            ("ec2:X", "arn:a/7", &both[..1], false),
            ("ec2:X", "arn:a/7", &[("k", "other"), ("l", "w")][..], false),
        ] {
            let request = request(action, resource, context);
            assert_eq!(policy.allows(&request), allowed, "{request:?}");
        }
        let one = request("ec2:X", "arn:a/7", &both);
        assert!(!policy.without("ec2:X").allows(&one) && policy.without("ec2:Y").allows(&one));
        let none = policy.without("ec2:X").without("ec2:Y");
        assert!(!none.allows(&one) && none.and(policy).allows(&one));
    }

    #[test]
    fn what_is_not_supported_is_rejected() {
        for (from, to) in [
            ("Allow", "Deny"),
            ("ec2:X", "ec2:*"),
            ("ec2:X", "s3:X"),
            ("\"v\"", "[\"v\"]"),
            ("\"v\"", "\"v*\""),
            ("\"v\"", "\"${aws:username}\""),
            ("StringEquals", "StringLike"),
            ("StringEquals", "StringEqualsIfExists"),
            ("arn:b/1", "arn:${aws:username}"),
            ("\"Action\"", "\"NotAction\""),
            ("\"Resource\"", "\"NotResource\""),
        ] {
            assert!(policy(&STATEMENT.replace(from, to)).is_err(), "{from} {to}");
        }
        let old = r#"{"Version":"2008-10-17","Statement":[]}"#;
        assert!(Policy::parse(old).is_err());
    }
}
