//! The lifecycle of an ENI: created, attached, detached, deleted.

use std::time::Duration;

use firecamp_vpc::{Act, EniView, Profile};

use crate::test_vpc::{MANAGED, NODE_1, NODE_2, OTHER, Response, SUBNET, TestVpc};

const CREATE: &str = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";

/// Describes an ENI.
fn describe(vpc: &mut TestVpc, eni: &str) -> Response {
    let filter = format!("&Filter.1.Name=network-interface-id&Filter.1.Value.1={eni}&MaxResults=5");
    let response = vpc.admin(&format!("Action=DescribeNetworkInterfaces{filter}"));
    assert_eq!(response.status, 200, "{}", response.text);
    response
}

/// The states of an ENI and of its attachment, in the order of the response.
fn states(vpc: &mut TestVpc, eni: &str) -> Vec<String> {
    describe(vpc, eni).all("status")
}

fn detach(vpc: &mut TestVpc, attachment: &str, force: bool) -> Response {
    let action = "Action=DetachNetworkInterface&AttachmentId";
    vpc.admin(&format!("{action}={attachment}&Force={force}"))
}

fn delete(vpc: &mut TestVpc, eni: &str) -> Response {
    vpc.admin(&format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}"))
}

fn view(vpc: &TestVpc, node: &str, eni: &str) -> Option<EniView> {
    vpc.node(node).enis.into_iter().find(|own| own.id == eni)
}

/// An ENI that is attached at index 1 of node-1, and its attachment.
fn attached(vpc: &mut TestVpc) -> (String, String) {
    let eni = vpc.create("");
    let response = vpc.attach(&eni, NODE_1, 1);
    assert_eq!(response.status, 200, "{}", response.text);
    let attachment = response.get("attachmentId").unwrap();
    (eni, attachment)
}

#[test]
fn an_eni_is_created_with_the_requested_attributes() {
    let mut vpc = TestVpc::fast();
    let tags = "&TagSpecification.1.ResourceType=network-interface\
                &TagSpecification.1.Tag.1.Key=firecamp.io/cluster\
                &TagSpecification.1.Tag.1.Value=demo\
                &TagSpecification.1.Tag.2.Key=empty";
    let addresses = "&PrivateIpAddresses.1.PrivateIpAddress=10.0.1.30\
                     &PrivateIpAddresses.1.Primary=false\
                     &PrivateIpAddresses.2.PrivateIpAddress=10.0.1.31\
                     &PrivateIpAddresses.2.Primary=true";
    let group = "&SecurityGroupId.1=sg-0f1ecaca000000001&Description=second%20ENI";
    let response = vpc.admin(&format!("{CREATE}{tags}{addresses}{group}&ClientToken=t-1"));
    assert!(
        response.text.starts_with("<?xml")
            && response.text.contains("<CreateNetworkInterfaceResponse")
    );
    assert_eq!(response.get("clientToken").as_deref(), Some("t-1"));
    assert_eq!(response.get("subnetId").as_deref(), Some(SUBNET));
    assert_eq!(response.get("description").as_deref(), Some("second ENI"));
    assert_eq!(response.get("availabilityZone").as_deref(), Some("us-east-1a"));
    assert_eq!(response.get("privateIpAddress").as_deref(), Some("10.0.1.31"));
    assert_eq!(response.all("primary"), ["true", "false"]);
    assert_eq!(response.all("key"), ["empty", "firecamp.io/cluster"]);
    assert_eq!(response.get("groupId").as_deref(), Some("sg-0f1ecaca000000001"));
    vpc.settle();
    let eni = response.get("networkInterfaceId").unwrap();
    assert_eq!(states(&mut vpc, &eni), ["available"]);
    let other = vpc.create("&SecondaryPrivateIpAddressCount=2");
    assert_ne!(eni, other);
    assert_eq!(describe(&mut vpc, &other).all("primary"), ["true", "false", "false"]);
}

#[test]
fn a_new_eni_is_pending_and_unknown_to_other_calls_for_a_while() {
    let mut unknown = 0;
    for seed in 0..30 {
        let mut vpc = TestVpc::with(&Profile::realistic(), seed);
        let response = vpc.admin(CREATE);
        let eni = response.get("networkInterfaceId").unwrap();
        let tag = format!("Action=CreateTags&ResourceId.1={eni}&Tag.1.Key=a&Tag.1.Value=b");
        let at_once = vpc.admin(&tag);
        let fresh = at_once.status == 400;
        unknown += u32::from(fresh);
        if fresh {
            assert_eq!(at_once.code(), "400 InvalidNetworkInterfaceID.NotFound");
        }
        vpc.settle();
        assert_eq!(vpc.admin(&tag).code(), "200");
    }
    assert!((5..30).contains(&unknown), "{unknown} of 30 calls came too early");
    let mut vpc = TestVpc::with(&Profile::realistic(), 1);
    assert!(matches!(vpc.admin(CREATE).get("status").as_deref(), Some("pending" | "available")));
}

#[test]
fn a_client_token_creates_one_eni() {
    let mut vpc = TestVpc::fast();
    let first = vpc.admin(&format!("{CREATE}&ClientToken=once"));
    let again = vpc.admin(&format!("{CREATE}&ClientToken=once"));
    let id = first.get("networkInterfaceId").unwrap();
    assert_eq!(again.get("networkInterfaceId").as_deref(), Some(id.as_str()));
    let other = vpc.admin(&format!("{CREATE}&ClientToken=once&Description=x"));
    assert_eq!(other.code(), "400 IdempotentParameterMismatch");
    vpc.settle();
    assert_eq!(delete(&mut vpc, &id).code(), "200");
    let missing = vpc.admin(&format!("{CREATE}&ClientToken=once"));
    assert_eq!(missing.code(), "400 InvalidNetworkInterfaceID.NotFound");
    assert_ne!(
        vpc.admin(CREATE).get("networkInterfaceId"),
        vpc.admin(CREATE).get("networkInterfaceId")
    );
}

#[test]
fn invalid_create_requests_are_refused() {
    let mut vpc = TestVpc::fast();
    let of = |rest: &str| format!("{CREATE}{rest}");
    let subnet = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000dead";
    let value = "400 InvalidParameterValue";
    for (body, code) in [
        (subnet.to_owned(), "400 InvalidSubnetID.NotFound"),
        ("Action=CreateNetworkInterface&SubnetId=x".to_owned(), "400 InvalidSubnetID.Malformed"),
        ("Action=CreateNetworkInterface".to_owned(), "400 MissingParameter"),
        (of("&SecurityGroupId.1=sg-0000000000000dead"), "400 InvalidGroup.NotFound"),
        (of("&SecurityGroupId.1=x"), "400 InvalidGroupId.Malformed"),
        (of("&PrivateIpAddress=10.0.1.50"), "400 InvalidIPAddress.InUse"),
        (of("&PrivateIpAddress=10.0.2.9"), value),
        (of("&PrivateIpAddress=10.0.1.1"), value),
        (of("&PrivateIpAddress=nonsense"), value),
        (of("&PrivateIpAddress=10.0.1.30&PrivateIpAddresses.1.PrivateIpAddress=10.0.1.30"), value),
        (of("&SecondaryPrivateIpAddressCount=50"), "400 PrivateIpAddressLimitExceeded"),
        (of("&SecondaryPrivateIpAddressCount=48"), "400 InsufficientFreeAddressesInSubnet"),
    ] {
        assert_eq!(vpc.admin(&body).code(), code, "{body}");
    }
    assert_eq!(vpc.simulator.commits(0), []);
    vpc.fault(r#"{"fault":{"kind":"subnet_full","subnet":"a","form":"value"}}"#);
    let text = "There aren't sufficient free Ipv4 addresses or prefixes";
    assert_eq!(vpc.admin(CREATE).message(), text);
}

#[test]
fn an_eni_is_attached_in_stages() {
    let mut vpc = TestVpc::with_consistent_reads(3);
    let eni = vpc.create("");
    let start = vpc.now;
    let response = vpc.attach(&eni, NODE_1, 1);
    assert!(response.text.contains("<AttachNetworkInterfaceResponse"), "{}", response.text);
    assert_eq!(response.get("networkCardIndex").as_deref(), Some("0"));
    let (mut observed, mut plugged) = (Vec::new(), None);
    for _ in 0..600 {
        let states = states(&mut vpc, &eni).join(" ");
        if observed.last() != Some(&states) {
            observed.push(states);
        }
        let own = view(&vpc, "node-1", &eni).expect("the attachment exists at once");
        if own.plugged && plugged.is_none() {
            plugged = Some(vpc.now.saturating_sub(start));
        }
        assert!(own.plugged || plugged.is_none(), "the link disappeared again");
        vpc.pass(Duration::from_millis(50));
    }
    assert_eq!(observed, ["in-use attaching", "in-use attached"]);
    assert!(plugged.is_some_and(|after| after >= Duration::from_secs(1)), "{plugged:?}");
    let response = describe(&mut vpc, &eni);
    assert_eq!(response.get("deleteOnTermination").as_deref(), Some("false"));
    assert_eq!(response.get("deviceIndex").as_deref(), Some("1"));
    assert!(response.get("attachTime").unwrap().starts_with("2026-"));
}

#[test]
fn an_act_attaches_an_eni_by_the_rules_of_the_api() {
    let mut vpc = TestVpc::fast();
    let attach = |vpc: &mut TestVpc, eni: &str, node: &str, device_index: u32| {
        let act = Act::AttachEni { eni: eni.to_owned(), node: node.to_owned(), device_index };
        vpc.simulator.act(vpc.now, &act).map_err(|error| error.to_string())
    };
    let eni = vpc.create("");
    assert_eq!(attach(&mut vpc, &eni, "node-1", 1), Ok(()));
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["in-use", "attached"]);
    assert!(view(&vpc, "node-1", &eni).is_some_and(|eni| eni.plugged));
    let other = vpc.create("");
    for (eni, node, index, problem) in [
        (eni.as_str(), "node-2", 2, "currently in use"),
        (&other, "node-1", 1, "already has an interface attached"),
        (&other, "node-1", 0, "is not valid"),
        (&other, "node-3", 1, "same availability zone"),
        (MANAGED, "node-1", 2, "managed by a service"),
        ("eni-0000000000000dead", "node-1", 2, "there is no ENI"),
    ] {
        let refused = attach(&mut vpc, eni, node, index).unwrap_err();
        assert!(refused.contains(problem), "{eni} {node} {index}: {refused}");
    }
    assert_eq!(attach(&mut vpc, &other, "node-2", 2), Ok(()));
    vpc.settle();
    let ids = [&eni, &other].map(|eni| describe(&mut vpc, eni).get("attachmentId"));
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_metadata_of_a_new_eni_appears_in_stages() {
    let mut vpc = TestVpc::with(&Profile::realistic(), 5);
    let (eni, _) = attached(&mut vpc);
    let mac = view(&vpc, "node-1", &eni).unwrap().mac;
    let base = format!("network/interfaces/macs/{mac}");
    let mut observed: Vec<String> = Vec::new();
    for _ in 0..400 {
        let (_, macs) = vpc.metadata("node-1", "network/interfaces/macs/");
        let (status, _) = vpc.metadata("node-1", &format!("{base}/local-ipv4s"));
        let (_, number) = vpc.metadata("node-1", &format!("{base}/device-number"));
        let state = match (macs.contains(&mac), status, number.as_str()) {
            (false, 404, _) => "absent",
            (true, 404, "0") => "bare",
            (true, 200, "0") => "unnumbered",
            (true, 200, "1") => "whole",
            other => panic!("{other:?}"),
        };
        if observed.last().map(String::as_str) != Some(state) {
            observed.push(state.to_owned());
        }
        vpc.pass(Duration::from_millis(100));
    }
    assert_eq!(observed, ["absent", "bare", "unnumbered", "whole"]);
}

#[test]
fn an_eni_is_detached_in_stages_and_loses_its_link_first() {
    let mut vpc = TestVpc::with(&Profile::realistic(), 3);
    let (eni, attachment) = attached(&mut vpc);
    vpc.settle();
    assert_eq!(detach(&mut vpc, &attachment, false).get("return").as_deref(), Some("true"));
    let busy = delete(&mut vpc, &eni);
    assert_eq!(busy.code(), "400 InvalidParameterValue");
    assert_eq!(busy.message(), format!("Network interface '{eni}' is currently in use."));
    let mut unplugged_before = false;
    while let Some(own) = view(&vpc, "node-1", &eni) {
        unplugged_before |= !own.plugged;
        vpc.pass(Duration::from_millis(50));
    }
    assert!(unplugged_before);
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["available"]);
    assert_eq!(delete(&mut vpc, &eni).code(), "200");
    assert_eq!(delete(&mut vpc, &eni).code(), "400 InvalidNetworkInterfaceID.NotFound");
    let missing = detach(&mut vpc, &attachment, false);
    assert_eq!(missing.code(), "400 InvalidAttachmentID.NotFound");
}

#[test]
fn invalid_detach_and_delete_requests_are_refused() {
    let mut vpc = TestVpc::fast();
    let primary = vpc.node("node-1").enis[0].id.clone();
    let id = describe(&mut vpc, &primary).get("attachmentId").unwrap();
    assert_eq!(detach(&mut vpc, &id, false).code(), "400 OperationNotPermitted");
    let bad = detach(&mut vpc, "x", false).code();
    assert_eq!(bad, "400 InvalidNetworkInterfaceAttachmentId.Malformed");
    let (_, attachment) = attached(&mut vpc);
    assert_eq!(detach(&mut vpc, &attachment, false).code(), "200");
    assert_eq!(detach(&mut vpc, &attachment, false).code(), "400 IncorrectState");
    assert_eq!(delete(&mut vpc, MANAGED).code(), "400 OperationNotPermitted");
    assert_eq!(delete(&mut vpc, "eni-1").code(), "400 InvalidNetworkInterfaceId.Malformed");
}

#[test]
fn a_forced_detach_leaves_an_unusable_index_and_a_ghost_until_restart() {
    let mut vpc = TestVpc::fast();
    let (eni, attachment) = attached(&mut vpc);
    vpc.settle();
    let mac = view(&vpc, "node-1", &eni).unwrap().mac;
    vpc.fault(r#"{"fault":{"kind":"eni_stuck","stage":"detaching"}}"#);
    assert_eq!(detach(&mut vpc, &attachment, false).code(), "200");
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["detaching", "detaching"]);
    assert_eq!(detach(&mut vpc, &attachment, true).code(), "200");
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["available"]);
    let listed =
        |vpc: &mut TestVpc| vpc.metadata("node-1", "network/interfaces/macs/").1.contains(&mac);
    assert!(listed(&mut vpc), "the metadata is not updated");
    let taken = vpc.attach(&eni, NODE_1, 1);
    let text =
        format!("Instance '{NODE_1}' already has an interface attached at device index '1'.");
    assert_eq!(taken.message(), text);
    for act in [Act::Stop { node: "node-1".to_owned() }, Act::Start { node: "node-1".to_owned() }] {
        vpc.act(&act);
    }
    vpc.settle();
    assert!(!listed(&mut vpc));
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "200");
}

#[test]
fn an_attachment_can_be_stuck() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("");
    let when = format!("{{\"resource\":\"{eni}\"}}");
    let fault = r#"{"kind":"eni_stuck","stage":"attaching"}"#;
    vpc.fault(&format!("{{\"fault\":{fault},\"when\":{when}}}"));
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "200");
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["in-use", "attaching"]);
    vpc.clear();
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["in-use", "attached"]);
}

#[test]
fn an_eni_that_was_attached_later_outlives_its_instance() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("&PrivateIpAddress=10.0.1.30&SecondaryPrivateIpAddressCount=1");
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "200");
    vpc.settle();
    vpc.act(&Act::Terminate { node: "node-1".to_owned(), delete_on_termination: None });
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["available"]);
    assert_eq!(describe(&mut vpc, &eni).all("primary").len(), 2);
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "400 IncorrectInstanceState");
    vpc.pass(Duration::from_hours(1));
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "400 InvalidInstanceID.NotFound");
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut vpc = TestVpc::fast();
    let (_, attachment) = attached(&mut vpc);
    vpc.settle();
    let (commits, calls) = (vpc.simulator.commits(0).len(), vpc.simulator.calls(0).len());
    let attach = format!("NetworkInterfaceId={OTHER}&InstanceId={NODE_2}&DeviceIndex=2");
    for body in [
        format!("{CREATE}&DryRun=true"),
        format!("Action=AttachNetworkInterface&{attach}&DryRun=true"),
        format!("Action=DetachNetworkInterface&AttachmentId={attachment}&DryRun=true"),
        format!("Action=DeleteNetworkInterface&NetworkInterfaceId={OTHER}&DryRun=true"),
        format!("Action=CreateTags&ResourceId.1={OTHER}&Tag.1.Key=a&DryRun=true"),
        "Action=DescribeVolumes&DryRun=true".to_owned(),
    ] {
        assert_eq!(vpc.admin(&body).code(), "412 DryRunOperation", "{body}");
    }
    assert_eq!(vpc.simulator.commits(0).len(), commits);
    let dry = &vpc.simulator.calls(0)[calls..];
    assert!(dry.iter().all(|call| !call.mutating && !call.committed), "{dry:#?}");
    // A dry run reports missing objects, but not limits.
    let missing =
        format!("NetworkInterfaceId={OTHER}&InstanceId=i-0000000000000dead&DeviceIndex=2");
    let response = vpc.admin(&format!("Action=AttachNetworkInterface&{missing}&DryRun=true"));
    assert_eq!(response.code(), "400 InvalidInstanceID.NotFound");
    vpc.fault(r#"{"fault":{"kind":"iam_deny"},"when":{"op":"AttachNetworkInterface"}}"#);
    let response = vpc.admin(&format!("Action=AttachNetworkInterface&{attach}&DryRun=true"));
    assert_eq!(response.code(), "403 UnauthorizedOperation");
}

#[test]
fn faults_apply_to_eni_calls() {
    let mut vpc = TestVpc::fast();
    let eni = vpc.create("");
    vpc.fault(
        r#"{"fault":{"kind":"http_status","status":503,"body":"empty","after_commit":true},
            "when":{"op":"AttachNetworkInterface","count":1}}"#,
    );
    assert_eq!(vpc.attach(&eni, NODE_1, 1).code(), "503");
    vpc.settle();
    assert_eq!(states(&mut vpc, &eni), ["in-use", "attached"], "the attach was committed");
    let again = vpc.attach(&eni, NODE_1, 1);
    assert_eq!(again.code(), "400 InvalidNetworkInterface.InUse", "attaching is not idempotent");
    vpc.fault(r#"{"fault":{"kind":"late_landing","after_ms":8000},"when":{"op":"Delete*"}}"#);
    let before = vpc.now;
    assert_eq!(delete(&mut vpc, OTHER).code(), "200");
    assert!(vpc.now >= before + Duration::from_secs(8));
    vpc.fault(r#"{"fault":{"kind":"throttle_storm"}}"#);
    assert_eq!(vpc.admin(CREATE).code(), "503 RequestLimitExceeded");
}
