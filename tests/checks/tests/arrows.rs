//! Dependencies point one way: towards the pure core.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask cargo has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use firecamp_checks::tidy::Graph;

static GRAPH: LazyLock<Graph> =
    LazyLock::new(|| Graph::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap());

fn none_of(linked: &BTreeSet<&str>, forbidden: impl Fn(&str) -> bool, whose: &str) {
    assert!(!linked.is_empty(), "cargo knows no package {whose}");
    let wrong: Vec<_> = linked.iter().filter(|name| forbidden(name)).collect();
    assert!(wrong.is_empty(), "{whose} reaches {wrong:?}");
}

#[test]
fn the_core_depends_on_nothing_that_does_io_or_keeps_time() {
    assert_eq!(GRAPH.direct("firecamp-core"), BTreeSet::from(["ipnet", "thiserror", "tinystr"]));
}

#[test]
fn the_outside_systems_never_see_each_other_or_the_engine() {
    let systems = ["firecamp-cloud", "firecamp-host", "firecamp-registry"];
    for own in systems {
        let forbidden =
            |name: &str| name == "firecamp-engine" || (systems.contains(&name) && name != own);
        none_of(&GRAPH.links(own), forbidden, own);
    }
}

#[test]
fn the_registry_of_a_cluster_sees_no_other_system_and_no_simulator() {
    let forbidden = |name: &str| {
        let other = matches!(name, "firecamp-cloud" | "firecamp-host" | "firecamp-engine");
        other || matches!(name, "firecamp-apiserver" | "firecamp-testkit")
    };
    none_of(&GRAPH.links("firecamp-kube"), forbidden, "firecamp-kube");
}

#[test]
fn the_engine_and_the_simulation_build_without_clients_of_the_outside() {
    let client = |name: &str| {
        let sdk = name.starts_with("aws-sdk-") || name == "aws-config";
        sdk || name.starts_with("kube") || name == "rtnetlink"
    };
    for own in ["firecamp-core", "firecamp-engine"] {
        none_of(&GRAPH.builds(own), client, own);
    }
    // Their tests use the simulation, which is the feature below.
    for own in ["firecamp-node", "firecamp-controllers"] {
        none_of(&GRAPH.links(own), client, own);
    }
    none_of(&GRAPH.requires_for("firecamp-testkit", "sim"), client, "firecamp-testkit's sim");
}

#[test]
fn no_container_links_a_simulator() {
    let simulator = |name: &str| {
        matches!(name, "firecamp-apiserver" | "firecamp-testkit" | "firecamp-vpc" | "vpcbox")
    };
    let containers = ["firecamp-initcontainer", "firecamp-stopcontainer", "firecamp-agent"];
    for own in containers.into_iter().chain(["firecamp-containers"]) {
        none_of(&GRAPH.links(own), simulator, own);
    }
    none_of(&GRAPH.links("firecamp-cli"), simulator, "firecamp-cli");
}

/// Users take the simulator for their own tests, so it stands on its own.
#[test]
fn the_simulator_needs_nothing_of_ours_and_no_client_of_ec2() {
    let others = |name: &str| {
        let ours = name.starts_with("firecamp-") && name != "firecamp-vpc";
        ours || name.starts_with("aws-sdk-") || name == "aws-config"
    };
    for own in ["firecamp-vpc", "vpcbox"] {
        none_of(&GRAPH.links(own), others, own);
    }
}
