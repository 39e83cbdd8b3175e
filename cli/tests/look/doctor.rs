//! `firecamp doctor`: the findings of each check, for clusters and file registries.

use std::collections::BTreeSet;
use std::path::Path;

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_cli::doctor::finding::{Diagnosis, Level, Role};
use firecamp_cli::doctor::{judge, of, required_permissions};
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Pool, Write};
use firecamp_kube::{KubeRegistry, Right, Timeouts};
use firecamp_registry::conformance::{claim, member, pool};
use serde_json::{Value, json};

use super::support::{
    Files, NODE, POD, address, cluster, golden, held, now, reader_of, run, run_as, sample_pool,
};

pub(super) async fn diagnosed(reader: &RegistryReader) -> Diagnosis {
    of(reader, Role::Viewer, now()).await.unwrap()
}

fn reasons(diagnosis: &Diagnosis) -> BTreeSet<(Level, &str)> {
    diagnosis.findings.iter().map(|one| (one.level, one.reason.as_str())).collect()
}

pub(super) fn found<'a>(diagnosis: &'a Diagnosis, reason: &str) -> (Level, &'a str, &'a str) {
    let of_reason = |one: &&_| -> bool {
        let one: &firecamp_cli::doctor::finding::Finding = one;
        one.reason == reason
    };
    let one = diagnosis.findings.iter().find(of_reason);
    let one = one.unwrap_or_else(|| panic!("no {reason} in {diagnosis:#?}"));
    (one.level, &one.object, &one.message)
}

fn report(ready: &str, epoch: u64) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeAttachments",
        "metadata": {},
        "status": {
            "addresses": [{
                "address": "10.1.0.20", "member": "prod/redis-0", "epoch": epoch,
                "state": "Attached", "podUID": POD, "inEc2": true, "inKernel": true,
            }],
            "conditions": [{ "type": "Ready", "status": ready, "reason": "AddressesFailing",
                "message": "see .status.addresses" }],
        },
    })
}

/// A healthy cluster: one member, on a node with an agent.
pub(super) async fn healthy() -> ApiServer {
    let server = ApiServer::default();
    server.create_pool(&sample_pool());
    let registry = KubeRegistry::new(server.client(), Timeouts::default());
    let redis = member(0).unwrap();
    let object = Claim { address: Some(address(20)), ..claim(&redis, &sample_pool()) };
    registry.write(&Write::CreateClaim(object)).await.unwrap();
    registry.write(&Write::CreateStaticIp(held(20, &redis, 3))).await.unwrap();
    server.set("nodes", (None, NODE), json!({ "metadata": {} }));
    server.set("nodeattachments", (None, NODE), report("True", 3));
    server
}

#[tokio::test]
async fn a_healthy_cluster_is_ok_and_all_checks_are_listed() {
    let diagnosis = diagnosed(&reader_of(&healthy().await)).await;
    assert_eq!(diagnosis.exit(), CheckExit::Fine, "{diagnosis:#?}");
    golden("doctor-healthy.txt", &diagnosis.people(true));
}

#[tokio::test]
async fn each_problem_of_a_cluster_is_a_finding() {
    let server = cluster().await;
    server.deny("list", "nodes");
    server.set("nodes", (None, "node-2"), json!({ "metadata": {} }));
    server.set("nodeattachments", (None, "node-3"), report("False", 3));
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(diagnosis.exit(), CheckExit::Problems);
    golden("doctor-disorder.txt", &diagnosis.people(false));
}

#[tokio::test]
async fn a_file_registry_is_checked_for_pools_and_members() {
    let files = Files::new().await;
    let diagnosis = diagnosed(&files.reader()).await;
    let checks: BTreeSet<&str> = diagnosis.findings.iter().map(|one| one.check).collect();
    assert_eq!(checks, BTreeSet::from(["members", "pools"]));
    golden("doctor-file.txt", &files.anonymous(&diagnosis.people(false)));
    let empty = diagnosed(&Files::empty().await.reader()).await;
    assert_eq!(empty.exit(), CheckExit::Fine, "{empty:#?}");
}

#[tokio::test]
async fn missing_or_outdated_definitions_fail() {
    let server = healthy().await;
    server.uninstall();
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(found(&diagnosis, "NotInstalled").0, Level::Failed);
    assert_eq!(diagnosis.exit(), CheckExit::Problems);
    let mut gathered =
        firecamp_cli::doctor::gather(&reader_of(&healthy().await), Role::Viewer).await;
    let changed = |change: fn(&mut BTreeSet<firecamp_kube::Served>)| {
        let mut gathered = gathered.clone();
        let cluster = gathered.cluster.as_mut().unwrap();
        let mut all = cluster.served.known().unwrap().clone().unwrap();
        change(&mut all);
        cluster.served = firecamp_cli::common::known_or_unknown::Answer::Known(Some(all));
        judge(&gathered, now())
    };
    let missing = changed(|all| all.retain(|one| !one.name.starts_with("nodeattachments")));
    assert_eq!(found(&missing, "KindNotServed").0, Level::Failed);
    let older = changed(|all| all.retain(|one| one.name != "staticips/status"));
    assert!(found(&older, "StatusSubresourceMissing").1.starts_with("StaticIP "));
    let scope = changed(|all| {
        *all = all
            .iter()
            .cloned()
            .map(|one| firecamp_kube::Served { namespaced: true, ..one })
            .collect();
    });
    assert_eq!(found(&scope, "KindMismatch").0, Level::Failed);
    gathered.cluster = None;
    assert_eq!(judge(&gathered, now()).exit(), CheckExit::Fine);
}

#[tokio::test]
async fn each_missing_permission_is_reported() {
    let server = healthy().await;
    server.deny("patch", "staticips");
    let reader = reader_of(&server);
    assert_eq!(diagnosed(&reader).await.exit(), CheckExit::Fine, "a viewer does not need patch");
    for role in [Role::Member, Role::Agent] {
        let diagnosis = of(&reader, role, now()).await.unwrap();
        let (level, object, _) = found(&diagnosis, "PermissionMissing");
        assert_eq!((level, object), (Level::Failed, "patch staticips of firecamp.io"));
    }
}

#[tokio::test]
async fn an_address_on_a_deleted_node_and_its_report_are_found() {
    let server = healthy().await;
    server.remove("nodes", None, NODE);
    let diagnosis = diagnosed(&reader_of(&server)).await;
    let (level, object, text) = found(&diagnosis, "NodeNotFound");
    assert_eq!((level, object), (Level::Failed, "StaticIP 10.1.0.20"), "{text}");
    assert_eq!(found(&diagnosis, "ReportOrphaned").0, Level::Warning);
}

#[tokio::test]
async fn missing_stale_and_unready_agents_are_found() {
    let server = healthy().await;
    server.set("nodeattachments", (None, NODE), report("True", 2));
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(found(&diagnosis, "ReportStale").2, "it reports epoch 2; the registry has 3");
    assert_eq!(diagnosis.exit(), CheckExit::Fine, "a report may lag for a moment");
    server.set("nodeattachments", (None, NODE), report("False", 3));
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(found(&diagnosis, "AddressesFailing").0, Level::Failed);
    server.set("nodeattachments", (None, NODE), report("Unknown", 3));
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(found(&diagnosis, "AddressesFailing").0, Level::Warning);
    server.remove("nodeattachments", None, NODE);
    server.set("nodes", (None, "idle"), json!({ "metadata": {} }));
    let diagnosis = diagnosed(&reader_of(&server)).await;
    let missing: Vec<_> = diagnosis
        .findings
        .iter()
        .filter(|one| one.reason == "AgentMissing")
        .map(|one| (one.level, one.object.as_str()))
        .collect();
    let node = format!("node {NODE}");
    assert_eq!(missing, [(Level::Warning, "node idle"), (Level::Failed, node.as_str())]);
}

/// An object that cannot be read is unknown: neither failed nor ok.
#[tokio::test]
async fn failed_reads_are_unknown_not_failed() {
    let plurals = [
        "staticippools",
        "staticips",
        "staticipclaims",
        "nodeattachments",
        "nodes",
        "version",
        "resources",
    ];
    for plural in plurals {
        let server = healthy().await;
        server.fail_next("GET", plural, Fault::Code(403, "Forbidden"));
        let diagnosis = diagnosed(&reader_of(&server)).await;
        assert_eq!(diagnosis.exit(), CheckExit::Unchecked, "{plural}: {diagnosis:#?}");
        assert_eq!(server.unmet_faults(), 0, "{plural}");
    }
    let server = healthy().await;
    server.fail_next("POST", "selfsubjectaccessreviews", Fault::LostAnswer);
    assert_eq!(diagnosed(&reader_of(&server)).await.exit(), CheckExit::Unchecked);
}

async fn with_pools(pools: &[Pool]) -> Diagnosis {
    let server = ApiServer::default();
    for pool in pools {
        server.create_pool(pool);
    }
    diagnosed(&reader_of(&server)).await
}

#[tokio::test]
async fn missing_overlapping_and_conflicting_pools_are_found() {
    assert_eq!(found(&with_pools(&[]).await, "NoPool").0, Level::Failed);
    let (one, mut two) = (pool("a", &[1]).unwrap(), pool("b", &[1]).unwrap());
    let diagnosis = with_pools(&[one.clone(), two.clone()]).await;
    let (level, object, text) = found(&diagnosis, "PoolsOverlap");
    assert_eq!((level, object), (Level::Warning, "StaticIPPool a and b"));
    assert_eq!(text, "both contain 10.1.0.16 to 10.1.0.31 of subnet-00000001");
    two.subnets[0].ranges = vec![(address(100), address(101))];
    let apart = with_pools(&[one.clone(), two.clone()]).await;
    assert_eq!(apart.exit(), CheckExit::Fine, "{apart:#?}");
    assert!(reasons(&apart).iter().all(|(level, _)| *level == Level::Ok), "{apart:#?}");
    two.subnets[0].zone = firecamp_core::ids::Zone::new("us-east-1b").unwrap();
    let diagnosis = with_pools(&[one, two]).await;
    assert_eq!(found(&diagnosis, "PoolsConflict").0, Level::Failed);
}

#[tokio::test]
async fn a_pool_whose_resource_counts_other_subnets_is_found_and_the_value_to_set() {
    let (one, two) = (pool("a", &[1]).unwrap(), pool("b", &[2]).unwrap());
    let diagnosis = with_pools(&[one.clone(), two.clone()]).await;
    let (level, object, text) = found(&diagnosis, "ResourceNotUnique");
    assert_eq!((level, object), (Level::Failed, "StaticIPPool b"));
    assert!(text.ends_with("set spec.resource to firecamp.io/static-ip-b"), "{text}");
    let own = Pool { resource: "firecamp.io/static-ip-b".parse().unwrap(), ..two };
    assert_eq!(with_pools(&[one.clone(), own.clone()]).await.exit(), CheckExit::Fine);
    let both = Pool { subnets: one.subnets.clone(), ..own };
    let diagnosis = with_pools(&[one, both]).await;
    let (level, _, text) = found(&diagnosis, "ResourceDiffers");
    assert_eq!(level, Level::Failed);
    assert!(text.ends_with("set spec.resource to firecamp.io/static-ip"), "{text}");
}

#[tokio::test]
async fn a_member_whose_pod_requests_the_resource_of_another_pool_is_a_warning() {
    let server = healthy().await;
    let requesting = |resource: &str| {
        let init = json!({ "name": "init", "resources": { "requests": { (resource): "1" } } });
        let pod = json!({ "metadata": { "uid": POD }, "spec": { "initContainers": [init] } });
        server.set_pod("prod", "redis-0", pod);
    };
    requesting("firecamp.io/static-ip");
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert!(reasons(&diagnosis).iter().all(|(level, _)| *level == Level::Ok), "{diagnosis:#?}");
    requesting("firecamp.io/static-ip-b");
    let diagnosis = diagnosed(&reader_of(&server)).await;
    let (level, object, text) = found(&diagnosis, "OtherResourceRequested");
    assert_eq!((level, object), (Level::Warning, "prod/redis-0"));
    assert!(text.contains("firecamp.io/static-ip counts the slots of pool a"), "{text}");
    assert_eq!(diagnosis.exit(), CheckExit::Fine, "a warning");
    server.fail_next("GET", "pods", Fault::Cut);
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert!(reasons(&diagnosis).contains(&(Level::Unknown, "NotChecked")), "{diagnosis:#?}");
}

#[tokio::test]
async fn full_pools_are_found_with_their_free_addresses() {
    let mut small = sample_pool();
    small.subnets[0].ranges = vec![(address(20), address(20))];
    let server = healthy().await;
    server.delete_pool(&sample_pool());
    server.create_pool(&small);
    let diagnosis = diagnosed(&reader_of(&server)).await;
    let (level, _, text) = found(&diagnosis, "PoolFull");
    assert_eq!((level, text), (Level::Failed, "0 of 1 addresses are free"));
    let mut two = pool("a", &[1, 2]).unwrap();
    two.subnets[0].ranges = vec![(address(20), address(20))];
    server.delete_pool(&small);
    server.create_pool(&two);
    let diagnosis = diagnosed(&reader_of(&server)).await;
    assert_eq!(found(&diagnosis, "SubnetFull").0, Level::Warning);
}

#[tokio::test]
async fn an_unbound_claim_fails_after_some_minutes() {
    let server = healthy().await;
    let registry = KubeRegistry::new(server.client(), Timeouts::default());
    let fresh = claim(&member(1).unwrap(), &sample_pool());
    registry.write(&Write::CreateClaim(fresh)).await.unwrap();
    let at = |time: &str| time.parse().unwrap();
    let reader = reader_of(&server);
    let early = of(&reader, Role::Viewer, at("2026-11-20T15:01:00Z")).await.unwrap();
    assert_eq!(found(&early, "ClaimUnbound").0, Level::Warning);
    let late = of(&reader, Role::Viewer, at("2026-11-20T15:06:00Z")).await.unwrap();
    assert_eq!(found(&late, "ClaimUnbound").0, Level::Failed);
}

#[tokio::test]
async fn the_command_checks_a_registry_and_a_machine() {
    let files = Files::new().await;
    let output = run(&["doctor", "--registry", &files.url(), "--scope", "cluster"]).await;
    assert_eq!((output.code, output.err.as_str()), (Some(20), ""), "{}", output.out);
    assert!(output.out.contains("AddressOfAnotherMember"), "{}", output.out);
    let run_dir = files.dir.path().join("run");
    let words = ["doctor", "--scope", "node", "--no-ec2", "-o", "json", "--run-dir"];
    let words = [&words[..], &[run_dir.to_str().unwrap()]].concat();
    let program = Path::new(env!("CARGO_BIN_EXE_firecamp"));
    let vars = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    let output = run_as(program, &words, &vars).await;
    let value: Value = serde_json::from_str(&output.out).unwrap();
    let checks = value["findings"].as_array().unwrap();
    assert!(checks.iter().all(|one| one["check"] == json!("node")), "{}", output.out);
    let metadata = checks.iter().find(|one| one["object"] == json!("MetadataReachable")).unwrap();
    assert_ne!(metadata["level"], json!("OK"), "{}", output.out);
    assert!(matches!(output.code, Some(20 | 21)), "{}{}", output.out, output.err);
    assert!(!run_dir.exists(), "the command creates nothing");
}

/// A node without a reachable registry is still checked: that may be its problem.
#[tokio::test]
async fn a_node_is_checked_without_a_registry() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_str().unwrap();
    let words = ["doctor", "--registry", "file:///nonexistent", "--no-ec2", "--run-dir", run_dir];
    let program = Path::new(env!("CARGO_BIN_EXE_firecamp"));
    let vars = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")];
    let output = run_as(program, &words, &vars).await;
    assert!(output.out.contains("open the registry: /nonexistent"), "{}{}", output.out, output.err);
    assert!(output.out.contains("MetadataReachable"), "{}", output.out);
}

/// Group, resource, name and verb of everything that the roles in a file of `deploy/rbac` allow.
fn deployed_permissions(file: &str) -> BTreeSet<[String; 4]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut rights = BTreeSet::new();
    for part in text.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(part).unwrap();
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |name: &str| {
                let texts = rule[name].as_array().into_iter().flatten();
                texts.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let name = list("resourceNames").join(",");
            for group in list("apiGroups") {
                for resource in list("resources") {
                    let one = |verb| [group.clone(), resource.clone(), name.clone(), verb];
                    rights.extend(list("verbs").into_iter().map(one));
                }
            }
        }
    }
    rights
}

fn checked_permissions(role: Role) -> BTreeSet<[String; 4]> {
    let resource = |right: &Right| match right.subresource {
        "" => right.resource.to_owned(),
        part => format!("{}/{part}", right.resource),
    };
    let one =
        |right: Right| [right.group.into(), resource(&right), right.name.into(), right.verb.into()];
    required_permissions::of(role, "prod").into_iter().map(one).collect()
}

#[test]
fn the_checked_permissions_are_those_in_deploy_rbac() {
    assert_eq!(checked_permissions(Role::Member), deployed_permissions("members.yaml"));
    assert_eq!(checked_permissions(Role::Agent), deployed_permissions("agent.yaml"));
}
