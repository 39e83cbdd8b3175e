//! How an init container ends: each exit code that needs no EC2 mutation.

use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, SystemTime};

use firecamp_core::ids::{Member, PoolName};
use firecamp_core::record::{Claim, Write};
use firecamp_host::EniListFile;
use nix::sys::signal::Signal;

use crate::INIT;
use crate::node::{ENI, MAC, Node};
use crate::process::{Ended, Run};
use crate::records::Records;

pub(crate) const HERE: &str = "subnet-0a1b2c3d";

/// An init container on this node.
pub(crate) fn on(node: &Node) -> Run {
    Run::configured(INIT)
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.url())
        .set("AWS_ENDPOINT_URL_EC2", node.url())
        .set("AWS_REGION", "eu-west-1")
        .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .set("AWS_SECRET_ACCESS_KEY", "hush-hush-hush")
        .arg("--timeout=3s")
}

/// An init container on a node whose metadata service accepts connections and never answers.
fn on_a_node_with_silent_metadata(listener: &TcpListener) -> Run {
    let url = format!("http://{}", listener.local_addr().unwrap());
    Run::configured(INIT).set("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
}

#[track_caller]
pub(crate) fn failed(ended: &Ended, code: u8, reason: &str, texts: &[&str]) {
    assert_eq!(ended.code, Some(code.into()), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["result"], "failed");
    assert_eq!(report["exitCode"], code);
    assert_eq!(report["reason"], reason);
    assert_eq!(report["member"], "demo/redis-0");
    assert_eq!(report["podUID"], "uid-1");
    assert_eq!(report["node"], "node-a");
    let message = report["message"].as_str().unwrap();
    for text in texts {
        assert!(message.contains(text), "{text:?} is not in {message}");
    }
    assert!(!ended.stderr.contains("hush-hush-hush"), "the log contains a secret");
}

#[test]
fn f017_sigterm_ends_the_init_container_within_a_second_without_changes() {
    // On a busy machine a single attempt may be late.
    assert!(
        (0..3).any(|_attempt| signalled() < Duration::from_secs(1)),
        "three attempts took longer than a second"
    );
}

/// The time between the signal and the exit.
fn signalled() -> Duration {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let run = on_a_node_with_silent_metadata(&silent);
    let records = Records::held_by(&run, "uid-0");
    let (before, conf) = (records.read(), run.path("conf"));
    let init = run.start();
    init.wait_for_log("attach.0");
    init.signal(Signal::SIGTERM);
    let start = SystemTime::now();
    let ended = init.end();
    let took = start.elapsed().unwrap();
    failed(&ended, 143, "Interrupted", &["signal"]);
    assert_eq!(records.read(), before);
    assert!(!conf.exists());
    took
}

#[test]
fn f051_silent_metadata_service_fails_the_attach_at_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let run = on_a_node_with_silent_metadata(&silent).arg("--timeout=2s");
    let records = Records::held_by(&run, "uid-0");
    let before = records.read();
    let ended = run.end();
    failed(&ended, 14, "TimedOut", &["metadata service"]);
    let elapsed = ended.report()["elapsedMs"].as_u64().unwrap();
    assert!((1_500..8_000).contains(&elapsed), "{elapsed} ms");
    assert_eq!(records.read(), before);
}

#[test]
fn the_log_names_what_the_attach_waits_for() {
    let run = on(&Node::in_subnet(HERE, "127.77.0.0/24")).arg("--timeout=8s");
    let records = Records::held_by(&run, "uid-0");
    let ended = run.end();
    assert_eq!(ended.code, Some(17), "{}", ended.stderr);
    assert!(ended.stderr.contains("waiting") && ended.stderr.contains(MAC), "{}", ended.stderr);
    assert_eq!(records.read().object.epoch.0, 1);
}

#[test]
fn an_unavailable_registry_differs_from_an_invalid_one() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node);
    std::fs::remove_dir(run.path("registry")).unwrap();
    failed(&run.end(), 15, "RegistryUnavailable", &["registry"]);
    failed(&on(&node).end(), 16, "RegistryInvalid", &["contains no registry"]);
    assert!(node.ec2_calls().is_empty());
}

#[test]
fn an_invalid_record_is_named_and_not_changed() {
    let run = on(&Node::in_subnet(HERE, "127.77.0.0/24"));
    let records = Records::held_by(&run, "uid-0");
    let garbage = b"apiVersion: firecamp.io/v1alpha1\nkind: StaticIP\nspec: [";
    let file = records.file();
    std::fs::write(&file, garbage).unwrap();
    let ended = run.end();
    failed(&ended, 16, "RegistryInvalid", &[&records.address.to_string()]);
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[test]
fn f020_node_in_another_subnet_is_refused_with_both_zones() {
    let node = Node::in_subnet("subnet-0fffffff", "10.9.0.0/24");
    let run = on(&node);
    let records = Records::held_by(&run, "uid-0");
    let before = records.read();
    let ended = run.end();
    failed(&ended, 17, "NodeUnsuitable", &["eu-west-1a", "eu-west-1b", HERE, "subnet-0fffffff"]);
    assert_eq!(records.read(), before);
    assert!(!node.ec2_calls().iter().any(|call| call.starts_with("Assign")));
}

#[test]
fn f057_eni_that_the_agent_excludes_is_refused_with_its_reason() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node);
    let records = Records::held_by(&run, "uid-0");
    let before = records.read();
    let why = "it has no tag node.k8s.amazonaws.com/no_manage=true";
    let run_dir = run.path("run");
    std::fs::DirBuilder::new().mode(0o700).create(&run_dir).unwrap();
    EniListFile::excluded(&run_dir)
        .write(&[(ENI.parse().unwrap(), why.to_owned())].into())
        .unwrap();
    failed(&run.end(), 17, "NodeUnsuitable", &[ENI, why]);
    assert_eq!(records.read(), before);
    assert!(!node.ec2_calls().iter().any(|call| call.starts_with("Assign")));
}

#[test]
fn f012_unwritable_data_directory_fails_before_anything_changes() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node);
    let records = Records::held_by(&run, "uid-0");
    let before = records.read();
    std::fs::write(run.path("conf"), "a file where the directory should be").unwrap();
    let ended = run.end();
    failed(&ended, 18, "DiskRefused", &["conf"]);
    assert_eq!(records.read(), before);
    assert!(!node.ec2_calls().iter().any(|call| call.starts_with("Assign")));
}

#[test]
fn f086_data_directory_that_is_not_a_mount_is_refused_unless_the_check_is_disabled() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let nowhere = "--conf-dir=/no-such-firecamp-directory/conf";
    let ended = on(&node).arg(nowhere).arg("--require-mount").end();
    failed(&ended, 18, "DiskRefused", &["/no-such-firecamp-directory", "--require-mount=false"]);
    // With the check disabled, the attach reaches the registry, which is empty.
    let ended = on(&node).arg(nowhere).arg("-require-mount=false").end();
    failed(&ended, 16, "RegistryInvalid", &[]);
}

#[test]
fn an_exhausted_pool_is_no_capacity() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node).set("POD_NAME", "redis-1");
    let _records = Records::held_by(&run, "uid-0");
    let ended = run.end();
    assert_eq!(ended.code, Some(12), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["reason"], "NoCapacity");
    assert_eq!(report["member"], "demo/redis-1");
    assert!(report["message"].as_str().unwrap().contains("pool main"), "{report}");
    assert!(node.ec2_calls().is_empty(), "{:?}", node.ec2_calls());
}

#[test]
fn an_address_of_another_member_is_unavailable_and_its_holder_is_named() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node).set("POD_NAME", "redis-1");
    let records = Records::held_by(&run, "uid-0");
    records.write(&Write::CreateClaim(Claim {
        member: Member::new("demo", "redis-1").unwrap(),
        pool: PoolName::new("main").unwrap(),
        requested: Some(records.address),
        address: None,
        set: None,
    }));
    let before = records.read();
    let ended = run.end();
    assert_eq!(ended.code, Some(11), "{}", ended.stderr);
    let report = ended.report();
    assert_eq!(report["reason"], "AddressUnavailable");
    let message = report["message"].as_str().unwrap();
    let address = records.address.to_string();
    assert!(message.contains("demo/redis-0") && message.contains(&address), "{message}");
    assert_eq!(records.read(), before);
    assert!(node.ec2_calls().iter().all(|call| call.starts_with("Describe")));
}

#[test]
fn f019_member_without_a_claim_or_pool_fails_without_an_ec2_call() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let run = on(&node).set("FIRECAMP_POOL", "elsewhere");
    let _records = Records::with_pool(&run);
    failed(&run.end(), 16, "RegistryInvalid", &["elsewhere"]);
    assert!(node.ec2_calls().is_empty());
}

#[test]
fn an_endpoint_that_is_not_a_url_is_refused_by_name() {
    let ended =
        on(&Node::in_subnet(HERE, "127.77.0.0/24")).set("AWS_ENDPOINT_URL_EC2", "ec2").end();
    failed(&ended, 13, "CloudRefused", &["invalid endpoint \"ec2\" of EC2"]);
}

#[test]
fn an_endpoint_beside_the_endpoints_for_fips_is_refused_with_advice() {
    let node = Node::in_subnet(HERE, "127.77.0.0/24");
    let ended = on(&node).set("AWS_USE_FIPS_ENDPOINT", "true").end();
    failed(&ended, 13, "CloudRefused", &["AWS_USE_FIPS_ENDPOINT", "remove one of them"]);
    assert!(node.ec2_calls().is_empty());
}

#[test]
fn every_line_of_a_json_log_is_json_and_names_the_member() {
    let run = on(&Node::in_subnet("subnet-0fffffff", "10.9.0.0/24")).arg("--log-format=json");
    let _records = Records::held_by(&run, "uid-0");
    let ended = run.end();
    let lines: Vec<serde_json::Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 1, "{}", ended.stderr);
    let first = &lines[0];
    assert_eq!(first["span"]["member"], "demo/redis-0");
    assert_eq!(first["span"]["podUID"], "uid-1");
    assert!(first["message"].is_string());
}

#[test]
fn a_dry_run_prints_its_plan_and_changes_nothing() {
    for output in ["human", "json"] {
        let node = Node::in_subnet(HERE, "127.77.0.0/24");
        let run = on(&node).arg("--dry-run").arg(format!("--output={output}"));
        let records = Records::with_pool(&run);
        let (conf, locks) = (run.path("conf"), run.path("run"));
        let ended = run.end();
        // The node has no link with that MAC; the plan reports it.
        failed(&ended, 17, "NodeUnsuitable", &["dry run", "nothing was changed", MAC]);
        let address = records.address.to_string();
        assert!(ended.stdout.contains("demo/redis-0"), "{}", ended.stdout);
        assert!(ended.stdout.contains(&address), "{}", ended.stdout);
        if output == "json" {
            let plan: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            assert_eq!(plan["dryRun"], true);
            assert_eq!(plan["steps"][0]["system"], "registry");
            assert_eq!(plan["outcome"]["reason"], "NodeUnsuitable");
        }
        assert_eq!(records.allocated(), 0);
        assert!(!conf.exists() && !locks.exists());
        assert!(node.ec2_calls().iter().all(|call| call.starts_with("Describe")));
    }
}
