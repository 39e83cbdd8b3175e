//! The conformance suite of [`firecamp_core::ports::Registry`]: checks that return the violated
//! promise. A test calls each check with a [`Fixture`] that creates fresh registries.

mod allocation;
mod binding;
mod pools;
mod samples;
mod writes;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::sync::Arc;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ports::Registry;
use firecamp_core::record::Pool;

pub use allocation::{
    allocate, f059_an_exhausted_pool_allocates_no_address,
    f072_members_that_race_for_addresses_get_different_ones,
    f072_two_racing_managers_never_allocate_one_address_twice,
    f074_members_of_one_pool_never_conflict_with_each_other,
};
pub use binding::{
    f075_a_claim_whose_address_has_no_object_reads_without_static_ip,
    f075_a_claim_without_an_address_is_found_and_not_created_again,
    f075_a_read_returns_the_static_ip_of_a_claim_even_if_another_member_owns_it,
    f075_an_object_whose_claim_does_not_name_it_is_found_by_its_address,
    f079_an_earlier_incarnation_of_a_pod_changes_nothing,
    f079_one_pod_name_in_two_namespaces_is_two_members,
    the_requested_address_changes_only_until_an_address_is_bound,
};
pub use pools::{
    a_claim_of_a_deleted_pool_is_readable,
    a_member_without_a_claim_gets_the_only_or_the_requested_pool,
    a_requested_pool_that_does_not_exist_is_not_found,
    allocated_lists_the_addresses_in_the_ranges_of_the_pool,
    the_pool_of_a_claim_overrides_a_requested_pool, without_a_pool_the_error_says_to_create_one,
    without_a_requested_pool_several_pools_are_an_error_that_lists_them,
};
pub use samples::{attached, claim, member, pool, static_ip, subnet};
pub use writes::{
    an_update_of_a_missing_object_is_not_found, every_change_creates_a_new_version,
    every_field_round_trips, every_write_creates_a_new_version,
    f052_a_repeated_write_is_rejected_and_a_read_returns_the_first,
    f072_a_write_on_an_old_version_is_a_conflict_and_changes_nothing,
    f072_of_concurrent_writers_on_one_version_exactly_one_wins,
    f073_a_change_of_an_immutable_field_is_rejected, f073_an_address_is_created_once,
    f073_an_inconsistent_object_is_rejected, f080_an_epoch_never_decreases,
};

/// Calls another macro with the names of all checks that every registry passes.
#[macro_export]
macro_rules! for_each_check {
    ($then:ident) => {
        $then![
            the_pool_of_a_claim_overrides_a_requested_pool,
            a_claim_of_a_deleted_pool_is_readable,
            a_member_without_a_claim_gets_the_only_or_the_requested_pool,
            a_requested_pool_that_does_not_exist_is_not_found,
            allocated_lists_the_addresses_in_the_ranges_of_the_pool,
            an_update_of_a_missing_object_is_not_found,
            every_change_creates_a_new_version,
            every_field_round_trips,
            f052_a_repeated_write_is_rejected_and_a_read_returns_the_first,
            f059_an_exhausted_pool_allocates_no_address,
            f072_a_write_on_an_old_version_is_a_conflict_and_changes_nothing,
            f072_members_that_race_for_addresses_get_different_ones,
            f072_of_concurrent_writers_on_one_version_exactly_one_wins,
            f072_two_racing_managers_never_allocate_one_address_twice,
            f073_an_address_is_created_once,
            f073_an_inconsistent_object_is_rejected,
            f073_a_change_of_an_immutable_field_is_rejected,
            f074_members_of_one_pool_never_conflict_with_each_other,
            f075_a_claim_whose_address_has_no_object_reads_without_static_ip,
            f075_a_claim_without_an_address_is_found_and_not_created_again,
            f075_an_object_whose_claim_does_not_name_it_is_found_by_its_address,
            f075_a_read_returns_the_static_ip_of_a_claim_even_if_another_member_owns_it,
            f079_an_earlier_incarnation_of_a_pod_changes_nothing,
            f079_one_pod_name_in_two_namespaces_is_two_members,
            f080_an_epoch_never_decreases,
            without_a_requested_pool_several_pools_are_an_error_that_lists_them,
            the_requested_address_changes_only_until_an_address_is_bound,
            without_a_pool_the_error_says_to_create_one,
        ];
    };
}

/// A violated promise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// The result of a check.
pub type Outcome = Result<(), Broken>;

/// Creates registries to check.
pub trait Fixture: Sync {
    /// The registry.
    type Registry: Registry + 'static;

    /// Creates a registry that holds these pools and nothing else.
    fn with(&self, pools: &[Pool]) -> impl Future<Output = Arc<Self::Registry>> + Send;

    /// Deletes a pool, as a user does.
    fn remove_pool(
        &self,
        registry: &Self::Registry,
        pool: &Pool,
    ) -> impl Future<Output = ()> + Send;
}

fn broken<T>(what: impl Display) -> Result<T, Broken> {
    Err(Broken(what.to_string()))
}

/// Requires success.
fn good<T>(what: &str, result: Result<T, RegistryFailure>) -> Result<T, Broken> {
    result.map_err(|wrong| Broken(format!("{what}: {wrong:?}")))
}

/// Requires that a value exists.
fn there<T>(what: &str, value: Option<T>) -> Result<T, Broken> {
    value.ok_or_else(|| Broken(format!("{what} does not exist")))
}

/// Requires equality.
fn same<T: PartialEq + Debug>(what: &str, observed: &T, wanted: &T) -> Outcome {
    if observed == wanted {
        Ok(())
    } else {
        broken(format!("{what}: {observed:?} instead of {wanted:?}"))
    }
}

/// Requires a failure of this kind without effect; returns its message.
fn fails<T: Debug>(
    what: &str,
    kind: RegistryKind,
    result: Result<T, RegistryFailure>,
) -> Result<String, Broken> {
    match result {
        Err(failure) if failure.kind == kind && failure.effect == Effect::None => {
            Ok(failure.detail)
        }
        other => broken(format!("{what}: {other:?} instead of {kind:?} without effect")),
    }
}

/// Requires that a message contains a text.
fn names(text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { broken(format!("{text:?} does not name {part:?}")) }
}
