//! End-to-end scenarios on a real Kubernetes: actions of users and operators, and failures.

mod api_requests;
mod audit;
mod basics;
mod capacity;
pub(crate) mod chaos;
mod control_plane;
mod draining;
mod endpoint;
mod events;
mod examples;
pub(crate) mod figures;
mod guide;
mod hostile_pods;
mod iam_policy;
mod init_reruns;
mod kafka;
mod kubelet_restarts;
mod lifecycle;
mod logs;
mod many_members;
mod migration;
mod moves;
mod names;
mod network_policy;
mod own_network;
mod owners;
mod pod_termination;
mod postgres;
mod predecessor_sockets;
mod processes;
mod producer;
mod rabbitmq;
mod reclaim;
mod records;
mod redis;
mod refused;
mod releases;
mod removed_interfaces;
mod reset;
mod services;
mod set;
mod test_cluster;
mod tokens;
mod versions;
mod volumes;
mod vpc_cni;
mod wait_released;
mod zones;

use std::time::Duration;

use clap::ValueEnum;
use tokio::time::{Instant, timeout};

use crate::Outcome;
use crate::cli::{print_line, start_cluster};
use crate::home::Home;
use crate::install::{block_on, install};
use crate::topology::Layout;
use crate::up;
use test_cluster::TestCluster;

/// Upper bound of one scenario, also on a slow machine.
const PATIENCE: Duration = Duration::from_mins(30);

macro_rules! scenarios {
    ($cluster:ident, $wanted:ident, $($module:ident::$scenario:ident),* $(,)?) => {{
        let (mut ran, mut failures) = (0_usize, Vec::new());
        $(
            let name = stringify!($scenario);
            if $wanted.is_empty() || $wanted.iter().any(|part| name.contains(part.as_str())) {
                ran += 1;
                let begun = Instant::now();
                let work = Box::pin($module::$scenario($cluster));
                let outcome = timeout(PATIENCE, work).await;
                let outcome = outcome.unwrap_or_else(|_late| Err(timed_out()));
                let ended = outcome.clone().map_err(|error| format!("{name}: {error}"));
                failures.extend(ended.err());
                print_result($cluster, name, begun, outcome).await?;
            }
        )*
        (ran, failures)
    }};
}

fn timed_out() -> String {
    format!("timed out after {} s", PATIENCE.as_secs())
}

/// A part of the scenarios, so that two runs can share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Those that start clusters of their own, and those of members that ask the agents' endpoint
    OwnClusters,
    /// All others, on one cluster
    OneCluster,
}

/// How many scenarios ran, and the failures.
type Ran = (usize, Vec<String>);

/// The scenarios to run.
pub(crate) struct Chosen {
    pub(crate) layout: Layout,
    /// None means both.
    pub(crate) part: Option<Part>,
    /// Parts of names; none means all but the long ones.
    pub(crate) wanted: Vec<String>,
}

impl Chosen {
    fn includes(&self, part: Part) -> bool {
        self.part.is_none_or(|only| only == part)
    }
}

/// Runs scenarios on a new cluster and removes it.
pub(crate) fn run(home: &Home, times: u32, chosen: &Chosen) -> Outcome {
    let begun = Instant::now();
    on_new_cluster(home, chosen.layout, async |cluster| {
        let mut failures = Vec::new();
        cluster.restrict_members().await?;
        for _round in 0..times {
            let (ran, failed) = run_chosen(cluster, chosen).await?;
            let (seconds, good) = (begun.elapsed().as_secs(), ran - failed.len());
            print_line(&format!("{good} of {ran} scenarios passed, after {seconds} s"))?;
            failures.extend(failed);
            if ran == 0 {
                failures.push("no scenario matches".to_owned());
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
    })
}

/// Runs `test` on a new cluster with FireCamp, and removes the cluster.
fn on_new_cluster(
    home: &Home,
    layout: Layout,
    test: impl AsyncFnOnce(&TestCluster<'_>) -> Outcome,
) -> Outcome {
    let begun = Instant::now();
    let running = start_cluster(home, layout, true)?;
    let outcome = block_on(async {
        install(&running, false).await?;
        print_line(&format!("the cluster is up ({:.1} s)", begun.elapsed().as_secs_f64()))?;
        let cluster = TestCluster::new(&running).await?;
        test(&cluster).await
    });
    up::down(home).and(outcome)
}

impl TestCluster<'_> {
    /// Runs `test` on a further new cluster without FireCamp, and removes that cluster.
    async fn on_further_cluster(
        &self,
        (name, layout): (&str, Layout),
        test: impl AsyncFnOnce(&TestCluster<'_>) -> Outcome,
    ) -> Outcome {
        let home = self.running.home.sibling(name)?;
        let running = start_cluster(&home, layout, false)?;
        let outcome = async {
            install(&running, true).await?;
            let cluster = TestCluster::new(&running).await?;
            let outcome = test(&cluster).await;
            if outcome.is_err() {
                cluster.dump().await?;
            }
            outcome
        };
        let outcome = outcome.await;
        up::down(&home).and(outcome)
    }
}

/// Runs the scenarios; returns how many ran, and the failures. Long ones run only if named.
async fn run_chosen(cluster: &TestCluster<'_>, chosen: &Chosen) -> Outcome<Ran> {
    let wanted = chosen.wanted.as_slice();
    let (mut ran, mut failures) = (0, Vec::new());
    let mut add = |(more, failed): Ran| {
        ran += more;
        failures.extend(failed);
    };
    let is_vpc_cni = chosen.layout == Layout::VpcCni;
    if chosen.includes(Part::OwnClusters) && !is_vpc_cni {
        add(own_cluster_scenarios(cluster, wanted).await?);
        add(endpoint_scenarios(cluster, wanted).await?);
    }
    if chosen.includes(Part::OneCluster) {
        if is_vpc_cni {
            add(vpc_cni_scenarios(cluster, wanted).await?);
        } else {
            add(shared_cluster_scenarios(cluster, wanted).await?);
        }
        if network_policy::is_tested(cluster) {
            add(network_policy_scenarios(cluster, wanted).await?);
        }
        match wanted {
            [] => {}
            _ if is_vpc_cni => add(long_vpc_cni_scenarios(cluster, wanted).await?),
            _ => add(long_scenarios(cluster, wanted).await?),
        }
    }
    Ok((ran, failures))
}

/// Scenarios that start a cluster of their own.
async fn own_cluster_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        lifecycle::clusterbox_down_removes_everything_of_a_killed_cluster,
        guide::the_installation_guide_works_as_written,
        guide::the_commands_for_eks_start_a_member,
        examples::each_example_works_unmodified,
        zones::f020_members_stay_in_the_zones_of_their_addresses,
    ])
}

/// Scenarios on a cluster whose CNI is Amazon's VPC CNI.
async fn vpc_cni_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        vpc_cni::nodes_get_interfaces_for_members_and_lose_the_startup_taint,
        vpc_cni::pods_get_addresses_of_interfaces_that_the_vpc_cni_attaches,
        vpc_cni::f057_interfaces_of_the_vpc_cni_are_refused,
        vpc_cni::f057_members_and_the_vpc_cni_never_share_an_interface,
        vpc_cni::a_full_interface_leads_to_a_second_one,
        vpc_cni::f057_a_vpc_cni_that_starts_after_the_agent_is_noticed,
    ])
}

/// Scenarios that take minutes, beside the VPC CNI.
async fn long_vpc_cni_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        capacity::as_many_pods_as_the_kubelet_accepts_get_addresses_beside_a_member,
        capacity::a_waiting_member_gets_the_slot_of_an_address_that_is_parked_on_a_full_interface,
        own_network::a_member_with_a_network_of_its_own_is_an_ordinary_pod_of_the_cluster,
        own_network::f129_address_follows_into_a_new_sandbox_and_the_agent_restores_what_is_removed,
        endpoint::a_member_with_a_network_of_its_own_keeps_its_address,
        endpoint::a_pod_of_no_controller_keeps_the_address_that_its_claim_requests,
        hostile_pods::f107_hostile_pods_at_the_endpoint_change_nothing_of_a_member_and_are_limited,
        endpoint::f121_f124_a_member_with_a_network_of_its_own_survives_the_absence_of_its_agent,
        basics::a_restart_on_the_same_node_makes_no_ec2_call,
        moves::draining_a_node_moves_its_member_with_one_ec2_mutation,
        pod_termination::f113_a_successor_on_the_same_node_takes_over_while_the_old_service_runs,
        pod_termination::f113_a_successor_on_another_node_takes_over_while_the_old_service_runs,
        init_reruns::f005_a_second_init_run_beside_the_service_changes_nothing,
        moves::a_powered_off_node_loses_its_member_and_returns_without_it,
        versions::agents_are_rolled_out_and_back_under_traffic,
        // The last two: one takes a node away, and then nothing of FireCamp is left.
        removed_interfaces::removed_interfaces_are_emptied_and_members_keep_their_addresses,
        removed_interfaces::an_uninstall_leaves_no_interface_and_no_address,
    ])
}

/// Scenarios that take minutes, on the shared cluster.
async fn long_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        capacity::an_interface_without_tag_offers_what_runs_there_and_no_more,
        capacity::a_member_goes_to_the_node_that_has_an_interface_of_its_pool,
        kubelet_restarts::members_survive_fifty_restarts_of_their_kubelet,
        endpoint::f121_f124_a_member_with_a_network_of_its_own_survives_the_absence_of_its_agent,
        names::f009_a_member_has_one_name_in_the_vpc_wherever_it_runs,
        services::f095_a_restart_that_stopped_or_was_killed_is_resumed_and_has_one_owner,
        logs::f100_each_container_has_a_log_stream_that_is_complete_and_in_order,
        redis::redis_keeps_its_addresses_and_every_acknowledged_record,
        kafka::kafka_with_zookeeper_loses_no_acknowledged_record,
        postgres::postgresql_with_a_replica_loses_no_acknowledged_record,
        rabbitmq::rabbitmq_keeps_every_confirmed_message,
        guide::the_commands_for_eks_remove_everything,
    ])
}

/// Scenarios on the shared cluster, of members that ask the agents' endpoint.
async fn endpoint_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        endpoint::a_member_without_privileges_keeps_its_address,
        endpoint::a_member_with_a_network_of_its_own_keeps_its_address,
        endpoint::a_pod_of_no_controller_keeps_the_address_that_its_claim_requests,
        own_network::a_member_with_a_network_of_its_own_is_an_ordinary_pod_of_the_cluster,
        own_network::f129_address_follows_into_a_new_sandbox_and_the_agent_restores_what_is_removed,
        hostile_pods::f107_hostile_pods_at_the_endpoint_change_nothing_of_a_member_and_are_limited,
        names::a_member_has_one_name_in_the_cluster_wherever_it_runs,
        services::f095_a_service_restarts_in_its_order_and_stops_at_a_broken_member,
        services::a_stateless_service_is_created_restarted_and_deleted,
        endpoint::a_set_moves_to_the_endpoint_and_back_and_its_members_keep_their_addresses,
        endpoint::f121_f124_a_member_without_privileges_survives_the_absence_of_its_agent,
    ])
}

/// Scenarios on a cluster with an engine for NetworkPolicies.
async fn network_policy_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        network_policy::network_policies_apply_to_the_pod_ip_and_not_to_the_static_address,
    ])
}

/// Scenarios on the shared cluster.
async fn shared_cluster_scenarios(cluster: &TestCluster<'_>, wanted: &[String]) -> Outcome<Ran> {
    Ok(scenarios![
        cluster,
        wanted,
        reclaim::f076_reclaim_1_a_deleted_address_stays_while_a_pod_holds_it,
        basics::three_members_start_with_one_ec2_mutation_each,
        basics::the_commands_of_the_cluster_page_work,
        basics::a_restart_on_the_same_node_makes_no_ec2_call,
        moves::draining_a_node_moves_its_member_with_one_ec2_mutation,
        pod_termination::f113_a_successor_on_the_same_node_takes_over_while_the_old_service_runs,
        pod_termination::f113_a_successor_on_another_node_takes_over_while_the_old_service_runs,
        pod_termination::f111_a_pod_whose_sandbox_died_attaches_again_under_a_new_epoch,
        pod_termination::f030_sigterm_to_the_stop_container_of_a_running_pod_changes_nothing,
        pod_termination::f112_a_release_completes_although_the_service_ignores_sigterm,
        pod_termination::a_pre_stop_hook_releases_like_a_native_sidecar,
        volumes::f082_an_address_moves_only_once_the_volume_is_mounted,
        volumes::f086_lost_volume_1_is_unmounted_under_a_member,
        releases::f026_without_a_stop_container_the_agent_soon_removes_the_address,
        releases::f027_a_release_takes_under_100_ms,
        releases::f027_the_agent_completes_a_release_killed_at_any_step,
        predecessor_sockets::f091_f028_a_successor_waits_for_sockets_and_is_swept_if_deleted,
        draining::f025_an_address_in_use_stays_until_the_deadline,
        init_reruns::f005_a_second_init_run_beside_the_service_changes_nothing,
        init_reruns::f017_f014_init_is_the_only_program_in_its_image_and_exits_on_sigterm,
        records::f072_racing_members_never_share_an_address,
        records::f073_the_api_server_rejects_changes_of_address_zone_and_claim,
        records::f079_a_pod_of_an_earlier_set_of_the_same_name_neither_claims_nor_releases,
        migration::f098_addresses_of_the_original_are_adopted_in_place,
        owners::f105_a_pod_not_controlled_by_the_claims_set_gets_no_address,
        tokens::f103_a_member_token_writes_only_objects_of_its_member,
        tokens::f103_an_agent_token_writes_only_objects_of_its_node,
        volumes::f086_init_refuses_a_data_directory_that_is_not_a_mount,
        refused::a_member_requesting_an_address_in_use_reports_its_holder,
        refused::a_member_in_the_wrong_zone_reports_its_zone_and_pool,
        refused::f103_a_member_without_permissions_reports_what_is_forbidden,
        reclaim::f070_a_member_address_does_not_change_the_internal_ip_of_its_node,
        volumes::f086_lost_volume_2_is_reported,
        reclaim::f076_reclaim_2_the_object_stays_until_the_pod_is_gone,
        volumes::f086_lost_volume_3_report_is_cleared_once_it_is_mounted_again,
        many_members::twenty_members_restart_at_once_while_ec2_throttles,
        many_members::init_containers_killed_at_any_step_succeed_on_the_next_run,
        moves::a_superseded_pod_behind_a_stopped_kubelet_changes_nothing,
        moves::a_powered_off_node_loses_its_member_and_returns_without_it,
        moves::f087_a_rebooted_node_keeps_its_member_without_an_ec2_mutation,
        moves::scaled_down_members_get_their_addresses_back,
        wait_released::f096_wait_released_ends_once_pods_and_held_addresses_are_gone,
        wait_released::f096_wait_released_waits_for_orphaned_pods_of_a_deleted_set,
        versions::agents_are_rolled_out_and_back_under_traffic,
        versions::f097_a_member_beside_incompatible_agents_waits_for_their_rollback,
        control_plane::a_removed_address_is_restored_while_the_api_server_is_down,
        control_plane::no_member_is_scheduled_to_a_node_without_free_slots,
        reclaim::f076_reclaim_3_unused_addresses_leave_ec2_and_then_the_registry,
        reset::the_reset_after_a_failed_scenario_restores_the_cluster,
        iam_policy::every_ec2_call_is_allowed_by_the_iam_policy,
        api_requests::f109_agents_request_only_pods_and_addresses_of_their_own_nodes,
    ])
}

/// Prints the result of a scenario. After a failure, dumps the cluster's state and resets it.
async fn print_result(
    cluster: &TestCluster<'_>,
    name: &str,
    begun: Instant,
    outcome: Outcome,
) -> Outcome {
    let seconds = begun.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => print_line(&format!("ok      {seconds:6.1} s  {name}")),
        Err(error) => {
            print_line(&format!("FAILED  {seconds:6.1} s  {name}\n        {error}"))?;
            cluster.dump().await?;
            // The next scenarios must not fail because of leftovers of this one.
            let reset = timeout(PATIENCE, Box::pin(cluster.reset())).await;
            match reset.unwrap_or_else(|_late| Err(timed_out())) {
                Ok(()) => print_line("        the cluster was reset"),
                Err(why) => print_line(&format!("        the cluster could not be reset: {why}")),
            }
        }
    }
}
