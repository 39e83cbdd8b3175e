//! Volumes: what DescribeVolumes shows of them, and how they come and go.

use std::time::Duration;

use firecamp_vpc::{Act, Profile, Spec};

use crate::lab::{Lab, NODE_1, Said};

const DATA: &str = "vol-00000000000000001";
const SPARE: &str = "vol-00000000000000002";

fn describe(lab: &mut Lab, filter: &str, value: &str) -> Said {
    let filter = format!("&Filter.1.Name={filter}&Filter.1.Value.1={value}&MaxResults=5");
    let said = lab.admin(&format!("Action=DescribeVolumes{filter}"));
    assert_ne!(said.status, 503, "{}", said.text);
    said
}

/// State of the volume and of its attachments.
fn states(lab: &mut Lab, volume: &str) -> String {
    describe(lab, "volume-id", volume).all("status").join(" ")
}

fn attach(volume: &str, node: &str) -> Act {
    Act::AttachVolume { volume: volume.to_owned(), node: node.to_owned(), device: None }
}

fn detach(volume: &str, force: bool) -> Act {
    Act::DetachVolume { volume: volume.to_owned(), node: None, force }
}

fn refusal(lab: &mut Lab, act: &Act) -> String {
    lab.world.act(lab.now, act).unwrap_err().to_string()
}

/// The states that were seen one after the other until nothing changes any more.
fn watch(lab: &mut Lab, volume: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..400 {
        let now = states(lab, volume);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        // Slower than the bucket of reads refills.
        lab.pass(Duration::from_millis(60));
    }
    seen
}

#[test]
fn volumes_are_described_with_their_attachments() {
    let mut lab = Lab::fast();
    let said = describe(&mut lab, "volume-id", DATA);
    assert!(said.text.contains("<DescribeVolumesResponse"), "{}", said.text);
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
        assert_eq!(said.get(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(said.all("status"), ["in-use", "attached"]);
    assert!(said.get("attachTime").is_some() && said.get("createTime").is_some());
}

#[test]
fn volume_filters_narrow_and_unknown_ones_are_refused() {
    let mut lab = Lab::fast();
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
            let said = lab.admin(&format!("Action=DescribeVolumes{filter}&MaxResults=5{token}"));
            found += said.all("multiAttachEnabled").len();
            let Some(next) = said.get("nextToken") else { break };
            token = format!("&NextToken={next}");
        }
        assert_eq!(found, count, "{filter} {value}");
    }
    let said = describe(&mut lab, "no-such", "x");
    assert_eq!(said.message(), "The filter 'no-such' is invalid");
}

#[test]
fn pages_and_ids_are_checked() {
    let mut lab = Lab::fast();
    let page = lab.admin("Action=DescribeVolumes&MaxResults=5");
    assert_eq!(page.all("volumeType").len(), 5);
    let token = page.get("nextToken").unwrap();
    let rest = lab.admin(&format!("Action=DescribeVolumes&MaxResults=5&NextToken={token}"));
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
        let said = lab.admin(&format!("Action=DescribeVolumes&{rest}"));
        assert_eq!(said.code(), code, "{rest}");
    }
    let said = lab.admin("Action=DescribeVolumes&VolumeId.1=vol-0000000000000dead");
    assert_eq!(said.message(), "The volume 'vol-0000000000000dead' does not exist.");
    lab.fault(r#"{"fault":{"kind":"describe_omits"},"when":{"resource":"vol-00000000000000001"}}"#);
    assert_eq!(describe(&mut lab, "tag:app", "db").all("volumeType").len(), 0);
}

#[test]
fn a_volume_is_in_use_before_it_is_attaching_and_then_attached() {
    let mut lab = Lab::clear_sighted(1);
    lab.act(&attach("spare", "node-1"));
    assert_eq!(watch(&mut lab, SPARE), ["in-use", "in-use attaching", "in-use attached"]);
    lab.act(&detach("spare", false));
    assert_eq!(watch(&mut lab, SPARE), ["in-use detaching", "in-use", "available"]);
}

#[test]
fn describe_volumes_and_describe_instances_disagree_for_a_while() {
    let disagree = (0..40).filter(|seed| {
        let mut lab = Lab::with(&Profile::realistic(), *seed);
        lab.act(&attach("spare", "node-1"));
        let mut differ = false;
        for _ in 0..40 {
            let volumes = states(&mut lab, SPARE).contains("attached");
            let filter = format!("&Filter.1.Name=instance-id&Filter.1.Value.1={NODE_1}");
            let said = lab.admin(&format!("Action=DescribeInstances{filter}"));
            let mapped = said.all("ebs").into_iter().find(|ebs| ebs.contains(SPARE));
            let instances = mapped.is_some_and(|ebs| ebs.contains("<status>attached"));
            differ |= volumes != instances;
            lab.pass(Duration::from_millis(300));
        }
        differ
    });
    assert!((3..40).contains(&disagree.count()));
}

#[test]
fn an_attachment_is_stuck_as_long_as_the_fault_lasts() {
    let mut lab = Lab::fast();
    let stuck = |lab: &mut Lab, stage: &str| {
        let fault = format!("{{\"kind\":\"volume_stuck\",\"stage\":\"{stage}\"}}");
        lab.fault(&format!("{{\"fault\":{fault},\"when\":{{\"resource\":\"spare\"}}}}"));
    };
    stuck(&mut lab, "attaching");
    lab.act(&attach("spare", "node-1"));
    lab.settle();
    assert_eq!(states(&mut lab, SPARE), "in-use attaching");
    lab.clear();
    lab.settle();
    assert_eq!(states(&mut lab, SPARE), "in-use attached");
    stuck(&mut lab, "busy");
    lab.act(&detach("spare", false));
    lab.settle();
    assert_eq!(states(&mut lab, SPARE), "in-use busy");
    let filter = "Filter.1.Name=block-device-mapping.volume-id&Filter.1.Value.1";
    let said = lab.admin(&format!("Action=DescribeInstances&{filter}={SPARE}"));
    let mapped = said.all("ebs").into_iter().find(|ebs| ebs.contains(SPARE)).unwrap();
    assert!(mapped.contains("<status>detaching"), "{mapped}");
    // Another volume of the node is not held up.
    lab.act(&detach("data-0", false));
    lab.settle();
    assert_eq!(states(&mut lab, DATA), "available");
    lab.act(&Act::Reboot { node: "node-1".to_owned(), imds_missing_ms: 0 });
    lab.settle();
    assert_eq!(states(&mut lab, SPARE), "available", "a reboot ends it");
}

#[test]
fn force_ends_a_detachment_that_is_held_up() {
    let mut lab = Lab::fast();
    lab.fault(r#"{"fault":{"kind":"volume_stuck","stage":"detaching"}}"#);
    lab.act(&detach("data-0", false));
    lab.settle();
    assert_eq!(states(&mut lab, DATA), "in-use detaching");
    assert!(refusal(&mut lab, &detach("data-0", false)).contains("is being detached"));
    lab.act(&detach("data-0", true));
    lab.settle();
    assert_eq!(states(&mut lab, DATA), "available");
    assert!(refusal(&mut lab, &detach("data-0", true)).contains("in the 'available' state."));
}

#[test]
fn volumes_of_a_terminated_node_go_and_those_of_a_stopped_one_stay() {
    let mut lab = Lab::fast();
    lab.act(&Act::Stop { node: "node-1".to_owned() });
    lab.settle();
    assert_eq!(states(&mut lab, DATA), "in-use attached");
    // Nothing holds up the volumes of an instance that is gone.
    lab.fault(r#"{"fault":{"kind":"volume_stuck","stage":"detaching"}}"#);
    lab.act(&Act::Terminate { node: "node-1".to_owned(), delete_on_termination: None });
    lab.settle();
    assert_eq!(states(&mut lab, DATA), "available");
    assert_eq!(describe(&mut lab, "attachment.instance-id", NODE_1).all("size").len(), 0);
    assert_eq!(describe(&mut lab, "attachment.device", "/dev/xvda").all("size").len(), 2);
}

#[test]
fn what_cannot_be_done_with_a_volume_is_refused() {
    let mut lab = Lab::fast();
    let far = attach("far", "node-1");
    assert!(refusal(&mut lab, &far).contains("not in the same availability zone"));
    assert!(refusal(&mut lab, &attach("data-0", "node-2")).contains("already attached"));
    let named = |device: &str| Act::AttachVolume {
        volume: "spare".to_owned(),
        node: "node-1".to_owned(),
        device: Some(device.to_owned()),
    };
    assert!(refusal(&mut lab, &named("/dev/xvdba")).contains("already in use"));
    assert!(refusal(&mut lab, &named("/dev/nvme1n1")).contains("parameter device"));
    lab.act(&Act::FailVolume { volume: "spare".to_owned(), failed: true });
    assert_eq!(lab.volume("spare").state, "error");
    assert!(refusal(&mut lab, &attach("spare", "node-1")).contains("is not 'available'"));
    lab.act(&Act::FailVolume { volume: "spare".to_owned(), failed: false });
    lab.act(&named("/dev/sdf"));
    assert!(refusal(&mut lab, &attach("spare", "node-1")).contains("already attached"));
    lab.settle();
    let seen = lab.volume("spare");
    assert_eq!(seen.attachments[0].device, "/dev/sdf");
    assert_eq!(seen.attachments[0].node.as_deref(), Some("node-1"));
    let delete = Act::DeleteVolume { volume: "spare".to_owned() };
    assert!(refusal(&mut lab, &delete).contains("currently attached"));
    assert!(refusal(&mut lab, &attach("no-such", "node-1")).contains("no volume no-such"));
}

#[test]
fn volumes_grow_and_are_deleted() {
    let mut lab = Lab::fast();
    lab.act(&Act::ResizeVolume { volume: "data-0".to_owned(), size_gib: 200 });
    lab.settle();
    assert_eq!(describe(&mut lab, "volume-id", DATA).get("size").as_deref(), Some("200"));
    let smaller = Act::ResizeVolume { volume: "data-0".to_owned(), size_gib: 100 };
    assert!(refusal(&mut lab, &smaller).contains("only grows"));
    lab.act(&Act::DeleteVolume { volume: "spare".to_owned() });
    lab.settle();
    assert_eq!(describe(&mut lab, "volume-id", SPARE).all("size").len(), 0);
    let create = |id: &str, zone: &str| Act::CreateVolume {
        id: id.to_owned(),
        zone: zone.to_owned(),
        size_gib: 1,
    };
    assert!(refusal(&mut lab, &create(DATA, "us-east-1a")).contains("not the id of a new"));
    assert!(refusal(&mut lab, &create("vol-0000000a", "us-east-1z")).contains("no zone"));
    lab.act(&create("vol-0000000a", "us-east-1b"));
}

#[test]
fn a_spec_with_impossible_volumes_is_refused_by_field() {
    let base = "[vpc]\ncidr = \"10.0.0.0/16\"\n[[subnets]]\nname = \"a\"\n\
                cidr = \"10.0.1.0/24\"\nzone = \"us-east-1a\"\n[[nodes]]\nname = \"n\"\n\
                subnet = \"a\"\ninstance_type = \"m5.large\"\n";
    for (volume, expected) in [
        ("node = \"n\"\nvolume_type = \"ssd\"", "volumes[0].volume_type: it is one of"),
        ("node = \"n\"\nsize_gib = 0", "volumes[0].size_gib: it is from 1"),
        ("node = \"m\"", "volumes[0].node: there is no node \"m\""),
        ("zone = \"us-east-1b\"", "volumes[0].zone: no subnet is in it"),
        ("node = \"n\"\nid = \"vol-x\"", "an id here is vol-"),
        ("node = \"n\"\ndevice = \"/dev/xvda\"", "volumes[0].device: it is taken"),
        ("size_gib = 1", "volumes[0].zone:"),
    ] {
        let text = format!("{base}[[volumes]]\nname = \"v\"\n{volume}\n");
        let error = Spec::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} has no {expected:?}");
    }
}
