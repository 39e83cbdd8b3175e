//! Limits of instances, ENIs and the account, and token buckets.

use firecamp_vpc::Act;

use crate::test_vpc::{MANAGED, NODE_1, NODE_2, OTHER, TestVpc};

const VALUE: &str = "400 InvalidParameterValue";
const LIMIT: &str = "400 AttachmentLimitExceeded";

#[test]
fn invalid_attach_requests_are_refused() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("");
    let far = "i-00000000000000003";
    for (eni, instance, index, code) in [
        ("x", NODE_1, 1, "400 InvalidNetworkInterfaceId.Malformed"),
        ("eni-0000000000000dead", NODE_1, 1, "400 InvalidNetworkInterfaceID.NotFound"),
        (eni.as_str(), "x", 1, "400 InvalidInstanceID.Malformed"),
        (eni.as_str(), "i-0000000000000dead", 1, "400 InvalidInstanceID.NotFound"),
        (eni.as_str(), far, 1, "400 InvalidParameterCombination"),
        (eni.as_str(), NODE_1, 0, VALUE),
        (eni.as_str(), NODE_1, 3, VALUE),
        (eni.as_str(), NODE_2, 1, VALUE),
        ("eni-00000000000000002", NODE_1, 1, "400 InvalidNetworkInterface.InUse"),
        (MANAGED, NODE_1, 1, "400 OperationNotPermitted"),
    ] {
        let response = vpc.attach(eni, instance, index);
        assert_eq!(response.code(), code, "{eni} {instance} {index}: {}", response.message());
    }
    let taken = vpc.attach(&eni, NODE_2, 1);
    let text = "already has an interface attached at device index '1'.";
    assert_eq!(taken.message(), format!("Instance '{NODE_2}' {text}"));
    let action = "Action=AttachNetworkInterface";
    let card = format!("NetworkInterfaceId={eni}&InstanceId={NODE_1}&DeviceIndex=1");
    assert_eq!(vpc.admin(&format!("{action}&{card}&NetworkCardIndex=1")).code(), VALUE);
    let no_index = format!("{action}&NetworkInterfaceId={eni}&InstanceId={NODE_1}");
    assert_eq!(vpc.admin(&no_index).code(), "400 MissingParameter");
}

#[test]
fn the_eni_limit_of_the_instance_type_counts_detaching_enis() {
    let mut vpc = TestVpc::fast();
    let (one, two, three) = (vpc.create(""), vpc.create(""), vpc.create(""));
    assert_eq!(vpc.attach(&one, NODE_1, 1).code(), "200");
    vpc.act(&Act::Detach { eni: one.clone() });
    vpc.fault(r#"{"fault":{"kind":"eni_stuck","stage":"detaching"}}"#);
    vpc.settle();
    let taken = vpc.attach(&two, NODE_1, 1);
    assert_eq!(taken.code(), VALUE, "the index is in use until the ENI is detached");
    assert_eq!(vpc.attach(&two, NODE_1, 2).code(), "200");
    // For the next index of a full instance EC2 reports the number of ENIs.
    let full = vpc.attach(&three, NODE_1, 3);
    assert_eq!(full.code(), LIMIT);
    assert_eq!(full.message(), "Interface count 4 exceeds the limit for m5.large");
    vpc.clear();
    vpc.settle();
    assert_eq!(vpc.attach(&three, NODE_1, 1).code(), "200");
    vpc.fault(r#"{"fault":{"kind":"eni_limit","instance_type":"m5.large","enis":4}}"#);
    assert_eq!(vpc.attach(&one, NODE_1, 3).code(), "200");
    let types = "Action=DescribeInstanceTypes&InstanceType.1=m5.large";
    assert_eq!(vpc.admin(types).get("maximumNetworkInterfaces").as_deref(), Some("4"));
}

#[test]
fn enis_and_volumes_share_their_slots_on_some_types() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("");
    let attach = |vpc: &mut TestVpc, node: &str, n: u32| {
        let id = format!("vol-0000000000000{n:04x}");
        let zone = if node == "node-3" { "us-east-1b" } else { "us-east-1a" };
        vpc.act(&Act::CreateVolume { id: id.clone(), zone: zone.to_owned(), size_gib: 1 });
        let act = Act::AttachVolume { volume: id, node: node.to_owned(), device: None };
        vpc.simulator.act(vpc.now, &act).map_err(|error| error.to_string())
    };
    // 28 slots; an ENI, the root volume and another volume use one each.
    let fitted = (0..40).take_while(|n| attach(&mut vpc, "node-1", 0x100 + n).is_ok()).count();
    assert_eq!(fitted, 25);
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), LIMIT);
    // 32 slots for volumes only, one of which the root volume uses.
    let fitted = (0..40).take_while(|n| attach(&mut vpc, "node-3", 0x200 + n).is_ok()).count();
    assert_eq!(fitted, 31);
    let refused = attach(&mut vpc, "node-3", 0x300).unwrap_err();
    assert!(refused.contains("You may attach up to 32 devices"), "{refused}");
}

#[test]
fn an_eni_with_more_addresses_than_the_type_allows_is_not_attached() {
    let mut vpc = TestVpc::fast();
    // The ENI has 7 addresses; t3.medium allows 6.
    let response = vpc.attach(OTHER, NODE_2, 2);
    assert_eq!(response.code(), "400 PrivateIpAddressLimitExceeded");
    assert_eq!(vpc.attach(OTHER, NODE_1, 2).code(), "200");
}

#[test]
fn the_account_has_a_quota_of_enis() {
    let mut vpc = TestVpc::fast();
    vpc.create("");
    let fault = vpc.fault(r#"{"fault":{"kind":"eni_quota","enis":7}}"#);
    let create = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";
    assert_eq!(vpc.admin(create).code(), "400 NetworkInterfaceLimitExceeded");
    let status = vpc.simulator.fault_list().into_iter().find(|status| status.id == fault).unwrap();
    assert_eq!(status.fired, 1);
    vpc.clear();
    assert_eq!(vpc.admin(create).code(), "200");
}

#[test]
fn each_new_action_has_its_bucket() {
    let mut vpc = TestVpc::fast();
    let create = "CreateNetworkInterface&SubnetId=x";
    for (body, tokens) in [
        (create, 100),
        ("DeleteNetworkInterface&NetworkInterfaceId=x", 100),
        ("AttachNetworkInterface&NetworkInterfaceId=x&InstanceId=x&DeviceIndex=1", 50),
        ("DetachNetworkInterface&AttachmentId=x", 50),
        ("ModifyNetworkInterfaceAttribute&NetworkInterfaceId=x&Description.Value=x", 100),
        ("CreateTags&ResourceId.1=x&Tag.1.Key=x", 100),
        ("DeleteTags&ResourceId.1=x&Tag.1.Key=x", 100),
        ("DescribeVolumes", 50),
        ("DescribeVolumes&MaxResults=5", 100),
    ] {
        let mut passed = 0;
        let body = format!("Action={body}");
        loop {
            let now = vpc.now;
            let exchange = crate::client::send(&mut vpc.simulator, "admin", now, &body);
            // A throttled call fails at once; the others are still in flight.
            let call = vpc.simulator.calls(exchange.call.0 - 1).pop().unwrap();
            if call.code.as_deref() == Some("RequestLimitExceeded") {
                break;
            }
            passed += 1;
        }
        assert_eq!(passed, tokens, "{body}");
    }
}
