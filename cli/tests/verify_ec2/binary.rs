//! The command as a process, against the simulator on a socket, in real time.

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use firecamp_vpc::{Answer, Profile, Simulator, Spec, WireRequest};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::vpc::{SPEC, SUBNET};

const PATIENCE: Duration = Duration::from_mins(1);

/// The simulator on a socket.
struct Server {
    simulator: Arc<Mutex<Simulator>>,
    origin: Instant,
    port: u16,
}

impl Server {
    async fn start() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let spec = Spec::from_toml(SPEC).unwrap();
        let simulator = Simulator::new(&spec, Profile::fast(), 7, epoch).unwrap();
        let (simulator, origin) = (Arc::new(Mutex::new(simulator)), Instant::now());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&simulator);
        tokio::spawn(async move {
            while let Ok((stream, _from)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service =
                    service_fn(move |request| serve(Arc::clone(&shared), origin, request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Self { simulator, origin, port }
    }

    fn addresses(&self) -> usize {
        let mut simulator = self.simulator.lock().unwrap();
        let truth = simulator.truth(self.origin.elapsed());
        truth.addresses.iter().filter(|one| one.owner.is_some()).count()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn command(&self, words: &[&str]) -> Child {
        self.configured(&[&["--endpoint-url", &self.url()], words].concat(), "/nowhere")
    }

    /// With this configuration file of AWS.
    fn configured(&self, words: &[&str], file: &str) -> Child {
        let keys = self.simulator.lock().unwrap().credentials("admin").unwrap();
        Command::new(env!("CARGO_BIN_EXE_firecamp"))
            .env_clear()
            .env("AWS_CONFIG_FILE", file)
            .env("AWS_ACCESS_KEY_ID", keys.access_key)
            .env("AWS_SECRET_ACCESS_KEY", keys.secret_key)
            .args(["verify-ec2", "--subnet", SUBNET, "--region", "us-east-1"])
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }
}

async fn serve(
    simulator: Arc<Mutex<Simulator>>,
    origin: Instant,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut wire = WireRequest::new(parts.method.as_str(), "/");
    for (name, value) in &parts.headers {
        wire = wire.with_header(name.as_str(), value.to_str().unwrap());
    }
    let wire = wire.with_body(body.collect().await.unwrap().to_bytes().to_vec());
    let exchange = simulator.lock().unwrap().ec2(origin.elapsed(), None, &wire);
    tokio::time::sleep_until(origin + exchange.respond_at.unwrap()).await;
    let answer = simulator.lock().unwrap().answer(origin.elapsed(), exchange.call);
    let Some(Answer::Respond(answer)) = answer else { panic!("no fault is set: {answer:?}") };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(answer.body))).unwrap())
}

#[tokio::test]
async fn a_terminated_process_deletes_its_interfaces_and_prints_its_report() {
    let server = Server::start().await;
    let before = server.addresses();
    let mut child = server.command(&["--json"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begins = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("assign-free: holds") {
                return;
            }
        }
        panic!("it ended before the first fact");
    };
    timeout(PATIENCE, begins).await.unwrap();
    assert!(server.addresses() > before);
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    reading.await.unwrap();
    assert_eq!(output.status.code(), Some(143));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["origin"]["endpoint"], format!("127.0.0.1:{}", server.port));
    assert_eq!(server.addresses(), before);
}

#[tokio::test]
async fn the_next_process_deletes_what_a_killed_one_left() {
    let server = Server::start().await;
    let before = server.addresses();
    let mut child = server.command(&[]);
    let begun = Instant::now();
    while server.addresses() < before + 3 {
        assert!(begun.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    }
    child.kill().await.unwrap();
    assert!(server.addresses() > before);
    let output = server.command(&["--cleanup"]).wait_with_output();
    let output = timeout(PATIENCE, output).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.addresses(), before);
}

/// The second one is for EC2 alone.
#[tokio::test]
async fn an_endpoint_of_the_configuration_file_proves_no_ec2() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let url = server.url();
    for text in [
        format!("[default]\nendpoint_url = {url}\n"),
        format!("[default]\nservices = s\n\n[services s]\nec2 =\n  endpoint_url = {url}\n"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let child = server.configured(&["--cleanup", "--json"], file.to_str().unwrap());
        let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}: {output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let origin = &report["origin"];
        assert_eq!(origin["endpoint"], format!("127.0.0.1:{}", server.port), "{text}");
        assert_eq!(origin["provesEc2"], false, "{text}");
        assert!(origin["note"].as_str().unwrap().contains("not EC2"), "{origin}");
    }
}

#[tokio::test]
async fn a_dry_run_sends_nothing() {
    let server = Server::start().await;
    let output = server.command(&["--dry-run"]).wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for part in ["two network interfaces", "move-without-gap", "Nothing was sent"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(server.simulator.lock().unwrap().calls(0).is_empty());
}
