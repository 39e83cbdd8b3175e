//! The checks in their order.

mod agents;
mod autoscaling;
mod definitions;
mod deployment;
mod faulty_watches;
mod fields;
mod gated_pods;
mod injection;
mod install;
mod policies;
mod quota;
mod races;
mod registry;
mod restart;
mod rights;
mod rules;
mod services;
mod upgrade;
mod watches;
mod writes;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::say;

/// Why a part of a check does not run on a server before 1.34.
const NO_MUTATION: &str = "this server has no MutatingAdmissionPolicy";

/// The result of a check.
pub(crate) type Outcome = Result<(), String>;

pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Runs one check and prints its result.
async fn run(name: &str, check: impl Future<Output = Outcome>) -> bool {
    let begun = Instant::now();
    let outcome = check.await;
    let seconds = begun.elapsed().as_secs_f32();
    match &outcome {
        Ok(()) => say(&format!("ok      {seconds:6.2} s  {name}")),
        Err(wrong) => say(&format!("FAILED  {seconds:6.2} s  {name}\n        {wrong}")),
    }
    outcome.is_ok()
}

macro_rules! checks {
    ($cluster:ident, $wanted:ident; $($module:ident::$check:ident),* $(,)?) => {{
        let (mut ran, mut good) = (0_u32, 0_u32);
        $(
            let name = stringify!($check);
            if $wanted.is_empty() || $wanted.iter().any(|part| name.contains(part.as_str())) {
                ran += 1;
                good += u32::from(run(name, Box::pin($module::$check($cluster))).await);
            }
        )*
        (ran, good)
    }};
}

/// Runs all checks, or those whose name contains one of the wanted texts. Always installs the
/// definitions first.
pub(crate) async fn all(cluster: &Cluster, wanted: &[String]) -> bool {
    if let Err(wrong) = definitions::install(cluster).await {
        say(&format!("the definitions are not installed: {wrong}"));
        return false;
    }
    let (ran, good) = chosen(cluster, wanted).await;
    say(&format!("{good} of {ran} checks passed"));
    ran > 0 && good == ran
}

/// Runs the wanted checks, and counts them and the successful ones.
async fn chosen(cluster: &Cluster, wanted: &[String]) -> (u32, u32) {
    let others = async {
        let (ran, good) = of_the_server(cluster, wanted).await;
        let (more, as_well) = of_programs(cluster, wanted).await;
        (ran + more, good + as_well)
    };
    let ((ran, good), (more, as_well)) = tokio::join!(others, meanwhile(cluster, wanted));
    (ran + more, good + as_well)
}

/// What takes a quarter of an hour, on a server of its own.
async fn meanwhile(cluster: &Cluster, wanted: &[String]) -> (u32, u32) {
    checks![cluster, wanted;
        faulty_watches::f039_an_event_that_never_arrives_is_made_good_by_the_next_list,
    ]
}

/// What the server accepts, rejects and shows.
async fn of_the_server(cluster: &Cluster, wanted: &[String]) -> (u32, u32) {
    checks![cluster, wanted;
        definitions::a_second_installation_of_the_crds_changes_nothing,
        definitions::the_server_sets_defaults,
        definitions::kubectl_explain_describes_fields,
        definitions::status_is_a_subresource,
        deployment::the_server_accepts_all_deployed_objects_without_warnings,
        install::helm_installs_upgrades_rolls_back_and_uninstalls_all_but_the_records,
        install::helm_and_kustomize_inject_as_the_page_says,
        install::helm_refers_to_firecamp_inject_where_the_server_injects_nothing,
        rules::f073_every_rule_rejects_what_it_forbids,
        rules::f073_every_rule_accepts_what_it_allows,
        rules::f073_an_update_of_an_immutable_field_is_rejected,
        rules::the_cases_violate_every_rule,
        fields::addresses_are_listed_by_node_member_and_pool,
        fields::kubectl_get_shows_the_expected_columns,
        gated_pods::only_a_gate_is_removed_and_a_node_selector_extended,
        injection::the_policy_and_firecamp_inject_make_the_same_pod,
        injection::f125_a_labelled_pod_without_what_is_injected_is_refused,
        injection::what_was_injected_into_a_pod_cannot_be_changed,
        injection::a_limit_range_and_an_opt_out_are_respected,
        injection::a_quota_counts_a_pod_with_what_was_injected,
        injection::policies_that_are_installed_again_know_the_pools_of_now,
        registry::f072_two_init_containers_conflict_for_one_address,
        registry::a_write_without_a_change_keeps_the_version,
        registry::fields_of_other_writers_survive,
        registry::pods_are_read_with_their_lifecycle,
        registry::a_new_list_reads_every_page,
        registry::conformance,
        quota::f137_a_quota_of_claims_limits_how_many_members_get_an_address,
        watches::a_watch_by_node_reports_arrivals_and_departures,
        watches::a_watch_by_namespace_or_pool_reports_only_these,
        watches::a_compacted_version_is_410,
        rights::members_use_each_of_their_permissions,
        rights::a_member_fails_without_any_one_permission,
        rights::f103_members_have_no_other_permission,
        rights::agents_use_each_of_their_permissions,
        rights::an_agent_fails_without_any_one_permission,
        rights::agents_have_no_other_permission,
        rights::f138_members_that_ask_the_agents_have_no_permission,
        policies::f103_f105_the_policies_allow_a_token_only_writes_of_its_own_objects,
        policies::members_and_agents_work_under_the_policies,
    ]
}

/// Programs on the server, beside each other and while it fails.
async fn of_programs(cluster: &Cluster, wanted: &[String]) -> (u32, u32) {
    checks![cluster, wanted;
        races::f072_members_that_start_concurrently_get_different_addresses,
        races::f072_two_init_containers_of_one_member_create_one_claim_and_one_address,
        writes::of_two_concurrent_agents_one_updates_the_status,
        writes::node_attachments_are_owned_by_their_node,
        writes::the_server_accepts_events,
        writes::an_event_is_in_the_namespace_of_its_object,
        agents::an_agent_requests_only_objects_of_its_node,
        agents::an_agent_survives_a_restart_of_the_api_server,
        agents::an_agent_that_missed_events_lists_again,
        agents::an_agent_opens_watches_again_that_fell_silent,
        agents::an_agent_whose_token_expired_goes_on_with_a_renewed_one,
        faulty_watches::f036_objects_missing_from_a_list_are_not_absent,
        faulty_watches::f037_stale_lists_make_an_agent_write_nothing,
        faulty_watches::f037_lists_that_go_back_in_time_make_an_agent_write_nothing,
        restart::an_attach_survives_an_api_server_crash_at_every_request,
        restart::a_release_survives_an_api_server_crash_at_every_request,
        restart::an_attach_times_out_while_the_api_server_is_down,
        services::a_service_is_created_changed_and_stopped_by_its_command,
        autoscaling::karpenter_creates_a_node_for_a_pending_member,
        upgrade::objects_survive_an_upgrade_and_a_downgrade_of_the_crds,
    ]
}
