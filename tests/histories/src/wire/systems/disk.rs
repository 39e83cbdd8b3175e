//! The volume of a member.

use std::net::Ipv4Addr;

use crate::scenario::Fault;
use firecamp_core::failure::FileFailure;
use firecamp_core::ports::MemberFile;
use firecamp_testkit::sim::Disk;
use tokio::time::sleep;

use super::ProcessHandle;

/// The volume as one process accesses it.
#[derive(Debug, Clone)]
pub(crate) struct Volume(pub(super) ProcessHandle);

impl Volume {
    async fn call<T>(
        &self,
        act: impl FnOnce(&mut Disk) -> Result<T, FileFailure>,
    ) -> Result<T, FileFailure> {
        let ProcessHandle { shared, slot } = &self.0;
        let (fails, before, first, time) = {
            let mut sim = shared.sim();
            let fails = sim.injects(*slot, Fault::DiskFails);
            let rng = &mut sim.process(*slot).rng;
            (fails, rng.once_in(2), rng.once_in(2), rng.micros(100, 5_000))
        };
        let failure = || FileFailure { detail: "the simulated disk fails".to_owned() };
        if !first {
            sleep(time).await;
        }
        let done = if fails && before {
            Err(failure())
        } else {
            shared.with(|sim, _, _| {
                let member = sim.process(*slot).spawn.member;
                act(&mut sim.cluster.disks[member.at()])
            })
        };
        if first {
            sleep(time).await;
        }
        if fails { Err(failure()) } else { done }
    }
}

impl MemberFile for Volume {
    async fn probe(&self) -> Result<(), FileFailure> {
        self.call(|disk| disk.probe()).await
    }

    async fn stage(&self, address: Ipv4Addr) -> Result<bool, FileFailure> {
        self.call(|disk| disk.stage(address)).await
    }

    async fn publish(&self) -> Result<(), FileFailure> {
        self.call(Disk::publish).await
    }

    async fn sync(&self) -> Result<(), FileFailure> {
        self.call(Disk::sync).await
    }
}
