//! The worker tag of `firecamp info`, from a metadata service on a socket.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use firecamp_cli::info::{Info, WorkerTag};
use firecamp_cloud::CloudConfig;
use serde_json::json;

const INSTANCE: &str = "i-0123456789abcdef0";

/// A metadata service with these pages; everything else is not found.
fn metadata(pages: &'static [(&'static str, &'static str)]) -> CloudConfig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), pages);
        }
    });
    CloudConfig { imds_endpoint: Some(endpoint), ..CloudConfig::default() }
}

fn answer(mut stream: TcpStream, pages: &[(&str, &str)]) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let path = head[0].split(' ').nth(1).unwrap();
    let page = pages.iter().find(|(name, _)| path == format!("/latest/meta-data/{name}"));
    let (code, body) = match page {
        _ if path == "/latest/api/token" => ("200 OK", "token"),
        Some((_name, body)) => ("200 OK", *body),
        None => ("404 Not Found", ""),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {code}\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

async fn worker_tag(pages: &'static [(&'static str, &'static str)]) -> WorkerTag {
    WorkerTag::read(&metadata(pages), INSTANCE).await
}

fn shown(tag: WorkerTag) -> String {
    let text = || Some("x".to_owned());
    let info = Info {
        cluster_id: "uid".to_owned(),
        node: text(),
        instance_id: text(),
        zone: text(),
        worker_tag: Some(tag),
    };
    info.people().lines().last().unwrap().to_owned()
}

#[tokio::test]
async fn the_worker_tag_of_this_machine_names_the_cluster_of_the_original() {
    let tag = worker_tag(&[
        ("instance-id", INSTANCE),
        ("tags/instance", "Name\nfirecamp-worker"),
        ("tags/instance/firecamp-worker", "prod"),
    ])
    .await;
    assert_eq!(
        serde_json::to_value(&tag).unwrap(),
        json!({ "state": "Present", "cluster": "prod" })
    );
    assert_eq!(shown(tag), "firecamp-worker: prod");
}

#[tokio::test]
async fn a_tag_that_is_absent_differs_from_one_that_cannot_be_read() {
    let absent = worker_tag(&[("instance-id", INSTANCE), ("tags/instance", "Name")]).await;
    assert_eq!(serde_json::to_value(&absent).unwrap(), json!({ "state": "Absent" }));
    assert_eq!(shown(absent), "firecamp-worker: absent");

    let not_served = worker_tag(&[("instance-id", INSTANCE)]).await;
    assert_eq!(not_served.state, "Unknown");
    assert!(shown(not_served).contains("serves no tags"));

    let closed = CloudConfig {
        imds_endpoint: Some("http://127.0.0.1:1".to_owned()),
        ..CloudConfig::default()
    };
    assert_eq!(WorkerTag::read(&closed, INSTANCE).await.state, "Unknown");
}

/// The tag of the machine on which the command runs is not that of another node.
#[tokio::test]
async fn the_tag_of_another_instance_is_not_reported() {
    let tag = worker_tag(&[
        ("instance-id", "i-0aaaaaaaaaaaaaaaa"),
        ("tags/instance", "firecamp-worker"),
        ("tags/instance/firecamp-worker", "other"),
    ])
    .await;
    assert_eq!((tag.state, &tag.cluster), ("Unknown", &None));
    assert!(shown(tag).contains("this machine is instance i-0aaaaaaaaaaaaaaaa"));
}
