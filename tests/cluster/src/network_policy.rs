//! An engine for NetworkPolicies: the firewall of kube-router, unmodified, as a process on each
//! worker. It filters by iptables in the worker's network. It runs only on request.

use std::fs;
use std::path::{Path, PathBuf};

use firecamp_testkit::kubernetes::User;

use crate::home::Home;
use crate::install::{Admin, source, until};
use crate::pod_network::SERVICES;
use crate::settings::kubeconfig;
use crate::topology::Worker;
use crate::{Outcome, failed};

/// The variable with the path of the program; scripts/cluster.sh sets it on request.
const VARIABLE: &str = "KUBE_ROUTER";
const PROGRAM: &str = "kube-router";
/// The script that starts it, in a worker's directory.
pub(crate) const START: &str = "kube-router.sh";
/// What the API server permits to it.
const OBJECTS: &str = "tests/cluster/src/network_policy.yaml";

pub(crate) const USER: User<'static> = User {
    token: "kube-router-of-this-test",
    name: "system:kube-router",
    group: "system:authenticated",
};

/// Copies the program into a new cluster's directory, if it is wanted.
pub(crate) fn copy_program(home: &Home) -> Outcome {
    let Some(from) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return Ok(()) };
    fs::copy(&from, home.path(PROGRAM)).map(drop).map_err(failed(from.display()))
}

/// Whether the cluster has it.
pub(crate) fn runs(home: &Home) -> bool {
    home.path(PROGRAM).exists()
}

/// It exits until the API server knows the node. Pods on a bridge reach each other through iptables
/// only with the setting, which is the kernel's default.
pub(crate) fn start_script(home: &Home, worker: Worker) -> String {
    format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin NODE_NAME={node}\n\
         echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables\n\
         while :; do\n\
         {program} --kubeconfig={kubeconfig} --hostname-override={node} --run-firewall=true \
         --run-router=false --run-service-proxy=false --service-cluster-ip-range={SERVICES} \
         --health-port=0 --metrics-port=0 --v=1\n\
         sleep 0.5\n\
         done\n",
        node = worker.name,
        program = home.path(PROGRAM).display(),
        kubeconfig = kubeconfig(home, PROGRAM),
    )
}

/// The program of a worker.
pub(crate) fn program(dir: &Path) -> (&'static str, PathBuf, Vec<String>) {
    (PROGRAM, "/bin/sh".into(), vec![dir.join(START).display().to_string()])
}

/// Creates what it needs in the API server.
pub(crate) async fn install(admin: &Admin) -> Outcome {
    let objects = source(OBJECTS);
    let words = ["apply", "--server-side", "--filename", &objects];
    let applied = until("the permissions of kube-router", || admin.kubectl(&words)).await;
    applied.map(drop).map_err(failed(OBJECTS))
}
