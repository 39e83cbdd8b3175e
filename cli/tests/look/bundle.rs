//! `firecamp support-bundle`: its contents, and what it never contains.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use firecamp_apiserver::ApiServer;
use flate2::read::GzDecoder;
use serde_json::json;
use tar::Archive;

use super::support::{CommandOutput, Files, NODE, POD, Socket, TOKEN, cluster, run_as};

/// Test secrets in the places where secrets occur; none may appear in a bundle.
const CANARIES: [&str; 9] = [
    TOKEN,
    "canary-of-the-environment",
    "canary-of-an-annotation",
    "canary-of-a-label-with-token",
    "canary-of-a-metric",
    "canary-of-a-line-of-the-log",
    "canary-of-what-a-line-quotes",
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

async fn bundle(words: &[&str], vars: &[(&str, &str)]) -> CommandOutput {
    let program = Path::new(env!("CARGO_BIN_EXE_firecamp"));
    run_as(program, &[&["support-bundle"], words].concat(), vars).await
}

/// The files of a bundle that is created on a node.
const EXPECTED: [&str; 22] = [
    "status.txt",
    "status.json",
    "doctor.txt",
    "doctor.json",
    "explain/prod/redis-0.txt",
    "explain/prod/redis-0.json",
    "objects/staticips.json",
    "objects/staticippools.json",
    "objects/staticipclaims.json",
    "objects/nodeattachments.json",
    "agent/node.json",
    "agent/metrics.txt",
    "agent/log.txt",
    "kernel/addresses.txt",
    "kernel/links.txt",
    "kernel/rules.txt",
    "kernel/routes.txt",
    "versions/firecamp.txt",
    "versions/api-server.txt",
    "versions/kernel.txt",
    "logs.txt",
    "manifest.txt",
];

/// A cluster whose objects contain secrets.
async fn cluster_with_secrets() -> ApiServer {
    let server = cluster().await;
    server.set("nodeattachments", (None, NODE), super::node::report());
    let pod = json!({
        "metadata": { "name": "redis-0", "namespace": "prod", "uid": POD },
        "spec": { "nodeName": NODE },
        "status": { "phase": "Running" },
    });
    server.set_pod("prod", "redis-0", pod);
    server.change("staticips", None, "10.1.0.20", |object| {
        object["metadata"]["annotations"] = json!({ "note": CANARIES[2] });
        object["metadata"]["labels"] =
            json!({ "api-token": CANARIES[3], "key": CANARIES[7], "jwt": CANARIES[8] });
    });
    server
}

/// An agent whose pages contain secrets and that is not ready.
fn agent() -> String {
    let line = json!({
        "message": "Answer",
        "token": CANARIES[5],
        "error": format!("response {{\"password\":\"{}\"}} and 403", CANARIES[6]),
    });
    super::node::agent_with_pages(vec![
        ("/v1/node", super::node::report().to_string()),
        ("/metrics", format!("firecamp_x{{password=\"{}\"}} 1\n", CANARIES[4])),
        ("/livez", "ok".to_owned()),
        ("/v1/log", format!("{{\"message\":\"Begun\"}}\n{line}\n")),
    ])
}

#[tokio::test]
async fn a_bundle_of_a_node_is_complete_and_contains_no_secrets() {
    let server = cluster_with_secrets().await;
    let socket = Socket::of(&server).await;
    let (file, config) = (socket.dir.path().join("b.tar.gz"), socket.kubeconfig());
    let agent = agent();
    let words = [
        ["-f", file.to_str().unwrap()],
        ["--kubeconfig", config.to_str().unwrap()],
        ["--context", "test"],
        ["--agent", &agent],
        ["--run-dir", socket.dir.path().to_str().unwrap()],
        ["--node-name", NODE],
    ];
    let vars = [
        ("AWS_SECRET_ACCESS_KEY", CANARIES[1]),
        ("DB_PASSWORD", CANARIES[1]),
        // The connection is refused immediately.
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let output = bundle(&words.concat(), &vars).await;
    assert_eq!(output.code, Some(21), "the agent is not ready: {}", output.err);
    assert!(output.err.contains("review the bundle before you send it"), "{}", output.err);
    let files = unpacked(&file);
    for name in EXPECTED {
        assert!(files.contains_key(name), "{name} is not in {:?}", files.keys());
    }
    for (name, wanted) in [
        (&*format!("nodes/{NODE}.txt"), "vol-0123456789abcdef0"),
        ("objects/staticips.json", "\"note\": \"REDACTED\""),
        ("manifest.txt", "not included: the agent's /readyz"),
        ("explain/prod/redis-0.txt", "StaticIPClaim prod/redis-0 of pool a names 10.1.0.20"),
        ("explain/prod/redis-0.txt", "EC2 is queried only for members given by name"),
        ("kernel/rules.txt", "from all lookup main"),
        ("kernel/links.txt", ": lo"),
        ("agent/log.txt", "Begun"),
        ("agent/log.txt", "and 403"),
    ] {
        assert!(files[name].contains(wanted), "{wanted} is not in {name}:\n{}", files[name]);
    }
    for (name, text) in &files {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{canary} is in {name}:\n{text}");
        }
    }
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn only_the_given_members_are_explained_on_any_machine() {
    let files = Files::new().await;
    let file = files.dir.path().join("b.tar.gz");
    let none = files.dir.path().join("none");
    let named = |member: &'static str| {
        let words = [
            member,
            "--no-ec2",
            "-n",
            "prod",
            "-f",
            file.to_str().unwrap(),
            "--registry",
            &files.url(),
            "--run-dir",
            none.to_str().unwrap(),
        ];
        words.map(str::to_owned)
    };
    let words = named("redis-2");
    let output = bundle(&words.each_ref().map(String::as_str), &[]).await;
    assert_eq!(output.code, Some(0), "{}", output.err);
    let packed = unpacked(&file);
    let explained: Vec<&String> =
        packed.keys().filter(|name| name.starts_with("explain/")).collect();
    assert_eq!(explained, ["explain/prod/redis-2.json", "explain/prod/redis-2.txt"]);
    assert!(packed["explain/prod/redis-2.txt"].contains("--no-ec2"), "{packed:?}");
    let words = named("NO_NAME");
    let output = bundle(&words.each_ref().map(String::as_str), &[]).await;
    assert_eq!(output.code, Some(2), "{}", output.err);
}

#[tokio::test]
async fn files_that_do_not_fit_are_truncated_or_omitted_and_listed() {
    let files = Files::new().await;
    let root = files.dir.path();
    let (file, none) = (root.join("b.tar.gz"), root.join("none"));
    let pools = root.join("staticippools");
    for nth in 0..12 {
        let text = format!("# {nth}\n").repeat(60_000);
        std::fs::write(pools.join(format!("large-{nth:02}.yaml")), text).unwrap();
    }
    let words = [
        "--max-mib",
        "1",
        "-f",
        file.to_str().unwrap(),
        "--registry",
        &files.url(),
        "--run-dir",
        none.to_str().unwrap(),
    ];
    let output = bundle(&words, &[]).await;
    assert_eq!(output.code, Some(21), "{}", output.err);
    let mut archive = Vec::new();
    let packed = std::fs::File::open(&file).unwrap();
    GzDecoder::new(packed).read_to_end(&mut archive).unwrap();
    assert!(archive.len() <= 1 << 20, "{} bytes", archive.len());
    let packed = unpacked(&file);
    let manifest = &packed["manifest.txt"];
    for wanted in [
        "not included: truncated file: objects/staticippools/large-",
        "files were omitted because of the size limit",
    ] {
        assert!(manifest.contains(wanted) && output.err.contains(wanted), "{manifest}");
    }
    assert!(packed.values().all(|text| text.len() <= 1 << 18));
    assert!(packed.contains_key("status.txt"), "the most important files are included: {manifest}");
}

#[tokio::test]
async fn a_bundle_of_a_file_registry_contains_only_files_of_the_registry() {
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
    let output = bundle(&words, &[]).await;
    assert_eq!(output.code, Some(21), "a skipped symbolic link is listed: {}", output.err);
    let packed = unpacked(&file);
    assert!(packed["objects/staticips/10.1.0.20.yaml"].contains("epoch: 3"));
    assert!(packed["objects/staticipclaims/prod/redis-0.yaml"].contains("10.1.0.20"));
    assert!(!packed.contains_key("kernel/addresses.txt"), "this machine is not a node");
    assert!(packed.values().all(|text| !text.contains("canary-")), "{packed:?}");
}

#[tokio::test]
async fn an_existing_file_is_never_overwritten() {
    let files = Files::empty().await;
    let file = files.dir.path().join("b.tar.gz");
    std::fs::write(&file, "mine").unwrap();
    let output = bundle(&["-f", file.to_str().unwrap(), "--registry", &files.url()], &[]).await;
    assert_eq!(output.code, Some(18), "{}", output.err);
    assert!(output.err.contains("create ") && output.err.contains("File exists"), "{}", output.err);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

/// Users create bundles when something has failed.
#[tokio::test]
async fn without_a_registry_the_bundle_has_everything_else() {
    let files = Files::empty().await;
    let file = files.dir.path().join("b.tar.gz");
    let words = ["-f", file.to_str().unwrap(), "--registry", "file:///nonexistent"];
    let output = bundle(&words, &[]).await;
    assert_eq!(output.code, Some(21), "{}", output.err);
    let packed = unpacked(&file);
    assert!(packed["manifest.txt"].contains("not included: the registry: open the registry"));
    assert!(packed.contains_key("logs.txt"));
}
