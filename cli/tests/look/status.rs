//! `firecamp status`.

use firecamp_apiserver::Fault;
use firecamp_cli::args::Command;
use firecamp_cli::common::reader::RegistryReader;
use firecamp_cli::failure::Failure;
use firecamp_cli::status::{self, StatusArguments};
use firecamp_core::contract::exit::CheckExit;
use serde_json::{Value, json};

use super::support::{ENI, Files, NODE, POD, book_of, cluster, golden, now, parsed, run};

fn arguments(words: &[&str]) -> StatusArguments {
    let command = parsed(&[&["status"], words].concat()).command;
    let Command::Status(arguments) = command else { panic!("{command:?}") };
    arguments
}

async fn shown(book: &RegistryReader, words: &[&str]) -> (String, CheckExit) {
    status::of(book, &arguments(words), now()).await.unwrap()
}

async fn json(book: &RegistryReader, words: &[&str]) -> Value {
    let (text, _) = shown(book, &[words, &["-o", "json"]].concat()).await;
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn each_member_is_one_row_with_its_state() {
    let files = Files::new().await;
    let (narrow, look) = shown(&files.book(), &[]).await;
    assert_eq!(look, CheckExit::Fine);
    golden("status-file.txt", &narrow);
    let (text, _) = shown(&files.book(), &["-o", "json"]).await;
    golden("status-file.json", &files.anonymous(&text));
}

#[tokio::test]
async fn in_a_cluster_members_have_ages() {
    let server = cluster().await;
    let (text, look) = shown(&book_of(&server), &["-A", "-o", "wide"]).await;
    assert_eq!(look, CheckExit::Fine);
    golden("status-cluster-wide.txt", &text);
    let (text, _) = shown(&book_of(&server), &["redis-0", "-o", "yaml"]).await;
    golden("status-cluster.yaml", &text);
}

#[tokio::test]
async fn a_namespace_and_a_member_filter_the_output() {
    let files = Files::new().await;
    let dev = json(&files.book(), &["-n", "dev"]).await;
    assert_eq!(dev["members"][0]["member"], json!("dev/old-0"));
    assert_eq!(dev["members"].as_array().unwrap().len(), 1);
    let one = json(&files.book(), &["prod/redis-2"]).await;
    assert_eq!(one["members"][0]["holder"]["state"], json!("Parked"));
    assert_eq!(json(&files.book(), &["-n", "prod", "redis-2"]).await, one);
}

#[tokio::test]
async fn an_unknown_member_is_a_problem() {
    let files = Files::new().await;
    let (text, look) = shown(&files.book(), &["prod/redis-9"]).await;
    assert_eq!(look, CheckExit::Problems);
    assert!(text.contains("prod/redis-9 has neither a StaticIPClaim nor a StaticIP"), "{text}");
}

#[tokio::test]
async fn a_registry_without_members_is_reported() {
    let files = Files::empty().await;
    let (text, look) = shown(&files.book(), &[]).await;
    assert_eq!(
        (files.anonymous(&text).as_str(), look),
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
        let row = json(&book_of(&server), &["redis-0"]).await;
        let problem = &row["members"][0]["problem"]["reason"];
        assert_eq!(problem == &json!("MissingInKernel"), reported, "{row}");
    }
}

#[tokio::test]
async fn f081_a_volume_that_is_not_ready_is_shown_as_the_problem() {
    let server = cluster().await;
    let book = book_of(&server);
    // Bound and well, and without an address so far.
    for name in ["redis-0", "redis-1"] {
        for (status, reported) in [("False", true), ("True", false)] {
            let message = "node-1 (i-0a): volume vol-0123456789abcdef0: EC2 does not finish";
            let said = json!({ "type": "VolumeReady", "status": status,
                "reason": "StuckAttaching", "message": message });
            server.change("staticipclaims", Some("prod"), name, |object| {
                object["status"] = json!({ "conditions": [said] });
            });
            let row = json(&book, &[name]).await;
            let problem = &row["members"][0]["problem"];
            assert_eq!(problem["reason"] == json!("StuckAttaching"), reported, "{row}");
            assert_eq!(problem["message"] == json!(message), reported, "{row}");
            let member = firecamp_core::ids::Member::new("prod", name).unwrap();
            let all = book.claim_conditions(&member).await.unwrap();
            assert_eq!((all.len(), all[0].status.as_str()), (1, status));
        }
    }
    let absent = firecamp_core::ids::Member::new("prod", "redis-99").unwrap();
    assert_eq!(book.claim_conditions(&absent).await.unwrap(), []);
}

#[tokio::test]
async fn a_claim_without_an_address_shows_the_reason() {
    let server = cluster().await;
    let book = book_of(&server);
    let cases = [
        ("False", "NoFreeAddress", "NoFreeAddress"),
        ("False", "AwaitingFirstStart", "ClaimUnbound"),
        ("True", "Bound", "ClaimUnbound"),
    ];
    for (status, reason, reported) in cases {
        let said = json!({ "type": "Bound", "status": status, "reason": reason,
            "message": "pool a has no free address" });
        server.change("staticipclaims", Some("prod"), "redis-1", |object| {
            object["status"] = json!({ "conditions": [said] });
        });
        let row = json(&book, &["redis-1"]).await;
        assert_eq!(row["members"][0]["problem"]["reason"], json!(reported), "{row}");
    }
}

#[tokio::test]
async fn an_unreadable_object_hides_no_other_and_is_not_absent() {
    let files = Files::new().await;
    std::fs::write(files.dir.path().join("staticipclaims/prod/redis-2.yaml"), "x").unwrap();
    let (text, look) = shown(&files.book(), &[]).await;
    assert_eq!(look, CheckExit::Unchecked);
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
    let (text, look) = shown(&book_of(&server), &[]).await;
    assert_eq!(look, CheckExit::Unchecked);
    assert!(text.contains("prod/redis-0"), "{text}");
    assert!(text.contains("could not be read: NodeAttachments of the agents:"), "{text}");
}

#[tokio::test]
async fn an_unreadable_registry_is_an_error_with_operation_cause_and_advice() {
    let server = cluster().await;
    server.fail_next("GET", "staticips", Fault::LostRequest);
    let failed = status::of(&book_of(&server), &arguments(&[]), now()).await.unwrap_err();
    assert_eq!(failed.exit().code(), 15);
    let text = failed.chain();
    assert!(text.starts_with("list the objects of kind StaticIP: "), "{text}");
    assert!(text.ends_with("check that you can reach it from here, then retry"), "{text}");
    assert!(matches!(failed, Failure::CheckExit { .. }));
}

#[tokio::test]
async fn the_command_reads_a_file_registry_and_rejects_an_invalid_url() {
    let files = Files::new().await;
    let said = run(&["status", "--registry", &files.url()]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.starts_with("MEMBER "), "{}", said.out);
    let said = run(&["status", "--registry", "file:///nonexistent"]).await;
    assert_eq!(said.code, Some(15), "{}", said.err);
    assert!(said.err.starts_with("firecamp: error: open the registry: /nonexistent: "));
    let said = run(&["status", "--registry", "ftp://x"]).await;
    assert_eq!(said.code, Some(2), "{}", said.err);
}
