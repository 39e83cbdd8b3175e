//! `firecamp status`.

use firecamp_apiserver::Fault;
use firecamp_cli::args::Command;
use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::failure::Failure;
use firecamp_cli::status::{self, StatusArguments};
use firecamp_core::contract::exit::CheckExit;
use serde_json::{Value, json};

use super::support::{ENI, Files, NODE, POD, cluster, golden, now, parsed, reader_of, run};

fn arguments(words: &[&str]) -> StatusArguments {
    let command = parsed(&[&["status"], words].concat()).command;
    let Command::Status(arguments) = command else { panic!("{command:?}") };
    arguments
}

async fn shown(reader: &RegistryReader, words: &[&str]) -> (String, CheckExit) {
    status::of(reader, &arguments(words), now()).await.unwrap()
}

async fn json(reader: &RegistryReader, words: &[&str]) -> Value {
    let (text, _) = shown(reader, &[words, &["-o", "json"]].concat()).await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn each_member_is_one_row_with_its_state() {
    let files = Files::new().await;
    let (narrow, exit) = shown(&files.reader(), &[]).await;
    assert_eq!(exit, CheckExit::Fine);
    golden("status-file.txt", &narrow);
    let (text, _) = shown(&files.reader(), &["-o", "json"]).await;
    golden("status-file.json", &files.anonymous(&text));
}

#[tokio::test]
async fn in_a_cluster_members_have_ages() {
    let server = cluster().await;
    let (text, exit) = shown(&reader_of(&server), &["-A", "-o", "wide"]).await;
    assert_eq!(exit, CheckExit::Fine);
    golden("status-cluster-wide.txt", &text);
    let (text, _) = shown(&reader_of(&server), &["redis-0", "-o", "yaml"]).await;
    golden("status-cluster.yaml", &text);
}

#[tokio::test]
async fn a_namespace_and_a_member_filter_the_output() {
    let files = Files::new().await;
    let dev = json(&files.reader(), &["-n", "dev"]).await;
    assert_eq!(dev["members"][0]["member"], json!("dev/old-0"));
    assert_eq!(dev["members"].as_array().unwrap().len(), 1);
    let one = json(&files.reader(), &["prod/redis-2"]).await;
    assert_eq!(one["members"][0]["holder"]["state"], json!("Parked"));
    assert_eq!(json(&files.reader(), &["-n", "prod", "redis-2"]).await, one);
}

#[tokio::test]
async fn an_unknown_member_is_a_problem() {
    let files = Files::new().await;
    let (text, exit) = shown(&files.reader(), &["prod/redis-9"]).await;
    assert_eq!(exit, CheckExit::Problems);
    assert!(text.contains("prod/redis-9 has neither a StaticIPClaim nor a StaticIP"), "{text}");
}

#[tokio::test]
async fn a_registry_without_members_is_reported() {
    let files = Files::empty().await;
    let (text, exit) = shown(&files.reader(), &[]).await;
    assert_eq!(
        (files.anonymous(&text).as_str(), exit),
        ("No members found in file:///DIR\n", CheckExit::Fine)
    );
}

#[tokio::test]
async fn only_reports_for_the_current_epoch_are_shown() {
    let server = cluster().await;
    let report = |epoch: u64| {
        json!({
            "apiVersion": "firecamp.io/v1alpha1",
            "kind": "NodeAttachments",
            "metadata": {},
            "spec": {},
            "status": { "addresses": [{
                "address": "10.1.0.20", "member": "prod/redis-0", "epoch": epoch,
                "state": "Attached", "podUID": POD, "eni": ENI,
                "problem": { "reason": "MissingInKernel", "message": "the rule is missing" },
            }] },
        })
    };
    for (epoch, reported) in [(3, true), (2, false)] {
        server.set("nodeattachments", (None, NODE), report(epoch));
        let row = json(&reader_of(&server), &["redis-0"]).await;
        let problem = &row["members"][0]["problem"]["reason"];
        assert_eq!(problem == &json!("MissingInKernel"), reported, "{row}");
    }
}

#[tokio::test]
async fn f081_a_volume_that_is_not_ready_is_shown_as_the_problem() {
    let server = cluster().await;
    let reader = reader_of(&server);
    // A bound and healthy member, and one without an address.
    for name in ["redis-0", "redis-1"] {
        for (status, reported) in [("False", true), ("True", false)] {
            let message = "node-1 (i-0a): volume vol-0123456789abcdef0: EC2 does not finish";
            let condition = json!({ "type": "VolumeReady", "status": status,
                "reason": "StuckAttaching", "message": message });
            server.change("staticipclaims", Some("prod"), name, |object| {
                object["status"] = json!({ "conditions": [condition] });
            });
            let row = json(&reader, &[name]).await;
            let problem = &row["members"][0]["problem"];
            assert_eq!(problem["reason"] == json!("StuckAttaching"), reported, "{row}");
            assert_eq!(problem["message"] == json!(message), reported, "{row}");
            let member = firecamp_core::ids::Member::new("prod", name).unwrap();
            let all = reader.claim_conditions(&member).await.unwrap();
            assert_eq!((all.len(), all[0].status.as_str()), (1, status));
        }
    }
    let absent = firecamp_core::ids::Member::new("prod", "redis-99").unwrap();
    assert_eq!(reader.claim_conditions(&absent).await.unwrap(), []);
}

#[tokio::test]
async fn a_claim_without_an_address_shows_the_reason() {
    let server = cluster().await;
    let reader = reader_of(&server);
    let cases = [
        ("False", "NoFreeAddress", "NoFreeAddress"),
        ("False", "AwaitingFirstStart", "ClaimUnbound"),
        ("True", "Bound", "ClaimUnbound"),
    ];
    for (status, reason, reported) in cases {
        let condition = json!({ "type": "Bound", "status": status, "reason": reason,
            "message": "pool a has no free address" });
        server.change("staticipclaims", Some("prod"), "redis-1", |object| {
            object["status"] = json!({ "conditions": [condition] });
        });
        let row = json(&reader, &["redis-1"]).await;
        assert_eq!(row["members"][0]["problem"]["reason"], json!(reported), "{row}");
    }
}

#[tokio::test]
async fn an_unreadable_object_is_unknown_and_does_not_hide_others() {
    let files = Files::new().await;
    std::fs::write(files.dir.path().join("staticipclaims/prod/redis-2.yaml"), "x").unwrap();
    let (text, exit) = shown(&files.reader(), &[]).await;
    assert_eq!(exit, CheckExit::Unchecked);
    assert!(text.contains("prod/redis-0"), "{text}");
    assert!(text.contains("ClaimUnreadable"), "{text}");
    assert!(!text.contains("prod/redis-2      Absent     ClaimNotFound"), "{text}");
    assert!(
        text.contains("could not be read: a file of the registry: read StaticIPClaim prod/redis-2")
    );
}

#[tokio::test]
async fn members_are_shown_even_if_the_agents_reports_cannot_be_read() {
    let server = cluster().await;
    server.fail_next("GET", "nodeattachments", Fault::Code(403, "Forbidden"));
    let (text, exit) = shown(&reader_of(&server), &[]).await;
    assert_eq!(exit, CheckExit::Unchecked);
    assert!(text.contains("prod/redis-0"), "{text}");
    assert!(text.contains("could not be read: NodeAttachments of the agents:"), "{text}");
}

#[tokio::test]
async fn an_unreadable_registry_is_an_error_with_operation_cause_and_advice() {
    let server = cluster().await;
    server.fail_next("GET", "staticips", Fault::LostRequest);
    let failed = status::of(&reader_of(&server), &arguments(&[]), now()).await.unwrap_err();
    assert_eq!(failed.exit().code(), 15);
    let text = failed.chain();
    assert!(text.starts_with("list the objects of kind StaticIP: "), "{text}");
    assert!(text.ends_with("check that you can reach it from here, then retry"), "{text}");
    assert!(matches!(failed, Failure::CheckExit { .. }));
}

#[tokio::test]
async fn the_command_reads_a_file_registry_and_rejects_an_invalid_url() {
    let files = Files::new().await;
    let output = run(&["status", "--registry", &files.url()]).await;
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{}", output.out);
    assert!(output.out.starts_with("MEMBER "), "{}", output.out);
    let output = run(&["status", "--registry", "file:///nonexistent"]).await;
    assert_eq!(output.code, Some(15), "{}", output.err);
    assert!(output.err.starts_with("firecamp: error: open the registry: /nonexistent: "));
    let output = run(&["status", "--registry", "ftp://x"]).await;
    assert_eq!(output.code, Some(2), "{}", output.err);
}
