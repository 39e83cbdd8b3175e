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
fn f006_pods_deleted_by_force() {
    holds("force-delete");
}

#[test]
fn every_configuration_has_a_name_of_its_own() {
    let mut names: Vec<_> = CONFIGS.iter().map(|config| config.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CONFIGS.len());
}
