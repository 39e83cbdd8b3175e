//! `deploy/daemonset.yaml`: how agents run by default.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_checks::deploy::text;
use firecamp_core::contract::{ALLOCATOR, endpoint, env, path};
use serde_json::{Value, json};

use crate::{object, texts};

fn daemonset() -> Value {
    object("deploy/daemonset.yaml", "DaemonSet")
}

fn pod() -> Value {
    daemonset()["spec"]["template"]["spec"].clone()
}

fn agent() -> Value {
    let pod = pod();
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    containers[0].clone()
}

/// The path on the node of each mount, and the mount.
fn mounts() -> Vec<(String, Value)> {
    let pod = pod();
    let volumes = pod["volumes"].as_array().unwrap();
    let agent = agent();
    let mounts = agent["volumeMounts"].as_array().unwrap();
    assert_eq!(mounts.len(), volumes.len(), "a volume that is mounted nowhere, or twice");
    let source = |mount: &Value| {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
        volume["hostPath"]["path"].as_str().unwrap().to_owned()
    };
    mounts.iter().map(|mount| (source(mount), mount.clone())).collect()
}

#[test]
fn every_variable_is_one_that_the_agent_reads() {
    let agent = agent();
    let given = agent["env"].as_array().unwrap();
    let given: BTreeSet<&str> = given.iter().filter_map(|one| one["name"].as_str()).collect();
    let read =
        [env::CLUSTER, env::NODE_NAME, env::LISTEN, env::LOG_FORMAT, env::LOG_LEVEL, env::RUN_DIR];
    assert_eq!(given, read.into_iter().chain([env::ENDPOINT_LISTEN, ALLOCATOR.0]).collect());
}

#[test]
fn the_agents_listen_for_pods_where_the_injected_container_asks() {
    let agent = agent();
    let given = agent["env"].as_array().unwrap();
    let listen = given.iter().find(|one| one["name"] == env::ENDPOINT_LISTEN).unwrap();
    assert_eq!(listen["value"], endpoint::DEFAULT);
    let files =
        ["mutation", "guard"].map(|it| text(&format!("deploy/injection/{it}.yaml")).unwrap());
    let injected = files.concat();
    let asks = format!("name: '{}', value: '{}'", env::ENDPOINT, endpoint::DEFAULT);
    assert!(injected.contains(&asks), "{asks}");
    let (address, port) = endpoint::DEFAULT.split_once(':').unwrap();
    let allowed = |file: &str| text(&format!("deploy/networkpolicy/{file}.yaml")).unwrap();
    assert!(allowed("kubernetes").contains(&format!("ipBlock: {{cidr: {address}/32}}")));
    assert!(allowed("kubernetes").contains(&format!("{{protocol: TCP, port: {port}}}")));
    assert!(allowed("cilium").contains(&format!("{{port: \"{port}\", protocol: TCP}}")));
    let image = format!("image: 'firecamp-initcontainer:{}'", env!("CARGO_PKG_VERSION"));
    assert!(injected.contains(&image), "{image}");
    let names = [
        endpoint::POOL_LABEL,
        endpoint::INJECT_LABEL,
        endpoint::INIT_CONTAINER,
        endpoint::TOKEN_VOLUME,
        endpoint::ADDRESS_VOLUME,
        endpoint::AUDIENCE,
        path::RUN_DIR,
    ];
    for name in names {
        assert!(injected.contains(&format!("'{name}'")), "{name}");
    }
    for file in [endpoint::TOKEN_FILE, endpoint::ADDRESS_FILE] {
        let directory = std::path::Path::new(file).parent().unwrap().display();
        assert!(injected.contains(&format!("mountPath: '{directory}'")), "{directory}");
    }
    let example = text("deploy/examples/redis-host-network.yaml").unwrap();
    assert!(example.contains(endpoint::ADDRESS_FILE));
}

#[test]
fn the_allocator_has_the_settings_that_were_measured() {
    let agent = agent();
    let given = agent["env"].as_array().unwrap();
    let (name, value) = ALLOCATOR;
    let one = given.iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(one["value"], value);
}

#[test]
fn the_kubelet_asks_where_the_agent_answers() {
    let agent = agent();
    let page = text("docs/agent.md").unwrap();
    let listen = agent["env"].as_array().unwrap().iter().find(|one| one["name"] == env::LISTEN);
    for (probe, asked) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let get = &agent[probe]["httpGet"];
        assert_eq!(get["path"], asked, "{probe}");
        assert!(page.contains(&format!("| `{asked}` |")), "docs/agent.md does not tell {asked}");
        let (host, port) = (get["host"].as_str().unwrap(), &get["port"]);
        assert_eq!(listen.unwrap()["value"], format!("{host}:{port}"), "{probe}");
    }
    let defaults = text("docs/configuration.md").unwrap();
    let default = listen.unwrap()["value"].as_str().unwrap();
    assert!(defaults.contains(&format!("`{default}`")), "the default is not {default}");
}

#[test]
fn the_agent_has_the_privileges_that_its_page_gives_a_reason_for_and_no_other() {
    let (pod, agent) = (pod(), agent());
    let context = &agent["securityContext"];
    assert_eq!(context["capabilities"], json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }));
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["privileged"], Value::Null);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["hostNetwork"], true);
    for shared in ["hostPID", "hostIPC"] {
        assert_eq!(pod[shared], Value::Null, "{shared}");
    }
    let page = text("docs/privileges.md").unwrap();
    let paths = mounts().into_iter().map(|(path, _mount)| path);
    let reported = ["hostNetwork", "NET_ADMIN", "uid 0", "system-node-critical"];
    for privilege in reported.map(str::to_owned).into_iter().chain(paths) {
        let row = |line: &str| line.starts_with('|') && line.contains(&format!("`{privilege}`"));
        assert!(page.lines().any(row), "docs/privileges.md gives no reason for {privilege}");
    }
}

#[test]
fn nothing_of_the_node_can_be_written_but_the_run_directory() {
    for (path, mount) in mounts() {
        let writable = mount["readOnly"] != true;
        assert_eq!(writable, path == path::RUN_DIR, "{path}");
        assert_eq!(mount["mountPath"], path, "what is told of a node is told by the node's paths");
    }
}

/// The paths of the node that a pod mounts, and whether any of its containers may write there.
fn host_paths(pod: &Value) -> BTreeMap<String, bool> {
    let containers = ["initContainers", "containers"].map(|kind| pod[kind].as_array());
    let containers = containers.into_iter().flatten().flatten();
    let mounts = containers.flat_map(|one| one["volumeMounts"].as_array().into_iter().flatten());
    let mounts: Vec<&Value> = mounts.collect();
    let volumes = pod["volumes"].as_array().unwrap().iter();
    volumes
        .filter_map(|volume| {
            let path = volume["hostPath"]["path"].as_str()?.to_owned();
            let mut here = mounts.iter().filter(|mount| mount["name"] == volume["name"]);
            Some((path, here.any(|mount| mount["readOnly"] != true)))
        })
        .collect()
}

#[test]
fn where_records_are_files_the_node_is_written_where_the_page_says_and_nowhere_else() {
    let page = text("docs/privileges.md").unwrap();
    let registry = "/var/lib/firecamp";
    for (file, kind, own) in [
        ("tests/checks/rendered/edge.yaml", "DaemonSet", None),
        ("deploy/examples/edge/member.yaml", "StatefulSet", Some("/var/lib/mqtt")),
    ] {
        let pod = object(file, kind)["spec"]["template"]["spec"].take();
        let paths = host_paths(&pod);
        let written = paths.iter().filter(|(_path, written)| **written);
        let written: BTreeSet<&str> = written.map(|(path, _written)| path.as_str()).collect();
        let reported = [path::RUN_DIR, registry].into_iter().chain(own).collect();
        assert_eq!(written, reported, "{file}");
        for path in paths.keys() {
            let row = |line: &str| line.starts_with('|') && line.contains(&format!("`{path}`"));
            assert!(page.lines().any(row), "docs/privileges.md gives no reason for {path}");
        }
    }
}

/// Each row of docs/preflight.md names them, the run directory in brackets.
#[test]
fn what_the_preflight_reads_is_mounted() {
    let page = text("docs/preflight.md").unwrap();
    let section = page.split("## In the agent").nth(1).unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 4, "{rows:?}");
    let cells = rows.iter().map(|row| row.split('|').nth(1).unwrap());
    let paths: Vec<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|path| path.starts_with('/'))
        .collect();
    assert!(paths.len() >= 7, "{paths:?}");
    let mounted: Vec<String> = mounts().into_iter().map(|(path, _mount)| path).collect();
    for path in paths {
        assert!(mounted.iter().any(|mount| mount == path), "{path} is not mounted: {mounted:?}");
    }
}

/// The sockets of systemd are in the directories beside: they obey whoever is root.
#[test]
fn no_socket_of_the_node_is_in_reach() {
    let sockets = [
        "/run/systemd/private",
        "/run/NetworkManager/private",
        "/run/dbus/system_bus_socket",
        "/run/containerd/containerd.sock",
    ];
    for (path, _mount) in mounts() {
        for socket in sockets {
            assert!(!socket.starts_with(&format!("{path}/")), "{path} has {socket}");
        }
    }
}

#[test]
fn agents_run_wherever_members_may_be_and_one_on_a_node() {
    let daemonset = daemonset();
    let labels = json!({
        "app.kubernetes.io/name": "firecamp",
        "app.kubernetes.io/component": "agent",
    });
    assert_eq!(daemonset["spec"]["selector"]["matchLabels"], labels);
    let pod = pod();
    assert_eq!(pod["tolerations"], json!([{ "operator": "Exists" }]));
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    let rolling = &daemonset["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(rolling["maxSurge"], 0, "a second agent of a node is refused");
    assert!(texts(&pod["imagePullSecrets"]).is_empty());
}
