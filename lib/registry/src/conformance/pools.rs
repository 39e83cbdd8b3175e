//! Which pool a member draws from, and what of it is taken.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::PoolName;
use firecamp_core::outside::Registry;
use firecamp_core::record::{MemberRecords, StaticIp, Write};

use super::samples::{claim, member, pool, static_ip};
use super::writes::created;
use super::{Fixture, Outcome, fails, good, names, same, there};

/// A member that is new: the only pool there is, or the one that was asked for.
pub async fn a_member_without_a_claim_sees_only_its_pool<F: Fixture>(fixture: &F) -> Outcome {
    let (a, b) = (pool("a", &[1])?, pool("b", &[2, 3])?);
    let only = |pool| MemberRecords { claim: None, static_ip: None, pool: Some(pool) };
    let registry = fixture.with(std::slice::from_ref(&a)).await;
    let read = good("no wish", registry.member(&member(0)?, None).await)?;
    same("no wish", &read, &only(a.clone()))?;
    let registry = fixture.with(&[a, b.clone()]).await;
    let read = good("wish", registry.member(&member(0)?, Some(&b.name)).await)?;
    same("wish", &read, &only(b))
}

/// Nobody guesses between pools.
pub async fn several_pools_and_no_wish_are_listed<F: Fixture>(fixture: &F) -> Outcome {
    let registry = fixture.with(&[pool("blue", &[1])?, pool("green", &[2])?]).await;
    let answer = registry.member(&member(0)?, None).await;
    let text = fails("no wish", RegistryKind::Refused, answer)?;
    ["prod/redis-0", "blue", "green"].iter().try_for_each(|part| names(&text, part))
}

/// A registry that nobody has set up yet.
pub async fn without_a_pool_the_failure_says_what_to_create<F: Fixture>(fixture: &F) -> Outcome {
    let registry = fixture.with(&[]).await;
    let text = fails("none", RegistryKind::NotFound, registry.member(&member(0)?, None).await)?;
    names(&text, "create a")?;
    names(&text, "pool")
}

/// A wish for a pool that is not there is not answered with another one.
pub async fn a_wish_for_a_pool_that_is_not_there_is_not_found<F: Fixture>(fixture: &F) -> Outcome {
    let registry = fixture.with(&[pool("a", &[1])?]).await;
    let wish = PoolName::new("nowhere")?;
    let answer = registry.member(&member(0)?, Some(&wish)).await;
    names(&fails("wish", RegistryKind::NotFound, answer)?, "nowhere")?;
    let answer = registry.allocated(&wish).await;
    names(&fails("allocated", RegistryKind::NotFound, answer)?, "nowhere")
}

/// A member keeps the pool of its claim, whatever is asked for later.
pub async fn a_claim_decides_the_pool_and_not_the_wish<F: Fixture>(fixture: &F) -> Outcome {
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

/// A member that has its address can be read, and so released, without its pool.
pub async fn a_claim_whose_pool_is_gone_still_reads<F: Fixture>(fixture: &F) -> Outcome {
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

/// An address that has an object is taken, whichever pool the object names; what the pool does
/// not hand out does not count.
pub async fn allocated_shows_what_lies_in_the_ranges_of_the_pool<F: Fixture>(
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
