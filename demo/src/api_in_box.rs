//! A simulated Kubernetes API server in this process, which programs in a box reach at the loopback
//! device of their node.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use firecamp_apiserver::ApiServer;
use firecamp_apiserver::socket::{FORWARDING, Listening, kubeconfig};
use firecamp_core::contract::{endpoint, env};
use serde_json::json;
use vpcbox::clock::Clock;

use crate::failure::Failure;
use crate::process::{Process, Traces};

const PORT: u16 = 6443;

/// The API server.
#[derive(Debug)]
pub struct ApiInBox {
    /// Its objects.
    pub server: ApiServer,
    socket: PathBuf,
    kubeconfig: PathBuf,
    _listening: Listening,
}

/// A pod with the label of a pool.
#[derive(Debug, Clone, Copy)]
pub struct LabelledPod<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
    /// Its node.
    pub node: &'a str,
    /// The pool of its label.
    pub pool: &'a str,
    /// Its own address; none if it has the network of its node.
    pub own: Option<Ipv4Addr>,
}

/// What the kubelet reports about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its init containers have not ended.
    Pending,
    /// Its containers run.
    Running,
    /// It is deleted, and its containers may still run.
    Terminating,
    /// All its containers have ended, and it is removed.
    Gone,
}

/// The files of a pod in its volumes.
#[derive(Debug)]
pub struct Volumes {
    token: PathBuf,
    /// The file for its address.
    pub address: PathBuf,
}

impl Volumes {
    /// The environment of an init container that has the agent's address and the token, and nothing
    /// else.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            (env::ENDPOINT, endpoint::DEFAULT.into()),
            (env::TOKEN_FILE, self.token.clone().into()),
            (env::ADDRESS_FILE, self.address.clone().into()),
            // The data volume is not mounted in this container.
            (env::CONF_DIR, "/".into()),
        ]
    }
}

impl ApiInBox {
    /// Serves an empty cluster. All nodes of the box see the directory.
    pub fn start(dir: &Path) -> Result<Self, Failure> {
        let server = ApiServer::default();
        // A fixed date would be a wrong clock.
        server.set_date(None);
        let (socket, kubeconfig_file) = (dir.join("apiserver.sock"), dir.join("kubeconfig"));
        let listening =
            server.listen(&socket).map_err(|e| Failure::file("listen at", &socket, e))?;
        std::fs::write(&kubeconfig_file, kubeconfig(PORT))
            .map_err(|e| Failure::file("write", &kubeconfig_file, e))?;
        Ok(Self { server, socket, kubeconfig: kubeconfig_file, _listening: listening })
    }

    /// The registry URL.
    pub fn url(&self) -> String {
        format!("kubernetes://{}", self.kubeconfig.display())
    }

    /// Connects a node to the server. The command starts a program of the demo there.
    pub fn connect(
        &self,
        mut command: Command,
        traces: Traces,
        clock: Clock,
    ) -> Result<Process, Failure> {
        command.arg("forward").arg(PORT.to_string()).arg(&self.socket);
        let name = "the forwarder to the API server";
        let mut forward = Process::start(name, &mut command, traces, clock)?;
        forward.ready(FORWARDING)?;
        Ok(forward)
    }

    /// Gives a pod a volume for its address and one with its token, in this directory.
    pub fn volumes(&self, dir: &Path, pod: LabelledPod<'_>) -> Result<Volumes, Failure> {
        let dir = dir.join("pods").join(pod.uid);
        let empty = dir.join(endpoint::ADDRESS_VOLUME);
        fs::create_dir_all(&empty).map_err(|e| Failure::file("create", &empty, e))?;
        // As the kubelet creates an emptyDir.
        fs::set_permissions(&empty, Permissions::from_mode(0o777))
            .map_err(|e| Failure::file("change the mode of", &empty, e))?;
        let token = dir.join("token");
        let secret = format!("token-of-{}", pod.uid);
        fs::write(&token, &secret).map_err(|e| Failure::file("write", &token, e))?;
        let names = (pod.namespace, pod.name, pod.uid);
        self.server.issue_token(&secret, endpoint::AUDIENCE, names, pod.node);
        Ok(Volumes { token, address: empty.join("address") })
    }

    /// Creates a pod, reports its state, or removes it.
    pub fn report(&self, pod: LabelledPod<'_>, phase: Phase) {
        let LabelledPod { namespace, name, uid, node, pool, own } = pod;
        let ips: Vec<_> = own.iter().map(|ip| json!({ "ip": ip })).collect();
        let (reported, deleted) = match phase {
            Phase::Pending => ("Pending", None),
            Phase::Running => ("Running", None),
            Phase::Terminating => ("Running", Some("2036-11-20T15:00:30Z")),
            Phase::Gone => {
                self.server.remove("pods", Some(namespace), name);
                return;
            }
        };
        let object = json!({
            "metadata": {
                "uid": uid,
                "labels": { endpoint::POOL_LABEL: pool },
                "deletionTimestamp": deleted,
            },
            "spec": { "nodeName": node, "hostNetwork": own.is_none() },
            "status": { "phase": reported, "podIPs": ips },
        });
        self.server.set_pod(namespace, name, object);
    }
}
