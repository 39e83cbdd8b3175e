//! An agent in a root file system with only what its DaemonSet mounts.

use std::fs;
use std::path::{Path, PathBuf};

use super::cluster::Cluster;
use super::process::Process;
use super::test_box::{TestBox, binaries};
use crate::minimal_image::image;

/// CA bundles of distributions. The agent's API client needs one even for a plain-text connection.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The agent's root file system, with an empty directory of CNI configurations.
pub(crate) fn root(test_box: &TestBox) -> PathBuf {
    let root = image(test_box, &binaries().agent);
    fs::create_dir_all(root.join("etc/cni/net.d")).unwrap();
    let given = std::env::var("SSL_CERT_FILE").ok();
    let known = given.iter().map(String::as_str).chain(AUTHORITIES);
    let bundle = known.into_iter().find(|path| Path::new(path).is_file());
    let bundle = bundle.expect("a CA bundle: install ca-certificates");
    fs::copy(bundle, root.join("authorities.pem")).unwrap();
    root
}

/// Starts the agent of a node.
pub(crate) fn agent(cluster: &Cluster<'_>, node: &str, root: &Path) -> Process {
    let test_box = cluster.test_box();
    let mut command = test_box.command(node, TestBox::tool_path());
    let mounts = [test_box.path("").display().to_string(), "/run".to_owned()].join(":");
    command.env("FIRECAMP_TEST_MOUNTS", mounts).env("SSL_CERT_FILE", "/authorities.pem");
    command.arg("jail").arg(root).arg("/container");
    test_box.agent_as(node, command, &cluster.url())
}
