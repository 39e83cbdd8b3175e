//! `firecamp import`, over an API server and as a process.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::failure::Failure;
use firecamp_cli::import::{self, Outcome};
use firecamp_core::contract::exit::{Exit, Imported};
use firecamp_core::ids::{EniId, Epoch, Member};
use firecamp_core::record::State;
use firecamp_registry::conformance::member;
use serde_json::{Value, json};

use super::import_support::{INSTANCE, Map, old_address, old_member, original};
use super::support::{ENI, Files, NODE, Socket, address, golden, reader_of, run};

async fn imported(server: &ApiServer) -> Outcome {
    import::of(&reader_of(server), None, true).await.unwrap()
}

/// All stored objects of FireCamp.
fn stored(server: &ApiServer) -> Vec<Value> {
    [server.all("staticipclaims"), server.all("staticips")].concat()
}

/// The number of attempted writes.
fn writes(server: &ApiServer) -> usize {
    server.requests().iter().filter(|request| !request.starts_with("GET ")).count()
}

#[tokio::test]
async fn f098_an_import_binds_members_to_their_addresses_and_is_idempotent() {
    let server = original();
    let maps = server.all("configmaps");
    let Outcome { report, failed } = imported(&server).await;
    assert_eq!((failed, report.end()), (None, Imported::All));
    golden("import.json", &(serde_json::to_string_pretty(&report).unwrap() + "\n"));

    let claim = server.claim(&member(0).unwrap()).unwrap().object;
    assert_eq!((claim.address, claim.requested), (Some(address(20)), Some(address(20))));
    let ip = server.static_ip(address(20)).unwrap().object;
    assert!(ip.settled_on(&EniId::new(ENI).unwrap()), "{ip:?}");
    assert_eq!(ip.attachment.unwrap().node.as_str(), NODE);
    let gone = server.static_ip(address(21)).unwrap().object;
    assert_eq!((gone.epoch, gone.attachment, gone.pending_mutations.len()), (Epoch(0), None, 0));
    let orphaned = server.static_ip(address(22)).unwrap().object;
    assert_eq!(orphaned.member, Member::orphaned(address(22)));
    assert_eq!(orphaned.attachment.unwrap().state, State::Parked);

    let (before, count) = (stored(&server), writes(&server));
    let Outcome { report, failed } = imported(&server).await;
    assert_eq!((failed, report.end()), (None, Imported::All));
    assert!(report.imported.is_empty() && report.present.len() == 3, "{report:?}");
    golden("import-again.txt", &report.people());
    assert_eq!((stored(&server), writes(&server)), (before, count));
    assert_eq!(server.all("configmaps"), maps, "the original's records are only read");
    let read = server.requests().into_iter().filter(|request| request.contains("configmaps/app"));
    assert_eq!(read.count(), 0, "other ConfigMaps are not read");
}

#[tokio::test]
async fn f098_without_apply_nothing_is_written() {
    let server = original();
    old_member(3, address(22)).put(&server, "prod");
    old_member(4, address(22)).put(&server, "prod");
    Map("firecamp-staticip-10.1.0.30".to_owned(), json!({})).put(&server, "prod");
    server.set_pod("prod", "redis-1", json!({ "metadata": {}, "status": { "phase": "Pending" } }));
    let Outcome { report, failed } = import::of(&reader_of(&server), None, false).await.unwrap();
    assert_eq!((failed, report.end()), (None, Imported::Refused));
    golden("import-plan.txt", &report.people());
    assert_eq!((stored(&server).len(), writes(&server)), (0, 0));
}

#[tokio::test]
async fn f098_an_import_interrupted_at_any_write_is_completed_by_the_next() {
    let whole = original();
    imported(&whole).await;
    let specs = |server: &ApiServer| -> Vec<Value> {
        stored(server).into_iter().map(|object| object["spec"].clone()).collect()
    };
    let (all, wanted) = (writes(&whole), specs(&whole));
    let kinds = ["staticipclaims", "staticips", "staticipclaims", "staticips", "staticips"];
    assert_eq!(all, kinds.len());
    for fault in [Fault::LostRequest, Fault::LostAnswer, Fault::Code(500, "InternalError")] {
        for last in 0..all {
            let server = original();
            for (at, kind) in kinds.into_iter().enumerate().take(last + 1) {
                // Each run but the last one makes one write, whose response is lost.
                let this = if at == last { fault } else { Fault::LostAnswer };
                server.fail_next("POST", kind, this);
                let Outcome { report, failed } = imported(&server).await;
                assert!(failed.is_some(), "{fault:?} at {at}");
                let (output, left) = (report.people(), report.not_done);
                assert!(
                    left > 0 && output.contains(&format!("Interrupted: {left} addresses")),
                    "{output}"
                );
                assert!(!output.contains("Result") && !output.contains("no addresses"), "{output}");
            }
            assert_eq!((server.unmet_faults(), writes(&server)), (0, last + 1));
            let Outcome { report, failed } = imported(&server).await;
            assert_eq!((failed, report.end()), (None, Imported::All), "{fault:?} at {last}");
            assert_eq!(specs(&server), wanted, "{fault:?} at {last}");
        }
    }
}

#[tokio::test]
async fn f098_an_address_that_was_just_allocated_to_another_member_is_not_taken_over() {
    let server = original();
    server.fail_next("POST", "staticips", Fault::Code(409, "AlreadyExists"));
    let Outcome { report, failed } = imported(&server).await;
    let why = failed.unwrap();
    assert!(why.to_string().contains("10.1.0.20"), "{why}");
    assert!(report.imported.is_empty(), "{report:?}");
}

#[tokio::test]
async fn f098_failed_read_stops_the_import_before_any_write() {
    let ours = ["nodeattachments", "staticips", "staticipclaims", "staticippools"];
    for plural in ["configmaps", "nodes"].into_iter().chain(ours) {
        let server = original();
        server.fail_next("GET", plural, Fault::LostRequest);
        let why = import::of(&reader_of(&server), None, true).await.unwrap_err();
        assert_eq!(why.exit(), Exit::RegistryUnavailable, "{plural}: {why}");
        assert_eq!(writes(&server), 0, "{plural}");
    }
    let server = original();
    server.fail_next("GET", "pods", Fault::LostRequest);
    let Outcome { report, .. } = imported(&server).await;
    assert_eq!(report.end(), Imported::NotKnown);
    assert_eq!(report.refused[0].reason, "PodNotKnown");
    assert_eq!(report.imported.len(), 2, "the others are imported");
}

#[tokio::test]
async fn f098_an_address_that_moves_between_reading_records_and_pods_is_refused() {
    let server = original();
    let reader = reader_of(&server);
    let RegistryReader::Cluster(cluster) = &reader else { panic!("a cluster") };
    let old = import::gather::old_records(cluster, "prod").await.unwrap();
    old_address(20).but("StaticIPSpec", INSTANCE, "i-0fffffffffffffff8").put(&server, "prod");
    let known = import::gather::known(&reader, cluster, &old).await.unwrap();
    let plan = import::plan::plan(&old, &known);
    let refused: Vec<_> = plan.refused.iter().map(|one| (one.address, one.why.reason())).collect();
    assert_eq!(refused, [(Some(address(20)), "PodStarting")]);
}

#[tokio::test]
async fn a_node_with_an_unreadable_report_is_not_a_lost_machine() {
    let server = original();
    server.set("nodeattachments", (None, NODE), json!({ "metadata": {}, "spec": 7 }));
    assert_eq!(
        imported(&server).await.report.imported.len(),
        3,
        "its provider ID names the instance"
    );
    let server = original();
    server.set("nodes", (None, NODE), json!({ "metadata": {}, "spec": {} }));
    server.set("nodeattachments", (None, NODE), json!({ "metadata": {}, "spec": 7 }));
    let why = import::of(&reader_of(&server), None, true).await.unwrap_err();
    assert!(why.to_string().contains(NODE), "{why}");
    assert_eq!(writes(&server), 0);
}

#[tokio::test]
async fn f098_records_are_listed_in_pages() {
    let server = original();
    for index in 0..1200 {
        Map(format!("others-{index}"), json!({})).put(&server, "prod");
    }
    assert_eq!(imported(&server).await.report.imported.len(), 3);
}

#[tokio::test]
async fn records_of_another_namespace_belong_to_other_members() {
    let server = original();
    old_address(23).put(&server, "dev");
    old_member(0, address(23)).put(&server, "dev");
    let Outcome { report, .. } = import::of(&reader_of(&server), Some("dev"), true).await.unwrap();
    assert_eq!(report.imported.len(), 1);
    let claim = server.claim(&Member::new("dev", "redis-0").unwrap()).unwrap().object;
    assert_eq!(claim.address, Some(address(23)));
    let Outcome { report, .. } = import::of(&reader_of(&server), Some("none"), true).await.unwrap();
    assert!(report.people().contains("Namespace none has no addresses"), "{}", report.people());
}

#[tokio::test]
async fn a_file_registry_or_an_invalid_namespace_is_a_usage_error() {
    let files = Files::empty().await;
    let why = import::of(&files.reader(), None, true).await.unwrap_err();
    assert!(matches!(why, Failure::Usage(_)), "{why}");
    let why = import::of(&reader_of(&original()), Some("../x"), true).await.unwrap_err();
    assert!(matches!(why, Failure::Usage(_)), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f098_the_command_writes_only_with_apply() {
    let server = original();
    let socket = Socket::of(&server).await;
    let kubeconfig = socket.kubeconfig();
    let words = ["import", "--kubeconfig", kubeconfig.to_str().unwrap(), "--context", "test"];
    let output = run(&words).await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    assert!(output.out.contains("Nothing was written."), "{}", output.out);
    assert_eq!(stored(&server).len(), 0);
    let done = run(&[words.as_slice(), &["--apply", "-o", "json"]].concat()).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&report["applied"], &report["namespace"]), (&json!(true), &json!("prod")));
    assert_eq!(stored(&server).len(), 5);
    old_member(9, address(22)).put(&server, "prod");
    let refused = run(&words).await;
    assert_eq!(refused.code, Some(20), "{}", refused.out);
    server.fail_next("GET", "configmaps", Fault::Code(403, "Forbidden"));
    assert_eq!(run(&words).await.code, Some(22));
}
