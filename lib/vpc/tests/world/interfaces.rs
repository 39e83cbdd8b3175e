//! The life of an ENI: created, attached, detached, deleted.

use std::time::Duration;

use firecamp_vpc::{Act, EniView, Profile};

use crate::lab::{Lab, MANAGED, NODE_1, NODE_2, OTHER, SUBNET, Said};

const CREATE: &str = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";

/// What DescribeNetworkInterfaces shows of an ENI.
fn describe(lab: &mut Lab, eni: &str) -> Said {
    let filter = format!("&Filter.1.Name=network-interface-id&Filter.1.Value.1={eni}&MaxResults=5");
    let said = lab.admin(&format!("Action=DescribeNetworkInterfaces{filter}"));
    assert_eq!(said.status, 200, "{}", said.text);
    said
}

/// The states of an ENI and of its attachment, in the order of the answer.
fn states(lab: &mut Lab, eni: &str) -> Vec<String> {
    describe(lab, eni).all("status")
}

fn detach(lab: &mut Lab, attachment: &str, force: bool) -> Said {
    let action = "Action=DetachNetworkInterface&AttachmentId";
    lab.admin(&format!("{action}={attachment}&Force={force}"))
}

fn delete(lab: &mut Lab, eni: &str) -> Said {
    lab.admin(&format!("Action=DeleteNetworkInterface&NetworkInterfaceId={eni}"))
}

fn view(lab: &Lab, node: &str, eni: &str) -> Option<EniView> {
    lab.node(node).enis.into_iter().find(|own| own.id == eni)
}

/// An ENI that is attached at index 1 of node-1, and its attachment.
fn attached(lab: &mut Lab) -> (String, String) {
    let eni = lab.create("");
    let said = lab.attach(&eni, NODE_1, 1);
    assert_eq!(said.status, 200, "{}", said.text);
    let attachment = said.get("attachmentId").unwrap();
    (eni, attachment)
}

#[test]
fn an_eni_is_created_with_what_was_asked_for() {
    let mut lab = Lab::fast();
    let tags = "&TagSpecification.1.ResourceType=network-interface\
                &TagSpecification.1.Tag.1.Key=firecamp.io/cluster\
                &TagSpecification.1.Tag.1.Value=demo\
                &TagSpecification.1.Tag.2.Key=empty";
    let addresses = "&PrivateIpAddresses.1.PrivateIpAddress=10.0.1.30\
                     &PrivateIpAddresses.1.Primary=false\
                     &PrivateIpAddresses.2.PrivateIpAddress=10.0.1.31\
                     &PrivateIpAddresses.2.Primary=true";
    let group = "&SecurityGroupId.1=sg-0f1ecaca000000001&Description=second%20ENI";
    let said = lab.admin(&format!("{CREATE}{tags}{addresses}{group}&ClientToken=t-1"));
    assert!(
        said.text.starts_with("<?xml") && said.text.contains("<CreateNetworkInterfaceResponse")
    );
    assert_eq!(said.get("clientToken").as_deref(), Some("t-1"));
    assert_eq!(said.get("subnetId").as_deref(), Some(SUBNET));
    assert_eq!(said.get("description").as_deref(), Some("second ENI"));
    assert_eq!(said.get("availabilityZone").as_deref(), Some("us-east-1a"));
    assert_eq!(said.get("privateIpAddress").as_deref(), Some("10.0.1.31"));
    assert_eq!(said.all("primary"), ["true", "false"]);
    assert_eq!(said.all("key"), ["empty", "firecamp.io/cluster"]);
    assert_eq!(said.get("groupId").as_deref(), Some("sg-0f1ecaca000000001"));
    lab.settle();
    let eni = said.get("networkInterfaceId").unwrap();
    assert_eq!(states(&mut lab, &eni), ["available"]);
    let other = lab.create("&SecondaryPrivateIpAddressCount=2");
    assert_ne!(eni, other);
    assert_eq!(describe(&mut lab, &other).all("primary"), ["true", "false", "false"]);
}

#[test]
fn a_new_eni_is_pending_and_unknown_to_other_calls_for_a_while() {
    let mut unknown = 0;
    for seed in 0..30 {
        let mut lab = Lab::with(&Profile::realistic(), seed);
        let said = lab.admin(CREATE);
        let eni = said.get("networkInterfaceId").unwrap();
        let tag = format!("Action=CreateTags&ResourceId.1={eni}&Tag.1.Key=a&Tag.1.Value=b");
        let at_once = lab.admin(&tag);
        let fresh = at_once.status == 400;
        unknown += u32::from(fresh);
        if fresh {
            assert_eq!(at_once.code(), "400 InvalidNetworkInterfaceID.NotFound");
        }
        lab.settle();
        assert_eq!(lab.admin(&tag).code(), "200");
    }
    assert!((5..30).contains(&unknown), "{unknown} of 30 calls came too early");
    let mut lab = Lab::with(&Profile::realistic(), 1);
    assert!(matches!(lab.admin(CREATE).get("status").as_deref(), Some("pending" | "available")));
}

#[test]
fn a_client_token_makes_one_eni() {
    let mut lab = Lab::fast();
    let first = lab.admin(&format!("{CREATE}&ClientToken=once"));
    let again = lab.admin(&format!("{CREATE}&ClientToken=once"));
    let id = first.get("networkInterfaceId").unwrap();
    assert_eq!(again.get("networkInterfaceId").as_deref(), Some(id.as_str()));
    let other = lab.admin(&format!("{CREATE}&ClientToken=once&Description=x"));
    assert_eq!(other.code(), "400 IdempotentParameterMismatch");
    lab.settle();
    assert_eq!(delete(&mut lab, &id).code(), "200");
    let gone = lab.admin(&format!("{CREATE}&ClientToken=once"));
    assert_eq!(gone.code(), "400 InvalidNetworkInterfaceID.NotFound");
    assert_ne!(
        lab.admin(CREATE).get("networkInterfaceId"),
        lab.admin(CREATE).get("networkInterfaceId")
    );
}

#[test]
fn what_cannot_be_created_is_refused() {
    let mut lab = Lab::fast();
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
        assert_eq!(lab.admin(&body).code(), code, "{body}");
    }
    assert_eq!(lab.world.commits(0), []);
    lab.fault(r#"{"fault":{"kind":"subnet_full","subnet":"a","form":"value"}}"#);
    let text = "There aren't sufficient free Ipv4 addresses or prefixes";
    assert_eq!(lab.admin(CREATE).message(), text);
}

#[test]
fn an_eni_is_attached_by_and_by() {
    let mut lab = Lab::clear_sighted(3);
    let eni = lab.create("");
    let begun = lab.now;
    let said = lab.attach(&eni, NODE_1, 1);
    assert!(said.text.contains("<AttachNetworkInterfaceResponse"), "{}", said.text);
    assert_eq!(said.get("networkCardIndex").as_deref(), Some("0"));
    let (mut seen, mut plugged) = (Vec::new(), None);
    for _ in 0..600 {
        let states = states(&mut lab, &eni).join(" ");
        if seen.last() != Some(&states) {
            seen.push(states);
        }
        let own = view(&lab, "node-1", &eni).expect("it is attached at once, in some stage");
        if own.plugged && plugged.is_none() {
            plugged = Some(lab.now.saturating_sub(begun));
        }
        assert!(own.plugged || plugged.is_none(), "a link went away again");
        lab.pass(Duration::from_millis(50));
    }
    assert_eq!(seen, ["in-use attaching", "in-use attached"]);
    assert!(plugged.is_some_and(|after| after >= Duration::from_secs(1)), "{plugged:?}");
    let said = describe(&mut lab, &eni);
    assert_eq!(said.get("deleteOnTermination").as_deref(), Some("false"));
    assert_eq!(said.get("deviceIndex").as_deref(), Some("1"));
    assert!(said.get("attachTime").unwrap().starts_with("2026-"));
}

#[test]
fn the_metadata_of_a_new_eni_is_bare_then_unnumbered_then_whole() {
    let mut lab = Lab::with(&Profile::realistic(), 5);
    let (eni, _) = attached(&mut lab);
    let mac = view(&lab, "node-1", &eni).unwrap().mac;
    let base = format!("network/interfaces/macs/{mac}");
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..400 {
        let (_, macs) = lab.metadata("node-1", "network/interfaces/macs/");
        let (status, _) = lab.metadata("node-1", &format!("{base}/local-ipv4s"));
        let (_, number) = lab.metadata("node-1", &format!("{base}/device-number"));
        let state = match (macs.contains(&mac), status, number.as_str()) {
            (false, 404, _) => "absent",
            (true, 404, "0") => "bare",
            (true, 200, "0") => "unnumbered",
            (true, 200, "1") => "whole",
            other => panic!("{other:?}"),
        };
        if seen.last().map(String::as_str) != Some(state) {
            seen.push(state.to_owned());
        }
        lab.pass(Duration::from_millis(100));
    }
    assert_eq!(seen, ["absent", "bare", "unnumbered", "whole"]);
}

#[test]
fn an_eni_is_detached_by_and_by_and_its_link_goes_first() {
    let mut lab = Lab::with(&Profile::realistic(), 3);
    let (eni, attachment) = attached(&mut lab);
    lab.settle();
    assert_eq!(detach(&mut lab, &attachment, false).get("return").as_deref(), Some("true"));
    let busy = delete(&mut lab, &eni);
    assert_eq!(busy.code(), "400 InvalidParameterValue");
    assert_eq!(busy.message(), format!("Network interface '{eni}' is currently in use."));
    let mut unplugged_before = false;
    while let Some(own) = view(&lab, "node-1", &eni) {
        unplugged_before |= !own.plugged;
        lab.pass(Duration::from_millis(50));
    }
    assert!(unplugged_before);
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["available"]);
    assert_eq!(delete(&mut lab, &eni).code(), "200");
    assert_eq!(delete(&mut lab, &eni).code(), "400 InvalidNetworkInterfaceID.NotFound");
    let gone = detach(&mut lab, &attachment, false);
    assert_eq!(gone.code(), "400 InvalidAttachmentID.NotFound");
}

#[test]
fn what_cannot_be_detached_or_deleted_is_refused() {
    let mut lab = Lab::fast();
    let primary = lab.node("node-1").enis[0].id.clone();
    let id = describe(&mut lab, &primary).get("attachmentId").unwrap();
    assert_eq!(detach(&mut lab, &id, false).code(), "400 OperationNotPermitted");
    let bad = detach(&mut lab, "x", false).code();
    assert_eq!(bad, "400 InvalidNetworkInterfaceAttachmentId.Malformed");
    let (_, attachment) = attached(&mut lab);
    assert_eq!(detach(&mut lab, &attachment, false).code(), "200");
    assert_eq!(detach(&mut lab, &attachment, false).code(), "400 IncorrectState");
    assert_eq!(delete(&mut lab, MANAGED).code(), "400 OperationNotPermitted");
    assert_eq!(delete(&mut lab, "eni-1").code(), "400 InvalidNetworkInterfaceId.Malformed");
}

#[test]
fn force_burns_the_index_and_leaves_a_ghost_until_stop_and_start() {
    let mut lab = Lab::fast();
    let (eni, attachment) = attached(&mut lab);
    lab.settle();
    let mac = view(&lab, "node-1", &eni).unwrap().mac;
    lab.fault(r#"{"fault":{"kind":"eni_stuck","stage":"detaching"}}"#);
    assert_eq!(detach(&mut lab, &attachment, false).code(), "200");
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["detaching", "detaching"]);
    assert_eq!(detach(&mut lab, &attachment, true).code(), "200");
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["available"]);
    let listed =
        |lab: &mut Lab| lab.metadata("node-1", "network/interfaces/macs/").1.contains(&mac);
    assert!(listed(&mut lab), "the metadata is not updated");
    let taken = lab.attach(&eni, NODE_1, 1);
    let text =
        format!("Instance '{NODE_1}' already has an interface attached at device index '1'.");
    assert_eq!(taken.message(), text);
    for act in [Act::Stop { node: "node-1".to_owned() }, Act::Start { node: "node-1".to_owned() }] {
        lab.act(&act);
    }
    lab.settle();
    assert!(!listed(&mut lab));
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "200");
}

#[test]
fn an_attachment_can_be_stuck() {
    let mut lab = Lab::fast();
    let eni = lab.create("");
    let when = format!("{{\"resource\":\"{eni}\"}}");
    let fault = r#"{"kind":"eni_stuck","stage":"attaching"}"#;
    lab.fault(&format!("{{\"fault\":{fault},\"when\":{when}}}"));
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "200");
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["in-use", "attaching"]);
    lab.clear();
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["in-use", "attached"]);
}

#[test]
fn an_eni_that_was_attached_later_outlives_its_instance() {
    let mut lab = Lab::fast();
    let eni = lab.create("&PrivateIpAddress=10.0.1.30&SecondaryPrivateIpAddressCount=1");
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "200");
    lab.settle();
    lab.act(&Act::Terminate { node: "node-1".to_owned(), delete_on_termination: None });
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["available"]);
    assert_eq!(describe(&mut lab, &eni).all("primary").len(), 2);
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "400 IncorrectInstanceState");
    lab.pass(Duration::from_hours(1));
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "400 InvalidInstanceID.NotFound");
}

#[test]
fn a_dry_run_changes_nothing_and_does_not_count_as_a_change() {
    let mut lab = Lab::fast();
    let (_, attachment) = attached(&mut lab);
    lab.settle();
    let (commits, calls) = (lab.world.commits(0).len(), lab.world.calls(0).len());
    let attach = format!("NetworkInterfaceId={OTHER}&InstanceId={NODE_2}&DeviceIndex=2");
    for body in [
        format!("{CREATE}&DryRun=true"),
        format!("Action=AttachNetworkInterface&{attach}&DryRun=true"),
        format!("Action=DetachNetworkInterface&AttachmentId={attachment}&DryRun=true"),
        format!("Action=DeleteNetworkInterface&NetworkInterfaceId={OTHER}&DryRun=true"),
        format!("Action=CreateTags&ResourceId.1={OTHER}&Tag.1.Key=a&DryRun=true"),
        "Action=DescribeVolumes&DryRun=true".to_owned(),
    ] {
        assert_eq!(lab.admin(&body).code(), "412 DryRunOperation", "{body}");
    }
    assert_eq!(lab.world.commits(0).len(), commits);
    let dry = &lab.world.calls(0)[calls..];
    assert!(dry.iter().all(|call| !call.mutating && !call.committed), "{dry:#?}");
    // What does not exist is told even so; limits are not.
    let gone = format!("NetworkInterfaceId={OTHER}&InstanceId=i-0000000000000dead&DeviceIndex=2");
    let said = lab.admin(&format!("Action=AttachNetworkInterface&{gone}&DryRun=true"));
    assert_eq!(said.code(), "400 InvalidInstanceID.NotFound");
    lab.fault(r#"{"fault":{"kind":"iam_deny"},"when":{"op":"AttachNetworkInterface"}}"#);
    let said = lab.admin(&format!("Action=AttachNetworkInterface&{attach}&DryRun=true"));
    assert_eq!(said.code(), "403 UnauthorizedOperation");
}

#[test]
fn faults_strike_the_calls_of_an_eni_as_well() {
    let mut lab = Lab::fast();
    let eni = lab.create("");
    lab.fault(
        r#"{"fault":{"kind":"http_status","status":503,"body":"empty","after_commit":true},
            "when":{"op":"AttachNetworkInterface","count":1}}"#,
    );
    assert_eq!(lab.attach(&eni, NODE_1, 1).code(), "503");
    lab.settle();
    assert_eq!(states(&mut lab, &eni), ["in-use", "attached"], "it was committed");
    let again = lab.attach(&eni, NODE_1, 1);
    assert_eq!(again.code(), "400 InvalidNetworkInterface.InUse", "attaching is not idempotent");
    lab.fault(r#"{"fault":{"kind":"late_landing","after_ms":8000},"when":{"op":"Delete*"}}"#);
    let asked = lab.now;
    assert_eq!(delete(&mut lab, OTHER).code(), "200");
    assert!(lab.now >= asked + Duration::from_secs(8));
    lab.fault(r#"{"fault":{"kind":"throttle_storm"}}"#);
    assert_eq!(lab.admin(CREATE).code(), "503 RequestLimitExceeded");
}
