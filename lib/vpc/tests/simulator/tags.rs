//! CreateTags, DeleteTags, and tags in create requests.

use firecamp_vpc::Profile;

use crate::test_vpc::{MANAGED, NODE_1, OTHER, Response, TestVpc};

fn tag(vpc: &mut TestVpc, resources: &[&str], key: &str, value: &str) -> Response {
    let mut list = String::new();
    for (id, n) in resources.iter().zip(1_u32..) {
        list.extend(["&ResourceId.", &n.to_string(), "=", id]);
    }
    vpc.admin(&format!("Action=CreateTags{list}&Tag.1.Key={key}&Tag.1.Value={value}"))
}

fn owned(vpc: &mut TestVpc, action: &str, key: &str, value: &str) -> usize {
    let filter = format!("&Filter.1.Name=tag:{key}&Filter.1.Value.1={value}&MaxResults=5");
    let response = vpc.admin(&format!("Action={action}{filter}"));
    response.all("tagSet").len()
}

#[test]
fn enis_instances_and_volumes_are_tagged_and_equal_keys_overwritten() {
    let mut vpc = TestVpc::fast();
    let all = [OTHER, NODE_1, "vol-00000000000000001"];
    assert_eq!(tag(&mut vpc, &all, "team", "a").get("return").as_deref(), Some("true"));
    assert_eq!(tag(&mut vpc, &all, "team", "b").code(), "200");
    vpc.settle();
    for action in ["DescribeNetworkInterfaces", "DescribeInstances", "DescribeVolumes"] {
        assert_eq!(owned(&mut vpc, action, "team", "a"), 0, "{action}");
        assert_eq!(owned(&mut vpc, action, "team", "b"), 1, "{action}");
    }
    let commits = vpc.simulator.commits(0).len();
    assert_eq!(tag(&mut vpc, &all, "team", "b").code(), "200");
    assert_eq!(vpc.simulator.commits(0).len(), commits, "nothing changed");
}

#[test]
fn invalid_tags_are_refused_and_no_resource_gets_them() {
    let mut vpc = TestVpc::fast();
    let long = "x".repeat(128);
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
        assert_eq!(tag(&mut vpc, &resources, key, "v").code(), code, "{resources:?}");
    }
    let bare = format!("Action=CreateTags&ResourceId.1={OTHER}");
    assert_eq!(vpc.admin(&bare).code(), "400 MissingParameter");
    let twice = format!("{bare}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=a&Tag.2.Value=2");
    assert_eq!(vpc.admin(&twice).message(), "Duplicate tag key 'a' specified.");
    let mut many = format!("&ResourceId.1={OTHER}");
    for n in (1..=1_001).map(|n: u32| n.to_string()) {
        many.extend(["&Tag.", &n, ".Key=k", &n]);
    }
    for (rest, code) in [
        ("", "400 MissingParameter"),
        (&many, "400 InvalidParameterValue"),
        ("&ResourceId.1=x", "400 InvalidID"),
        ("&ResourceId.1=eni-0000000000000dead", "400 InvalidNetworkInterfaceID.NotFound"),
        (&format!("&ResourceId.1={OTHER}&Tag.1.Key=aws:a"), "400 InvalidTagKey.Malformed"),
        (&format!("&ResourceId.1={OTHER}&Tag.1.Key={long}"), "400 InvalidTagKey.Malformed"),
        (&format!("&ResourceId.1={OTHER}&Tag.1.Key=a&DryRun=true"), "412 DryRunOperation"),
    ] {
        assert_eq!(vpc.admin(&format!("Action=DeleteTags{rest}")).code(), code, "{rest}");
    }
    assert_eq!(vpc.simulator.commits(0), []);
}

#[test]
fn tags_are_deleted_by_key_and_by_value() {
    let mut vpc = TestVpc::fast();
    for key in ["a", "b", "c"] {
        assert_eq!(tag(&mut vpc, &[OTHER], key, "1").code(), "200");
    }
    let mut left = |tags: &str| {
        let delete = format!("Action=DeleteTags&ResourceId.1={OTHER}{tags}");
        assert_eq!(vpc.admin(&delete).get("return").as_deref(), Some("true"));
        vpc.settle();
        let keys = ["a", "b", "c"].into_iter();
        keys.filter(|key| owned(&mut vpc, "DescribeNetworkInterfaces", key, "1") == 1)
            .collect::<String>()
    };
    assert_eq!(left("&Tag.1.Key=a&Tag.2.Key=missing"), "bc");
    assert_eq!(left("&Tag.1.Key=b&Tag.1.Value=2&Tag.2.Key=c&Tag.2.Value="), "bc");
    assert_eq!(left("&Tag.1.Key=b&Tag.1.Value=1"), "c");
    assert_eq!(left(""), "");
}

#[test]
fn a_resource_has_50_tags() {
    let mut vpc = TestVpc::fast();
    for n in 0..50 {
        assert_eq!(tag(&mut vpc, &[OTHER], &format!("k{n}"), "v").code(), "200", "{n}");
    }
    assert_eq!(tag(&mut vpc, &[OTHER], "k50", "v").code(), "400 TagLimitExceeded");
    assert_eq!(tag(&mut vpc, &[OTHER], "k0", "other").code(), "200");
}

#[test]
fn tags_are_eventually_consistent() {
    let late = (0..30).filter(|seed| {
        let mut vpc = TestVpc::with(&Profile::realistic(), *seed);
        assert_eq!(tag(&mut vpc, &[OTHER], "a", "b").code(), "200");
        let at_once = owned(&mut vpc, "DescribeNetworkInterfaces", "a", "b");
        vpc.settle();
        assert_eq!(owned(&mut vpc, "DescribeNetworkInterfaces", "a", "b"), 1);
        at_once == 0
    });
    assert!((3..30).contains(&late.count()));
}

#[test]
fn creating_a_tagged_eni_needs_the_permission_to_tag() {
    let mut vpc = TestVpc::fast();
    vpc.fault(r#"{"fault":{"kind":"iam_deny"},"when":{"op":"CreateTags","caller":"node-1"}}"#);
    let create = "Action=CreateNetworkInterface&SubnetId=subnet-0000000000000000a";
    let tagged = format!(
        "{create}&TagSpecification.1.ResourceType=network-interface\
         &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b"
    );
    assert_eq!(vpc.send("node-1", &tagged).code(), "403 UnauthorizedOperation");
    assert_eq!(vpc.send("node-1", create).code(), "200");
    assert_eq!(vpc.send("node-2", &tagged).code(), "200");
}
