//! Concurrent allocation of addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::allocate::candidates;
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::Member;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Pool, Write};

use super::samples::{claim, member, pool, static_ip};
use super::{Broken, Fixture, Outcome, broken, good, same, there};

/// Allocates an address of the pool's first subnet as an init container does: lists the allocated
/// addresses, then creates the first free one, and retries with the next if another member
/// created it first. None if the subnet is exhausted.
pub async fn allocate<R: Registry>(
    registry: &R,
    member: &Member,
    pool: &Pool,
) -> Result<Option<Ipv4Addr>, Broken> {
    let taken = good("allocated", registry.allocated(&pool.name).await)?;
    let entry = there("subnet", pool.subnets.first())?;
    for address in candidates(entry, &taken, &BTreeSet::new()) {
        let write = Write::CreateStaticIp(static_ip(address, member, pool)?);
        match registry.write(&write).await {
            Ok(_) => return Ok(Some(address)),
            Err(failure) if failure.kind == RegistryKind::AlreadyExists => {}
            Err(failure) => return broken(format!("create {address}: {failure:?}")),
        }
    }
    Ok(None)
}

async fn joined<T: Send + 'static>(
    tasks: Vec<tokio::task::JoinHandle<Result<T, Broken>>>,
) -> Result<Vec<T>, Broken> {
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.map_err(|wrong| Broken(wrong.to_string()))??);
    }
    Ok(results)
}

/// Two managers race for one free address repeatedly: exactly one gets it each time.
pub async fn f072_two_racing_managers_never_allocate_one_address_twice<F: Fixture>(
    fixture: &F,
) -> Outcome {
    const ROUNDS: u32 = 1000;
    let mut pool = pool("a", &[1])?;
    let first = u32::from(Ipv4Addr::new(10, 1, 0, 16));
    for entry in &mut pool.subnets {
        entry.cidr = ipnet::Ipv4Net::new(Ipv4Addr::new(10, 1, 0, 0), 16)
            .map_err(|wrong| Broken(wrong.to_string()))?;
        entry.ranges = vec![(first.into(), (first + ROUNDS - 1).into())];
    }
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    for round in 0..ROUNDS {
        let address = Ipv4Addr::from(first + round);
        let create = |manager: u32| {
            let (registry, pool) = (Arc::clone(&registry), pool.clone());
            tokio::spawn(async move {
                let member = member(2 * round + manager)?;
                let write = Write::CreateStaticIp(static_ip(address, &member, &pool)?);
                match registry.write(&write).await {
                    Ok(_) => Ok(Some(member)),
                    Err(failure) if failure.kind == RegistryKind::AlreadyExists => Ok(None),
                    Err(failure) => broken(format!("create {address}: {failure:?}")),
                }
            })
        };
        let winners: Vec<Member> =
            joined(vec![create(0), create(1)]).await?.into_iter().flatten().collect();
        let [winner] = winners.as_slice() else {
            return broken(format!("round {round}: {winners:?} got {address}"));
        };
        let read = there("object", good("read", registry.static_ip(address).await)?)?;
        same("the member of the object", &read.object.member, winner)?;
    }
    let taken = good("allocated", registry.allocated(&pool.name).await)?;
    same("addresses taken", &taken.len(), &usize::try_from(ROUNDS).unwrap_or_default())
}

/// As many concurrent members as addresses: each gets one, and all differ.
pub async fn f072_members_that_race_for_addresses_get_different_ones<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    for _round in 0..10 {
        let registry = fixture.with(std::slice::from_ref(&pool)).await;
        let one = |index| {
            let (registry, pool) = (Arc::clone(&registry), pool.clone());
            tokio::spawn(async move {
                let member = member(index)?;
                let address = allocate(&*registry, &member, &pool).await?;
                Ok((there("address", address)?, member))
            })
        };
        let given = joined((0..17).map(one).collect()).await?;
        let by_address: BTreeMap<Ipv4Addr, Member> = given.into_iter().collect();
        same("different addresses", &by_address.len(), &17)?;
        for (address, member) in by_address {
            let read = there("object", good("read", registry.static_ip(address).await)?)?;
            same("the member of the object", &read.object.member, &member)?;
        }
    }
    Ok(())
}

/// When all addresses are allocated, another member gets none and no member loses one.
pub async fn f059_an_exhausted_pool_allocates_no_address<F: Fixture>(fixture: &F) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    for index in 0..17 {
        let given = allocate(&*registry, &member(index)?, &pool).await?;
        same("given", &given.is_some(), &true)?;
    }
    same("the 18th", &allocate(&*registry, &member(17)?, &pool).await?, &None)
}

/// Different members write different objects, so their writes never conflict.
pub async fn f074_members_of_one_pool_never_conflict_with_each_other<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let one = |index: u8| {
        let (registry, pool) = (Arc::clone(&registry), pool.clone());
        tokio::spawn(async move {
            let address = Ipv4Addr::new(10, 1, 0, 16 + index);
            let member = member(u32::from(index))?;
            let claim = claim(&member, &pool);
            good("claim", registry.write(&Write::CreateClaim(claim)).await)?;
            let mut last =
                super::writes::created(&*registry, &static_ip(address, &member, &pool)?).await?;
            for _ in 0..10 {
                last = super::writes::update(&*registry, &last, last.object.clone()).await?;
            }
            Ok(())
        })
    };
    joined((0..8).map(one).collect()).await.map(drop)
}
