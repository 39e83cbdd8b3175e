//! The whole configuration of both containers, as values.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use firecamp_core::contract::timing;
use firecamp_core::node::EniRule;

use super::*;
use crate::flags::{InitFlags, StopFlags, StopMode};

const INIT: [&str; 6] = [
    "init",
    "--cluster=prod",
    "--service-name=redis",
    "--member-name=redis-3",
    "--namespace=demo",
    "--registry=file:///var/lib/firecamp",
];

fn around(pod: Option<&str>, hostname: &str) -> Surroundings {
    Surroundings {
        hostname: Some(hostname.to_owned()),
        pod_uid: pod.map(|pod| PodUid::new(pod).unwrap()),
        in_cluster: false,
    }
}

// The variables of the machine that runs the tests are not looked at: every flag that a test is
// about is given, and those that have no flag here have no variable on a developer's machine.
fn init(more: &[&str], around: &Surroundings) -> Result<InitConfig, Faults> {
    let arguments = INIT.iter().chain(more).map(OsString::from);
    let flags = InitFlags::try_parse_from(arguments).unwrap();
    InitConfig::parse(&flags, around, Faults::default())
}

fn stop(arguments: &[&str]) -> StopConfig {
    let rest = ["--member-name=redis-3", "--namespace=demo", "--registry=file:///r", "--pod-uid=u"];
    let all = ["stop"].iter().chain(arguments).chain(&rest).map(OsString::from);
    let flags = StopFlags::try_parse_from(all).unwrap();
    StopConfig::parse(&flags, &around(None, "node-b"), Faults::default()).unwrap()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = init(&["--pod-uid=u"], &around(None, "node-b")).unwrap();
    assert_eq!(config.identity.member.to_string(), "demo/redis-3");
    assert_eq!(config.identity.node.as_str(), "node-b");
    assert_eq!(config.places.run_dir, PathBuf::from("/run/firecamp"));
    let address = config.address;
    assert_eq!(address.conf_dir, PathBuf::from("/data/conf"));
    assert_eq!((address.eni, address.pool), (EniRule::Auto, None));
    assert_eq!(address.timeout, timing::ATTACH_DEADLINE);
    assert_eq!(address.predecessor_grace, timing::PREDECESSOR_GRACE);
    assert!(!address.dry_run);
}

#[test]
fn a_mount_is_required_for_the_default_directory_only_unless_told() {
    let required = |more: &[&str]| {
        let more: Vec<&str> = more.iter().copied().chain(["--pod-uid=u"]).collect();
        init(&more, &around(None, "n")).unwrap().address.require_mount
    };
    assert!(required(&[]));
    assert!(!required(&["--require-mount=false"]));
    assert!(!required(&["--conf-dir=/srv/conf"]));
    assert!(required(&["--conf-dir=/srv/conf", "--require-mount"]));
}

#[test]
fn the_pod_is_found_by_the_kubelets_mounts_if_nobody_names_it() {
    let found = init(&[], &around(Some("from-the-mounts"), "n")).unwrap();
    assert_eq!(found.identity.pod.as_str(), "from-the-mounts");
    let given = init(&["--pod-uid=given"], &around(Some("from-the-mounts"), "n")).unwrap();
    assert_eq!(given.identity.pod.as_str(), "given");
}

#[test]
fn a_pod_that_nothing_names_is_a_fault_that_shows_the_downward_api() {
    let faults = init(&[], &around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    for text in ["--pod-uid (or POD_UID)", "fieldPath: metadata.uid", "name: POD_UID"] {
        assert!(fault.contains(text), "{fault}");
    }
}

#[test]
fn a_host_name_that_names_no_node_is_a_fault() {
    let faults = init(&["--pod-uid=u"], &around(None, "not_a_node\n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    assert!(fault.contains("NODE_NAME") && fault.contains("not_a_node\\n"), "{fault}");
}

#[test]
fn a_pod_in_the_namespace_that_stands_for_nobody_is_no_member() {
    let more = ["--pod-uid=u", "--namespace=firecamp-unclaimed"];
    let faults = init(&more, &around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    assert!(fault.contains("stands for nobody"), "{fault}");
}

/// The init container's flags without a registry.
fn without_registry(around: &Surroundings) -> Result<RegistryUrl, Faults> {
    let arguments = INIT.iter().filter(|flag| !flag.contains("registry")).chain(&["--pod-uid=u"]);
    let flags = InitFlags::try_parse_from(arguments.map(OsString::from)).unwrap();
    let config = InitConfig::parse(&flags, around, Faults::default());
    config.map(|config| config.places.registry)
}

#[test]
fn a_pod_that_is_told_no_registry_uses_its_clusters_and_nobody_else_does() {
    let in_cluster = Surroundings { in_cluster: true, ..around(None, "n") };
    assert_eq!(without_registry(&in_cluster), Ok(RegistryUrl::InCluster));
    let faults = without_registry(&around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    for text in ["FIRECAMP_REGISTRY) is missing", "KUBERNETES_SERVICE_HOST", "file:///DIR"] {
        assert!(fault.contains(text), "{fault}");
    }
}

#[test]
fn a_hook_and_a_sidecar_assume_what_a_kubelet_leaves_them() {
    assert_eq!(stop(&[]).mode, StopMode::Wait);
    assert_eq!(stop(&["wait"]).grace, timing::UNKNOWN_GRACE);
    assert_eq!(stop(&["release"]).grace, timing::PREDECESSOR_GRACE);
    assert_eq!(stop(&["release", "--grace=9s"]).grace, Duration::from_secs(9));
    assert_eq!(stop(&["--drain=7s", "release"]).drain, Duration::from_secs(7));
    assert_eq!(stop(&["release"]).drain, timing::DRAIN);
}

#[test]
fn unassigning_is_opt_in_and_a_bare_flag_means_yes() {
    assert!(!stop(&["release"]).unassign);
    assert!(stop(&["release", "--unassign"]).unassign);
    assert!(stop(&["--unassign=true", "wait"]).unassign);
    assert!(!stop(&["--unassign=false"]).unassign);
}
