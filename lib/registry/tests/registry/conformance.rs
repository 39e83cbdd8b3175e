//! The conformance suite, for the file registry and for the one in memory.

use std::sync::Arc;

use firecamp_core::record::Pool;
use firecamp_registry::conformance::Fixture;
use firecamp_registry::{FileRegistry, MemoryRegistry, Timeouts};

struct Memory;

impl Fixture for Memory {
    type Registry = MemoryRegistry;

    async fn with(&self, pools: &[Pool]) -> Arc<MemoryRegistry> {
        Arc::new(MemoryRegistry::with_pools(pools.iter().cloned()))
    }

    async fn remove_pool(&self, registry: &MemoryRegistry, pool: &Pool) {
        let mut snapshot = registry.snapshot();
        snapshot.pools.remove(&pool.name).expect("the pool is there");
        registry.restore(snapshot);
    }
}

/// Directories of one test, removed with it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }
}

impl Fixture for Files {
    type Registry = FileRegistry;

    async fn with(&self, pools: &[Pool]) -> Arc<FileRegistry> {
        let dir = tempfile::tempdir_in(self.0.path()).expect("a temporary directory").keep();
        let registry = FileRegistry::open(dir, Timeouts::default()).expect("an empty registry");
        for pool in pools {
            registry.create_pool(pool).await.expect("a new pool");
        }
        Arc::new(registry)
    }

    async fn remove_pool(&self, registry: &FileRegistry, pool: &Pool) {
        let file = registry.dir().join(format!("staticippools/{}.yaml", pool.name));
        std::fs::remove_file(file).expect("the pool is there");
    }
}

macro_rules! for_every_registry {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let outcome = firecamp_registry::conformance::$check(&super::Memory).await;
                    assert_eq!(outcome, Ok(()));
                }
            )*
        }
        mod file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let files = super::Files::new();
                    let outcome = firecamp_registry::conformance::$check(&files).await;
                    assert_eq!(outcome, Ok(()));
                }
            )*
        }
    };
}

for_every_registry![
    a_claim_decides_the_pool_and_not_the_wish,
    a_claim_whose_pool_is_gone_still_reads,
    a_member_without_a_claim_sees_only_its_pool,
    a_wish_for_a_pool_that_is_not_there_is_not_found,
    allocated_shows_what_lies_in_the_ranges_of_the_pool,
    an_update_of_what_is_not_there_is_not_found,
    every_field_reads_back_as_it_was_written,
    every_write_has_a_version_of_its_own,
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
    without_a_pool_the_failure_says_what_to_create,
];
