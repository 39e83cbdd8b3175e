//! The checks, in their order, each with its sentence.

mod agents;
mod definitions;
mod deployment;
mod fields;
mod install;
mod policies;
mod races;
mod registry;
mod restart;
mod rights;
mod rules;
mod upgrade;
mod watches;
mod writes;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::say;

/// What a check finds.
pub(crate) type Outcome = Result<(), String>;

pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Runs one check and says how it ended.
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
    ($cluster:ident, $wanted:ident, $($module:ident::$check:ident),* $(,)?) => {{
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

/// All of them, or those whose name contains one of the wanted texts. The definitions are always
/// installed, by the first.
pub(crate) async fn all(cluster: &Cluster, wanted: &[String]) -> bool {
    let installed = definitions::install(cluster).await;
    if let Err(wrong) = installed {
        say(&format!("the definitions are not installed: {wrong}"));
        return false;
    }
    let (ran, good) = checks![
        cluster,
        wanted,
        definitions::a_second_installation_changes_nothing,
        definitions::defaults_are_filled_in,
        definitions::fields_can_be_explained,
        definitions::status_is_a_resource_of_its_own,
        deployment::what_is_deployed_is_taken_strictly_and_without_a_warning,
        install::helm_installs_upgrades_goes_back_and_leaves_nothing_but_the_records,
        rules::f073_what_each_rule_forbids_is_refused,
        rules::f073_what_each_rule_allows_is_taken,
        rules::f073_what_never_changes_is_refused_on_update,
        rules::every_rule_has_refused_something,
        fields::addresses_are_listed_by_node_member_and_pool,
        fields::tables_answer_the_first_question,
        registry::f072_two_inits_conflict_for_one_address,
        registry::a_write_that_changes_nothing_keeps_its_version,
        registry::what_others_wrote_survives,
        registry::pods_are_seen_as_they_are,
        registry::a_new_list_sees_every_page,
        registry::conformance,
        watches::a_watch_by_node_tells_what_comes_and_what_leaves,
        watches::a_watch_by_namespace_and_by_pool_tells_only_these,
        watches::what_is_too_old_is_410,
        rights::members_use_each_of_their_rights,
        rights::without_any_one_right_a_member_fails,
        rights::f103_members_may_do_nothing_else,
        rights::agents_use_each_of_their_rights,
        rights::without_any_one_right_an_agent_fails,
        rights::agents_may_do_nothing_else,
        policies::f103_f105_a_token_writes_what_is_its_own_and_nothing_else,
        policies::members_and_agents_do_their_work_under_the_policies,
        races::f072_members_that_start_at_once_share_no_address,
        races::f072_two_inits_of_one_member_make_one_claim_and_one_address,
        writes::of_two_agents_one_writes_a_status,
        writes::node_attachments_belong_to_their_node,
        writes::events_are_taken,
        writes::an_event_is_where_its_object_is,
        agents::an_agent_asks_for_its_own_node_only,
        agents::an_agent_outlives_the_api_server,
        agents::an_agent_that_missed_something_lists_anew,
        restart::an_attach_outlives_the_api_server_at_every_request,
        restart::a_release_outlives_the_api_server_at_every_request,
        restart::an_attach_ends_in_time_while_the_api_server_stays_away,
        upgrade::objects_outlive_new_definitions_and_the_way_back,
    ];
    say(&format!("{good} of {ran} checks passed"));
    ran > 0 && good == ran
}
