//! Checks of the admission policies that need no API server.

use firecamp_checks::cases::Sources;
use firecamp_checks::deploy::{files, objects, place, text};
use serde_json::Value;

use crate::{object, texts};

/// Rights to write that no policy narrows, and why not is in docs/privileges.md.
const OPEN: [(&str, &str); 4] = [
    ("firecamp-member", "events"),
    ("firecamp-agent", "events"),
    ("firecamp-agent", "tokenreviews"),
    ("firecamp-agent-leader", "staticippools/status"),
];

fn policies(kind: &str) -> Vec<Value> {
    let files = files("deploy/policies").unwrap();
    let all = files.iter().flat_map(|file| objects(file).unwrap());
    all.filter(|object| object["kind"] == kind).collect()
}

/// Whom a policy is about.
fn is_about(policy: &Value, role: &str) -> bool {
    let whose = if role.starts_with("firecamp-member") { "member" } else { "agent" };
    policy["metadata"]["name"].as_str().unwrap().starts_with(&format!("firecamp-{whose}-"))
}

fn operation(verb: &str) -> &'static str {
    match verb {
        "create" => "CREATE",
        "patch" | "update" => "UPDATE",
        "delete" => "DELETE",
        _ => "",
    }
}

#[test]
fn every_policy_denies_and_is_in_force() {
    let (policies, bindings) =
        (policies("ValidatingAdmissionPolicy"), policies("ValidatingAdmissionPolicyBinding"));
    assert!(policies.len() >= 8);
    assert_eq!(policies.len(), bindings.len());
    for policy in &policies {
        let name = &policy["metadata"]["name"];
        let binding = bindings.iter().find(|one| one["spec"]["policyName"] == *name).unwrap();
        assert_eq!(policy["spec"]["failurePolicy"], "Fail", "{name}");
        // Deleted and created again, such a policy sees its parameter as it was before.
        assert_eq!(policy["spec"]["paramKind"], Value::Null, "{name}");
        assert_eq!(texts(&binding["spec"]["validationActions"]), ["Deny"], "{name}");
        assert_eq!(binding["spec"]["matchResources"], Value::Null, "{name}");
    }
}

#[test]
fn whatever_rbac_lets_be_written_a_policy_narrows() {
    let policies = policies("ValidatingAdmissionPolicy");
    let files = ["deploy/rbac/agent.yaml", "deploy/rbac/members.yaml"];
    let all = files.iter().flat_map(|file| objects(file).unwrap());
    let roles: Vec<Value> =
        all.filter(|one| matches!(one["kind"].as_str(), Some("Role" | "ClusterRole"))).collect();
    let mut narrowed = 0;
    for role in &roles {
        let name = role["metadata"]["name"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let operation = operation(verb);
                    if operation.is_empty() {
                        continue;
                    }
                    let by = |policy: &&Value| {
                        let rule = &policy["spec"]["matchConstraints"]["resourceRules"][0];
                        is_about(policy, name)
                            && texts(&rule["resources"]).contains(&resource)
                            && texts(&rule["operations"]).contains(&operation)
                    };
                    let open = OPEN.contains(&(name, resource));
                    let found = policies.iter().find(by).is_some();
                    assert!(found != open, "{name} may {verb} {resource}");
                    narrowed += i32::from(found);
                }
            }
        }
    }
    assert!(narrowed > 12, "only {narrowed}");
    let page = text("docs/privileges.md").unwrap();
    let page = page.split_once("\n## Admission policies\n").unwrap().1;
    for (_role, resource) in OPEN {
        assert!(page.contains(&format!("`{resource}`")), "docs/privileges.md: why {resource}?");
    }
}

#[test]
fn the_policies_know_the_agents_by_their_service_account() {
    let account = object("deploy/rbac/agent.yaml", "ServiceAccount");
    let part = |key: &str| account["metadata"][key].as_str().unwrap().to_owned();
    let user = format!("'system:serviceaccount:{}:{}'", part("namespace"), part("name"));
    // One policy is for everybody.
    let for_some = |policy: &Value| policy["metadata"]["name"] != "firecamp-interface-records";
    for policy in policies("ValidatingAdmissionPolicy").into_iter().filter(for_some) {
        let conditions = policy["spec"]["matchConditions"].as_array().unwrap();
        let texts = conditions.iter().filter_map(|one| one["expression"].as_str());
        assert!(texts.into_iter().any(|text| text.contains(&user)), "{}", policy["metadata"]);
    }
}

#[test]
fn every_test_and_policy_that_the_page_says_holds_an_attacker_exists() {
    let page = text("docs/privileges.md").unwrap();
    let (_above, section) = page.split_once("\n## What an attacker can do\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let held = rows.filter_map(|row| row.rsplit('|').nth(1));
    let names = held.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let sources = Sources::read(&place("")).unwrap();
    let all = policies("ValidatingAdmissionPolicy");
    let mut count = 0;
    for name in names {
        let is_file = name.starts_with("deploy/") && place(name).exists();
        let is_policy = all.iter().any(|policy| policy["metadata"]["name"] == name);
        assert!(is_file || is_policy || sources.declares(name), "{name}");
        count += 1;
    }
    assert!(count > 25, "only {count}");
}
