//! `firecamp service create --dry-run client`, without a cluster.

use std::process::Command;

#[test]
fn a_dry_run_of_the_client_prints_manifests_and_reads_no_cluster() {
    let create = |format| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firecamp"));
        command.env_clear().args(["service", "create", "prod/redis", "--image", "redis"]);
        command.args(["--port", "redis=6379", "--dry-run", "client", "--output", format]);
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let kinds = ["ServiceAccount", "Service", "PodDisruptionBudget", "StatefulSet"];
    let yaml = create("yaml");
    let documents: Vec<serde_json::Value> =
        yaml.split("---\n").map(|one| serde_saphyr::from_str(one).unwrap()).collect();
    let found: Vec<&str> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(found, kinds);
    assert!(documents.iter().all(|one| one["metadata"]["namespace"] == "prod"), "{yaml}");
    let list: serde_json::Value = serde_json::from_str(&create("json")).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), 4));
}
