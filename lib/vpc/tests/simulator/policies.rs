//! IAM policies of the nodes: which resources and condition keys a call is authorized with.

use firecamp_vpc::Policy;

use crate::test_vpc::{NODE_1, NODE_2, OTHER, SUBNET, TestVpc};

const CREATE: &str = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";
const DENIED: &str = "403 UnauthorizedOperation";

/// A statement for the resources of the simulated account.
fn statement(actions: &str, resource: &str, conditions: &str) -> String {
    format!(
        r#"{{"Sid":"S","Effect":"Allow","Action":{actions},
            "Resource":"arn:aws:ec2:REGION:ACCOUNT:{resource}","Condition":{{{conditions}}}}}"#
    )
}

const TEAM: &str = r#""StringEquals":{"aws:RequestTag/team":"a"}"#;
const IN_VPC: &str = r#""ArnEquals":{"ec2:Vpc":"arn:aws:ec2:REGION:ACCOUNT:vpc/VPC"}"#;
const OF_TEAM: &str = r#""StringEquals":{"aws:ResourceTag/team":"a"}"#;

/// What a team needs to make interfaces in the VPC and to attach them to node-1.
fn team() -> Vec<String> {
    let create = r#"["ec2:CreateNetworkInterface"]"#;
    let attach = r#"["ec2:AttachNetworkInterface","ec2:DetachNetworkInterface"]"#;
    let at_creation = r#""StringEquals":{"ec2:CreateAction":"CreateNetworkInterface"}"#;
    vec![
        statement(create, "network-interface/*", TEAM),
        statement(create, "subnet/*", IN_VPC),
        statement(create, "security-group/*", IN_VPC),
        statement(r#"["ec2:CreateTags"]"#, "network-interface/*", at_creation),
        statement(attach, "network-interface/*", OF_TEAM),
        statement(attach, &format!("instance/{NODE_1}"), ""),
        statement(r#"["ec2:DeleteNetworkInterface"]"#, "network-interface/*", OF_TEAM),
    ]
}

/// A VPC whose nodes have this policy.
fn vpc(statements: &[String]) -> TestVpc {
    let mut vpc = TestVpc::fast();
    let (account, region, id) = vpc.simulator.place();
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let text = text.replace("REGION", region).replace("ACCOUNT", account).replace("VPC", id);
    vpc.simulator.set_node_policy(Policy::parse(&text).unwrap());
    vpc
}

fn tagged(team: &str) -> String {
    format!(
        "{CREATE}&TagSpecification.1.ResourceType=network-interface\
         &TagSpecification.1.Tag.1.Key=team&TagSpecification.1.Tag.1.Value={team}"
    )
}

fn attach(eni: &str, instance: &str) -> String {
    format!(
        "Action=AttachNetworkInterface&NetworkInterfaceId={eni}&InstanceId={instance}\
         &DeviceIndex=2"
    )
}

/// The codes of all calls of an interface, as far as they get.
fn lifecycle(vpc: &mut TestVpc) -> Vec<String> {
    let created = vpc.send("node-2", &tagged("a"));
    let mut codes = vec![created.code()];
    let Some(eni) = created.get("networkInterfaceId") else { return codes };
    vpc.settle();
    let attached = vpc.send("node-2", &attach(&eni, NODE_1));
    codes.push(attached.code());
    vpc.settle();
    if let Some(attachment) = attached.get("attachmentId") {
        let detach = format!("Action=DetachNetworkInterface&AttachmentId={attachment}");
        codes.push(vpc.send("node-2", &detach).code());
        vpc.settle();
    }
    let delete = format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}");
    codes.push(vpc.send("node-2", &delete).code());
    codes
}

#[test]
fn a_call_needs_the_permission_for_each_of_its_resources() {
    let all = team();
    assert_eq!(lifecycle(&mut vpc(&all)), ["200", "200", "200", "200"]);
    for missing in 0..all.len() {
        let rest: Vec<String> =
            all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, s)| s.clone()).collect();
        let codes = lifecycle(&mut vpc(&rest));
        assert!(codes.iter().any(|code| code == DENIED), "without {}: {codes:?}", all[missing]);
    }
}

#[test]
fn an_interface_is_created_only_with_the_tag_and_tagged_only_then() {
    let mut vpc = vpc(&team());
    assert_eq!(vpc.send("node-1", CREATE).code(), DENIED);
    assert_eq!(vpc.send("node-1", &tagged("b")).code(), DENIED);
    let eni = vpc.send("node-1", &tagged("a")).get("networkInterfaceId").unwrap();
    vpc.settle();
    for id in [eni.as_str(), OTHER] {
        let tag = format!("Action=CreateTags&ResourceId.1={id}&Tag.1.Key=team&Tag.1.Value=a");
        assert_eq!(vpc.send("node-1", &tag).code(), DENIED, "{id}");
    }
    let elsewhere = tagged("a").replace(SUBNET, "subnet-0000000000000000f");
    assert_eq!(vpc.send("node-1", &elsewhere).code(), DENIED, "it is in no VPC");
    let group = format!("{}&SecurityGroupId.1=sg-00000001", tagged("a"));
    assert_eq!(vpc.send("node-1", &group).code(), DENIED, "it is in no VPC");
}

#[test]
fn a_foreign_interface_or_instance_is_not_touched() {
    let mut vpc = vpc(&team());
    let eni = vpc.send("node-1", &tagged("a")).get("networkInterfaceId").unwrap();
    let foreign = vpc.create("");
    assert_eq!(vpc.send("node-1", &attach(&foreign, NODE_1)).code(), DENIED);
    assert_eq!(vpc.send("node-1", &attach(&eni, NODE_2)).code(), DENIED);
    let delete = |eni: &str| format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}");
    assert_eq!(vpc.send("node-1", &delete(&foreign)).code(), DENIED);
    let attachment = vpc.attach(&foreign, NODE_1, 1).get("attachmentId").unwrap();
    let detach = format!("Action=DetachNetworkInterface&AttachmentId={attachment}");
    assert_eq!(vpc.send("node-1", &detach).code(), DENIED);
    let attachment = vpc.attach(&eni, NODE_2, 2).get("attachmentId").unwrap();
    let detach = format!("Action=DetachNetworkInterface&AttachmentId={attachment}");
    assert_eq!(vpc.send("node-1", &detach).code(), DENIED);
    let describe = "Action=DescribeInstances&MaxResults=5";
    assert_eq!(vpc.send("node-1", describe).code(), DENIED, "no statement allows it");
    assert_eq!(vpc.admin(describe).code(), "200", "other callers are not affected");
}
