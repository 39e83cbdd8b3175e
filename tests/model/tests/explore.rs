//! The quick configurations, each explored to the end.

#![expect(clippy::expect_used, reason = "a test that names no configuration has failed")]

use firecamp_model::{CONFIGS, explore, named};

/// Every state was looked at, every property held, and all that must happen did.
#[track_caller]
fn holds(name: &str) {
    let config = named(name).expect("a configuration");
    assert!(config.quick, "{name} is for make model");
    let report = explore(config, 2, None);
    assert!(report.holds(), "{name}: {report:#?}");
}

#[test]
fn a_member_that_moves() {
    holds("move");
}

#[test]
fn f118_there_and_back() {
    holds("there-and-back");
}

#[test]
fn what_an_attach_costs_where_nothing_is_broken() {
    holds("calm");
}

#[test]
fn f006_pods_deleted_by_force() {
    holds("force-delete");
}

#[test]
fn f113_a_successor_beside_its_predecessor() {
    holds("overlap");
}

#[test]
fn f111_one_uid_that_releases_and_attaches_again() {
    holds("sandbox");
}

#[test]
fn a_file_registry_that_knows_of_no_pods() {
    holds("vouched");
}

#[test]
fn two_addresses_on_one_eni() {
    holds("two-addresses");
}

#[test]
fn f119_a_foreign_thief() {
    holds("foreign-thief");
}

#[test]
fn a_thief_of_this_cluster() {
    holds("thief");
}

#[test]
fn f117_releases_that_unassign() {
    holds("unassign");
}

#[test]
fn a_node_that_reboots() {
    holds("reboot");
}

#[test]
fn a_node_that_is_lost() {
    holds("node-loss");
}

#[test]
fn agents_at_work() {
    holds("agent");
}

#[test]
fn a_re_assert_that_outlives_its_agent() {
    holds("heir");
}

#[test]
fn two_agents_on_each_node() {
    holds("twin-agents");
}

#[test]
fn f007_calls_that_land_outside_a1() {
    holds("late");
}

#[test]
fn every_quick_configuration_has_its_test() {
    let text = include_str!("explore.rs");
    for config in CONFIGS.iter().filter(|config| config.quick) {
        let call = format!("holds(\"{}\")", config.name);
        assert!(text.contains(&call), "no test explores {}", config.name);
    }
}

#[test]
fn every_configuration_has_a_name_of_its_own() {
    let mut names: Vec<_> = CONFIGS.iter().map(|config| config.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CONFIGS.len());
}
