//! The volume of a member.

use std::net::Ipv4Addr;

use crate::scenario::Fault;
use firecamp_core::failure::FileFailure;
use firecamp_core::outside::MemberFile;
use firecamp_testkit::sim::Disk;
use tokio::time::sleep;

use super::Me;

/// The volume as one process sees it.
#[derive(Debug, Clone)]
pub(crate) struct Volume(pub(super) Me);

impl Volume {
    async fn call<T>(
        &self,
        act: impl FnOnce(&mut Disk) -> Result<T, FileFailure>,
    ) -> Result<T, FileFailure> {
        let Me { shared, slot } = &self.0;
        let (fails, before, first, time) = {
            let mut site = shared.site();
            let fails = site.strikes(*slot, Fault::DiskFails);
            let chance = &mut site.process(*slot).chance;
            (fails, chance.once_in(2), chance.once_in(2), chance.micros(100, 5_000))
        };
        let failure = || FileFailure { detail: "the disk of the simulation fails".to_owned() };
        if !first {
            sleep(time).await;
        }
        let done = if fails && before {
            Err(failure())
        } else {
            shared.with(|site, _, _| {
                let member = site.process(*slot).spawn.member;
                act(&mut site.cluster.disks[member.at()])
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
