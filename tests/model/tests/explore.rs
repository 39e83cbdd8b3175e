//! Explores each quick configuration exhaustively.

#![expect(clippy::expect_used, reason = "a test without a configuration has failed")]

use firecamp_model::{CONFIGS, explore, named};

/// Every state was checked, every property held, and all required states were reached.
#[track_caller]
fn holds(name: &str) {
    let config = named(name).expect("a configuration");
    assert!(config.quick, "{name} is for make model");
    let report = explore(config, 2, None);
    assert!(report.holds(), "{name}: {report:#?}");
    let table = include_str!("../../../docs/proof/transitions.md");
    let unlisted: Vec<_> = report.taken.iter().filter(|row| !row.is_in(table)).collect();
    assert!(unlisted.is_empty(), "not in docs/proof/transitions.md: {unlisted:#?}");
}

#[test]
fn a_member_moves_between_nodes() {
    holds("move");
}

#[test]
fn f118_a_member_moves_away_and_back() {
    holds("there-and-back");
}

#[test]
fn an_attach_without_faults_keeps_its_ec2_call_budget() {
    holds("calm");
}

#[test]
fn f006_pods_are_deleted_by_force() {
    holds("force-delete");
}

#[test]
fn f113_a_successor_starts_beside_its_predecessor() {
    holds("overlap");
}

#[test]
fn f111_one_uid_releases_and_attaches_repeatedly() {
    holds("sandbox");
}

#[test]
fn a_file_registry_works_without_pods() {
    holds("vouched");
}

#[test]
fn two_members_share_one_eni() {
    holds("two-addresses");
}

#[test]
fn f119_an_external_caller_assigns_the_address_to_a_foreign_eni() {
    holds("foreign-reassignment");
}

#[test]
fn an_external_caller_moves_the_address_within_the_cluster() {
    holds("external-reassignment");
}

#[test]
fn f117_releases_unassign() {
    holds("unassign");
}

#[test]
fn f120_parked_addresses_are_evicted_at_any_time() {
    holds("evict");
}

#[test]
fn a_node_reboots() {
    holds("reboot");
}

#[test]
fn a_node_is_lost() {
    holds("node-loss");
}

#[test]
fn agents_run_their_operations() {
    holds("agent");
}

#[test]
fn a_re_assert_outlives_its_agent() {
    holds("agent-restart");
}

#[test]
fn f139_an_agent_dies_with_all_that_it_runs() {
    holds("endpoint");
}

#[test]
fn two_agents_run_on_each_node() {
    holds("twin-agents");
}

#[test]
fn f007_calls_take_effect_outside_a1() {
    holds("late");
}

#[test]
fn every_quick_configuration_has_a_test() {
    let text = include_str!("explore.rs");
    for config in CONFIGS.iter().filter(|config| config.quick) {
        let call = format!("holds(\"{}\")", config.name);
        assert!(text.contains(&call), "no test explores {}", config.name);
    }
}

#[test]
fn every_configuration_has_a_unique_name() {
    let mut names: Vec<_> = CONFIGS.iter().map(|config| config.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CONFIGS.len());
}
