//! CreateTags, and tags on what is created.

use firecamp_vpc::Profile;

use crate::lab::{Lab, MANAGED, NODE_1, OTHER, Said};

fn tag(lab: &mut Lab, resources: &[&str], key: &str, value: &str) -> Said {
    let mut list = String::new();
    for (id, n) in resources.iter().zip(1_u32..) {
        list.extend(["&ResourceId.", &n.to_string(), "=", id]);
    }
    lab.admin(&format!("Action=CreateTags{list}&Tag.1.Key={key}&Tag.1.Value={value}"))
}

fn owned(lab: &mut Lab, action: &str, key: &str, value: &str) -> usize {
    let filter = format!("&Filter.1.Name=tag:{key}&Filter.1.Value.1={value}&MaxResults=5");
    let said = lab.admin(&format!("Action={action}{filter}"));
    said.all("tagSet").len()
}

#[test]
fn enis_instances_and_volumes_are_tagged_and_equal_keys_overwritten() {
    let mut lab = Lab::fast();
    let all = [OTHER, NODE_1, "vol-00000000000000001"];
    assert_eq!(tag(&mut lab, &all, "team", "a").get("return").as_deref(), Some("true"));
    assert_eq!(tag(&mut lab, &all, "team", "b").code(), "200");
    lab.settle();
    for action in ["DescribeNetworkInterfaces", "DescribeInstances", "DescribeVolumes"] {
        assert_eq!(owned(&mut lab, action, "team", "a"), 0, "{action}");
        assert_eq!(owned(&mut lab, action, "team", "b"), 1, "{action}");
    }
    let commits = lab.world.commits(0).len();
    assert_eq!(tag(&mut lab, &all, "team", "b").code(), "200");
    assert_eq!(lab.world.commits(0).len(), commits, "nothing changed");
}

#[test]
fn tags_that_cannot_be_are_refused_and_no_resource_gets_them() {
    let mut lab = Lab::fast();
    let long = "x".repeat(129);
    for (resources, key, code) in [
        (vec!["x"], "a", "400 InvalidID"),
        (vec!["eni-x"], "a", "400 InvalidNetworkInterfaceId.Malformed"),
        (vec![OTHER, "eni-0000000000000dead"], "a", "400 InvalidNetworkInterfaceID.NotFound"),
        (vec!["i-0000000000000dead"], "a", "400 InvalidInstanceID.NotFound"),
        (vec!["vol-0000000000000dead"], "a", "400 InvalidVolume.NotFound"),
        (vec![MANAGED], "a", "400 OperationNotPermitted"),
        (vec![OTHER], "aws:a", "400 InvalidTagKey.Malformed"),
        (vec![OTHER], long.as_str(), "400 InvalidTagKey.Malformed"),
        (vec![], "a", "400 MissingParameter"),
    ] {
        assert_eq!(tag(&mut lab, &resources, key, "v").code(), code, "{resources:?}");
    }
    let bare = format!("Action=CreateTags&ResourceId.1={OTHER}");
    assert_eq!(lab.admin(&bare).code(), "400 MissingParameter");
    let twice = format!("{bare}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=a&Tag.2.Value=2");
    assert_eq!(lab.admin(&twice).message(), "Duplicate tag key 'a' specified.");
    assert_eq!(lab.world.commits(0), []);
}

#[test]
fn a_resource_has_50_tags() {
    let mut lab = Lab::fast();
    for n in 0..50 {
        assert_eq!(tag(&mut lab, &[OTHER], &format!("k{n}"), "v").code(), "200", "{n}");
    }
    assert_eq!(tag(&mut lab, &[OTHER], "k50", "v").code(), "400 TagLimitExceeded");
    assert_eq!(tag(&mut lab, &[OTHER], "k0", "other").code(), "200");
}

#[test]
fn tags_are_read_later_than_they_are_written() {
    let late = (0..30).filter(|seed| {
        let mut lab = Lab::with(&Profile::realistic(), *seed);
        assert_eq!(tag(&mut lab, &[OTHER], "a", "b").code(), "200");
        let at_once = owned(&mut lab, "DescribeNetworkInterfaces", "a", "b");
        lab.settle();
        assert_eq!(owned(&mut lab, "DescribeNetworkInterfaces", "a", "b"), 1);
        at_once == 0
    });
    assert!((3..30).contains(&late.count()));
}

#[test]
fn who_may_not_tag_may_not_create_what_is_tagged() {
    let mut lab = Lab::fast();
    lab.fault(r#"{"fault":{"kind":"iam_deny"},"when":{"op":"CreateTags","caller":"node-1"}}"#);
    let create = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";
    let tagged = format!(
        "{create}&TagSpecification.1.ResourceType=network-interface\
         &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
    );
    assert_eq!(lab.ask("node-1", &tagged).code(), "403 UnauthorizedOperation");
    assert_eq!(lab.ask("node-1", create).code(), "200");
    assert_eq!(lab.ask("node-2", &tagged).code(), "200");
}
