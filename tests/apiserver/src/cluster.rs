//! etcd and kube-apiserver on loopback, in a temporary directory; dropping the value ends them.

mod audit;
mod servers;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use firecamp_core::contract::endpoint::AUDIENCE;
use firecamp_kube::{KubeRegistry, Source, Timeouts};
use firecamp_testkit::kubernetes::{ADMIN, Api, Assets, Keys};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::samples::GROUP;
use servers::Servers;

pub(crate) use audit::Request;

/// A server starts in seconds; on a busy machine it takes much longer.
const PATIENCE: Duration = Duration::from_mins(3);
const PAUSE: Duration = Duration::from_millis(100);

/// A kube-apiserver and its etcd.
pub(crate) struct Cluster {
    /// The credentials of an administrator.
    pub(crate) api: Api,
    source: Source,
    servers: Servers,
    // Drop order: the API server, etcd, the files.
    apiserver: Mutex<Child>,
    _etcd: Child,
    _dir: TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Result<Self, String> {
        Self::start_with(Assets::mutating_admission).await
    }

    /// As most clusters before 1.36.
    pub(crate) async fn start_without_mutating_admission() -> Result<Self, String> {
        Self::start_with(Assets::no_mutating_admission).await
    }

    async fn start_with(flags: fn(&Assets) -> Result<Vec<String>, String>) -> Result<Self, String> {
        let assets = Assets::find(&["etcd", "kube-apiserver"])?;
        let flags = flags(&assets)?;
        let dir = tempfile::tempdir().map_err(|wrong| format!("a directory: {wrong}"))?;
        let servers = Servers::prepare(assets, Keys::make(dir.path(), &[ADMIN])?, flags)?;
        let etcd = servers.etcd()?;
        let mut apiserver = servers.apiserver()?;
        let source = Source::Kubeconfig(servers.kubeconfig("admin", ADMIN.token)?);
        let api = ready(&source, &mut apiserver, &servers).await?;
        let apiserver = Mutex::new(apiserver);
        Ok(Self { api, source, servers, apiserver, _etcd: etcd, _dir: dir })
    }

    /// A registry with its own client and connections.
    pub(crate) async fn registry(&self) -> KubeRegistry {
        self.source.connect(Timeouts::default()).await.expect("a client")
    }

    /// Where the API server listens.
    pub(crate) fn at(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.servers.port).into()
    }

    /// The kubeconfig of the administrator, for other programs.
    pub(crate) fn kubeconfig(&self) -> Result<PathBuf, String> {
        self.servers.kubeconfig("admin", ADMIN.token)
    }

    /// Kills the API server like a machine failure: without closing connections or finishing
    /// requests.
    pub(crate) async fn kill(&self) -> Result<(), String> {
        let mut child = self.apiserver.lock().await;
        child.kill().await.map_err(|wrong| format!("kill kube-apiserver: {wrong}"))
    }

    /// Starts it again after [`Cluster::kill`], on the same port with the same keys.
    pub(crate) async fn restart(&self) -> Result<(), String> {
        let mut child = self.apiserver.lock().await;
        *child = self.servers.apiserver()?;
        ready(&self.source, &mut child, &self.servers).await?;
        self.serves_custom_resources().await
    }

    /// Waits for our kinds: a ready server rejects custom resources with 429 until its cache is
    /// filled.
    async fn serves_custom_resources(&self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        for kind in
            ["staticips", "staticipclaims", "staticippools", "nodeattachments", "nodeinterfaces"]
        {
            loop {
                let answer = self.api.get(&format!("{GROUP}/{kind}?limit=1")).await?;
                match answer.code {
                    200 => break,
                    _ if Instant::now() < end => sleep(PAUSE).await,
                    _ => return Err(format!("{kind} after a restart: {}", answer.text)),
                }
            }
        }
        Ok(())
    }

    /// Compacts etcd: all earlier versions are gone.
    pub(crate) async fn compact(&self) -> Result<(), String> {
        let store = Api::plain(&self.servers.store())?;
        let head = store.post("/v3/kv/range", &json!({ "key": "AA==" })).await?.json();
        let revision = &head["header"]["revision"];
        let order = json!({ "revision": revision, "physical": true });
        let answer = store.post("/v3/kv/compaction", &order).await?;
        if answer.code == 200 { Ok(()) } else { Err(format!("compact: {}", answer.text)) }
    }

    /// The credentials of a service account: its token, with only the permissions that are bound
    /// to it.
    pub(crate) async fn account(&self, namespace: &str, name: &str) -> Result<Source, String> {
        self.token(namespace, name, None).await
    }

    /// The credentials of a pod's containers: a token that names the pod and its node.
    pub(crate) async fn pod(
        &self,
        namespace: &str,
        name: &str,
        pod: (&str, &str),
    ) -> Result<Source, String> {
        self.token(namespace, name, Some(pod)).await
    }

    async fn token(
        &self,
        namespace: &str,
        name: &str,
        pod: Option<(&str, &str)>,
    ) -> Result<Source, String> {
        let token = self.issue(namespace, name, (pod, None)).await?;
        let user = match pod {
            Some((_name, uid)) => format!("{namespace}.{name}.{uid}"),
            None => format!("{namespace}.{name}"),
        };
        Ok(Source::Kubeconfig(self.servers.kubeconfig(&user, &token)?))
    }

    /// A token of a service account for the endpoint of the agents, shown to the API server.
    pub(crate) async fn for_agents(&self, namespace: &str, name: &str) -> Result<Source, String> {
        let token = self.issue(namespace, name, (None, Some(AUDIENCE))).await?;
        let user = format!("{namespace}.{name}.agents");
        Ok(Source::Kubeconfig(self.servers.kubeconfig(&user, &token)?))
    }

    /// A token of a service account, bound to a pod, for this audience or the API server.
    pub(crate) async fn issue(
        &self,
        namespace: &str,
        name: &str,
        (pod, audience): (Option<(&str, &str)>, Option<&str>),
    ) -> Result<String, String> {
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let account = json!({ "metadata": { "name": name } });
        let made = self.api.post(&accounts, &account).await?;
        if !matches!(made.code, 201 | 409) {
            return Err(made.text);
        }
        let mut wanted = json!({ "spec": { "expirationSeconds": 3600 } });
        if let Some((name, uid)) = pod {
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid });
            wanted["spec"]["boundObjectRef"] = pod;
        }
        if let Some(audience) = audience {
            wanted["spec"]["audiences"] = json!([audience]);
        }
        let given = self.api.post(&format!("{accounts}/{name}/token"), &wanted).await?;
        let given = given.json();
        let token = given["status"]["token"].as_str().ok_or_else(|| given.to_string())?;
        Ok(token.to_owned())
    }

    /// The requests of service accounts so far, in order.
    pub(crate) fn requests(&self) -> Result<Vec<Request>, String> {
        audit::read(&self.servers.keys().path("audit.log"))
    }
}

/// A client for raw requests with these credentials.
pub(crate) async fn api(source: &Source) -> Result<Api, String> {
    let client = source.client(Timeouts::default()).await;
    client.map(Api::new).map_err(|wrong| format!("{wrong:?}"))
}

/// Waits until the server reports that it is ready.
async fn ready(source: &Source, server: &mut Child, servers: &Servers) -> Result<Api, String> {
    let end = Instant::now() + PATIENCE;
    let mut last = "no certificate yet".to_owned();
    while Instant::now() < end {
        if let Ok(Some(status)) = server.try_wait() {
            return Err(format!("kube-apiserver ended with {status}: {}", servers.log_tail()));
        }
        match api(source).await {
            Ok(api) => match api.get("/readyz").await {
                Ok(answer) if answer.code == 200 => return Ok(api),
                Ok(answer) => last = answer.text,
                Err(wrong) => last = wrong,
            },
            Err(wrong) => last = wrong,
        }
        sleep(PAUSE).await;
    }
    Err(format!("not ready after {} s: {last}: {}", PATIENCE.as_secs(), servers.log_tail()))
}
