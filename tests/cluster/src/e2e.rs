//! Scenarios end to end: what users, operators and bad luck do to members, on a real Kubernetes.

mod again;
mod asked;
mod audit;
mod basics;
pub(crate) mod chaos;
mod cluster;
mod crowd;
mod disks;
mod draining;
mod ends;
mod events;
mod examples;
pub(crate) mod figures;
mod guide;
mod heirs;
mod lifecycle;
mod mend;
mod migration;
mod moves;
mod owners;
mod ports;
mod reclaim;
mod records;
mod refused;
mod rights;
mod scene;
mod set;
mod stopped;
mod tokens;
mod unstopped;
mod versions;
mod zones;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::Outcome;
use crate::cli::{make, say};
use crate::home::Home;
use crate::install::{Admin, block_on, install, nodes_ready};
use crate::topology::Layout;
use crate::up;
use scene::Scene;

/// No scenario takes as long as this, on however slow a machine.
const PATIENCE: Duration = Duration::from_mins(15);

macro_rules! scenarios {
    ($scene:ident, $wanted:ident, $($module:ident::$scenario:ident),* $(,)?) => {{
        let (mut ran, mut bad) = (0_usize, Vec::new());
        $(
            let name = stringify!($scenario);
            if $wanted.is_empty() || $wanted.iter().any(|part| name.contains(part.as_str())) {
                ran += 1;
                let begun = Instant::now();
                let work = Box::pin($module::$scenario($scene));
                let outcome = timeout(PATIENCE, work).await;
                let outcome = outcome.unwrap_or_else(|_late| Err("it does not end".to_owned()));
                let ended = outcome.clone().map_err(|wrong| format!("{name}: {wrong}"));
                bad.extend(ended.err());
                reported($scene, name, begun, outcome).await?;
            }
        )*
        (ran, bad)
    }};
}

/// Runs them on a cluster of its own, which is gone afterwards.
pub(crate) fn run(home: &Home, times: u32, wanted: &[String]) -> Outcome {
    let begun = Instant::now();
    staged(home, async |scene| {
        let mut bad = Vec::new();
        for _round in 0..times {
            let (ran, wrong) = all(scene, wanted).await?;
            let (seconds, good) = (begun.elapsed().as_secs(), ran - wrong.len());
            say(&format!("{good} of {ran} scenarios are good, after {seconds} s"))?;
            bad.extend(wrong);
            if ran == 0 {
                bad.push("there is no such scenario".to_owned());
            }
        }
        if bad.is_empty() { Ok(()) } else { Err(bad.join("\n")) }
    })
}

/// Plays this on a cluster of its own, which is gone afterwards.
fn staged(home: &Home, play: impl AsyncFnOnce(&Scene<'_>) -> Outcome) -> Outcome {
    let begun = Instant::now();
    let running = make(home, Layout::OneSubnet, true)?;
    let outcome = block_on(async {
        install(&running, false).await?;
        say(&format!("the cluster is up ({:.1} s)", begun.elapsed().as_secs_f64()))?;
        let scene = Scene::new(&running).await?;
        play(&scene).await
    });
    up::down(home).and(outcome)
}

impl Scene<'_> {
    /// Plays this on a further cluster, which has nothing yet and is gone afterwards.
    async fn elsewhere(
        &self,
        (name, layout): (&str, Layout),
        play: impl AsyncFnOnce(&Scene<'_>) -> Outcome,
    ) -> Outcome {
        let home = self.running.home.beside(name)?;
        let running = make(&home, layout, false)?;
        let outcome = async {
            nodes_ready(&Admin::of(&running).await?).await?;
            let scene = Scene::new(&running).await?;
            let outcome = play(&scene).await;
            if outcome.is_err() {
                scene.dump().await?;
            }
            outcome
        };
        let outcome = outcome.await;
        up::down(&home).and(outcome)
    }
}

/// Those that are wanted: how many there were, and what was wrong with the others.
async fn all(scene: &Scene<'_>, wanted: &[String]) -> Outcome<(usize, Vec<String>)> {
    let (alone, mut bad) = elsewhere(scene, wanted).await?;
    let (here, wrong) = here(scene, wanted).await?;
    bad.extend(wrong);
    Ok((alone + here, bad))
}

/// Those on clusters of their own.
async fn elsewhere(scene: &Scene<'_>, wanted: &[String]) -> Outcome<(usize, Vec<String>)> {
    Ok(scenarios![
        scene,
        wanted,
        lifecycle::a_cluster_that_is_killed_leaves_nothing_once_it_is_taken_down,
        guide::the_installation_guide_works_as_it_is_written,
        examples::each_example_works_as_it_is,
        zones::f020_members_stay_in_the_zones_of_their_addresses,
    ])
}

/// Those on the cluster that they share.
async fn here(scene: &Scene<'_>, wanted: &[String]) -> Outcome<(usize, Vec<String>)> {
    Ok(scenarios![
        scene,
        wanted,
        reclaim::f076_given_back_1_while_a_pod_has_the_address,
        basics::the_first_start_of_three_members,
        basics::a_member_to_play_with_answers_as_the_page_says,
        basics::a_deleted_pod_comes_back_on_its_node_without_a_call,
        moves::a_drained_node_gives_its_member_away_by_one_call,
        ends::f113_a_successor_on_the_same_node_takes_over_while_the_old_service_lives,
        ends::f113_a_successor_on_another_node_takes_over_while_the_old_service_lives,
        ends::f111_a_pod_whose_sandbox_died_attaches_again_under_a_new_epoch,
        ends::f030_a_signal_to_a_stop_container_whose_pod_stays_changes_nothing,
        ends::f112_a_service_that_ignores_sigterm_leaves_the_release_its_time,
        ends::a_pre_stop_hook_releases_as_a_native_sidecar_does,
        disks::f082_an_address_moves_only_once_the_volume_is_mounted,
        disks::f086_a_volume_that_went_away_1_under_a_member,
        unstopped::f026_where_no_stop_container_runs_the_address_soon_goes_with_its_pod,
        unstopped::f027_a_release_takes_moments,
        unstopped::f027_what_a_stop_container_left_that_was_killed_at_any_step_is_done,
        heirs::f091_f028_a_successor_waits_for_sockets_and_is_swept_if_it_is_deleted_then,
        draining::f025_an_address_stays_for_as_long_as_it_is_used_and_there_is_time,
        again::f005_init_that_runs_again_beside_the_service_changes_nothing,
        again::f017_f014_an_init_container_is_alone_in_its_image_and_ends_at_its_signal,
        records::f072_members_that_race_for_addresses_share_none,
        records::f073_the_server_itself_keeps_an_address_with_its_claim,
        records::f079_what_an_earlier_set_of_the_name_left_neither_claims_nor_releases,
        migration::f098_what_the_original_had_is_adopted_where_it_is,
        owners::f105_a_pod_that_the_claims_set_does_not_control_gets_nothing_of_it,
        tokens::f103_a_members_token_writes_what_is_its_own_and_nothing_else,
        tokens::f103_an_agents_token_writes_what_is_its_nodes_and_nothing_else,
        disks::f086_init_refuses_a_data_directory_that_is_no_mount,
        refused::two_sets_that_ask_for_one_address_one_is_told_whose_it_is,
        refused::a_member_in_the_wrong_zone_is_told_which_zone_it_is_in,
        refused::f103_a_member_in_a_namespace_without_rights_is_told_what_it_lacks,
        reclaim::f070_a_node_with_a_members_address_keeps_its_own,
        disks::f086_a_volume_that_went_away_2_is_reported,
        reclaim::f076_given_back_2_the_object_stays_until_the_pod_is_gone,
        disks::f086_a_volume_that_went_away_3_is_reported_no_longer_once_it_is_back,
        crowd::twenty_members_that_restart_at_once_all_come_back_though_ec2_throttles,
        crowd::init_containers_that_are_killed_at_a_step_end_well_the_next_time,
        moves::a_zombie_behind_a_stopped_kubelet_changes_nothing,
        moves::a_node_without_power_loses_its_member_and_comes_back_without_it,
        moves::f087_a_node_that_reboots_keeps_its_member_without_a_change,
        moves::members_that_are_scaled_away_find_their_addresses_again,
        stopped::f096_a_stopped_service_is_gone_when_pods_and_held_addresses_are,
        stopped::f096_a_deleted_service_is_not_gone_while_pods_that_it_left_live,
        versions::agents_are_rolled_out_and_back_under_traffic,
        versions::f097_beside_agents_too_far_ahead_a_member_waits_until_they_are_rolled_back,
        cluster::a_stripped_address_is_put_back_while_the_api_server_is_away,
        cluster::no_member_is_placed_where_no_slot_is_free,
        reclaim::f076_given_back_3_what_nobody_has_leaves_ec2_and_then_the_registry,
        mend::what_a_scenario_left_that_failed_is_put_back,
        rights::every_call_to_ec2_is_one_that_the_policy_allows,
        asked::f109_agents_ask_for_the_pods_and_addresses_of_their_own_nodes,
    ])
}

/// Says how a scenario ended, and after a bad one how everything stands.
async fn reported(scene: &Scene<'_>, name: &str, begun: Instant, outcome: Outcome) -> Outcome {
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => say(&format!("ok      {seconds:6.1} s  {name}")),
        Err(wrong) => {
            say(&format!("FAILED  {seconds:6.1} s  {name}\n        {wrong}"))?;
            scene.dump().await?;
            // What it left must not be what the next ones fail by.
            let mended = timeout(PATIENCE, Box::pin(scene.mend())).await;
            match mended.unwrap_or_else(|_late| Err("it does not end".to_owned())) {
                Ok(()) => say("        the cluster is as it was before"),
                Err(why) => say(&format!("        the cluster is not as it was before: {why}")),
            }
        }
    }
}
