//! `firecamp explain`: where the facts come from.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_cli::args::Command;
use firecamp_cli::explain::facts::Answer;
use firecamp_cli::explain::links::LinkState;
use firecamp_cli::explain::reason::Reason;
use firecamp_cli::explain::{ExplainArguments, Explanation, around, of};
use firecamp_cloud::AwsCloud;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect};
use firecamp_core::ids::{EniId, Mac, SubnetId};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{Cloud, Owner};
use serde_json::json;

use super::explain::{OTHER_ENI, shown_on};
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

/// EC2 that only supports looking up an address; `explain` needs nothing else.
#[derive(Debug)]
enum Ec2 {
    Answers(Owner),
    Refuses,
    Silent,
}

impl Cloud for Ec2 {
    async fn identity(&self) -> Result<NodeIdentity, CloudFailure> {
        panic!("this is not the member's node")
    }

    async fn listed(&self, _mac: Mac) -> Result<BTreeSet<Ipv4Addr>, CloudFailure> {
        panic!("this is not the member's node")
    }

    async fn owner(&self, ip: Ipv4Addr, subnet: &SubnetId) -> Result<Owner, CloudFailure> {
        assert_eq!((ip, subnet.as_str()), (address(20), "subnet-00000001"));
        match self {
            Self::Answers(owner) => Ok(owner.clone()),
            Self::Refuses => Err(CloudFailure {
                kind: CloudKind::Auth,
                effect: Effect::None,
                detail: "DescribeNetworkInterfaces: UnauthorizedOperation".to_owned(),
            }),
            Self::Silent => std::future::pending().await,
        }
    }

    async fn assign(
        &self,
        _eni: &EniId,
        _address: Ipv4Addr,
        _force: bool,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        panic!("explain changes nothing")
    }

    async fn unassign(
        &self,
        _eni: &EniId,
        _address: Ipv4Addr,
        _within: Duration,
    ) -> Result<(), CloudFailure> {
        panic!("explain changes nothing")
    }
}

async fn with(cloud: Ec2) -> Explanation {
    let server = cluster().await;
    let pod = json!({ "metadata": { "uid": POD }, "spec": { "nodeName": NODE } });
    server.set_pod("prod", "redis-0", pod);
    let arguments = arguments(&[&["redis-0", "--node-name", "laptop"], &NOWHERE[..]].concat());
    let around = around(&arguments, Some(Ok(cloud))).unwrap();
    of(&reader_of(&server), &arguments, &around).await.unwrap()
}

fn ec2(explanation: &Explanation) -> (LinkState, &str) {
    let link = explanation.links.iter().find(|link| link.link == "ec2").unwrap();
    (link.state, &link.seen)
}

#[tokio::test(start_paused = true)]
async fn the_address_is_looked_up_in_ec2_and_a_failed_lookup_is_unknown() {
    let Answer::Known(foreign) = shown_on(OTHER_ENI, None) else { panic!("no owner") };
    let explanation = with(Ec2::Answers(foreign)).await;
    assert_eq!(explanation.reason, Reason::HeldByForeignInterface);
    assert_eq!(ec2(&explanation).0, LinkState::Broken);
    let refused = with(Ec2::Refuses).await;
    assert_eq!(ec2(&refused).0, LinkState::Unknown);
    assert!(ec2(&refused).1.contains("UnauthorizedOperation"), "{refused:?}");
    let silent = with(Ec2::Silent).await;
    assert_eq!((ec2(&silent).0, silent.exit()), (LinkState::Unknown, CheckExit::Fine));
    assert!(ec2(&silent).1.ends_with("no response within 10s"), "{silent:?}");
}
