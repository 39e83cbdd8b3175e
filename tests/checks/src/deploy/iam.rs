//! Evaluates `deploy/iam-policy.json` like AWS: what no statement allows is denied. Supports only
//! the elements that this policy uses; any other element is an error.

use std::collections::BTreeMap;

use firecamp_core::contract::tag;
use serde_json::Value;

/// What is filled in for the words of the file.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
    /// The VPC.
    pub vpc: &'a str,
    /// The cluster's name.
    pub cluster: &'a str,
}

impl Place<'_> {
    /// The ARN of something in EC2.
    pub fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:ec2:{}:{}:{kind}/{id}", self.region, self.account)
    }

    /// What AWS is asked by a call that names an interface of this VPC, with the cluster's tag or
    /// without it, or none.
    pub fn asks(&self, action: &str, eni: Option<(&str, bool)>) -> Ask {
        let mut context =
            BTreeMap::from([("aws:RequestedRegion".to_owned(), self.region.to_owned())]);
        let mut resource = "*".to_owned();
        if let Some((eni, tagged)) = eni {
            resource = self.arn("network-interface", eni);
            context.insert("ec2:Vpc".to_owned(), self.arn("vpc", self.vpc));
            if tagged {
                let key = format!("aws:ResourceTag/{}", tag::CLUSTER);
                context.insert(key, self.cluster.to_owned());
            }
        }
        Ask { action: format!("ec2:{action}"), resource, context }
    }

    fn filled(&self, text: &str) -> String {
        let words = [
            ("REGION", self.region),
            ("ACCOUNT", self.account),
            ("VPC", self.vpc),
            ("CLUSTER", self.cluster),
        ];
        words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }
}

/// What somebody asks to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// `ec2:AssignPrivateIpAddresses`.
    pub action: String,
    /// Its ARN; of a Describe `*`.
    pub resource: String,
    /// The keys of conditions that the request has.
    pub context: BTreeMap<String, String>,
}

/// One statement that allows.
#[derive(Debug, Clone)]
struct Statement {
    actions: Vec<String>,
    resource: String,
    conditions: BTreeMap<String, String>,
}

/// The policy of a cluster.
#[derive(Debug, Clone)]
pub struct Policy(Vec<Statement>);

impl Policy {
    /// The policy of this place.
    ///
    /// # Errors
    ///
    /// If the file says something that is not known here.
    pub fn of(place: Place<'_>) -> Result<Self, String> {
        let read: Value = serde_json::from_str(&crate::deploy::text("deploy/iam-policy.json")?)
            .map_err(|wrong| wrong.to_string())?;
        let statements = read.get("Statement").and_then(Value::as_array);
        let statements = statements.ok_or("no statements")?;
        let all = statements.iter().map(|statement| read_statement(statement, place));
        Ok(Self(all.collect::<Result<_, String>>()?))
    }

    /// All actions that are allowed on something.
    pub fn actions(&self) -> Vec<&str> {
        self.0.iter().flat_map(|one| one.actions.iter().map(String::as_str)).collect()
    }

    /// The same without this action.
    #[must_use]
    pub fn without(&self, action: &str) -> Self {
        let mut left = self.clone();
        for statement in &mut left.0 {
            statement.actions.retain(|one| one != action);
        }
        left
    }

    /// Whether a statement allows it.
    pub fn allows(&self, ask: &Ask) -> bool {
        self.0.iter().any(|statement| {
            statement.actions.contains(&ask.action)
                && covers(&statement.resource, &ask.resource)
                && statement
                    .conditions
                    .iter()
                    .all(|(key, value)| ask.context.get(key) == Some(value))
        })
    }
}

/// A star stands at the end alone.
fn covers(pattern: &str, resource: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == resource, |begin| resource.starts_with(begin))
}

fn read_statement(statement: &Value, place: Place<'_>) -> Result<Statement, String> {
    let unknown = || format!("not known here: {statement}");
    let map = statement.as_object().ok_or_else(unknown)?;
    let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
    let right = map.keys().all(|key| known.contains(&key.as_str()));
    if !right || map.get("Effect").and_then(Value::as_str) != Some("Allow") {
        return Err(unknown());
    }
    let actions = map.get("Action").and_then(Value::as_array).ok_or_else(unknown)?;
    let actions: Vec<String> =
        actions.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let resource = map.get("Resource").and_then(Value::as_str).ok_or_else(unknown)?;
    let mut conditions = BTreeMap::new();
    for (operator, keys) in map.get("Condition").and_then(Value::as_object).ok_or_else(unknown)? {
        if !["StringEquals", "ArnEquals"].contains(&operator.as_str()) {
            return Err(unknown());
        }
        for (key, value) in keys.as_object().ok_or_else(unknown)? {
            let value = value.as_str().filter(|text| !text.contains(['*', '$']));
            let value = place.filled(value.ok_or_else(unknown)?);
            if conditions.insert(key.clone(), value).is_some() {
                return Err(unknown());
            }
        }
    }
    let wild = |action: &String| action.contains('*') || !action.starts_with("ec2:");
    let inner = resource.trim_end_matches('*').contains('*');
    if actions.is_empty() || actions.iter().any(wild) || inner {
        return Err(unknown());
    }
    Ok(Statement { actions, resource: place.filled(resource), conditions })
}
