//! A shared registry forwards every call.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{Claim, MemberRecords, StaticIp, Stored, Write};

use super::steps::fixture::{ADDRESS, Fixture, member, parsed};

/// Answers at once, with what it was called with.
struct Own(Fixture);

impl Registry for Own {
    async fn member(
        &self,
        _member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        let mut records = self.0.records.clone();
        let claim = records.claim.as_mut().expect("a claim");
        claim.object.pool = pool.expect("a pool").clone();
        Ok(records)
    }

    async fn static_ip(
        &self,
        _address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        Ok(self.0.records.static_ip.clone())
    }

    async fn pod(&self, _member: &Member) -> Result<PodView, RegistryFailure> {
        Ok(self.0.pod.clone())
    }

    async fn allocated(&self, _pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        Ok([ADDRESS].into())
    }

    async fn write(&self, _write: &Write) -> Result<Version, RegistryFailure> {
        Ok(parsed("written"))
    }
}

fn now<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("it answers at once"),
    }
}

/// Calls any registry.
fn asked(registry: impl Registry) -> (MemberRecords, Option<Stored<StaticIp>>, PodView) {
    let pool: PoolName = parsed("named");
    let records = now(registry.member(&member(), Some(&pool))).expect("records");
    let claim: &Claim = &records.claim.as_ref().expect("a claim").object;
    assert_eq!(claim.pool, pool);
    assert_eq!(now(registry.allocated(&pool)), Ok([ADDRESS].into()));
    let write = Write::CreateClaim(claim.clone());
    assert_eq!(now(registry.write(&write)), Ok(parsed("written")));
    let found = now(registry.static_ip(ADDRESS)).expect("an answer");
    (records, found, now(registry.pod(&member())).expect("an answer"))
}

#[test]
fn a_shared_registry_forwards_every_call() {
    let own = Own(Fixture::parked_elsewhere());
    let shared = asked(&own);
    assert!(shared.1.is_some());
    assert_ne!(shared.2, PodView::Vouched);
    assert_eq!(shared, asked(own));
}
