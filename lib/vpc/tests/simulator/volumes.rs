//! Volumes: the responses of DescribeVolumes, and the lifecycle.

use std::time::Duration;

use firecamp_vpc::{Act, Profile, Spec};

use crate::test_vpc::{NODE_1, Response, TestVpc};

const DATA: &str = "vol-00000000000000001";
const SPARE: &str = "vol-00000000000000002";

fn describe(vpc: &mut TestVpc, filter: &str, value: &str) -> Response {
    let filter = format!("&Filter.1.Name={filter}&Filter.1.Value.1={value}&MaxResults=5");
    let response = vpc.admin(&format!("Action=DescribeVolumes{filter}"));
    assert_ne!(response.status, 503, "{}", response.text);
    response
}

/// State of the volume and of its attachments.
fn states(vpc: &mut TestVpc, volume: &str) -> String {
    describe(vpc, "volume-id", volume).all("status").join(" ")
}

fn attach(volume: &str, node: &str) -> Act {
    Act::AttachVolume { volume: volume.to_owned(), node: node.to_owned(), device: None }
}

fn detach(volume: &str, force: bool) -> Act {
    Act::DetachVolume { volume: volume.to_owned(), node: None, force }
}

fn refusal(vpc: &mut TestVpc, act: &Act) -> String {
    vpc.simulator.act(vpc.now, act).unwrap_err().to_string()
}

/// The observed states, in order, until nothing changes any more.
fn watch(vpc: &mut TestVpc, volume: &str) -> Vec<String> {
    let mut observed: Vec<String> = Vec::new();
    for _ in 0..400 {
        let now = states(vpc, volume);
        if observed.last() != Some(&now) {
            observed.push(now);
        }
        // Slower than the refill of the read bucket.
        vpc.pass(Duration::from_millis(60));
    }
    observed
}

#[test]
fn volumes_are_described_with_their_attachments() {
    let mut vpc = TestVpc::fast();
    let response = describe(&mut vpc, "volume-id", DATA);
    assert!(response.text.contains("<DescribeVolumesResponse"), "{}", response.text);
    for (name, value) in [
        ("volumeId", DATA),
        ("size", "100"),
        ("volumeType", "gp3"),
        ("iops", "3000"),
        ("throughput", "125"),
        ("encrypted", "false"),
        ("availabilityZone", "us-east-1a"),
        ("status", "in-use"),
        ("multiAttachEnabled", "false"),
        ("instanceId", NODE_1),
        ("device", "/dev/xvdba"),
        ("deleteOnTermination", "false"),
        ("key", "app"),
    ] {
        assert_eq!(response.get(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(response.all("status"), ["in-use", "attached"]);
    assert!(response.get("attachTime").is_some() && response.get("createTime").is_some());
}

#[test]
fn volume_filters_narrow_and_unknown_ones_are_refused() {
    let mut vpc = TestVpc::fast();
    for (filter, value, count) in [
        ("attachment.instance-id", NODE_1, 2),
        ("attachment.status", "attached", 4),
        ("attachment.status", "attaching", 0),
        ("attachment.device", "/dev/xvda", 3),
        ("attachment.delete-on-termination", "true", 3),
        ("status", "available", 2),
        ("availability-zone", "us-east-1b", 2),
        ("availability-zone-id", "use1-az2", 2),
        ("tag:app", "db", 1),
        ("tag-key", "app", 1),
        ("encrypted", "true", 1),
        ("multi-attach-enabled", "true", 0),
        ("operator.managed", "false", 6),
        ("size", "100", 1),
        ("volume-type", "gp2", 1),
        ("volume-id", "vol-0000000000000000?", 3),
    ] {
        let mut found = 0;
        let mut token = String::new();
        loop {
            let filter = format!("&Filter.1.Name={filter}&Filter.1.Value.1={value}");
            let response =
                vpc.admin(&format!("Action=DescribeVolumes{filter}&MaxResults=5{token}"));
            found += response.all("multiAttachEnabled").len();
            let Some(next) = response.get("nextToken") else { break };
            token = format!("&NextToken={next}");
        }
        assert_eq!(found, count, "{filter} {value}");
    }
    let response = describe(&mut vpc, "no-such", "x");
    assert_eq!(response.message(), "The filter 'no-such' is invalid");
}

#[test]
fn pages_and_ids_are_checked() {
    let mut vpc = TestVpc::fast();
    let page = vpc.admin("Action=DescribeVolumes&MaxResults=5");
    assert_eq!(page.all("volumeType").len(), 5);
    let token = page.get("nextToken").unwrap();
    let rest = vpc.admin(&format!("Action=DescribeVolumes&MaxResults=5&NextToken={token}"));
    assert_eq!((rest.all("volumeType").len(), rest.get("nextToken")), (1, None));
    for (rest, code) in [
        ("MaxResults=4".to_owned(), "400 InvalidParameterValue"),
        ("MaxResults=1001".to_owned(), "400 InvalidParameterValue"),
        ("NextToken=x".to_owned(), "400 InvalidNextToken"),
        (format!("VolumeId.1={DATA}&MaxResults=5"), "400 InvalidParameterCombination"),
        ("VolumeId.1=x".to_owned(), "400 InvalidVolumeID.Malformed"),
        (
            format!("VolumeId.1={DATA}&VolumeId.2=vol-0000000000000dead"),
            "400 InvalidVolume.NotFound",
        ),
        ("Colour=red".to_owned(), "400 UnknownParameter"),
    ] {
        let response = vpc.admin(&format!("Action=DescribeVolumes&{rest}"));
        assert_eq!(response.code(), code, "{rest}");
    }
    let response = vpc.admin("Action=DescribeVolumes&VolumeId.1=vol-0000000000000dead");
    assert_eq!(response.message(), "The volume 'vol-0000000000000dead' does not exist.");
    vpc.fault(r#"{"fault":{"kind":"describe_omits"},"when":{"resource":"vol-00000000000000001"}}"#);
    assert_eq!(describe(&mut vpc, "tag:app", "db").all("volumeType").len(), 0);
}

#[test]
fn a_volume_is_in_use_before_it_is_attaching_and_then_attached() {
    let mut vpc = TestVpc::with_consistent_reads(1);
    vpc.act(&attach("spare", "node-1"));
    assert_eq!(watch(&mut vpc, SPARE), ["in-use", "in-use attaching", "in-use attached"]);
    vpc.act(&detach("spare", false));
    assert_eq!(watch(&mut vpc, SPARE), ["in-use detaching", "in-use", "available"]);
}

#[test]
fn describe_volumes_and_describe_instances_disagree_for_a_while() {
    let disagree = (0..40).filter(|seed| {
        let mut vpc = TestVpc::with(&Profile::realistic(), *seed);
        vpc.act(&attach("spare", "node-1"));
        let mut differ = false;
        for _ in 0..40 {
            let volumes = states(&mut vpc, SPARE).contains("attached");
            let filter = format!("&Filter.1.Name=instance-id&Filter.1.Value.1={NODE_1}");
            let response = vpc.admin(&format!("Action=DescribeInstances{filter}"));
            let mapped = response.all("ebs").into_iter().find(|ebs| ebs.contains(SPARE));
            let instances = mapped.is_some_and(|ebs| ebs.contains("<status>attached"));
            differ |= volumes != instances;
            vpc.pass(Duration::from_millis(300));
        }
        differ
    });
    assert!((3..40).contains(&disagree.count()));
}

#[test]
fn an_attachment_is_stuck_as_long_as_the_fault_lasts() {
    let mut vpc = TestVpc::fast();
    let stuck = |vpc: &mut TestVpc, stage: &str| {
        let fault = format!("{{\"kind\":\"volume_stuck\",\"stage\":\"{stage}\"}}");
        vpc.fault(&format!("{{\"fault\":{fault},\"when\":{{\"resource\":\"spare\"}}}}"));
    };
    stuck(&mut vpc, "attaching");
    vpc.act(&attach("spare", "node-1"));
    vpc.settle();
    assert_eq!(states(&mut vpc, SPARE), "in-use attaching");
    vpc.clear();
    vpc.settle();
    assert_eq!(states(&mut vpc, SPARE), "in-use attached");
    stuck(&mut vpc, "busy");
    vpc.act(&detach("spare", false));
    vpc.settle();
    assert_eq!(states(&mut vpc, SPARE), "in-use busy");
    let filter = "Filter.1.Name=block-device-mapping.volume-id&Filter.1.Value.1";
    let response = vpc.admin(&format!("Action=DescribeInstances&{filter}={SPARE}"));
    let mapped = response.all("ebs").into_iter().find(|ebs| ebs.contains(SPARE)).unwrap();
    assert!(mapped.contains("<status>detaching"), "{mapped}");
    // The fault does not affect another volume of the node.
    vpc.act(&detach("data-0", false));
    vpc.settle();
    assert_eq!(states(&mut vpc, DATA), "available");
    vpc.act(&Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 });
    vpc.settle();
    assert_eq!(states(&mut vpc, SPARE), "available", "a reboot ends the stuck detachment");
}

#[test]
fn force_ends_a_stuck_detachment() {
    let mut vpc = TestVpc::fast();
    vpc.fault(r#"{"fault":{"kind":"volume_stuck","stage":"detaching"}}"#);
    vpc.act(&detach("data-0", false));
    vpc.settle();
    assert_eq!(states(&mut vpc, DATA), "in-use detaching");
    assert!(refusal(&mut vpc, &detach("data-0", false)).contains("is already detaching"));
    vpc.act(&detach("data-0", true));
    vpc.settle();
    assert_eq!(states(&mut vpc, DATA), "available");
    assert!(refusal(&mut vpc, &detach("data-0", true)).contains("in the 'available' state."));
}

#[test]
fn a_terminated_node_releases_its_volumes_and_a_stopped_one_keeps_them() {
    let mut vpc = TestVpc::fast();
    vpc.act(&Act::Stop { node: "node-1".to_owned() });
    vpc.settle();
    assert_eq!(states(&mut vpc, DATA), "in-use attached");
    // Nothing delays the volumes of a terminated instance.
    vpc.fault(r#"{"fault":{"kind":"volume_stuck","stage":"detaching"}}"#);
    vpc.act(&Act::Terminate { node: "node-1".to_owned(), delete_on_termination: None });
    vpc.settle();
    assert_eq!(states(&mut vpc, DATA), "available");
    assert_eq!(describe(&mut vpc, "attachment.instance-id", NODE_1).all("size").len(), 0);
    assert_eq!(describe(&mut vpc, "attachment.device", "/dev/xvda").all("size").len(), 2);
}

#[test]
fn invalid_volume_actions_are_refused() {
    let mut vpc = TestVpc::fast();
    let far = attach("far", "node-1");
    assert!(refusal(&mut vpc, &far).contains("not in the same availability zone"));
    assert!(refusal(&mut vpc, &attach("data-0", "node-2")).contains("already attached"));
    let named = |device: &str| Act::AttachVolume {
        volume: "spare".to_owned(),
        node: "node-1".to_owned(),
        device: Some(device.to_owned()),
    };
    assert!(refusal(&mut vpc, &named("/dev/xvdba")).contains("already in use"));
    assert!(refusal(&mut vpc, &named("/dev/nvme1n1")).contains("parameter device"));
    vpc.act(&Act::FailVolume { volume: "spare".to_owned(), failed: true });
    assert_eq!(vpc.volume("spare").state, "error");
    assert!(refusal(&mut vpc, &attach("spare", "node-1")).contains("is not 'available'"));
    vpc.act(&Act::FailVolume { volume: "spare".to_owned(), failed: false });
    vpc.act(&named("/dev/sdf"));
    assert!(refusal(&mut vpc, &attach("spare", "node-1")).contains("already attached"));
    vpc.settle();
    let observed = vpc.volume("spare");
    assert_eq!(observed.attachments[0].device, "/dev/sdf");
    assert_eq!(observed.attachments[0].node.as_deref(), Some("node-1"));
    let delete = Act::DeleteVolume { volume: "spare".to_owned() };
    assert!(refusal(&mut vpc, &delete).contains("currently attached"));
    assert!(refusal(&mut vpc, &attach("no-such", "node-1")).contains("no volume no-such"));
}

#[test]
fn volumes_are_resized_and_deleted() {
    let mut vpc = TestVpc::fast();
    vpc.act(&Act::ResizeVolume { volume: "data-0".to_owned(), size_gib: 200 });
    vpc.settle();
    assert_eq!(describe(&mut vpc, "volume-id", DATA).get("size").as_deref(), Some("200"));
    let smaller = Act::ResizeVolume { volume: "data-0".to_owned(), size_gib: 100 };
    assert!(refusal(&mut vpc, &smaller).contains("must be 200 to"));
    vpc.act(&Act::DeleteVolume { volume: "spare".to_owned() });
    vpc.settle();
    assert_eq!(describe(&mut vpc, "volume-id", SPARE).all("size").len(), 0);
    let create = |id: &str, zone: &str| Act::CreateVolume {
        id: id.to_owned(),
        zone: zone.to_owned(),
        size_gib: 1,
    };
    assert!(refusal(&mut vpc, &create(DATA, "us-east-1a")).contains("not an unused volume ID"));
    assert!(refusal(&mut vpc, &create("vol-0000000a", "us-east-1z")).contains("no zone"));
    vpc.act(&create("vol-0000000a", "us-east-1b"));
}

#[test]
fn a_spec_with_invalid_volumes_is_refused() {
    let base = "[vpc]\ncidr = \"10.0.0.0/16\"\n[[subnets]]\nname = \"a\"\n\
                cidr = \"10.0.1.0/24\"\nzone = \"us-east-1a\"\n[[nodes]]\nname = \"n\"\n\
                subnet = \"a\"\ninstance_type = \"m5.large\"\n";
    for (volume, expected) in [
        ("node = \"n\"\nvolume_type = \"ssd\"", "volumes[0].volume_type: must be one of"),
        ("node = \"n\"\nsize_gib = 0", "volumes[0].size_gib: must be from 1"),
        ("node = \"m\"", "volumes[0].node: there is no node \"m\""),
        ("zone = \"us-east-1b\"", "volumes[0].zone: no subnet is in this zone"),
        ("node = \"n\"\nid = \"vol-x\"", "expected vol-"),
        ("node = \"n\"\ndevice = \"/dev/xvda\"", "volumes[0].device: already in use"),
        ("size_gib = 1", "volumes[0].zone:"),
    ] {
        let text = format!("{base}[[volumes]]\nname = \"v\"\n{volume}\n");
        let error = Spec::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
}
