//! Tests the complete configuration of both containers.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::timing;
use firecamp_core::ids::PodUid;

use super::*;
use crate::flags::{AgentFlags, InitFlags, StopFlags, StopMode};

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

// The tests set every flag under test; they assume that the machine sets none of the other
// variables.
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
fn the_defaults_match_the_contract() {
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
fn a_mount_is_required_only_for_the_default_directory() {
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
fn the_pod_uid_defaults_to_that_of_the_kubelets_mounts() {
    let found = init(&[], &around(Some("from-the-mounts"), "n")).unwrap();
    assert_eq!(found.identity.pod.as_str(), "from-the-mounts");
    let given = init(&["--pod-uid=given"], &around(Some("from-the-mounts"), "n")).unwrap();
    assert_eq!(given.identity.pod.as_str(), "given");
}

#[test]
fn a_missing_pod_uid_is_an_error_that_shows_the_downward_api() {
    let faults = init(&[], &around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    for text in ["--pod-uid (or POD_UID)", "fieldPath: metadata.uid", "name: POD_UID"] {
        assert!(fault.contains(text), "{fault}");
    }
}

#[test]
fn a_host_name_that_is_not_a_node_name_is_an_error() {
    let faults = init(&["--pod-uid=u"], &around(None, "not_a_node\n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    assert!(fault.contains("NODE_NAME") && fault.contains("not_a_node\\n"), "{fault}");
}

#[test]
fn a_pod_in_the_namespace_of_orphaned_addresses_is_rejected() {
    let more = ["--pod-uid=u", "--namespace=firecamp-orphaned"];
    let faults = init(&more, &around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    assert!(fault.contains("reserved for orphaned addresses"), "{fault}");
}

/// The init container's flags without a registry.
fn without_registry(around: &Surroundings) -> Result<RegistryUrl, Faults> {
    let arguments = INIT.iter().filter(|flag| !flag.contains("registry")).chain(&["--pod-uid=u"]);
    let flags = InitFlags::try_parse_from(arguments.map(OsString::from)).unwrap();
    let config = InitConfig::parse(&flags, around, Faults::default());
    config.map(|config| config.places.registry)
}

#[test]
fn the_default_registry_exists_only_in_a_pod() {
    let in_cluster = Surroundings { in_cluster: true, ..around(None, "n") };
    assert_eq!(without_registry(&in_cluster), Ok(RegistryUrl::InCluster));
    let faults = without_registry(&around(None, "n")).unwrap_err();
    let [fault] = faults.list() else { panic!("{faults:?}") };
    for text in ["FIRECAMP_REGISTRY) is missing", "KUBERNETES_SERVICE_HOST", "file:///DIR"] {
        assert!(fault.contains(text), "{fault}");
    }
}

#[test]
fn hook_and_sidecar_have_different_default_grace_periods() {
    assert_eq!(stop(&[]).mode, StopMode::Wait);
    assert_eq!(stop(&["wait"]).grace, timing::UNKNOWN_GRACE);
    assert_eq!(stop(&["release"]).grace, timing::PREDECESSOR_GRACE);
    assert_eq!(stop(&["release", "--grace=9s"]).grace, Duration::from_secs(9));
    assert_eq!(stop(&["--drain=7s", "release"]).drain, Duration::from_secs(7));
    assert_eq!(stop(&["release"]).drain, timing::DRAIN);
}

#[test]
fn unassign_is_opt_in_and_a_flag_without_value_is_true() {
    assert!(!stop(&["release"]).unassign);
    assert!(stop(&["release", "--unassign"]).unassign);
    assert!(stop(&["--unassign=true", "wait"]).unassign);
    assert!(!stop(&["--unassign=false"]).unassign);
}

fn agent(more: &[&str]) -> Result<AgentConfig, Faults> {
    let all = ["agent", "--cluster=prod", "--node-name=node-1"];
    let flags = AgentFlags::try_parse_from(all.iter().chain(more).map(OsString::from)).unwrap();
    AgentConfig::parse(&flags, &around(None, "node-b"), Faults::default())
}

#[test]
fn an_agent_keeps_names_only_if_it_is_told_to() {
    const API: &str = "--registry=kubernetes:";
    let zones = |more: &[&str]| agent(&[&[API], more].concat()).unwrap().zones;
    assert_eq!((zones(&[]), zones(&["--names"])), (None, Some(vec![])));
    let two = zones(&["--names=true", "--dns-zones=default, db.example.com"]).unwrap();
    let two: Vec<String> = two.iter().map(ToString::to_string).collect();
    assert_eq!(two, ["default", "db.example.com"]);
    for (wrong, told) in [
        (&[API, "--dns-zones=default"][..], "needs --names"),
        (&[API, "--names", "--dns-zones=Example.com"], "\"Example.com\" is not a valid DNS zone"),
        (&["--registry=file:///r", "--names"], "needs the Kubernetes API"),
    ] {
        let faults = format!("{:?}", agent(wrong).unwrap_err());
        assert!(faults.replace("\\\"", "\"").contains(told), "{faults}");
    }
}
