//! Flags and configuration files of the components.

use std::path::{Path, PathBuf};

use firecamp_core::contract::cluster::STARTUP_TAINT;
use firecamp_testkit::kubernetes::{ADMIN, Assets, Keys, Server, User, etcd_flags};
use serde_json::{Value, json};

use crate::dns::{self, COREDNS};
use crate::external_dns::{self, EXTERNAL_DNS};
use crate::home::Home;
use crate::topology::{API_PORT, CONTROL_ADDRESS, Layout, WORKERS, Worker, api_url};
use crate::{Outcome, failed, network_policy, pod_network, vpc_cni};

/// Programs of the control plane and the workers.
pub(crate) const PROGRAMS: [&str; 7] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
];

/// The components of the control plane, in start order. ExternalDNS starts on demand.
pub(crate) const COMPONENTS: [&str; 6] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", COREDNS, EXTERNAL_DNS];

const MANAGER: User<'static> = User {
    token: "controller-manager-of-this-test",
    name: "system:kube-controller-manager",
    group: "system:authenticated",
};
const SCHEDULER: User<'static> = User {
    token: "scheduler-of-this-test",
    name: "system:kube-scheduler",
    group: "system:authenticated",
};
const PROXY: User<'static> =
    User { token: "proxy-of-this-test", name: "system:kube-proxy", group: "system:authenticated" };

/// Creates keys and kubeconfigs. From outside the box, the API server is reached at `port`.
pub(crate) fn make_keys(home: &Home, port: u16) -> Outcome {
    let named = WORKERS
        .map(|worker| (format!("kubelet-{}", worker.name), format!("system:node:{}", worker.name)));
    let kubelets = named.iter().map(|(token, name)| User { token, name, group: "system:nodes" });
    let mut users = vec![ADMIN, MANAGER, SCHEDULER, PROXY, dns::USER, network_policy::USER];
    users.push(external_dns::USER);
    users.extend(kubelets);
    let keys = Keys::make(&home.control(), &users)?;
    let url = api_url();
    for user in &users {
        let name = user.name.trim_start_matches("system:").replace(':', "-");
        keys.kubeconfig(&name, user.token, Server { url: &url, name: None })?;
    }
    let external = format!("https://127.0.0.1:{port}");
    let at = Server { url: &external, name: Some("kubernetes.default.svc") };
    keys.write("audit-policy.yaml", &audit_policy().to_string())?;
    keys.write("Corefile", &dns::corefile(home))?;
    let path = keys.kubeconfig("default", ADMIN.token, at)?;
    let to = home.path("kubeconfig");
    std::fs::rename(path, &to).map_err(failed(to.display()))
}

/// The audit policy: requests of members and agents, with bodies for FireCamp's objects.
fn audit_policy() -> Value {
    let who = json!(["system:serviceaccounts:firecamp-system", "system:serviceaccounts:prod"]);
    let ours = json!([{ "group": "firecamp.io" }]);
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            { "level": "Request", "userGroups": who, "resources": ours },
            { "level": "Metadata", "userGroups": who },
            { "level": "None" },
        ],
    })
}

/// The API server's audit log.
pub(crate) fn audit_log(home: &Home) -> PathBuf {
    home.control().join("audit.log")
}

/// The kubeconfig of a component.
pub(crate) fn kubeconfig(home: &Home, name: &str) -> String {
    home.control().join(format!("{name}.kubeconfig")).display().to_string()
}

/// The program of a component of the control plane.
pub(crate) fn program(assets: &Assets, component: &str) -> Outcome<PathBuf> {
    match component {
        COREDNS => dns::program(),
        EXTERNAL_DNS => external_dns::program(),
        _ => Ok(assets.program(component)),
    }
}

/// The flags of a component of the control plane.
pub(crate) fn flags(home: &Home, assets: &Assets, component: &str) -> Outcome<Vec<String>> {
    let at = |name: &str| home.control().join(name).display().to_string();
    Ok(match component {
        "etcd" => etcd_flags(assets, &home.control().join("etcd"), (2379, 2380))?,
        "kube-apiserver" => apiserver(home, assets)?,
        "kube-controller-manager" => vec![
            format!("--kubeconfig={}", kubeconfig(home, "kube-controller-manager")),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            format!("--root-ca-file={}", at("apiserver.crt")),
            format!("--service-account-private-key-file={}", at("service-accounts.key")),
            // By default a dead node is NotReady only after 40 s.
            "--node-monitor-period=1s".to_owned(),
            "--node-monitor-grace-period=9s".to_owned(),
        ],
        COREDNS => vec!["-conf".to_owned(), at("Corefile")],
        EXTERNAL_DNS => external_dns::flags(home),
        _ => vec![
            format!("--kubeconfig={}", kubeconfig(home, "kube-scheduler")),
            "--leader-elect=false".to_owned(),
        ],
    })
}

fn apiserver(home: &Home, assets: &Assets) -> Outcome<Vec<String>> {
    let keys = Keys::at(&home.control());
    let mut flags = vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        format!("--advertise-address={CONTROL_ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!("--audit-policy-file={}", keys.path("audit-policy.yaml").display()),
        format!("--audit-log-path={}", audit_log(home).display()),
        // The tests read one file: no rotation.
        "--audit-log-maxsize=2000".to_owned(),
    ];
    flags.extend(keys.flags());
    flags.extend(assets.mutating_admission()?);
    Ok(flags)
}

/// Writes the configuration of a worker's programs into its directory.
pub(crate) fn write_worker(home: &Home, worker: Worker) -> Outcome {
    let dir = home.worker(worker.name);
    let mut files = vec![
        ("containerd.toml", containerd(&dir)),
        ("kubelet.yaml", kubelet(home, worker).to_string()),
        ("kube-proxy.yaml", proxy(home, worker)?.to_string()),
        ("cni.conflist", network(home, worker).to_string()),
    ];
    if home.layout() == Layout::VpcCni {
        files.push((vpc_cni::START, vpc_cni::start_script(home, worker)));
    }
    if network_policy::runs(home) {
        files.push((network_policy::START, network_policy::start_script(home, worker)));
    }
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(failed(path.display()))?;
    }
    Ok(())
}

fn containerd(dir: &Path) -> String {
    let root = dir.join("containerd").display().to_string();
    let cri = "io.containerd.grpc.v1.cri";
    format!(
        "version = 2\nroot = \"{root}\"\nstate = \"/run/containerd\"\n\
         [grpc]\naddress = \"/run/containerd/containerd.sock\"\n\
         [plugins.\"{cri}\"]\nsandbox_image = \"localhost/pause:1\"\n\
         # Without CAP_SYS_RESOURCE, root may not lower an OOM score.\n\
         restrict_oom_score_adj = true\n\
         [plugins.\"{cri}\".cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = \"/etc/cni/net.d\"\n\
         [plugins.\"{cri}\".containerd]\nsnapshotter = \"overlayfs\"\n\
         default_runtime_name = \"runc\"\n\
         [plugins.\"{cri}\".containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n\
         [plugins.\"{cri}\".containerd.runtimes.runc.options]\nSystemdCgroup = false\n"
    )
}

fn kubelet(home: &Home, worker: Worker) -> Value {
    let (cgroups, name) = (home.cgroups(), worker.name);
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroups}{name}"),
        "failSwapOn": false,
        // From 1.35 on it refuses cgroup v1 otherwise.
        "failCgroupV1": false,
        "clusterDNS": [dns::ADDRESS],
        "clusterDomain": dns::DOMAIN,
        "nodeStatusUpdateFrequency": "4s",
        "nodeLeaseDurationSeconds": 20,
        // So that a scenario sees files rotated and compressed.
        "containerLogMaxSize": "3Mi",
        "containerLogMonitorInterval": "3s",
        // The disk belongs to the whole machine: a full disk must not evict pods.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        // Only this VPC can reach the kubelet.
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
    });
    if let Some(most) = worker.max_pods(home.layout()) {
        configuration["maxPods"] = json!(most);
        // The agent removes it once the node has its interfaces.
        configuration["registerWithTaints"] =
            json!([{ "key": STARTUP_TAINT, "effect": "NoSchedule" }]);
    }
    configuration
}

/// `make e2e KUBE_PROXY=iptables`: the mode of kube-proxy. The first one is the default.
const PROXY_MODE: &str = "KUBE_PROXY";
const PROXY_MODES: [&str; 2] = ["nftables", "iptables"];

/// The mode of kube-proxy.
pub(crate) fn proxy_mode() -> Outcome<String> {
    let mode = std::env::var(PROXY_MODE).unwrap_or_else(|_unset| PROXY_MODES[0].to_owned());
    if PROXY_MODES.contains(&mode.as_str()) {
        return Ok(mode);
    }
    Err(format!("{PROXY_MODE}: {mode:?} is not one of {}", PROXY_MODES.join(", ")))
}

fn proxy(home: &Home, worker: Worker) -> Outcome<Value> {
    Ok(json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": proxy_mode()?,
        "hostnameOverride": worker.name,
        "clientConnection": { "kubeconfig": kubeconfig(home, "kube-proxy") },
        // These sysctls belong to the whole machine: leave them alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }))
}

/// The CNI configuration for pods outside the host network; a node is not ready without one.
fn network(home: &Home, worker: Worker) -> Value {
    match home.layout() {
        Layout::VpcCni => vpc_cni::network(home, worker),
        layout @ (Layout::OneSubnet | Layout::Ptp | Layout::Zones) => {
            pod_network::configuration(worker, layout)
        }
    }
}

/// The long-running programs of a worker, with their flags.
pub(crate) fn worker_programs(
    home: &Home,
    assets: &Assets,
    worker: Worker,
) -> Vec<(&'static str, PathBuf, Vec<String>)> {
    let (dir, layout) = (home.worker(worker.name), home.layout());
    let at = |name: &str| dir.join(name).display().to_string();
    let kubelet = vec![
        format!("--config={}", at("kubelet.yaml")),
        format!("--kubeconfig={}", kubeconfig(home, &format!("node-{}", worker.name))),
        format!("--hostname-override={}", worker.name),
        format!("--node-ip={}", worker.address(layout)),
        format!("--node-labels=topology.kubernetes.io/zone={}", worker.subnet(layout).zone),
    ];
    let proxy = vec![format!("--config={}", at("kube-proxy.yaml"))];
    let mut programs = vec![
        ("kubelet", assets.program("kubelet"), kubelet),
        ("kube-proxy", assets.program("kube-proxy"), proxy),
    ];
    if layout == Layout::VpcCni {
        programs.push(("ipamd", "/bin/sh".into(), vec![at(vpc_cni::START)]));
    }
    if network_policy::runs(home) {
        programs.push(network_policy::program(&dir));
    }
    programs
}
