//! etcd and kube-apiserver on loopback, in a directory of their own, ended with the value.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use firecamp_kube::{KubeRegistry, Source, Timeouts};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::api::Api;
use crate::assets::Assets;
use crate::keys::Keys;

/// A server starts in seconds; on a busy machine in many.
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);

/// A kube-apiserver and its etcd.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    source: Source,
    // In this order: the API server ends before its store, the files last.
    _apiserver: Child,
    _etcd: Child,
    _dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Result<Self, String> {
        let assets = Assets::find()?;
        let dir = tempfile::tempdir().map_err(|wrong| format!("a directory: {wrong}"))?;
        let keys = Keys::make(dir.path())?;
        let (store, peer, port) = (free_port()?, free_port()?, free_port()?);
        let etcd = etcd(&assets, dir.path(), store, peer)?;
        let mut apiserver = apiserver(&assets, dir.path(), &keys, store, port)?;
        let source = Source::Kubeconfig(keys.kubeconfig(port)?);
        let api = ready(&source, &mut apiserver, dir.path()).await?;
        Ok(Self { api, source, _apiserver: apiserver, _etcd: etcd, _dir: dir })
    }

    /// A registry with a client and connections of its own.
    pub(crate) async fn registry(&self) -> KubeRegistry {
        self.source.connect(Timeouts::default()).await.expect("a client")
    }
}

fn free_port() -> Result<u16, String> {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound.map(|address| address.port()).map_err(|wrong| format!("a free port: {wrong}"))
}

fn spawn(program: &Path, dir: &Path, log: &str, args: &[String]) -> Result<Child, String> {
    let wrong = |wrong: std::io::Error| format!("start {}: {wrong}", program.display());
    let log = File::create(dir.join(log)).map_err(wrong)?;
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(wrong)
}

fn etcd(assets: &Assets, dir: &Path, client: u16, peer: u16) -> Result<Child, String> {
    let args = [
        format!("--data-dir={}", dir.join("etcd").display()),
        // It is a test: nobody reads this after a crash of the machine.
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
    ];
    spawn(&assets.etcd, dir, "etcd.log", &args)
}

fn apiserver(
    assets: &Assets,
    dir: &Path,
    keys: &Keys,
    store: u16,
    port: u16,
) -> Result<Child, String> {
    let signing = keys.path("service-accounts.key");
    let public = keys.path("service-accounts.pub");
    let args = [
        format!("--etcd-servers=http://127.0.0.1:{store}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // Here it writes a certificate of its own making.
        format!("--cert-dir={}", dir.display()),
        format!("--token-auth-file={}", keys.path("tokens.csv").display()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", public.display()),
        format!("--service-account-signing-key-file={}", signing.display()),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        // Nobody makes service accounts here, and nobody needs their tokens.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    spawn(&assets.apiserver, dir, "apiserver.log", &args)
}

/// Waits until the server says that it is ready.
async fn ready(source: &Source, server: &mut Child, dir: &Path) -> Result<Api, String> {
    let end = Instant::now() + PATIENCE;
    let mut last = "no certificate yet".to_owned();
    while Instant::now() < end {
        if let Ok(Some(status)) = server.try_wait() {
            return Err(format!("kube-apiserver ended with {status}: {}", tail(dir)));
        }
        match source.client(Timeouts::default()).await {
            Ok(client) => {
                let api = Api::new(client);
                match api.get("/readyz").await {
                    Ok(answer) if answer.code == 200 => return Ok(api),
                    Ok(answer) => last = answer.text,
                    Err(wrong) => last = wrong,
                }
            }
            Err(wrong) => last = wrong.to_string(),
        }
        sleep(PAUSE).await;
    }
    Err(format!("not ready after {} s: {last}: {}", PATIENCE.as_secs(), tail(dir)))
}

fn tail(dir: &Path) -> String {
    let log = std::fs::read_to_string(dir.join("apiserver.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.iter().rev().take(15).rev().copied().collect::<Vec<_>>().join("\n")
}
