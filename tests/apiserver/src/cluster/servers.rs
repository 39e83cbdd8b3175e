//! The processes of etcd and kube-apiserver.

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;

use firecamp_testkit::kubernetes::{Assets, Keys, Server, apiserver_flags, etcd_flags, free_port};
use serde_json::json;
use tokio::process::{Child, Command};

/// The ports, programs and files of both.
#[derive(Debug)]
pub(super) struct Servers {
    assets: Assets,
    keys: Keys,
    /// Further flags of kube-apiserver.
    flags: Vec<String>,
    store: u16,
    peer: u16,
    pub(super) port: u16,
}

impl Servers {
    pub(super) fn prepare(assets: Assets, keys: Keys, flags: Vec<String>) -> Result<Self, String> {
        // Audits the requests of the service accounts.
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                { "level": "Metadata", "userGroups": ["system:serviceaccounts"] },
                { "level": "None" },
            ],
        });
        keys.write("audit-policy.yaml", &policy.to_string())?;
        let (store, peer, port) = (free_port()?, free_port()?, free_port()?);
        Ok(Self { assets, keys, flags, store, peer, port })
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The URL of etcd.
    pub(super) fn store(&self) -> String {
        format!("http://127.0.0.1:{}", self.store)
    }

    /// The kubeconfig of a user with a token.
    pub(super) fn kubeconfig(&self, user: &str, token: &str) -> Result<PathBuf, String> {
        let url = format!("https://127.0.0.1:{}", self.port);
        self.keys.kubeconfig(user, token, Server { url: &url, name: None })
    }

    pub(super) fn etcd(&self) -> Result<Child, String> {
        let args = etcd_flags(&self.assets, &self.keys.path("etcd"), (self.store, self.peer))?;
        self.spawn("etcd", "etcd.log", &args)
    }

    pub(super) fn apiserver(&self) -> Result<Child, String> {
        let at = (Ipv4Addr::LOCALHOST, self.port);
        let mut args = apiserver_flags(&self.keys, &self.store(), at, "audit.log");
        args.extend(self.flags.clone());
        self.spawn("kube-apiserver", "apiserver.log", &args)
    }

    fn spawn(&self, program: &str, log: &str, args: &[String]) -> Result<Child, String> {
        let wrong = |wrong: std::io::Error| format!("start {program}: {wrong}");
        let log = self.keys.path(log);
        let log = OpenOptions::new().append(true).create(true).open(log).map_err(wrong)?;
        Command::new(self.assets.program(program))
            .args(args)
            .current_dir(self.keys.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(wrong)
    }

    /// The end of the API server's log.
    pub(super) fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.keys.path("apiserver.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().rev().take(15).rev().copied().collect::<Vec<_>>().join("\n")
    }
}
