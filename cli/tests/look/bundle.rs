//! `firecamp support-bundle`: what is in it, and what never is.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::json;
use tar::Archive;

use super::support::{Files, NODE, Said, Socket, TOKEN, cluster, run_as};

/// Stand in places in which secrets are found, and must be nowhere in a bundle.
const CANARIES: [&str; 7] = [
    TOKEN,
    "canary-of-the-environment",
    "canary-of-an-annotation",
    "canary-of-a-label-with-token",
    "canary-of-a-metric",
    "AKIACANARYCANARY0001",
    "eyJjYW5hcnkiOiJjYW5hcnkifQ",
];

fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let mut archive = Archive::new(GzDecoder::new(std::fs::File::open(file).unwrap()));
    let read = |entry: std::io::Result<tar::Entry<'_, GzDecoder<std::fs::File>>>| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        let (top, name) = path.split_once('/').unwrap();
        assert!(top.starts_with("firecamp-bundle-"), "{path}");
        (name.to_owned(), text)
    };
    archive.entries().unwrap().map(read).collect()
}

async fn bundle(words: &[&str], vars: &[(&str, &str)]) -> Said {
    let program = Path::new(env!("CARGO_BIN_EXE_firecamp"));
    run_as(program, &[&["support-bundle"], words].concat(), vars).await
}

#[tokio::test]
async fn a_bundle_of_a_cluster_has_everything_and_no_secret() {
    let server = cluster().await;
    server.set("nodeattachments", (None, NODE), super::node::report());
    server.change("staticips", None, "10.1.0.20", |object| {
        object["metadata"]["annotations"] = json!({ "note": CANARIES[2] });
        object["metadata"]["labels"] =
            json!({ "api-token": CANARIES[3], "key": CANARIES[5], "jwt": CANARIES[6] });
    });
    let socket = Socket::of(&server).await;
    let (file, config) = (socket.dir.path().join("b.tar.gz"), socket.kubeconfig());
    let metrics = format!("firecamp_x{{password=\"{}\"}} 1\n", CANARIES[4]);
    let (agent, _served) = super::node::agent("200 OK", metrics);
    let words = [
        "-f",
        file.to_str().unwrap(),
        "--kubeconfig",
        config.to_str().unwrap(),
        "--context",
        "test",
        "--agent",
        &agent,
        "--run-dir",
        socket.dir.path().to_str().unwrap(),
    ];
    let vars = [("AWS_SECRET_ACCESS_KEY", CANARIES[1]), ("DB_PASSWORD", CANARIES[1])];
    let said = bundle(&words, &vars).await;
    assert_eq!(said.code, Some(21), "the agent has answered once: {}", said.err);
    assert!(said.err.contains("read it before you send it"), "{}", said.err);
    let files = unpacked(&file);
    let expected = [
        "status.txt",
        "status.json",
        "doctor.txt",
        "doctor.json",
        "objects/staticips.json",
        "objects/staticippools.json",
        "objects/staticipclaims.json",
        "objects/nodeattachments.json",
        "agent/node.json",
        "kernel/addresses.txt",
        "versions/firecamp.txt",
        "versions/api-server.txt",
        "versions/kernel.txt",
        "logs.txt",
        "manifest.txt",
    ];
    for name in expected {
        assert!(files.contains_key(name), "{name} is not in {:?}", files.keys());
    }
    assert!(files[&format!("nodes/{NODE}.txt")].contains("vol-0123456789abcdef0"));
    assert!(files["objects/staticips.json"].contains("\"note\": \"REDACTED\""));
    assert!(files["manifest.txt"].contains("not in it: the agent's /metrics"));
    for (name, text) in &files {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} is in {name}:\n{text}");
        }
    }
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_bundle_of_a_file_registry_has_its_files_and_none_beside_them() {
    let files = Files::new().await;
    let root = files.dir.path();
    std::fs::write(root.join("staticips/secret.txt"), "canary-beside").unwrap();
    std::fs::write(root.join("outside"), "canary-outside").unwrap();
    std::os::unix::fs::symlink(root.join("outside"), root.join("staticips/x.yaml")).unwrap();
    let file = root.join("b.tar.gz");
    let none = root.join("none");
    let words = [
        "-f",
        file.to_str().unwrap(),
        "--registry",
        &files.url(),
        "--run-dir",
        none.to_str().unwrap(),
    ];
    let said = bundle(&words, &[]).await;
    assert_eq!(said.code, Some(21), "a link is told: {}", said.err);
    let packed = unpacked(&file);
    assert!(packed["objects/staticips/10.1.0.20.yaml"].contains("epoch: 3"));
    assert!(packed["objects/staticipclaims/prod/redis-0.yaml"].contains("10.1.0.20"));
    assert!(!packed.contains_key("kernel/addresses.txt"), "this machine is no node");
    assert!(packed.values().all(|text| !text.contains("canary-")), "{packed:?}");
}

#[tokio::test]
async fn a_file_that_is_there_is_never_overwritten() {
    let files = Files::empty().await;
    let file = files.dir.path().join("b.tar.gz");
    std::fs::write(&file, "mine").unwrap();
    let said = bundle(&["-f", file.to_str().unwrap(), "--registry", &files.url()], &[]).await;
    assert_eq!(said.code, Some(18), "{}", said.err);
    assert!(said.err.contains("create ") && said.err.contains("File exists"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

/// A failure is when a bundle is wanted most.
#[tokio::test]
async fn a_registry_that_is_away_leaves_a_bundle_of_the_rest() {
    let files = Files::empty().await;
    let file = files.dir.path().join("b.tar.gz");
    let words = ["-f", file.to_str().unwrap(), "--registry", "file:///nonexistent"];
    let said = bundle(&words, &[]).await;
    assert_eq!(said.code, Some(21), "{}", said.err);
    let packed = unpacked(&file);
    assert!(packed["manifest.txt"].contains("not in it: the registry: open the registry"));
    assert!(packed.contains_key("logs.txt"));
}
