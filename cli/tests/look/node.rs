//! `firecamp node`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use firecamp_cli::args::Command;
use firecamp_cli::node::{self, NodeArguments};
use firecamp_core::contract::exit::CheckExit;
use firecamp_registry::api::NodeReport;
use serde_json::{Value, json};

use super::support::{ENI, Files, NODE, POD, Socket, cluster, golden, parsed, reader_of, run};

fn arguments(words: &[&str]) -> NodeArguments {
    let command = parsed(&[&["node"], words].concat()).command;
    let Command::Node(arguments) = command else { panic!("{command:?}") };
    arguments
}

/// A node with objects of every kind.
pub(crate) fn report() -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeAttachments",
        "metadata": { "name": NODE },
        "spec": {},
        "status": {
            "instance": "i-0123456789abcdef0",
            "zone": "us-east-1a",
            "slots": { "total": 14, "free": 12 },
            "addressesFailing": 1,
            "volumesFailing": 1,
            "enis": [
                { "id": ENI, "mac": "02:00:00:00:00:01", "deviceIndex": 0,
                  "subnet": "subnet-00000001", "link": "ens5",
                  "slots": { "total": 14, "free": 12 }, "managedBy": "FireCamp" },
                { "id": "eni-0123456789abcdef1", "mac": "02:00:00:00:00:02", "deviceIndex": 1,
                  "subnet": "subnet-00000002", "slots": { "total": 14, "free": 0 },
                  "managedBy": "VpcCni" },
            ],
            "addresses": [
                { "address": "10.1.0.20", "member": "prod/redis-0", "epoch": 3,
                  "state": "Attached", "podUID": POD, "eni": ENI,
                  "inEc2": true, "inKernel": true },
                { "address": "10.1.0.21", "member": "prod/redis-1", "epoch": 1,
                  "state": "Attached", "podUID": "p", "eni": ENI, "inEc2": true,
                  "inKernel": false, "inFile": true,
                  "problem": { "reason": "MissingInKernel", "message": "the rule is missing" } },
            ],
            "volumes": [
                { "id": "vol-0123456789abcdef0", "kind": "Ebs", "attachment": "attached",
                  "bytes": 107_374_182_400_u64,
                  "device": { "path": "/dev/nvme1n1", "bytes": 107_374_182_400_u64 },
                  "fileSystem": { "type": "ext4", "space": { "bytes": 105_000_000_000_u64,
                    "bytesFree": 5_368_709_120_u64, "inodes": 100, "inodesFree": 90 } },
                  "mounts": [{ "path": "/var/lib/kubelet/pods/p/data", "readOnly": false }],
                  "usedBy": { "persistentVolume": "pvc-1", "claim": "prod/data-redis-0",
                    "pod": "prod/redis-0" },
                  "problems": [{ "reason": "AlmostFull", "message": "95 % is in use" }] },
                { "id": "10.0.0.9:/export", "kind": "Nfs" },
            ],
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "VolumesFailing",
                  "message": "1 volume is not as it should be",
                  "lastTransitionTime": "2026-11-20T15:30:00Z" },
            ],
        },
        "observed": [
            { "of": "kernel", "secondsAgo": 2 },
            { "of": "ec2", "failure": "DescribeNetworkInterfaces: RequestLimitExceeded" },
        ],
    })
}

/// Serves these pages like an agent's port, until the test ends.
pub(crate) fn agent_with_pages(pages: Vec<(&'static str, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _from)) = listener.accept() {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let page = request.split(' ').nth(1).unwrap();
            let found = pages.iter().find(|(path, _)| *path == page);
            let (code, body) = found
                .map_or(("404 Not Found", "no such page"), |(_, body)| ("200 OK", body.as_str()));
            let head = format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    url
}

/// Answers one request with this text, like an agent's port.
pub(crate) fn agent(code: &'static str, body: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _from) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).unwrap();
        let head = format!("HTTP/1.1 {code}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (url, served)
}

#[tokio::test]
async fn without_a_node_name_the_report_comes_from_the_local_agent() {
    let (url, served) = agent("200 OK", report().to_string());
    let output = run(&["node", "--agent", &url, "-o", "wide"]).await;
    assert!(served.join().unwrap().starts_with("GET /v1/node HTTP/1.1\r\n"));
    assert_eq!((output.code, output.err.as_str()), (Some(20), ""));
    golden("node-agent-wide.txt", &output.out);
}

#[tokio::test]
async fn the_published_report_is_shown_on_any_machine() {
    let server = cluster().await;
    server.set("nodeattachments", (None, NODE), report());
    let socket = Socket::of(&server).await;
    let file = socket.kubeconfig();
    let place = ["--kubeconfig", file.to_str().unwrap(), "--context", "test"];
    let output = run(&[&["node", NODE], &place[..]].concat()).await;
    assert_eq!((output.code, output.err.as_str()), (Some(20), ""));
    golden("node-cluster.txt", &output.out);
    let reader = reader_of(&server);
    let (text, _) = node::of_cluster(&reader, NODE, &arguments(&["-o", "json"])).await.unwrap();
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["status"], report()["status"]);
}

#[tokio::test]
async fn a_node_without_a_report_is_a_problem() {
    let server = cluster().await;
    let shown = node::of_cluster(&reader_of(&server), "node-9", &arguments(&[])).await;
    let (text, exit) = shown.unwrap();
    assert_eq!(exit, CheckExit::Problems);
    assert!(text.starts_with("NodeAttachments node-9 does not exist: "), "{text}");
}

#[tokio::test]
async fn a_file_registry_has_no_reports() {
    let files = Files::new().await;
    let output = run(&["node", "node-1", "--registry", &files.url()]).await;
    assert_eq!(output.code, Some(2));
    assert!(output.err.contains("run `firecamp node` without NODE on node-1"), "{}", output.err);
}

#[tokio::test]
async fn an_unreachable_agent_or_an_invalid_response_is_an_error() {
    let output = run(&["node", "--agent", "http://127.0.0.1:1"]).await;
    assert_eq!(output.code, Some(15), "{}", output.err);
    assert!(output.err.contains("read /v1/node from the agent at 127.0.0.1:1: "), "{}", output.err);
    assert!(output.err.contains("check that an agent runs on this machine"), "{}", output.err);
    let (url, _served) = agent("404 Not Found", "/livez or so\n".to_owned());
    let output = run(&["node", "--agent", &url]).await;
    assert_eq!(output.code, Some(15), "{}", output.err);
    assert!(output.err.contains("404 Not Found: /livez or so"), "{}", output.err);
    let (url, _served) = agent("200 OK", "{\"kind\":".to_owned());
    let output = run(&["node", "--agent", &url]).await;
    assert_eq!(output.code, Some(15), "{}", output.err);
    assert!(output.err.contains("EOF"), "{}", output.err);
}

/// Exit code 0 requires that everything could be read and no problem was found.
#[tokio::test]
async fn the_exit_code_distinguishes_problems_from_failed_reads() {
    let mut value = report();
    let failure = value["observed"].take();
    let status = value["status"].as_object_mut().unwrap();
    for list in ["addresses", "volumes", "conditions", "addressesFailing", "volumesFailing"] {
        status.remove(list);
    }
    value["observed"] = json!([]);
    let fine: NodeReport = serde_json::from_value(value.clone()).unwrap();
    let (url, _served) = agent("200 OK", serde_json::to_string(&fine).unwrap());
    assert_eq!(run(&["node", "--agent", &url]).await.code, Some(0));
    value["observed"] = failure;
    let (url, _served) = agent("200 OK", value.to_string());
    assert_eq!(run(&["node", "--agent", &url]).await.code, Some(21));
}
