//! The flags of etcd and kube-apiserver for tests.

use std::net::Ipv4Addr;
use std::path::Path;

use super::{Assets, Keys};

/// The flags of an etcd with its data in this directory, which listens on loopback at these ports
/// for clients and peers. Fails if the version of Kubernetes is unknown.
pub fn etcd_flags(
    assets: &Assets,
    data: &Path,
    (client, peer): (u16, u16),
) -> Result<Vec<String>, String> {
    Ok(vec![
        format!("--data-dir={}", data.display()),
        // Test data need not survive a crash of the machine.
        "--unsafe-no-fsync".to_owned(),
        assets.progress_notifications()?,
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
    ])
}

/// The flags of a kube-apiserver with these keys at this address, which writes this audit log and
/// stores its objects in the etcd at this URL. The audit policy is in `audit-policy.yaml`.
pub fn apiserver_flags(
    keys: &Keys,
    store: &str,
    (address, port): (Ipv4Addr, u16),
    audit: &str,
) -> Vec<String> {
    let mut flags = vec![
        format!("--etcd-servers={store}"),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        // From 1.37 on it refuses loopback as the endpoint of the Service `kubernetes`.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--secure-port={port}"),
        "--authorization-mode=RBAC".to_owned(),
        format!("--audit-policy-file={}", keys.path("audit-policy.yaml").display()),
        format!("--audit-log-path={}", keys.path(audit).display()),
        // No controller creates default service accounts here, and no pod runs.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    flags.extend(keys.flags());
    flags
}
