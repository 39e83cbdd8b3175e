//! The CloudFormation template grants what the IAM policies under `deploy` grant, and names what
//! the chart creates.

use firecamp_checks::deploy::{objects, text};
use serde_json::{Value, json};

use crate::object;

const FILE: &str = "deploy/cloudformation/firecamp.yaml";

/// What stands for the parameters: the words of the IAM policies.
const PARAMETERS: [(&str, &str); 5] = [
    ("AWS::Partition", "aws"),
    ("AWS::Region", "REGION"),
    ("AWS::AccountId", "ACCOUNT"),
    ("VpcId", "VPC"),
    ("ClusterName", "CLUSTER"),
];

fn template() -> Value {
    objects(FILE).unwrap().remove(0)
}

/// The value with the functions `Ref` and `Fn::Sub` resolved.
fn resolved(value: &Value) -> Value {
    let parameter = |name: &str| PARAMETERS.iter().find(|(known, _)| *known == name).unwrap().1;
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("Ref") => {
            parameter(map["Ref"].as_str().unwrap()).into()
        }
        Value::Object(map) if map.len() == 1 && map.contains_key("Fn::Sub") => {
            let text = map["Fn::Sub"].as_str().unwrap().to_owned();
            let fill = |text: String, (name, with): &(&str, &str)| {
                text.replace(&format!("${{{name}}}"), with)
            };
            PARAMETERS.iter().fold(text, fill).into()
        }
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), resolved(value))).collect()
        }
        Value::Array(all) => all.iter().map(resolved).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            other.clone()
        }
    }
}

#[test]
fn the_template_grants_exactly_the_policies_of_the_repository() {
    for (resource, file) in [
        ("Policy", "deploy/iam-policy.json"),
        ("InterfacesPolicy", "deploy/iam-policy-interfaces.json"),
    ] {
        let document = &template()["Resources"][resource]["Properties"]["PolicyDocument"];
        let policy: Value = serde_json::from_str(&text(file).unwrap()).unwrap();
        assert_eq!(resolved(document), policy, "{file}");
    }
}

#[test]
fn the_permissions_for_making_interfaces_are_granted_only_on_request() {
    let template = template();
    let resources = &template["Resources"];
    assert_eq!(template["Parameters"]["ManagesInterfaces"]["Default"], "false");
    assert_eq!(resources["InterfacesPolicy"]["Condition"], "MakesInterfaces");
    let wanted = &template["Conditions"]["MakesInterfaces"]["Fn::Equals"];
    assert_eq!(*wanted, json!([{"Ref": "ManagesInterfaces"}, "true"]));
    let [policy, interfaces] = ["Policy", "InterfacesPolicy"].map(|name| json!({"Ref": name}));
    let if_wanted = json!({"Fn::If": ["MakesInterfaces", interfaces, {"Ref": "AWS::NoValue"}]});
    for role in ["AgentRoleForIrsa", "AgentRoleForPodIdentity"] {
        let policies = &resources[role]["Properties"]["ManagedPolicyArns"];
        assert_eq!(*policies, json!([policy, if_wanted]), "{role}");
    }
    let roles = |policy: &str| resources[policy]["Properties"]["Roles"].clone();
    assert_eq!(roles("InterfacesPolicy"), roles("Policy"), "the nodes' role, if it is named");
}

#[test]
fn the_roles_trust_the_service_account_of_the_agents() {
    let template = template();
    let default = |name: &str| template["Parameters"][name]["Default"].as_str().unwrap().to_owned();
    let account = object("deploy/rbac/agent.yaml", "ServiceAccount");
    assert_eq!(account["metadata"]["name"], default("AgentServiceAccount"));
    assert_eq!(account["metadata"]["namespace"], default("AgentNamespace"));
    let irsa = &template["Resources"]["AgentRoleForIrsa"]["Properties"];
    let trust = irsa["AssumeRolePolicyDocument"]["Fn::Sub"].as_str().unwrap();
    let trust: Value = serde_json::from_str(trust).unwrap();
    let condition = &trust["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(
        condition["${OidcIssuer}:sub"],
        "system:serviceaccount:${AgentNamespace}:${AgentServiceAccount}"
    );
    assert_eq!(condition["${OidcIssuer}:aud"], "sts.amazonaws.com");
}

#[test]
fn every_parameter_is_used_and_explained() {
    let (template, file) = (template(), text(FILE).unwrap());
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        assert!(!parameter["Description"].as_str().unwrap().is_empty(), "{name}");
        let uses = [format!("Ref: {name}}}"), format!("${{{name}}}")];
        assert!(uses.iter().any(|with| file.contains(with.as_str())), "{name} is not used");
    }
}

#[test]
fn the_zone_of_members_is_private_to_the_vpc_and_made_only_on_request() {
    let template = template();
    let zone = &template["Resources"]["MemberZone"];
    assert_eq!(zone["Type"], "AWS::Route53::HostedZone");
    assert_eq!(zone["Condition"], "NamesMembers");
    // A zone without a VPC is public.
    let vpcs = json!([{"VPCId": {"Ref": "VpcId"}, "VPCRegion": {"Ref": "AWS::Region"}}]);
    assert_eq!(zone["Properties"]["VPCs"], vpcs);
    assert_eq!(zone["Properties"]["Name"], json!({"Ref": "DnsZone"}));
    assert_eq!(template["Parameters"]["DnsZone"]["Default"], "");
    let wanted = &template["Conditions"]["NamesMembers"];
    assert_eq!(*wanted, json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "DnsZone"}, ""]}]}));
}

#[test]
fn every_parameter_is_documented() {
    let page = text("docs/iam.md").unwrap();
    let table = page.split_once("## CloudFormation").unwrap().1;
    let table = table.split_once("```").unwrap().0;
    for name in template()["Parameters"].as_object().unwrap().keys() {
        assert!(table.contains(&format!("`{name}`")), "{name} is not documented");
    }
}
