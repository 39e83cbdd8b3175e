//! The pool of a member, and the allocated addresses of a pool.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::contract::api::EXTENDED_RESOURCE;
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::{PoolName, ResourceName};
use firecamp_core::ports::Registry;
use firecamp_core::record::{MemberRecords, Pool, StaticIp, Write};

use super::samples::{claim, member, pool, static_ip};
use super::writes::created;
use super::{Fixture, Outcome, fails, good, names, same, there};

/// A new member gets the only pool, or the requested one.
pub async fn a_member_without_a_claim_gets_the_only_or_the_requested_pool<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let resource = ResourceName::new(&format!("{EXTENDED_RESOURCE}-b"))?;
    let (a, b) = (pool("a", &[1])?, Pool { resource, ..pool("b", &[2, 3])? });
    let only = |pool| MemberRecords { claim: None, static_ip: None, pool: Some(pool) };
    let registry = fixture.with(std::slice::from_ref(&a)).await;
    let read = good("no requested pool", registry.member(&member(0)?, None).await)?;
    same("no requested pool", &read, &only(a.clone()))?;
    let registry = fixture.with(&[a, b.clone()]).await;
    let read = good("wish", registry.member(&member(0)?, Some(&b.name)).await)?;
    same("wish", &read, &only(b))
}

/// The registry does not guess between several pools.
pub async fn without_a_requested_pool_several_pools_are_an_error_that_lists_them<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let registry = fixture.with(&[pool("blue", &[1])?, pool("green", &[2])?]).await;
    let answer = registry.member(&member(0)?, None).await;
    let text = fails("no requested pool", RegistryKind::Refused, answer)?;
    ["prod/redis-0", "blue", "green"].iter().try_for_each(|part| names(&text, part))
}

/// A registry without pools.
pub async fn without_a_pool_the_error_says_to_create_one<F: Fixture>(fixture: &F) -> Outcome {
    let registry = fixture.with(&[]).await;
    let text = fails("none", RegistryKind::NotFound, registry.member(&member(0)?, None).await)?;
    names(&text, "create a")?;
    names(&text, "pool")
}

/// A request for a missing pool is not answered with another pool.
pub async fn a_requested_pool_that_does_not_exist_is_not_found<F: Fixture>(fixture: &F) -> Outcome {
    let registry = fixture.with(&[pool("a", &[1])?]).await;
    let wish = PoolName::new("nowhere")?;
    let answer = registry.member(&member(0)?, Some(&wish)).await;
    names(&fails("wish", RegistryKind::NotFound, answer)?, "nowhere")?;
    let answer = registry.allocated(&wish).await;
    names(&fails("allocated", RegistryKind::NotFound, answer)?, "nowhere")
}

/// A member keeps the pool of its claim, whatever is requested later.
pub async fn the_pool_of_a_claim_overrides_a_requested_pool<F: Fixture>(fixture: &F) -> Outcome {
    let (a, b) = (pool("a", &[1])?, pool("b", &[2])?);
    let registry = fixture.with(&[a.clone(), b.clone()]).await;
    let claim = claim(&member(0)?, &a);
    good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    for wish in [None, Some(&b.name)] {
        let read = good("read", registry.member(&claim.member, wish).await)?;
        same("pool", &read.pool, &Some(a.clone()))?;
    }
    Ok(())
}

/// A member with an address can be read, and thus released, without its pool.
pub async fn a_claim_of_a_deleted_pool_is_readable<F: Fixture>(fixture: &F) -> Outcome {
    let pool = pool("a", &[1])?;
    let registry = fixture.with(std::slice::from_ref(&pool)).await;
    let address = Ipv4Addr::new(10, 1, 0, 20);
    let mut claim = claim(&member(0)?, &pool);
    claim.address = Some(address);
    good("claim", registry.write(&Write::CreateClaim(claim.clone())).await)?;
    created(&*registry, &static_ip(address, &member(0)?, &pool)?).await?;
    fixture.remove_pool(&registry, &pool).await;
    let read = good("read", registry.member(&claim.member, None).await)?;
    same("address", &there("object", read.static_ip)?.object.address, &address)?;
    same("pool", &read.pool, &None)
}

/// An address with a StaticIP counts as allocated, whichever pool the object names; addresses
/// outside the ranges of the pool do not count.
pub async fn allocated_lists_the_addresses_in_the_ranges_of_the_pool<F: Fixture>(
    fixture: &F,
) -> Outcome {
    let (a, b) = (pool("a", &[1])?, pool("b", &[1, 2])?);
    let registry = fixture.with(&[a.clone(), b.clone()]).await;
    same("none", &good("none", registry.allocated(&a.name).await)?, &BTreeSet::new())?;
    let at = |subnet, last| Ipv4Addr::new(10, subnet, 0, last);
    let only_second = pool("b", &[2])?;
    let of_b = StaticIp { pool: b.name.clone(), ..static_ip(at(1, 18), &member(3)?, &a)? };
    let objects = [
        static_ip(at(1, 16), &member(0)?, &a)?,
        static_ip(at(1, 40), &member(1)?, &a)?,
        static_ip(at(1, 100), &member(2)?, &a)?,
        of_b,
        static_ip(at(2, 31), &member(4)?, &only_second)?,
    ];
    for object in &objects {
        created(&*registry, object).await?;
    }
    let first = BTreeSet::from([at(1, 16), at(1, 18), at(1, 40)]);
    same("a", &good("a", registry.allocated(&a.name).await)?, &first)?;
    let both = first.into_iter().chain([at(2, 31)]).collect();
    same("b", &good("b", registry.allocated(&b.name).await)?, &both)
}
