//! ModifyNetworkInterfaceAttribute: section 2.8.

use aws_sdk_ec2::operation::modify_network_interface_attribute::builders as call;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, AttributeValue, NetworkInterface, NetworkInterfaceAttachmentChanges,
};
use firecamp_vpc::Act;

use crate::harness::{MANAGED, NODE_1, NODE_2, TestVpc, refused};
use crate::verbs::{Outcome, is};

const GROUP: &str = "sg-0f1ecaca000000001";

type Modify = call::ModifyNetworkInterfaceAttributeFluentBuilder;

fn modify(vpc: &TestVpc, eni: &str, attribute: impl FnOnce(Modify) -> Modify) -> Outcome {
    let call = vpc.ec2("node-1").modify_network_interface_attribute().network_interface_id(eni);
    vpc.run(attribute(call).send()).map(|_| ()).map_err(|error| refused(&error))
}

fn description(text: &str) -> AttributeValue {
    AttributeValue::builder().value(text).build()
}

fn check(on: bool) -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(on).build()
}

fn deletion(attachment: &str, delete: bool) -> NetworkInterfaceAttachmentChanges {
    let changes = NetworkInterfaceAttachmentChanges::builder().delete_on_termination(delete);
    changes.attachment_id(attachment).build()
}

/// What Describe shows once every lag has passed.
fn described(vpc: &TestVpc, eni: &str) -> Option<NetworkInterface> {
    vpc.run(async {
        vpc.settle().await;
        vpc.enis("admin", &[("network-interface-id", &[eni])]).await.unwrap().pop()
    })
}

fn attachment_of(vpc: &TestVpc, eni: &str) -> String {
    let attachment = described(vpc, eni).unwrap().attachment.unwrap();
    attachment.attachment_id.unwrap()
}

#[test]
fn each_attribute_is_modified_alone_and_described() {
    let vpc = TestVpc::new();
    let attachment = attachment_of(&vpc, NODE_1);
    modify(&vpc, NODE_1, |call| call.description(description("of a member"))).unwrap();
    modify(&vpc, NODE_1, |call| call.source_dest_check(check(false))).unwrap();
    modify(&vpc, NODE_1, |call| call.groups(GROUP)).unwrap();
    modify(&vpc, NODE_1, |call| call.attachment(deletion(&attachment, true))).unwrap();
    let eni = described(&vpc, NODE_1).unwrap();
    assert_eq!((eni.description(), eni.source_dest_check()), (Some("of a member"), Some(false)));
    assert_eq!(eni.groups()[0].group_id(), Some(GROUP));
    assert_eq!(eni.attachment().unwrap().delete_on_termination(), Some(true));
    let unchecked = [("source-dest-check", &["false"][..])];
    assert_eq!(vpc.run(vpc.ids(&unchecked)), [NODE_1]);
    let body = vpc.run(vpc.query(
        "node-1",
        "ModifyNetworkInterfaceAttribute",
        &[("NetworkInterfaceId", NODE_1), ("SourceDestCheck.Value", "true")],
    ));
    assert!(body.unwrap().contains("<return>true</return>"));
    assert_eq!(described(&vpc, NODE_1).unwrap().source_dest_check(), Some(true));
}

#[test]
fn a_request_modifies_exactly_one_attribute() {
    let vpc = TestVpc::new();
    let attachment = attachment_of(&vpc, NODE_1);
    let combination = "InvalidParameterCombination";
    let text = "Fields for multiple attribute types specified: description, attachment";
    let both = modify(&vpc, NODE_1, |call| {
        call.description(description("x")).attachment(deletion(&attachment, true))
    });
    is(&both, 400, combination, text);
    let text = "Fields for multiple attribute types specified: sourceDestCheck, groupSet";
    let both = modify(&vpc, NODE_1, |call| call.source_dest_check(check(false)).groups(GROUP));
    is(&both, 400, combination, text);
    is(&modify(&vpc, NODE_1, |call| call), 400, combination, "No attributes specified.");
    assert_eq!(vpc.simulator().commits(0), []);
}

#[test]
fn invalid_attributes_and_enis_are_refused() {
    let vpc = TestVpc::new();
    let other = attachment_of(&vpc, NODE_2);
    let code = |outcome: Outcome| outcome.unwrap_err().code;
    let unknown = modify(&vpc, NODE_1, |call| call.attachment(deletion(&other, true)));
    let text = format!("The attachment ID '{other}' does not exist");
    is(&unknown, 400, "InvalidAttachmentID.NotFound", &text);
    let group = "sg-0000000000000dead";
    let unknown = modify(&vpc, NODE_1, |call| call.groups(group));
    let text = format!("The security group '{group}' does not exist");
    is(&unknown, 400, "InvalidGroup.NotFound", &text);
    let many = modify(&vpc, NODE_1, |call| call.set_groups(Some(vec![GROUP.to_owned(); 6])));
    assert_eq!(code(many), "SecurityGroupsPerInterfaceLimitExceeded");
    let long = modify(&vpc, NODE_1, |call| call.description(description(&"x".repeat(256))));
    assert_eq!(code(long), "InvalidParameterValue");
    let changes = NetworkInterfaceAttachmentChanges::builder();
    let only = changes.clone().delete_on_termination(true).build();
    let missing = modify(&vpc, NODE_1, |call| call.attachment(only));
    assert_eq!(code(missing), "MissingParameter");
    let only = changes.clone().attachment_id(&other).build();
    assert_eq!(code(modify(&vpc, NODE_1, |call| call.attachment(only))), "MissingParameter");
    let queues = changes.attachment_id(&other).delete_on_termination(true).ena_queue_count(1);
    let queues = modify(&vpc, NODE_1, |call| call.attachment(queues.build()));
    assert_eq!(code(queues), "UnknownParameter", "not served");
    let of = |eni: &str| modify(&vpc, eni, |call| call.description(description("x")));
    assert_eq!(code(of("eni-0123456789abcdef0")), "InvalidNetworkInterfaceID.NotFound");
    assert_eq!(code(of("x")), "InvalidNetworkInterfaceId.Malformed");
    assert_eq!(code(of(MANAGED)), "OperationNotPermitted");
    let dry = modify(&vpc, NODE_1, |call| call.description(description("x")).dry_run(true));
    assert_eq!(code(dry), "DryRunOperation");
    assert_eq!(vpc.simulator().commits(0), []);
}

#[test]
fn a_value_that_the_eni_already_has_is_no_error_and_no_change() {
    let vpc = TestVpc::new();
    for _ in 0..2 {
        modify(&vpc, NODE_1, |call| call.source_dest_check(check(false))).unwrap();
        modify(&vpc, NODE_1, |call| call.groups(GROUP)).unwrap();
    }
    assert_eq!(vpc.simulator().commits(0).len(), 1);
}

#[test]
fn an_eni_is_deleted_with_its_instance_once_its_attachment_says_so() {
    let vpc = TestVpc::new();
    for (eni, delete) in [(NODE_1, true), (NODE_2, false)] {
        let attachment = attachment_of(&vpc, eni);
        modify(&vpc, eni, |call| call.attachment(deletion(&attachment, delete))).unwrap();
    }
    for node in ["node-1", "node-2"] {
        let act = Act::Terminate { node: node.to_owned(), delete_on_termination: None };
        let now = vpc.clock.now();
        vpc.simulator().act(now, &act).unwrap();
    }
    assert_eq!(described(&vpc, NODE_1), None);
    let left = described(&vpc, NODE_2).unwrap();
    assert_eq!(left.status().unwrap().as_str(), "available");
    assert_eq!(vpc.truth_of("10.0.1.101").owner.as_deref(), Some(NODE_2), "it keeps its addresses");
}
