//! One suite for every registry: what [`firecamp_core::outside::Registry`] promises, as checks
//! that return what is broken. A test calls each with a [`Fixture`] that makes fresh registries.

mod allocation;
mod binding;
mod pools;
mod samples;
mod writes;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::sync::Arc;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::outside::Registry;
use firecamp_core::record::Pool;

pub use allocation::{
    allocate, f059_an_exhausted_pool_gives_no_address,
    f072_members_that_race_for_addresses_all_get_one_of_their_own,
    f072_two_managers_racing_never_give_one_address_to_two_members,
    f074_members_of_one_pool_never_conflict_with_each_other,
};
pub use binding::{
    f075_a_claim_whose_address_has_no_object_shows_none,
    f075_a_claim_without_an_address_is_found_and_not_doubled,
    f075_an_object_whose_claim_does_not_name_it_is_found_by_its_address,
    f075_the_object_that_a_claim_names_is_shown_whoever_it_belongs_to,
    f079_an_earlier_incarnation_changes_nothing, f079_one_name_in_two_namespaces_is_two_members,
    what_is_asked_for_changes_only_while_it_counts,
};
pub use pools::{
    a_claim_decides_the_pool_and_not_the_wish, a_claim_whose_pool_is_gone_still_reads,
    a_member_without_a_claim_sees_only_its_pool, a_wish_for_a_pool_that_is_not_there_is_not_found,
    allocated_shows_what_lies_in_the_ranges_of_the_pool, several_pools_and_no_wish_are_listed,
    without_a_pool_the_failure_says_what_to_create,
};
pub use samples::{attached, claim, member, pool, static_ip, subnet};
pub use writes::{
    an_update_of_what_is_not_there_is_not_found, every_change_has_a_version_of_its_own,
    every_field_reads_back_as_it_was_written, every_write_has_a_version_of_its_own,
    f052_a_repeated_write_is_refused_and_a_read_shows_the_first,
    f072_a_write_on_an_old_version_is_a_conflict_and_changes_nothing,
    f072_of_writers_on_one_version_exactly_one_wins, f073_an_address_is_created_once,
    f073_an_object_that_contradicts_itself_is_refused, f073_what_never_changes_is_refused,
    f080_an_epoch_never_shrinks,
};

/// Hands the names of all checks that every registry passes to another macro.
#[macro_export]
macro_rules! for_each_check {
    ($then:ident) => {
        $then![
            a_claim_decides_the_pool_and_not_the_wish,
            a_claim_whose_pool_is_gone_still_reads,
            a_member_without_a_claim_sees_only_its_pool,
            a_wish_for_a_pool_that_is_not_there_is_not_found,
            allocated_shows_what_lies_in_the_ranges_of_the_pool,
            an_update_of_what_is_not_there_is_not_found,
            every_change_has_a_version_of_its_own,
            every_field_reads_back_as_it_was_written,
            f052_a_repeated_write_is_refused_and_a_read_shows_the_first,
            f059_an_exhausted_pool_gives_no_address,
            f072_a_write_on_an_old_version_is_a_conflict_and_changes_nothing,
            f072_members_that_race_for_addresses_all_get_one_of_their_own,
            f072_of_writers_on_one_version_exactly_one_wins,
            f072_two_managers_racing_never_give_one_address_to_two_members,
            f073_an_address_is_created_once,
            f073_an_object_that_contradicts_itself_is_refused,
            f073_what_never_changes_is_refused,
            f074_members_of_one_pool_never_conflict_with_each_other,
            f075_a_claim_whose_address_has_no_object_shows_none,
            f075_a_claim_without_an_address_is_found_and_not_doubled,
            f075_an_object_whose_claim_does_not_name_it_is_found_by_its_address,
            f075_the_object_that_a_claim_names_is_shown_whoever_it_belongs_to,
            f079_an_earlier_incarnation_changes_nothing,
            f079_one_name_in_two_namespaces_is_two_members,
            f080_an_epoch_never_shrinks,
            several_pools_and_no_wish_are_listed,
            what_is_asked_for_changes_only_while_it_counts,
            without_a_pool_the_failure_says_what_to_create,
        ];
    };
}

/// What a registry does that it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// What a check finds.
pub type Outcome = Result<(), Broken>;

/// Makes registries to check.
pub trait Fixture: Sync {
    /// The registry.
    type Registry: Registry + 'static;

    /// A registry that holds these pools and nothing else.
    fn with(&self, pools: &[Pool]) -> impl Future<Output = Arc<Self::Registry>> + Send;

    /// Takes a pool away, as a person would.
    fn remove_pool(
        &self,
        registry: &Self::Registry,
        pool: &Pool,
    ) -> impl Future<Output = ()> + Send;
}

fn broken<T>(what: impl Display) -> Result<T, Broken> {
    Err(Broken(what.to_string()))
}

/// What must succeed.
fn good<T>(what: &str, result: Result<T, RegistryFailure>) -> Result<T, Broken> {
    result.map_err(|wrong| Broken(format!("{what}: {wrong:?}")))
}

/// What must be there.
fn there<T>(what: &str, value: Option<T>) -> Result<T, Broken> {
    value.ok_or_else(|| Broken(format!("{what} is not there")))
}

/// What must be equal.
fn same<T: PartialEq + Debug>(what: &str, seen: &T, wanted: &T) -> Outcome {
    if seen == wanted { Ok(()) } else { broken(format!("{what}: {seen:?} instead of {wanted:?}")) }
}

/// What must fail like this, without effect; returns the text for people.
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

/// A text for people that must name something.
fn names(text: &str, part: &str) -> Outcome {
    if text.contains(part) { Ok(()) } else { broken(format!("{text:?} does not name {part:?}")) }
}
