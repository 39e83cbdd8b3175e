//! `firecamp explain`: where the facts come from.

use firecamp_cli::args::Command;
use firecamp_cli::explain::links::LinkState;
use firecamp_cli::explain::reason::Reason;
use firecamp_cli::explain::{ExplainArguments, Explanation, around, of};
use firecamp_cloud::AwsCloud;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::network_interface::Interface;
use firecamp_node::preflight::facts::Right;
use firecamp_testkit::sim::{Account, SimEc2, interface};
use serde_json::json;

use super::explain::OTHER_ENI;
use super::support::{Files, NODE, POD, address, cluster, parsed, reader_of, run};

fn arguments(words: &[&str]) -> ExplainArguments {
    let command = parsed(&[&["explain"], words].concat()).command;
    let Command::Explain(arguments) = command else { panic!("{command:?}") };
    arguments
}

const NOWHERE: [&str; 2] = ["--agent", "http://127.0.0.1:1"];

#[tokio::test]
async fn a_member_of_a_cluster_is_explained_from_its_claim_to_the_agents_report() {
    let server = cluster().await;
    let pod = json!({
        "metadata": { "uid": POD },
        "spec": { "nodeName": NODE },
        "status": { "phase": "Running" },
    });
    server.set_pod("prod", "redis-0", pod);
    let report = super::node::report();
    server.set("nodeattachments", (None, NODE), report);
    let arguments = arguments(&[&["redis-0", "--no-ec2"], &NOWHERE[..]].concat());
    let around = around::<AwsCloud>(&arguments, None).unwrap();
    let explanation = of(&reader_of(&server), &arguments, &around).await.unwrap();
    let states: Vec<_> =
        explanation.links.iter().map(|link| (link.link, link.state.as_str())).collect();
    let expected = [
        ("claim", "ok"),
        ("address", "ok"),
        ("pod", "ok"),
        ("epoch", "ok"),
        ("ec2", "ok"),
        ("lock", "unknown"),
        ("kernel", "ok"),
        ("file", "unknown"),
    ];
    assert_eq!(states, expected, "{explanation:?}");
    assert_eq!((explanation.reason, explanation.exit()), (Reason::NotVerified, CheckExit::Fine));
}

#[tokio::test]
async fn the_command_explains_members_of_a_file_registry() {
    let files = Files::new().await;
    let url = files.url();
    let explain = async |member: &'static str| {
        let words = ["explain", member, "--registry", &url, "--no-ec2", "-o", "json"];
        let output = run(&[&words[..], &NOWHERE].concat()).await;
        let value: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        (output.code, value["reason"].as_str().unwrap().to_owned())
    };
    let expected = [
        ("prod/redis-0", 0, "NotVerified"),
        ("prod/redis-1", 20, "ClaimUnbound"),
        ("prod/redis-2", 0, "NotInUse"),
        ("prod/redis-3", 20, "Attaching"),
        ("prod/redis-4", 20, "StaticIPNotFound"),
        ("prod/redis-5", 20, "AddressOfAnotherMember"),
        ("dev/old-0", 20, "ClaimNotFound"),
    ];
    for (member, code, reason) in expected {
        assert_eq!(explain(member).await, (Some(code), reason.to_owned()), "{member}");
    }
}

/// On the recorded node, its kernel and lock are read, and its file if the directory is given.
#[tokio::test]
async fn on_the_members_node_lock_kernel_and_file_are_read() {
    let files = Files::new().await;
    let conf = files.dir.path().join("conf");
    std::fs::create_dir(&conf).unwrap();
    std::fs::write(conf.join("firecamp-service-staticip"), "10.1.0.99\n").unwrap();
    let run_dir = files.dir.path().join("run");
    let words = [
        "explain",
        "prod/redis-0",
        "--registry",
        &files.url(),
        "--no-ec2",
        "--node-name",
        NODE,
        "--conf-dir",
        conf.to_str().unwrap(),
        "--run-dir",
        run_dir.to_str().unwrap(),
    ];
    let output = run(&[&words[..], &NOWHERE].concat()).await;
    assert_eq!(output.code, Some(20), "{}{}", output.out, output.err);
    assert!(output.out.contains("the kernel does not have 10.1.0.20"), "{}", output.out);
    assert!(output.out.contains("not been used here since the node booted"), "{}", output.out);
    assert!(output.out.contains("contains 10.1.0.99"), "{}", output.out);
    assert!(!run_dir.exists(), "the command creates nothing");
}

#[tokio::test]
async fn an_unreachable_registry_is_unknown_not_broken() {
    let server = cluster().await;
    server.fail_next("GET", "staticipclaims", firecamp_apiserver::Fault::LostRequest);
    let arguments = arguments(&[&["redis-0", "--no-ec2"], &NOWHERE[..]].concat());
    let around = around::<AwsCloud>(&arguments, None).unwrap();
    let explanation = of(&reader_of(&server), &arguments, &around).await.unwrap();
    assert_eq!(explanation.exit(), CheckExit::Unchecked, "{explanation:?}");
    assert!(explanation.message.contains("read StaticIPClaim prod/redis-0"), "{explanation:?}");
}

async fn with(cloud: &SimEc2) -> Explanation {
    let server = cluster().await;
    let pod = json!({ "metadata": { "uid": POD }, "spec": { "nodeName": NODE } });
    server.set_pod("prod", "redis-0", pod);
    let arguments = arguments(&[&["redis-0", "--node-name", "laptop"], &NOWHERE[..]].concat());
    let around = around(&arguments, Some(Ok(cloud.clone()))).unwrap();
    of(&reader_of(&server), &arguments, &around).await.unwrap()
}

fn state_in_ec2(explanation: &Explanation) -> (LinkState, &str) {
    let link = explanation.links.iter().find(|link| link.link == "ec2").unwrap();
    (link.state, &link.seen)
}

#[tokio::test(start_paused = true)]
async fn the_address_is_looked_up_in_ec2_and_a_failed_lookup_is_unknown() {
    let ec2 = SimEc2::new("i-00000009".parse().unwrap(), Account::default());
    let foreign = interface(OTHER_ENI.parse().unwrap(), "subnet-00000001".parse().unwrap());
    let instance = "i-00000008".parse().unwrap();
    ec2.put(address(20), &instance, Interface { cluster: None, ..foreign });
    let explanation = with(&ec2).await;
    assert_eq!(explanation.reason, Reason::HeldByForeignInterface);
    assert_eq!(state_in_ec2(&explanation).0, LinkState::Broken);
    ec2.account().denied.insert(Right::DescribeNetworkInterfaces);
    let refused = with(&ec2).await;
    assert_eq!(state_in_ec2(&refused).0, LinkState::Unknown);
    assert!(state_in_ec2(&refused).1.contains("UnauthorizedOperation"), "{refused:?}");
    ec2.hang();
    let silent = with(&ec2).await;
    assert_eq!((state_in_ec2(&silent).0, silent.exit()), (LinkState::Unknown, CheckExit::Fine));
    assert!(state_in_ec2(&silent).1.ends_with("no response within 10s"), "{silent:?}");
    assert_eq!(ec2.mutations(), 0);
}
