//! The checks, in their order, each with its sentence.

mod definitions;
mod fields;
mod registry;
mod rules;

use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::say;

/// What a check finds.
pub(crate) type Outcome = Result<(), String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
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
                good += u32::from(run(name, $module::$check($cluster)).await);
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
    ];
    say(&format!("{good} of {ran} checks passed"));
    ran > 0 && good == ran
}
