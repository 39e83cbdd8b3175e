//! Amazon's VPC CNI, unmodified, as the cluster's CNI. Its daemon, ipamd, runs on each worker
//! against the box's EC2 and metadata service, with the default settings of its chart.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::home::Home;
use crate::install::ENDPOINT;
use crate::settings::kubeconfig;
use crate::topology::{CLUSTER, Worker};
use crate::{Outcome, failed};

/// Directory of its programs; scripts/cluster.sh sets it.
const DIR: &str = "VPC_CNI";
const DAEMON: &str = "aws-k8s-agent";
const PLUGIN: &str = "aws-cni";
/// The script that starts it, in a worker's directory.
pub(crate) const START: &str = "ipamd.sh";
/// Where the container runtime looks for the plugin's configuration.
pub(crate) const CONFIGURATION: &str = "/etc/cni/net.d/10-aws.conflist";
/// The box's links carry packets of this size. In a VPC it is 9001.
const MTU: &str = "1500";

/// Copies its programs into a new cluster's directory.
pub(crate) fn copy_programs(home: &Home) -> Outcome {
    let dir =
        std::env::var_os(DIR).ok_or_else(|| format!("{DIR} is not set: run this by `make`"))?;
    for program in [DAEMON, PLUGIN] {
        let from = Path::new(&dir).join(program);
        fs::copy(&from, home.path(program)).map_err(failed(from.display()))?;
    }
    Ok(())
}

/// What the entry points of its images do: they install the plugin, keep ipamd running, and install
/// the plugin's configuration once ipamd listens. Forwarding is a setting of the EKS image.
pub(crate) fn start_script(home: &Home, worker: Worker) -> String {
    let configuration = home.worker(worker.name).join("cni.conflist");
    let variables = [
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("AWS_EC2_ENDPOINT", ENDPOINT.to_owned()),
        ("AWS_VPC_ENI_MTU", MTU.to_owned()),
        ("AWS_VPC_K8S_CNI_LOG_FILE", "stdout".to_owned()),
        ("CLUSTER_NAME", CLUSTER.to_owned()),
        ("ENABLE_IPv4", "true".to_owned()),
        ("KUBECONFIG", kubeconfig(home, &format!("node-{}", worker.name))),
        ("MY_NODE_NAME", worker.name.to_owned()),
    ];
    let variables = variables.map(|(name, value)| format!(" {name}={value}")).concat();
    format!(
        "echo 1 >/proc/sys/net/ipv4/ip_forward\n\
         cp {plugin} /usr/lib/cni/\n\
         mkdir -p /etc/cni/net.d\n\
         (until [ -S /run/aws-node/ipamd.sock ]; do sleep 0.1; done\n\
         cp {configuration} {CONFIGURATION}) &\n\
         while :; do env -i{variables} {daemon}; sleep 1; done\n",
        plugin = home.path(PLUGIN).display(),
        configuration = configuration.display(),
        daemon = home.path(DAEMON).display(),
    )
}

/// The plugin's configuration, as the entry point of its image writes it.
pub(crate) fn network(home: &Home, worker: Worker) -> Value {
    let log: PathBuf = home.worker(worker.name).join("aws-cni.log");
    json!({
        "cniVersion": "0.4.0",
        "name": PLUGIN,
        "disableCheck": true,
        "plugins": [
            {
                "name": PLUGIN,
                "type": PLUGIN,
                "vethPrefix": "eni",
                "mtu": MTU,
                "podSGEnforcingMode": "strict",
                "pluginLogFile": log,
                "pluginLogLevel": "DEBUG",
                "capabilities": { "io.kubernetes.cri.pod-annotations": true },
            },
            { "type": "portmap", "capabilities": { "portMappings": true }, "snat": true },
        ],
    })
}
