//! Reads the member's records from the registry, like any other program.

use std::net::Ipv4Addr;
use std::path::Path;

use firecamp_core::ids::Member;
use firecamp_core::ports::Registry;
use firecamp_core::record::{MemberRecords, StaticIp, Stored};
use firecamp_registry::{FileRegistry, Timeouts};
use tokio::runtime::{Builder, Runtime};

use super::fixture::{MEMBER, NAMESPACE, POOL_YAML};
use crate::failure::Failure;

/// The registry of the demo.
pub(crate) struct Records {
    registry: FileRegistry,
    runtime: Runtime,
}

impl Records {
    /// Creates the directory and the pool, like a user.
    pub(crate) fn create(dir: &Path) -> Result<Self, Failure> {
        let pools = dir.join("staticippools");
        std::fs::create_dir_all(&pools).map_err(|e| Failure::file("create", &pools, e))?;
        let pool = pools.join("demo.yaml");
        std::fs::write(&pool, POOL_YAML).map_err(|e| Failure::file("write", &pool, e))?;
        let registry = FileRegistry::open(dir, Timeouts::default())
            .map_err(|e| Failure::Registry(e.detail))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::process("start the runtime of", "the demo", e))?;
        Ok(Self { registry, runtime })
    }

    /// Reads all records of the member.
    pub(crate) fn member(&self) -> Result<MemberRecords, Failure> {
        let member =
            Member::new(NAMESPACE, MEMBER).map_err(|e| Failure::Registry(e.to_string()))?;
        let read = self.runtime.block_on(self.registry.member(&member, None));
        read.map_err(|e| Failure::Registry(e.detail))
    }

    /// Reads the StaticIP of an address.
    pub(crate) fn static_ip(&self, address: Ipv4Addr) -> Result<Option<Stored<StaticIp>>, Failure> {
        self.runtime
            .block_on(self.registry.static_ip(address))
            .map_err(|e| Failure::Registry(e.detail))
    }
}
