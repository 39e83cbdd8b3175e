//! The conformance suite for the file registry and the in-memory registry.

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

/// The directories of one test.
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

firecamp_registry::for_each_check!(for_every_registry);

/// In the file and in-memory registries a write without a change also creates a new version.
#[tokio::test]
async fn every_write_creates_a_new_version() {
    let check = firecamp_registry::conformance::every_write_creates_a_new_version(&Memory).await;
    assert_eq!(check, Ok(()));
    let files = Files::new();
    let check = firecamp_registry::conformance::every_write_creates_a_new_version(&files).await;
    assert_eq!(check, Ok(()));
}
