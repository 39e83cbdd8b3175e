//! Registries with the same members, the API server on a socket, and the command.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use firecamp_apiserver::ApiServer;
use firecamp_cli::args::Cli;
use firecamp_cli::common::registry_reader::RegistryReader;
use firecamp_core::ids::{EniId, Member, NodeName};
use firecamp_core::ports::Registry;
use firecamp_core::record::{Claim, Pool, State, StaticIp, Write};
use firecamp_kube::{KubeRegistry, Timeouts};
use firecamp_registry::conformance::{attached, claim, member, pool, static_ip};
use firecamp_registry::{FileRegistry, Timeouts as FileTimeouts};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use tokio::net::{TcpListener, TcpStream};

pub(crate) const NODE: &str = "ip-10-0-0-7.ec2.internal";
pub(crate) const ENI: &str = "eni-0123456789abcdef0";
pub(crate) const POD: &str = "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11";
/// A secret in the kubeconfig that must not appear in any output.
pub(crate) const TOKEN: &str = "canary-bearer-token";

const QUICK: Timeouts = Timeouts { call: Duration::from_secs(5), list: Duration::from_secs(9) };

/// An hour after the API server's objects were created.
pub(crate) fn now() -> Timestamp {
    "2026-11-20T16:00:00Z".parse().unwrap()
}

pub(crate) fn sample_pool() -> Pool {
    pool("a", &[1]).unwrap()
}

pub(crate) fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 0, last)
}

/// A fully attached address of a member, with this epoch.
pub(crate) fn held(last: u8, member: &Member, epoch: u64) -> StaticIp {
    let ip = static_ip(address(last), member, &sample_pool()).unwrap();
    let mut ip = attached(&ip, epoch).unwrap();
    ip.pending_mutations.clear();
    ip.reserved_on = Some(EniId::new(ENI).unwrap());
    let attachment = ip.attachment.as_mut().unwrap();
    attachment.state = State::Attached;
    attachment.node = NodeName::new(NODE).unwrap();
    ip
}

fn parked(ip: StaticIp) -> StaticIp {
    let mut ip = ip;
    ip.attachment.as_mut().unwrap().state = State::Parked;
    ip
}

fn bound(member: &Member, last: u8) -> Claim {
    Claim { address: Some(address(last)), ..claim(member, &sample_pool()) }
}

/// Members in every state.
pub(crate) async fn fill(registry: &impl Registry) {
    let redis = |index| member(index).unwrap();
    let gone = Member::new("dev", "old-0").unwrap();
    let attaching = static_ip(address(23), &redis(3), &sample_pool()).unwrap();
    let writes = [
        Write::CreateClaim(bound(&redis(0), 20)),
        Write::CreateStaticIp(held(20, &redis(0), 3)),
        Write::CreateClaim(claim(&redis(1), &sample_pool())),
        Write::CreateClaim(bound(&redis(2), 22)),
        Write::CreateStaticIp(parked(held(22, &redis(2), 5))),
        Write::CreateClaim(bound(&redis(3), 23)),
        Write::CreateStaticIp(attached(&attaching, 1).unwrap()),
        Write::CreateClaim(bound(&redis(4), 24)),
        Write::CreateClaim(bound(&redis(5), 20)),
        Write::CreateStaticIp(parked(held(25, &gone, 2))),
    ];
    for write in writes {
        registry.write(&write).await.unwrap();
    }
}

/// A file registry with these members.
pub(crate) struct Files {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) registry: FileRegistry,
}

impl Files {
    pub(crate) async fn new() -> Self {
        let files = Self::empty().await;
        fill(&files.registry).await;
        files
    }

    /// A file registry with only the pool.
    pub(crate) async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = FileRegistry::open(dir.path(), FileTimeouts::default()).unwrap();
        registry.create_pool(&sample_pool()).await.unwrap();
        Self { dir, registry }
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.dir.path().display())
    }

    pub(crate) fn reader(&self) -> RegistryReader {
        RegistryReader::File(self.registry.clone())
    }

    /// Replaces the name of this directory in a text.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), "/DIR")
    }
}

/// An API server with these members.
pub(crate) async fn cluster() -> ApiServer {
    let server = ApiServer::default();
    server.create_pool(&sample_pool());
    fill(&KubeRegistry::new(server.client(), QUICK)).await;
    server
}

pub(crate) fn reader_of(server: &ApiServer) -> RegistryReader {
    let url = "https://api.test".to_owned();
    RegistryReader::of_client(server.client(), QUICK, "prod".to_owned(), url)
}

/// The API server on a socket, and a kubeconfig whose context `test` names it and whose current
/// context names an unreachable server.
pub(crate) struct Socket {
    pub(crate) dir: tempfile::TempDir,
}

impl Socket {
    pub(crate) async fn of(server: &ApiServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = server.client();
        tokio::spawn(async move {
            while let Ok((stream, _from)) = listener.accept().await {
                tokio::spawn(connection(stream, client.clone()));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: dead\n\
             clusters:\n\
             - name: test\n  cluster:\n    server: http://127.0.0.1:{port}\n\
             - name: dead\n  cluster:\n    server: http://127.0.0.1:1\n\
             contexts:\n\
             - name: test\n  context:\n    cluster: test\n    user: me\n    namespace: prod\n\
             - name: dead\n  context:\n    cluster: dead\n    user: me\n\
             users:\n- name: me\n  user:\n    token: {TOKEN}\n"
        );
        std::fs::write(dir.path().join("config"), text).unwrap();
        Self { dir }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("config")
    }
}

async fn connection(stream: TcpStream, client: Client) {
    let service = service_fn(move |request| bridge(client.clone(), request));
    // The connection ends when the client disconnects.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn bridge(
    client: Client,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, kube::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let response = client.send(Request::from_parts(parts, Body::from(body))).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// The exit code and the output of a command.
pub(crate) struct CommandOutput {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command with this name, without variables for registries, clusters and AWS, and with
/// these variables.
pub(crate) async fn run_as(
    program: &Path,
    arguments: &[&str],
    vars: &[(&str, &str)],
) -> CommandOutput {
    let mut command = Command::new(program);
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if ["FIRECAMP_", "KUBE", "AWS_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&key);
        }
    }
    command.env("HOME", "/nonexistent").env_remove("NODE_NAME");
    command.args(arguments).envs(vars.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Output { status, stdout, stderr } = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    CommandOutput { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs the command with its own name.
pub(crate) async fn run(arguments: &[&str]) -> CommandOutput {
    run_as(Path::new(env!("CARGO_BIN_EXE_firecamp")), arguments, &[]).await
}

/// Parses a command line.
pub(crate) fn parsed(arguments: &[&str]) -> Cli {
    Cli::try_parse_from([&["firecamp"], arguments].concat()).unwrap()
}

/// Compares with a golden file; `BLESS=1` rewrites it.
pub(crate) fn golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/look").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "{name} differs (BLESS=1 rewrites it):\n{text}");
}
