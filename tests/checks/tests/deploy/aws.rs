//! Runs the commands of docs/install.md for AWS in a shell whose `aws` and `kubectl` only record.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use firecamp_checks::deploy::{objects, place, text};
use serde_json::Value;

/// Two nodes on EC2, of which one has no second interface, and one elsewhere.
const STAND_INS: &str = r#"
kubectl() {
    printf '%s %s %s' aws:///us-east-1a/i-0aaaaaaaaaaaaaaaa aws:///us-east-1b/i-0bbbbbbbbbbbbbbbb \
        aws:///us-east-1b/0123456789/fargate-ip-10-0-2-9.ec2.internal
}
aws() {
    case "$*" in
        *describe-network-interfaces*i-0aaaaaaaaaaaaaaaa*device-index,Values=1)
            echo eni-0a1 ;;
        *describe-network-interfaces*Values=1) ;;
        *describe-network-interfaces*i-0aaaaaaaaaaaaaaaa*) echo eni-0a0 ;;
        *describe-network-interfaces*i-0bbbbbbbbbbbbbbbb*) echo eni-0b0 ;;
        *describe-network-interfaces*) echo eni-of-somebody-else ;;
        *) echo "$*" ;;
    esac
}
"#;

/// The blocks of the page up to its second section, in their order.
fn script() -> String {
    let page = text("docs/install.md").unwrap();
    let (above, _rest) = page.split_once("\n## 2. ").unwrap();
    let blocks = above.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.collect()
}

/// What the script asks AWS to change, with these first lines, and the policy that it makes.
fn changes(name: &str, device: &str) -> (Vec<String>, String) {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&home).unwrap();
    let _of_an_earlier_run = fs::remove_file(home.join("deploy"));
    symlink(place("deploy"), home.join("deploy")).unwrap();
    let script = script().replace("DEVICE=0", device);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{STAND_INS}{script}")).current_dir(&home);
    let ended = shell.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let said = String::from_utf8(ended.stdout).unwrap();
    let policy = fs::read_to_string(home.join("policy.json")).unwrap();
    (said.lines().map(str::to_owned).collect(), policy)
}

fn tagged(changes: &[String]) -> Vec<&str> {
    let tags = changes.iter().filter_map(|line| line.strip_prefix("ec2 create-tags --resources "));
    tags.map(|rest| rest.strip_suffix(" --tags Key=firecamp.io/cluster,Value=prod").unwrap())
        .collect()
}

#[test]
fn interfaces_of_the_clusters_own_nodes_are_tagged_and_no_others() {
    let (changes, _policy) = changes("tags", "DEVICE=0");
    assert_eq!(tagged(&changes), ["eni-0a0", "eni-0b0"]);
}

#[test]
fn a_node_without_the_interface_for_members_is_passed_over() {
    let (changes, _policy) = changes("devices", "DEVICE=1");
    assert_eq!(tagged(&changes), ["eni-0a1"]);
}

#[test]
fn the_policy_that_the_page_makes_is_of_its_first_lines() {
    let (changes, policy) = changes("policy", "DEVICE=0");
    let role = "iam put-role-policy --role-name prod-nodes --policy-name firecamp-prod ";
    assert!(changes.iter().any(|line| line.starts_with(role)), "{changes:?}");
    let policy: Value = serde_json::from_str(&policy).unwrap();
    let limits = &policy["Statement"][1]["Condition"];
    assert_eq!(limits["StringEquals"]["aws:ResourceTag/firecamp.io/cluster"], "prod");
    let vpc = "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-0a1b2c3d4e5f60718";
    assert_eq!(limits["ArnEquals"]["ec2:Vpc"], vpc);
    assert!(!policy.to_string().contains("REGION"), "{policy}");
}

#[test]
fn what_the_page_reserves_covers_the_ranges_of_the_example_pool() {
    let (changes, _policy) = changes("blocks", "DEVICE=0");
    let words = "ec2 create-subnet-cidr-reservation --reservation-type explicit --subnet-id ";
    let blocks: Vec<(&str, &str)> = changes
        .iter()
        .filter_map(|line| line.strip_prefix(words)?.split_once(" --cidr "))
        .collect();
    let pool = objects("deploy/examples/pool.yaml").unwrap().remove(0);
    let subnets = pool["spec"]["subnets"].as_array().unwrap();
    assert_eq!(blocks.len(), subnets.len(), "{changes:?}");
    for (subnet, (id, block)) in subnets.iter().zip(blocks) {
        assert_eq!(subnet["subnet"], id);
        let (first, length) = block.split_once('/').unwrap();
        let mask = u32::MAX << (32 - length.parse::<u32>().unwrap());
        let within = |address: &Value| {
            let address: Ipv4Addr = address.as_str().unwrap().parse().unwrap();
            address.to_bits() & mask == first.parse::<Ipv4Addr>().unwrap().to_bits()
        };
        for range in subnet["ranges"].as_array().unwrap() {
            assert!(within(&range["start"]) && within(&range["end"]), "{range} in {block}");
        }
    }
}
